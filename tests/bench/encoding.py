#!/usr/bin/env python3
"""Compares ftrun's speed of encoding with other tokenizers, in turn, on one thread.

    python tests/bench/encoding.py FTRUN TEXTS.jsonl DIR ... [--rounds N]

TEXTS.jsonl holds {"text": ...} lines, each DIR a tokenizer.json. Needs the PyPI packages `tokenizers` and
`gigatoken`, in a virtual environment outside the project. Every measurement is a process of its own, so that
nobody has seen the text before, and of processor time, so that a busy machine disturbs less; the order changes
from round to round. Printed are medians in MB/s of UTF-8 and ratios by the faster of the others; "JSON" is
`ftrun tokenize` from its start to its end, reading and printing JSON. Ends with 1 if ids differ in number."""
import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import time

OTHERS = ("tokenizers", "gigatoken")


def texts_of(path):
    with open(path, encoding="utf-8") as file:
        return [json.loads(line)["text"] for line in file]


def child(name, texts, folder):
    """Prints the seconds that encoding takes and the number of ids."""
    os.environ["TOKENIZERS_PARALLELISM"] = "false"
    os.environ["RAYON_NUM_THREADS"] = "1"
    path = os.path.join(folder, "tokenizer.json")
    if name == "tokenizers":
        from tokenizers import Tokenizer
        tokenizer = Tokenizer.from_file(path)

        def encode(text):
            return tokenizer.encode(text, add_special_tokens=False)
    else:
        import gigatoken
        encode = gigatoken.Tokenizer(path).encode
    documents, count = texts_of(texts), 0
    start = time.process_time()
    for document in documents:
        count += len(encode(document))
    print(time.process_time() - start, count)


def run_other(name, ftrun, texts, folder):
    command = [sys.executable, os.path.abspath(__file__), "--child", name, ftrun, texts, folder]
    seconds, count = subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()
    return float(seconds), int(count)


def run_ftrun(_, ftrun, texts, folder):
    command = [ftrun, "bench", "--json", "--tokenizer", folder, texts]
    result = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    return result["cpu_seconds"], result["tokens"]


def run_json(_, ftrun, texts, folder):
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([ftrun, "tokenize", "--model", folder, texts], check=True, stdout=subprocess.DEVNULL)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, None


def compare(ftrun, texts, folder, rounds):
    kinds = [(name, run_other) for name in OTHERS] + [("ftrun", run_ftrun), ("JSON", run_json)]
    megabytes = sum(len(text.encode()) for text in texts_of(texts)) / 1e6
    seconds, counts = {name: [] for name, _ in kinds}, {}
    for number in range(rounds):
        for name, run in kinds[number % len(kinds):] + kinds[:number % len(kinds)]:
            taken, counts[name] = run(name, ftrun, texts, folder)
            seconds[name].append(taken)
    rates = {name: megabytes / statistics.median(taken) for name, taken in seconds.items()}
    fastest = max(rates[name] for name in OTHERS)
    same = len({counts[name] for name in (*OTHERS, "ftrun")}) == 1
    print(f"{os.path.basename(os.path.normpath(folder))}: "
          + ", ".join(f"{name} {rate:.1f}" for name, rate in rates.items())
          + f" MB/s; ftrun {rates['ftrun'] / fastest:.2f}, JSON {rates['JSON'] / fastest:.2f} of the faster one"
          + ("" if same else f"; other numbers of ids: {counts}"))
    return same


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("ftrun")
    parser.add_argument("texts")
    parser.add_argument("folders", nargs="+", metavar="DIR")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--child", choices=OTHERS, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.child:
        child(arguments.child, arguments.texts, arguments.folders[0])
        return 0
    same = [compare(arguments.ftrun, arguments.texts, folder, arguments.rounds) for folder in arguments.folders]
    return 0 if all(same) else 1


if __name__ == "__main__":
    sys.exit(main())
