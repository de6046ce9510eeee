#!/usr/bin/env bash
# TRL 1.16.0, the prompt that it takes out of preference pairs without a "prompt" (plain texts), with
# transformers 5.24.0 and datasets 4.4.1.
#
# The prompt becomes what the two texts have in common from the start, character by character: it may
# end inside a word, and both answers then begin inside it, so the model learns tokens that it would
# never write there. Where the texts differ at the first character, nothing is in common; but if the
# chosen one then ends with a space, all of it but this space becomes the prompt (the step back over a
# space goes from the first character to the last), the chosen answer is the space, and the rejected
# one its own last character. No error, no warning.
#
# Seen, for three pairs: prompt, chosen, rejected.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" -q install transformers==5.24.0 datasets==4.4.1
"$folder/venv/bin/pip" -q download --no-deps -d "$folder" trl==1.16.0
(cd "$folder" && "$folder/venv/bin/python" -m zipfile -e trl-1.16.0-*.whl trl)
"$folder/venv/bin/python" - "$folder/trl/trl/data_utils.py" 2>/dev/null <<'END'
import importlib.util, sys

spec = importlib.util.spec_from_file_location("data_utils", sys.argv[1])
data_utils = importlib.util.module_from_spec(spec)
spec.loader.exec_module(data_utils)

expected = {
    ("Is it day? Yes.", "Is it day? No."): ("Is it day?", " Yes.", " No."),
    ("The sky is blue.", "The sky is black."): ("The sky is bl", "ue.", "ack."),
    ("It is day. ", "No, night."): ("It is day.", " ", "."),
}
for (chosen, rejected), parts in expected.items():
    found = data_utils.maybe_extract_prompt({"chosen": chosen, "rejected": rejected})
    found = tuple(found[name] for name in ("prompt", "chosen", "rejected"))
    print(f"{chosen!r}, {rejected!r}: {found}")
    assert found == parts, found
END
echo "as described"
