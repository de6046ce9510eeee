#!/usr/bin/env python3
"""Proves that README.md, docs/ and the notes beside tests and findings can be read in a terminal: no line has more than
120 columns, in tables and examples neither.

    tests/docs/columns.py SOURCE_ROOT      exit 0 or 1
Needs only Python's standard library.
"""
import glob
import os
import sys
import unicodedata

WIDEST = 120


def columns(line):
    """How many columns a terminal needs for a line."""
    return sum(0 if unicodedata.combining(c) else 2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in line)


def main():
    root, wide = sys.argv[1], []
    pages = [os.path.join(root, "README.md")]
    for folder in ("docs", "findings", "tests"):
        pages += glob.glob(os.path.join(root, folder, "**/*.md"), recursive=True)
    for page in sorted(pages):
        for number, line in enumerate(open(page, encoding="utf-8"), 1):
            if columns(line.rstrip("\n")) > WIDEST:
                wide.append(f"{os.path.relpath(page, root)}:{number}: {columns(line.rstrip())} columns, at most {WIDEST}")
    print("\n".join(wide) if wide else f"{len(pages)} pages have at most {WIDEST} columns")
    return 1 if wide or len(pages) < 10 else 0


if __name__ == "__main__":
    sys.exit(main())
