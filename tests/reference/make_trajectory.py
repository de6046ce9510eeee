#!/usr/bin/env python3
"""Writes tests/reference/trajectories: short fine-tuning runs made by Hugging Face transformers.

    python3 -m venv V && V/bin/pip install torch transformers h5py safetensors
    V/bin/python tests/reference/make_trajectory.py OUT_DIR [--seed N] [--only NAME]

Each OUT_DIR/NAME is a model directory (config.json, model.safetensors) with token shards
(train.h5, validation.h5), the run to make (expected.json, `hyperparameters`), what PyTorch made of
it in float32 on one thread (expected.json: losses, gradient norms, validation losses, per-tensor
gradient norms of the first step) and the weights it ended with (final.safetensors).

The models are transformers' own classes, one document a forward pass; the optimizer is
torch.optim.AdamW. Only the order of documents, the sum over the batch and the learning rates are
written here. Initial weights are stored in bf16 and final ones in f16, which is finer than the
tolerance they are compared with. The committed files were made with --seed 11.
"""
import argparse
import json
import math
import os

import h5py
import numpy as np
import torch
import torch.nn.functional as F
import transformers
from safetensors.torch import save_file

BASE = dict(vocab_size=263, hidden_size=24, intermediate_size=40, num_hidden_layers=2,
            num_attention_heads=3, num_key_value_heads=1, rms_norm_eps=1e-5, hidden_act="silu",
            max_position_embeddings=64, tie_word_embeddings=False, bos_token_id=256,
            eos_token_id=257)
RUN = dict(kind="sft", seq_len=33, packing=False, shuffle=False, global_batch=5, micro_batch=1,
           steps=5, lr=4e-3, betas=[0.9, 0.95], eps=1e-8, weight_decay=0.1, grad_clip=1.0,
           schedule="constant", warmup_steps=0, min_lr_ratio=0.1, precision="fp32")

# name: (class, what the configuration changes, how config.json is written, what the run changes).
# Between them: every supported architecture, every rotary scaling, tied and untied heads, biases,
# every schedule, packed rows, texts longer than seq_len, fewer rows than the run takes, micro-
# batches of several rows, no clipping, no decay.
CASES = {
    "llama-linear": ("Llama", dict(attention_bias=True, mlp_bias=True), "v4",
                     dict(packing=True, schedule="cosine", warmup_steps=2, micro_batch=2,
                          global_batch=4)),
    "llama3-text": ("Llama", dict(tie_word_embeddings=True, num_attention_heads=4,
                                  num_key_value_heads=2), "v4",
                    dict(kind="text", seq_len=17, schedule="linear", global_batch=7)),
    "mistral-window": ("Mistral", dict(sliding_window=5), "v4",
                       dict(grad_clip=0.0, weight_decay=0.0, micro_batch=5)),
    "qwen2-tied": ("Qwen2", dict(tie_word_embeddings=True, use_sliding_window=False), "v4",
                   dict(steps=9, global_batch=6, micro_batch=3)),
    "qwen3-heads": ("Qwen3", dict(head_dim=10, num_attention_heads=4, num_key_value_heads=2), "v5",
                    dict(schedule="cosine", warmup_steps=1, betas=[0.8, 0.99], packing=True)),
}
ROPE = {
    "llama-linear": dict(rope_type="linear", factor=3.0, rope_theta=10000.0),
    "llama3-text": dict(rope_type="llama3", factor=8.0, low_freq_factor=1.0, high_freq_factor=4.0,
                        original_max_position_embeddings=16, rope_theta=500000.0),
}


def write_config(path, config, form, rope):
    """config.json by hand: in the form that transformers 4 wrote, or in that of 5."""
    fields = dict(config)
    if form == "v4":
        fields["rope_theta"] = rope["rope_theta"]
        scaling = {k: v for k, v in rope.items() if k != "rope_theta"}
        fields["rope_scaling"] = scaling if scaling["rope_type"] != "default" else None
        fields["torch_dtype"] = "float32"
    else:
        fields["rope_parameters"], fields["dtype"] = rope, "float32"
    with open(path, "w", encoding="utf-8") as file:
        json.dump(fields, file, indent=1)
        file.write("\n")


def make_model(name, seed):
    kind, changes, form, _ = CASES[name]
    rope = ROPE.get(name, dict(rope_type="default", rope_theta=10000.0))
    fields = dict(BASE, model_type=kind.lower(), architectures=[kind + "ForCausalLM"], **{}) | changes
    config_class = getattr(transformers, kind + "Config")
    config = config_class(**fields, rope_parameters=dict(rope), attn_implementation="eager")
    torch.manual_seed(seed)
    model = getattr(transformers, kind + "ForCausalLM")(config).float()
    with torch.no_grad():
        for key, tensor in model.named_parameters():
            noise = torch.randn_like(tensor)
            value = 1 + 0.1 * noise if key.endswith("norm.weight") else 0.1 * noise
            tensor.copy_(value.bfloat16().float())
    return model, fields, form, rope


def state(model, tied, dtype):
    tensors = {k: v.detach().to(dtype).contiguous() for k, v in model.state_dict().items()}
    if tied:
        tensors.pop("lm_head.weight", None)
    return tensors


def make_documents(rng, count, longest, kind):
    """Random tokens. Masks begin late and have holes; a text is a target throughout."""
    documents = []
    for _ in range(count):
        length = int(rng.integers(2, longest + 1))
        tokens = rng.integers(0, BASE["vocab_size"], length)
        mask = (rng.random(length) < 0.8) & (np.arange(length) >= rng.integers(0, length))
        mask = np.ones(length, bool) if kind == "text" else mask
        mask[0] = False
        documents.append((tokens.astype(np.uint32), mask.astype(np.uint8)))
    return documents


