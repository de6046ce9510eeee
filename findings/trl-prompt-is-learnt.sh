#!/usr/bin/env bash
# TRL 1.16.0, its chat templates for training (those with {% generation %}), rendered by transformers 5.24.0.
#
# What {% generation %} encloses is what the model learns to write. For some families TRL's marks also
# enclose text that the same template writes for add_generation_prompt=True, which a model never has to
# write when it is asked: the header of the answer (gpt-oss), the line end after it (Qwen2.5), or a whole
# empty thought (Qwen3.5 without thinking). Loss is then taken at tokens that are always given. For other
# families (Llama 3, Qwen3) the marks begin where the prompt ends.
#
# Seen, for the question "Q" and the answer "A": the text that is both in the prompt and marked.
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
dialogue = [{"role": "user", "content": "Q"}, {"role": "assistant", "content": "A"}]

def given_and_marked(name):
    template = (folder / f"{name}_training.jinja").read_text()
    texts, marks = render_jinja_template([dialogue], chat_template=template,
                                         return_assistant_tokens_mask=True)
    prompts, _ = render_jinja_template([dialogue[:1]], chat_template=template,
                                       add_generation_prompt=True)
    text, prompt, begin = texts[0], prompts[0], marks[0][0][0]
    assert text.startswith(prompt), name
    return text[begin:len(prompt)]

expected = {"gptoss": "<|start|>assistant", "qwen2_5": "\n",
            "qwen3_5_nothink": "<think>\n\n</think>\n\n", "qwen3_5_think": "<think>\n",
            "qwen3": "", "llama3": ""}
found = {name: given_and_marked(name) for name in expected}
for name, text in found.items():
    print(f"{name}: {text!r}")
assert found == expected, found
END
echo "as described"
