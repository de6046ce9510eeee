#!/usr/bin/env python3
"""Proves that docs/troubleshooting.md quotes messages that the program has: each text in backticks that begins an
item (its causes and cures are items of items), up to "…" where names and numbers stand, is in one string of the
sources.

    tests/report/check_messages.py SOURCE_ROOT      exit 0 or 1
Needs only Python's standard library.
"""
import os
import re
import sys

LITERAL = r'"(?:[^"\\\n]|\\.)*"'


def strings(root):
    """The strings of all sources, adjacent ones as one, with what printf fills in as "\\0"."""
    found = []
    for folder, _, names in os.walk(os.path.join(root, "src")):
        for name in names:
            if not name.endswith((".c", ".h")):
                continue
            text = open(os.path.join(folder, name), encoding="utf-8").read()
            for match in re.finditer(rf"{LITERAL}(?:\s*{LITERAL})*", text):
                whole = "".join(re.findall(r'"((?:[^"\\\n]|\\.)*)"', match.group(0)))
                whole = whole.replace('\\"', '"').replace("\\n", "\n")
                found.append(re.sub(r"%[-+ #0-9.*]*(?:ll|l|z)?[a-zA-Z]", "\0", whole))
    return found


def quoted(root):
    """The messages of the program that the page quotes, with their lines."""
    page = open(os.path.join(root, "docs/troubleshooting.md"), encoding="utf-8").read()
    for item in re.finditer(r"^- .*(?:\n  [^ -].*)*", page, re.MULTILINE):
        seen = " ".join(item.group(0).split())
        # other programs' messages say whose they are; words around a quotation may be the page's own
        if "(of " in seen or "oom-kill" in seen or "ftrun " in seen or "waiting for" in seen:
            continue
        for text in re.findall(r"`([^`]*)`", seen):
            yield page.count("\n", 0, item.start()) + 1, text


def main():
    known, wrong, count = strings(sys.argv[1]), [], 0
    for number, text in quoted(sys.argv[1]):
        pieces = [p.strip() for p in text.split("…") if re.search(r"\w\w", p)]
        count += 1
        if not any(all(p in s for p in pieces) for s in known):
            wrong.append(f"docs/troubleshooting.md:{number}: the program has no such message: {text}")
    print("\n".join(wrong) if wrong else f"{count} messages are the program's")
    return 1 if wrong or count < 30 else 0


if __name__ == "__main__":
    sys.exit(main())
