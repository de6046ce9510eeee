#!/usr/bin/env bash
# tokenizers 0.23.3: the normalizer of BERT.
#
# BERT puts spaces around every ideograph, so that each is a word of its own. Its ranges of code points
# were those of Unicode's blocks; extension E begins at U+2B820. The normalizer of tokenizers begins
# that range at U+2B920: the 256 ideographs before it stay glued to their neighbours and are cut by
# WordPiece as parts of one word. A vocabulary that has such an ideograph finds it only alone.
#
# Seen, for an ideograph between two letters: spaces on both sides or not.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" -q install tokenizers==0.23.3
"$folder/venv/bin/python" - <<'END'
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers

normalizer = normalizers.BertNormalizer(clean_text=False, handle_chinese_chars=True,
                                        strip_accents=False, lowercase=False)
expected = {0x4E00: True, 0x2B81D: True, 0x2B820: False, 0x2B91F: False, 0x2B920: True, 0x2CEA1: True}
for code, apart in expected.items():
    found = normalizer.normalize_str(f"a{chr(code)}b") == f"a {chr(code)} b"
    print(f"U+{code:04X}:", "apart" if found else "glued")
    assert found == apart, hex(code)

glyph = chr(0x2B820)
words = Tokenizer(models.WordPiece({"[UNK]": 0, "a": 1, "b": 2, glyph: 3}, unk_token="[UNK]"))
words.normalizer, words.pre_tokenizer = normalizer, pre_tokenizers.BertPreTokenizer()
ids = words.encode(f"a{glyph}b").ids
print("a, the ideograph, b, all three in the vocabulary:", ids)
assert ids == [0], ids
END
echo "as described"
