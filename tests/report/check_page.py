#!/usr/bin/env python3
"""Checks a page of `ftrun report`: well formed, alone, accessible, and with the words that it should have.

    tests/report/check_page.py PAGE [WORDS ...]      exit 0 or 1
Needs only Python's standard library.
"""
import html.parser
import sys

VOID = {"meta", "br"}
# What a self-closing tag of SVG may be.
SHAPES = {"line", "path", "circle", "rect"}


class Page(html.parser.HTMLParser):
    def __init__(self):
        super().__init__(convert_charrefs=True)
        self.open, self.text, self.ids, self.links, self.named = [], [], set(), [], []
        self.pictures, self.in_svg = 0, []

    def wrong(self, what):
        sys.exit(f"line {self.getpos()[0]}: {what}; open: {self.open}")

    def note(self, tag, attributes):
        values = dict(attributes)
        if len(values) != len(attributes):
            self.wrong(f"<{tag}> has an attribute twice")
        for name, value in attributes:
            if name in ("src", "srcset", "data", "action") or (name == "href" and not value.startswith("#")):
                self.wrong(f"<{tag} {name}={value}> asks for something from elsewhere")
        if "id" in values:
            if values["id"] in self.ids:
                self.wrong(f"two elements have the id {values['id']}")
            self.ids.add(values["id"])
        self.links += [values["href"][1:]] if "href" in values else []
        self.named += [values[n] for n in ("aria-labelledby", "aria-describedby") if n in values]
        if tag == "svg" and values.get("class") == "plot":
            self.pictures += 1
            if "aria-labelledby" not in values or "aria-describedby" not in values:
                self.wrong("a picture has no words")

    def handle_starttag(self, tag, attributes):
        self.note(tag, attributes)
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        if tag not in SHAPES or "svg" not in self.open:
            self.wrong(f"<{tag}/> is no shape in a picture")
        self.note(tag, attributes)

    def handle_endtag(self, tag):
        if not self.open or self.open.pop() != tag:
            self.wrong(f"</{tag}> closes something else")

    def handle_data(self, data):
        if self.open and self.open[-1] not in ("style", "script"):
            self.text.append(data)
        elif "url(" in data or "@import" in data or "fetch(" in data:
            self.wrong("a style sheet or script asks for something from elsewhere")


def main():
    source = open(sys.argv[1], encoding="utf-8").read()
    page = Page()
    page.feed(source)
    page.close()
    if page.open:
        sys.exit(f"never closed: {page.open}")
    missing = [name for name in page.links + page.named if name not in page.ids]
    if missing:
        sys.exit(f"no element has the id {missing}")
    text = " ".join("".join(page.text).split())
    absent = [words for words in sys.argv[2:] if words not in text]
    if absent:
        sys.exit(f"not in the page: {absent}")
    for needed in ('<meta name="viewport"', "prefers-color-scheme:dark", "@media print", 'lang="en"'):
        if needed not in source:
            sys.exit(f"the page lacks {needed}")


if __name__ == "__main__":
    main()
