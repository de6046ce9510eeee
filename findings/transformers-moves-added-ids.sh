#!/usr/bin/env bash
# transformers 5.24.0 with tokenizers 0.23.3: tokens that only tokenizer_config.json has.
#
# `added_tokens_decoder` in tokenizer_config.json is a map of ids to tokens. A token of it that
# tokenizer.json lacks is added when the tokenizer is loaded, but not with the id it is listed under:
# it gets the next free one, in the order of the ids listed. The model then looks up another row of
# its embedding than the one that was trained for this token; without an error or a warning, and
# saving the tokenizer again writes the wrong ids down.
#
# Seen, for a vocabulary of 3 tokens and the tokens <y> at 5 and <x> at 7: they become 3 and 4.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" -q install transformers==5.24.0 tokenizers==0.23.3
"$folder/venv/bin/python" - "$folder" 2>/dev/null <<'END'
import json, pathlib, sys
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import AutoTokenizer

folder = pathlib.Path(sys.argv[1]) / "model"
folder.mkdir()
words = Tokenizer(models.WordLevel({"a": 0, "b": 1, "[UNK]": 2}, unk_token="[UNK]"))
words.pre_tokenizer = pre_tokenizers.Whitespace()
words.save(str(folder / "tokenizer.json"))
listed = {7: "<x>", 5: "<y>"}
flags = {"lstrip": False, "rstrip": False, "normalized": False, "single_word": False, "special": True}
(folder / "tokenizer_config.json").write_text(json.dumps({
    "tokenizer_class": "PreTrainedTokenizerFast",
    "added_tokens_decoder": {str(id): {"content": token, **flags} for id, token in listed.items()}}))
tokenizer = AutoTokenizer.from_pretrained(folder)
found = {tokenizer.convert_tokens_to_ids(token): token for token in listed.values()}
print("listed:", listed, "found:", found, "text:", tokenizer("a <x> b").input_ids)
assert found == {4: "<x>", 3: "<y>"}, found
assert tokenizer("a <x> b").input_ids == [0, 4, 1]
END
echo "as described"
