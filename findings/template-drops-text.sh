#!/usr/bin/env bash
# The chat templates of SmolVLM and Idefics3, as TRL 1.16.0 ships them, rendered by transformers 5.24.0.
#
# A message's content may be a text or a list of parts. These two templates walk over the content as
# over a list; a text is then a list of characters without a type, and nothing of it is written. There
# is no error: a conversation in the plain form becomes the headers of its turns, and a model trained on
# it learns to answer nothing. The same words as parts are written, and other multimodal templates
# (Qwen2.5-VL) take both forms.
#
# Seen: "User: <end_of_utterance>\nAssistant: <end_of_utterance>\n" for texts.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" -q install transformers==5.24.0 jinja2==3.1.6
"$folder/venv/bin/pip" -q download --no-deps -d "$folder" trl==1.16.0
(cd "$folder" && "$folder/venv/bin/python" -m zipfile -e trl-1.16.0-*.whl trl)
"$folder/venv/bin/python" - "$folder/trl/trl/chat_templates" 2>/dev/null <<'END'
import pathlib, sys
from transformers.utils.chat_template_utils import render_jinja_template

folder = pathlib.Path(sys.argv[1])
words = ["How far is the moon?", "About 384,000 km."]
roles = ["user", "assistant"]
texts = [{"role": r, "content": w} for r, w in zip(roles, words)]
parts = [{"role": r, "content": [{"type": "text", "text": w}]} for r, w in zip(roles, words)]

def kept(name, dialogue):
    template = (folder / f"{name}.jinja").read_text()
    text = render_jinja_template([dialogue], chat_template=template)[0][0]
    print(f"{name}: {text!r}")
    return [w in text for w in words]

for name in "smolvlm", "idefics3":
    assert kept(name, texts) == [False, False], name
    assert kept(name, parts) == [True, True], name
assert kept("qwen2_5_vl", texts) == [True, True]
END
echo "as described"
