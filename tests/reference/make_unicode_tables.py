#!/usr/bin/env python3
"""Writes src/tokenizer/unicode_tables.h: where the Unicode data that Hugging Face's tokenizers were built
with differ from the oldest that PCRE2 and utf8proc may bring along (Unicode 14).

    python3 tests/reference/make_unicode_tables.py > src/tokenizer/unicode_tables.h

Needs the PyPI package `tokenizers` and a Python whose unicodedata is Unicode 14 (Python 3.11). Every
fact is taken by asking the library about every code point.
"""
import unicodedata

from tokenizers import Regex, normalizers, pre_tokenizers

assert unicodedata.unidata_version == "14.0.0", "run with a Python of Unicode 14 (3.11)"
CODE_POINTS = [c for c in range(0x110000) if not 0xD800 <= c < 0xE000]
TEXT = "".join(map(chr, CODE_POINTS))
CATEGORIES = ("Lu Ll Lt Lm Lo Mn Mc Me Nd Nl No Pc Pd Ps Pe Pi Pf Po Sm Sc Sk So Zs Zl Zp Cc Cf Co Cn").split()


def members(pattern):
    split = pre_tokenizers.Split(Regex(pattern), "removed", invert=True)
    found = set()
    for start in range(0, len(TEXT), 20000):
        for part, _ in split.pre_tokenize_str(TEXT[start:start + 20000]):
            found.update(map(ord, part))
    return found


def ranges(items):
    """[(first, last, value)] of a sorted list of (code point, value)."""
    out = []
    for code, value in items:
        if out and out[-1][1] == code - 1 and out[-1][2] == value:
            out[-1][1] = code
        else:
            out.append([code, code, value])
    return out


def table(name, comment, items, with_value):
    print(f"\n/* {comment} */")
    kind = "ft_category_range" if with_value else "ft_code_range"
    print(f"static const {kind} {name}[] = {{")
    line = "   "
    for first, last, value in ranges(items):
        entry = f" {{0x{first:X}, 0x{last:X}" + (f", UTF8PROC_CATEGORY_{value.upper()}}}," if with_value else "},")
        if len(line) + len(entry) > 99:
            print(line)
            line = "   "
        line += entry
    print(line)
    print("};")


def reorders(normalize, code):
    """Whether the library knows a combining class other than 0."""
    combining = unicodedata.combining(chr(code))
    mark = "\u0323" if combining >= 230 else "\u0300"  # 220, 230
    text = chr(code) + mark if combining > unicodedata.combining(mark) else mark + chr(code)
    return normalize("a" + text) != "a" + text


def main():
    category = {}
    for name in CATEGORIES:
        for code in members(r"\p{%s}" % name):
            category[code] = name
    changed = [(c, category[c]) for c in CODE_POINTS if category[c] != unicodedata.category(chr(c))]

    strip = normalizers.StripAccents().normalize_str
    marks = [(c, 0) for c in CODE_POINTS if category[c][0] == "M" and strip(chr(c)) != ""]
    extra_marks = [c for c in CODE_POINTS if category[c][0] != "M" and strip(chr(c)) == ""]
    nfd, nfkd = normalizers.NFD().normalize_str, normalizers.NFKD().normalize_str
    opaque = set()
    for c in CODE_POINTS:
        for form, normalize in (("NFD", nfd), ("NFKD", nfkd)):
            parts = unicodedata.normalize(form, chr(c))
            if parts != normalize(chr(c)):
                opaque.add(c)
                if form == "NFD":
                    opaque.update(map(ord, parts[1:]))
        if unicodedata.combining(chr(c)) and not reorders(nfd, c):
            opaque.add(c)

    lower = normalizers.Lowercase().normalize_str
    lowered = [(c, ord(lower(chr(c))) - c) for c in CODE_POINTS
               if lower(chr(c)) != chr(c).lower() and len(lower(chr(c))) == 1]
    digits = pre_tokenizers.Digits(True)
    numeric = [(c, 0) for c in CODE_POINTS if category[c][0] != "N"
               and len(digits.pre_tokenize_str("\u4e00" + chr(c) + "\u4e00")) != 1]

    clean = normalizers.BertNormalizer(True, False, False, False).normalize_str
    kept = [(c, 0) for c in CODE_POINTS if category[c] in ("Cc", "Cf", "Co") and clean(chr(c)) == chr(c)]
    strip = normalizers.BertNormalizer(False, False, True, False).normalize_str
    bert_marks = {c for c in CODE_POINTS if strip(chr(c)) == ""}
    cut = pre_tokenizers.BertPreTokenizer().pre_tokenize_str
    bert_cuts = {c for c in CODE_POINTS if len(cut("x" + chr(c) + "y")) == 3}
    unmarked = [(c, 0) for c in CODE_POINTS if category[c] == "Mn" and c not in bert_marks]
    marked = [(c, 0) for c in sorted(bert_marks) if category[c] != "Mn"]
    uncut = [(c, 0) for c in CODE_POINTS if category[c][0] == "P" and c not in bert_cuts]
    cuts = [(c, 0) for c in sorted(bert_cuts) if category[c][0] != "P"]

    print("/* Made by tests/reference/make_unicode_tables.py; do not edit. Code points about which Hugging Face's\n"
          " * tokenizers (Unicode 16 in regular expressions, 17 in Rust's characters, 9 in normalization) and\n"
          " * Unicode 14 differ. */")
    print("#ifndef FT_TOKENIZER_UNICODE_TABLES_H\n#define FT_TOKENIZER_UNICODE_TABLES_H\n\n#include <stdint.h>\n\n"
          "#include <utf8proc.h>\n\ntypedef struct ft_code_range {\n  uint32_t first, last;\n} ft_code_range;\n\n"
          "typedef struct ft_category_range {\n  uint32_t first, last;\n  utf8proc_category_t category;\n"
          "} ft_category_range;\n\n"
          "typedef struct ft_lower_range {\n  uint32_t first, last;\n  int32_t offset;\n} ft_lower_range;")
    table("categories_since_14", "General categories, where changed since Unicode 14.", changed, True)
    table("not_stripped", "Marks (general category M) that StripAccents does not know.", marks, False)
    table("also_stripped", "Others that it takes for marks.", [(c, 0) for c in extra_marks], False)
    table("opaque_since_9", "Code points whose combining class or decomposition normalization does not know.",
          [(c, 0) for c in sorted(opaque)], False)
    table("numeric_since_16", "Rust's char::is_numeric beyond general category N.", numeric, False)
    table("bert_keeps", "Of Cc, Cf and Co what BertNormalizer does not remove.", kept, False)
    table("bert_unmarked", "Nonspacing marks (Mn) that it does not strip.", unmarked, False)
    table("bert_marked", "Others that it strips.", marked, False)
    table("bert_uncut", "Punctuation (P) that BertPreTokenizer does not cut at.", uncut, False)
    table("bert_cuts", "Others that it cuts at.", cuts, False)
    print("\n/* Lower case of one character, where changed since Unicode 14. */")
    print("static const ft_lower_range lower_since_14[] = {")
    for first, last, offset in ranges(lowered):
        print(f"    {{0x{first:X}, 0x{last:X}, {offset}}},")
    print("};\n\n#endif")


if __name__ == "__main__":
    main()