def write_shard(path, documents, kind):
    with h5py.File(path, "w") as file:
        file.attrs["format"], file.attrs["version"] = "ftrun-tokens", np.uint32(1)
        file.attrs["kind"], file.attrs["tokenizer_sha256"] = kind, ""
        file.attrs["vocab_size"] = np.uint32(BASE["vocab_size"])
        lengths = [0] + [len(tokens) for tokens, _ in documents]
        file["offsets"] = np.cumsum(lengths).astype(np.uint64)
        file["tokens"] = np.concatenate([tokens for tokens, _ in documents])
        file["loss_mask"] = np.concatenate([mask for _, mask in documents])


def make_rows(documents, run):
    """A row is one document, or with packing as many whole ones as fit, filled in order."""
    if run["kind"] == "text":  # cut at multiples of seq_len; a part's first token is no target
        parts, n = [], run["seq_len"]
        for tokens, mask in documents:
            for at in range(0, len(tokens), n):
                part = mask[at:at + n].copy()
                part[0] = 0
                parts.append((tokens[at:at + n], part))
        documents = parts
    if not run["packing"]:
        return [[document] for document in documents]
    rows, room = [], 0
    for document in documents:
        if len(document[0]) > room:
            rows.append([])
            room = run["seq_len"]
        rows[-1].append(document)
        room -= len(document[0])
    return rows


def summed_loss(model, rows):
    """Sum over targets of -log p, and their number; each document is a forward pass of its own."""
    total, count = torch.zeros(()), 0
    for tokens, mask in (document for row in rows for document in row):
        ids = torch.tensor(tokens.astype(np.int64))
        if not mask.any():
            continue
        logits = model(input_ids=ids[None]).logits[0]
        loss = F.cross_entropy(logits[:-1], ids[1:], reduction="none")
        total = total + (loss * torch.tensor(mask[1:].astype(np.float32))).sum()
        count += int(mask[1:].sum())
    return total, count


def learning_rate(run, t):
    lr, warmup, steps = run["lr"], run["warmup_steps"], run["steps"]
    if t <= warmup:
        return lr * t / warmup
    done = (t - warmup) / max(1, steps - warmup)
    low = lr * run["min_lr_ratio"]
    if run["schedule"] == "linear":
        return lr + (low - lr) * done
    if run["schedule"] == "cosine":
        return low + (lr - low) * 0.5 * (1 + math.cos(math.pi * done))
    return lr


def train(model, run, rows, validation):
    """-> what a correct run prints."""
    def evaluate():
        with torch.no_grad():
            total, count = summed_loss(model, validation)
        return float(total) / count

    parameters = [p for p in model.parameters()]
    optimizer = torch.optim.AdamW(
        [dict(params=[p for p in parameters if p.dim() > 1], weight_decay=run["weight_decay"]),
         dict(params=[p for p in parameters if p.dim() == 1], weight_decay=0.0)],
        lr=run["lr"], betas=run["betas"], eps=run["eps"])
    expected = dict(hyperparameters=run, val_loss_before=evaluate(), steps=[])
    for t in range(1, run["steps"] + 1):
        first = (t - 1) * run["global_batch"]
        batch = [rows[i % len(rows)] for i in range(first, first + run["global_batch"])]
        optimizer.zero_grad()
        total, count = summed_loss(model, batch)
        (total / count).backward()
        if t == 1:
            expected["first_step_gradient_norms"] = {
                key: float(p.grad.norm()) for key, p in model.named_parameters()}
        limit = run["grad_clip"] or math.inf
        norm = torch.nn.utils.clip_grad_norm_(parameters, limit)
        for group in optimizer.param_groups:
            group["lr"] = learning_rate(run, t)
        optimizer.step()
        expected["steps"].append(dict(step=t, loss=float(total.detach()) / count,
                                      grad_norm=float(norm), targets=count))
    expected["val_loss_after"] = evaluate()
    return expected


def make_case(out, name, seed):
    number = seed * 100 + list(CASES).index(name)
    run = {**RUN, **CASES[name][3]}
    rng = np.random.default_rng(number)
    longest = 3 * run["seq_len"] if run["kind"] == "text" else run["seq_len"]
    train_documents = make_documents(rng, 26, longest, run["kind"])
    validation = make_documents(rng, 7, longest, run["kind"])
    model, fields, form, rope = make_model(name, number)
    tied = fields["tie_word_embeddings"]

    folder = os.path.join(out, name)
    os.makedirs(folder, exist_ok=True)
    write_config(os.path.join(folder, "config.json"), fields, form, rope)
    write_shard(os.path.join(folder, "train.h5"), train_documents, run["kind"])
    write_shard(os.path.join(folder, "validation.h5"), validation, run["kind"])
    metadata = {"format": "pt"}
    save_file(state(model, tied, torch.bfloat16), os.path.join(folder, "model.safetensors"), metadata)
    expected = train(model, run, make_rows(train_documents, run), make_rows(validation, run))
    save_file(state(model, tied, torch.float16), os.path.join(folder, "final.safetensors"), metadata)
    with open(os.path.join(folder, "expected.json"), "w", encoding="utf-8") as file:
        json.dump(expected, file, indent=1)
        file.write("\n")
    print(f"{name}: loss {expected['steps'][0]['loss']:.6f} to {expected['steps'][-1]['loss']:.6f}, "
          f"validation {expected['val_loss_before']:.6f} to {expected['val_loss_after']:.6f}")


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out")
    parser.add_argument("--seed", type=int, default=11)
    parser.add_argument("--only", choices=CASES)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    for name in [arguments.only] if arguments.only else CASES:
        make_case(arguments.out, name, arguments.seed)


if __name__ == "__main__":
    main()
