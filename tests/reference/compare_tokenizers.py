#!/usr/bin/env python3
"""Compares `ftrun tokenize` with Hugging Face's tokenizers on random texts.

    python3 tests/reference/compare_tokenizers.py FTRUN [--texts N] [--seed S] [--every-character] DIR ...

Each DIR holds a tokenizer.json. Needs the PyPI package `tokenizers`. Prints the texts that differ and ends
with status 1 if there are any."""
import argparse
import json
import os
import random
import subprocess
import sys
import tempfile

from tokenizers import Tokenizer

import tokenizer_texts

os.environ["TOKENIZERS_PARALLELISM"] = "false"


def every_character():
    codes = [c for c in range(1, 0x110000) if not 0xD800 <= c < 0xE000 and not 0xE1000 <= c < 0x10FF00]
    for start in range(0, len(codes), 200):
        yield "".join(f"x{chr(c)}y5{chr(c)}{chr(c)} {chr(c)}e{chr(c)}\u0301\u0323\n" for c in codes[start:start + 200])


def compare(ftrun, folder, texts):
    with tempfile.NamedTemporaryFile("w", suffix=".jsonl") as file:
        for text in texts:
            file.write(json.dumps({"text": text}) + "\n")
        file.flush()
        printed = subprocess.run([ftrun, "tokenize", "--model", folder, file.name], check=True, capture_output=True)
    lines = printed.stdout.decode().splitlines()
    assert len(lines) == len(texts), f"{len(lines)} lines for {len(texts)} texts"
    tokenizer = Tokenizer.from_file(os.path.join(folder, "tokenizer.json"))
    differences = 0
    for text, line in zip(texts, lines):
        ids, expected = json.loads(line)["ids"], tokenizer.encode(text, add_special_tokens=False).ids
        if ids != expected:
            differences += 1
            if differences <= 5:
                at = next((i for i, pair in enumerate(zip(ids, expected)) if pair[0] != pair[1]), 0)
                print(f"{text[:200]!r}\n  from id {at} on: expected {expected[at:at + 20]}, found {ids[at:at + 20]}")
    print(f"{folder}: {len(texts)} texts, {differences} differ")
    return differences


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("ftrun")
    parser.add_argument("folders", nargs="+", metavar="DIR")
    parser.add_argument("--texts", type=int, default=20000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--every-character", action="store_true")
    arguments = parser.parse_args()
    differences = 0
    for folder in arguments.folders:
        r = random.Random(arguments.seed)
        tokenizer = Tokenizer.from_file(os.path.join(folder, "tokenizer.json"))
        added = [token.content for token in tokenizer.get_added_tokens_decoder().values()]
        texts = [tokenizer_texts.text(r, added) for _ in range(arguments.texts)]
        differences += compare(arguments.ftrun, folder, texts + (list(every_character()) if arguments.every_character else []))
    sys.exit(differences > 0)


if __name__ == "__main__":
    main()
