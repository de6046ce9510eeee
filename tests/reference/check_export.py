#!/usr/bin/env python3
"""Compares an exported model as transformers reads it with what ftrun computes from it.

    python3 -m venv V && V/bin/pip install torch transformers h5py
    V/bin/python tests/reference/check_export.py FTRUN MODEL_DIR SHARD.h5 [--documents N]

For each of the first N documents of a token shard that have a target, ftrun evaluates the document
alone (`ftrun eval` in fp32 and in bf16), and so does transformers. Each document is given one
target token only, its last: the loss is then one entry of the log-softmax of one row of logits,
so a difference of logits cannot hide in a sum. Then the logits themselves: `ftrun generate --json
--logits` prints those after a prompt's last token. Prints the largest difference of each precision,
of logits relative to their largest, and exits 1 if one is beyond 1e-4 (fp32) or 2e-2 (bf16).

A model without a tokenizer is given the byte-level one that `ftrun init` writes.
"""
import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile

import h5py
import numpy as np
import torch
from transformers import AutoModelForCausalLM

TOLERANCE = {"fp32": 1e-4, "bf16": 2e-2}


def read_documents(path, count):
    with h5py.File(path) as file:
        offsets = file["offsets"][:].astype(np.int64)
        vocab = int(file.attrs["vocab_size"])
        documents = []
        for begin, end in zip(offsets[:-1], offsets[1:]):
            if end - begin > 1 and len(documents) < count:
                documents.append(file["tokens"][begin:end])
    return documents, vocab


def write_documents(folder, documents, vocab):
    """One shard a document; the last token is the only target."""
    paths = []
    for i, tokens in enumerate(documents):
        mask = np.zeros(len(tokens), np.uint8)
        mask[-1] = 1
        paths.append(os.path.join(folder, f"document-{i}.h5"))
        with h5py.File(paths[-1], "w") as file:
            file.attrs["format"], file.attrs["version"] = "ftrun-tokens", np.uint32(1)
            file.attrs["kind"], file.attrs["tokenizer_sha256"] = "sft", ""
            file.attrs["vocab_size"] = np.uint32(vocab)
            file["offsets"] = np.array([0, len(tokens)], np.uint64)
            file["tokens"], file["loss_mask"] = tokens.astype(np.uint32), mask
    return paths


def ftrun_losses(ftrun, model, folder, paths, longest, precision):
    config = {"model": {"path": model},
              "data": {"train": [{"path": paths[0]}], "seq_len": longest,
                       "validation": [{"name": str(i), "path": p} for i, p in enumerate(paths)]},
              "train": {"steps": 1, "global_batch": 1, "precision": precision},
              "optimizer": {"lr": 0.001}, "run": {"dir": os.path.join(folder, "run")}}
    with open(os.path.join(folder, "config.json"), "w", encoding="utf-8") as file:
        json.dump(config, file)
    out = subprocess.run([ftrun, "eval", file.name, "--model", model], check=True,
                         stdout=subprocess.PIPE).stdout
    found = json.loads(out)
    found = found.get("validation", found)
    return np.array([found[str(i)]["loss"] for i in range(len(paths))])


def transformers_losses(model, documents):
    losses = []
    with torch.no_grad():
        for tokens in documents:
            ids = torch.tensor(tokens.astype(np.int64))
            row = model(input_ids=ids[None]).logits[0, -2].float()
            losses.append(float(-row.log_softmax(-1)[ids[-1]]))
    return np.array(losses)


PROMPTS = ["a", "The river", "What is 7 plus 8?\n", "Rain fell softly on the mill. " * 4]


def with_tokenizer(ftrun, model, folder):
    """The model directory, or a copy that has a tokenizer too."""
    if os.path.exists(os.path.join(model, "tokenizer.json")):
        return model
    made, copy = os.path.join(folder, "made"), os.path.join(folder, "copy")
    subprocess.run([ftrun, "init", "--config", os.path.join(model, "config.json"), "--out", made],
                   check=True, stderr=subprocess.DEVNULL)
    shutil.copytree(model, copy)
    for name in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copy(os.path.join(made, name), copy)
    return copy


def largest_logit_difference(ftrun, model_dir, reference, precision):
    worst = 0.0
    for prompt in PROMPTS:
        out = subprocess.run([ftrun, "generate", "--model", model_dir, "--prompt", prompt, "--json",
                              "--logits", "--max-tokens", "0", "--precision", precision],
                             check=True, stdout=subprocess.PIPE).stdout
        found = json.loads(out)
        with torch.no_grad():
            wanted = reference(input_ids=torch.tensor([found["prompt_ids"]])).logits[0, -1].float()
        difference = (torch.tensor(found["logits"]) - wanted).abs().max() / wanted.abs().max()
        worst = max(worst, float(difference))
    return worst


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("ftrun")
    parser.add_argument("model")
    parser.add_argument("shard")
    parser.add_argument("--documents", type=int, default=16)
    arguments = parser.parse_args()
    documents, vocab = read_documents(arguments.shard, arguments.documents)
    longest, failed = max(len(d) for d in documents), False
    model = AutoModelForCausalLM.from_pretrained(arguments.model, dtype=torch.float32,
                                                 attn_implementation="eager")
    reference = transformers_losses(model, documents)
    with tempfile.TemporaryDirectory() as folder:
        paths = write_documents(folder, documents, vocab)
        for precision, tolerance in TOLERANCE.items():
            found = ftrun_losses(arguments.ftrun, arguments.model, folder, paths, longest, precision)
            # bf16 rounds each logit to 8 bits: differences are relative to the loss, where large
            worst = float(np.max(np.abs(found - reference) / np.maximum(1, np.abs(reference))))
            failed |= not worst <= tolerance
            print(f"{precision}: {len(documents)} documents, largest difference {worst:.2e}, "
                  f"allowed {tolerance:.0e}")
            speaking = with_tokenizer(arguments.ftrun, arguments.model, os.path.join(folder, precision))
            worst = largest_logit_difference(arguments.ftrun, speaking, model, precision)
            failed |= not worst <= tolerance
            print(f"{precision}: {len(PROMPTS)} prompts, largest difference of logits {worst:.2e} "
                  f"of the largest, allowed {tolerance:.0e}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
