#!/usr/bin/env python3
"""Compares an exported model as transformers reads it with what ftrun computes from it.

    python3 -m venv V && V/bin/pip install torch transformers h5py
    V/bin/python tests/reference/check_export.py FTRUN MODEL_DIR SHARD.h5 [--documents N]

For each of the first N documents of a token shard that have a target, ftrun evaluates the document
alone (`ftrun eval` in fp32 and in bf16), and so does transformers. Each document is given one
target token only, its last: the loss is then one entry of the log-softmax of one row of logits,
so a difference of logits cannot hide in a sum. Prints the largest difference of each precision and
exits 1 if it is beyond 1e-4 (fp32) or 2e-2 (bf16).
"""
import argparse
import json
import os
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


def transformers_losses(model_dir, documents, dtype):
    model = AutoModelForCausalLM.from_pretrained(model_dir, dtype=dtype, attn_implementation="eager")
    losses = []
    with torch.no_grad():
        for tokens in documents:
            ids = torch.tensor(tokens.astype(np.int64))
            row = model(input_ids=ids[None]).logits[0, -2].float()
            losses.append(float(-row.log_softmax(-1)[ids[-1]]))
    return np.array(losses)


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
    reference = transformers_losses(arguments.model, documents, torch.float32)
    with tempfile.TemporaryDirectory() as folder:
        paths = write_documents(folder, documents, vocab)
        for precision, tolerance in TOLERANCE.items():
            found = ftrun_losses(arguments.ftrun, arguments.model, folder, paths, longest, precision)
            # bf16 rounds each logit to 8 bits: differences are relative to the loss, where large
            worst = float(np.max(np.abs(found - reference) / np.maximum(1, np.abs(reference))))
            failed |= not worst <= tolerance
            print(f"{precision}: {len(documents)} documents, largest difference {worst:.2e}, "
                  f"allowed {tolerance:.0e}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
