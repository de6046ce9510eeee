#!/usr/bin/env python3
"""Proves that objectives over answers train as TRL does: losses within 1e-4, gradient norms 1e-3,
rewards and log-probabilities 1e-3 and trained tensors 2e-3 of reference runs of six steps; and, of one
step each, the loss and the norm of every loss that both have.

    preference_golden.py FTRUN FOLDER

FOLDER holds the references (pref-data, pref-dpo, …). Without it the test is skipped.
"""
import array
import json
import os
import struct
import subprocess
import sys
import tempfile

FTRUN, FOLDER = sys.argv[1], sys.argv[2]

# Of each trajectory: the objective, its model, its data.
TRAJECTORIES = {
    "pref-dpo": ({"name": "dpo"}, "base-llama-gqa", "pairs"),
    "pref-simpo": ({"name": "simpo"}, "base-llama-gqa", "pairs"),
    "pref-orpo": ({"name": "orpo"}, "base-llama-gqa", "pairs"),
    "pref-kto": ({"name": "kto"}, "base-llama-gqa", "unpaired"),
    "pref-reward": ({"name": "reward", "centre": 0.01}, "pref-reward-model", "pairs"),
}
# Our columns in theirs; theirs of reward models are called as ours.
COLUMNS = {"chosen": "rewards/chosen", "rejected": "rewards/rejected", "margin": "rewards/margins",
           "accuracy": "rewards/accuracies", "kl": "kl"}
# Losses that are not ours: sorted or mixed ones, and TRL's smoothing of sigmoid, which does nothing.
NOT_OURS = {"dpo-sigmoid-smoothing", "dpo-discopop", "dpo-aot", "dpo-aot_unpaired", "dpo-sft", "dpo-mixed",
            "dpo-ld_alpha"}

num_checked = 0


def fail(text):
    sys.exit("FAILED: " + text)


def near(found, expected, relative, what):
    global num_checked
    if not abs(found - expected) <= relative * max(1.0, abs(expected)):
        fail(f"{what}: {found}, expected {expected} within {relative}")
    num_checked += 1


def train(work, objective, model, data, steps, validation):
    """The rows of a run."""
    run = os.path.join(work, "run")
    sets = [{"name": "val", "path": f"{FOLDER}/pref-data/{data}-val.h5"}] if validation else []
    config = {
        "model": {"path": f"{FOLDER}/{model}"}, "objective": objective,
        "data": {"train": [{"path": f"{FOLDER}/pref-data/{data}-train.h5"}], "validation": sets,
                 "seq_len": 128, "packing": False, "shuffle": False},
        "train": {"global_batch": 8, "micro_batch": 2, "steps": steps, "precision": "fp32"},
        "optimizer": {"lr": 1e-3, "betas": [0.9, 0.95], "eps": 1e-8, "weight_decay": 0.1},
        "schedule": {"name": "constant", "warmup_steps": 0}, "validation": {"every": steps},
        "run": {"dir": run}}
    path = os.path.join(work, "config.json")
    with open(path, "w") as f:
        json.dump(config, f)
    done = subprocess.run([FTRUN, "train", path], capture_output=True, text=True)
    if done.returncode:
        fail(done.stderr[-2000:])
    with open(os.path.join(run, "metrics.jsonl")) as f:
        rows = [json.loads(line) for line in f]
    return [r for r in rows if "loss" in r], [r["validation"]["val"] for r in rows if "validation" in r]


def tensors(path):
    with open(path, "rb") as f:
        header = json.loads(f.read(struct.unpack("<Q", f.read(8))[0]))
        data = f.read()
    header.pop("__metadata__", None)
    found = {}
    for name, about in header.items():
        found[name] = array.array("f")
        found[name].frombytes(data[slice(*about["data_offsets"])])
    return found


def check_columns(row, expected, what):
    near(row["loss"], expected["loss"], 1e-4, what + ", loss")
    for group in ("rewards", "logps"):
        for name, value in row.get(group, {}).items():
            theirs = COLUMNS[name] if group == "rewards" else f"logps/{name}"
            theirs = theirs if theirs in expected else name
            if theirs in expected:
                near(value, expected[theirs], 1e-3, f"{what}, {group} of {name}")


def check_weights(run, expected, what):
    out = run + "-export"
    subprocess.run([FTRUN, "export", run, "--out", out, "--dtype", "fp32"], check=True, capture_output=True)
    ours, theirs = tensors(out + "/model.safetensors"), tensors(expected)
    if set(ours) != set(theirs):
        fail(f"{what}: other tensors: {sorted(set(ours) ^ set(theirs))}")
    far = max(max(abs(a - b) for a, b in zip(ours[name], theirs[name])) for name in theirs)
    near(far, 0, 2e-3, what + ", trained tensors")


def check_trajectory(name):
    objective, model, data = TRAJECTORIES[name]
    with open(f"{FOLDER}/{name}/expected.json") as f:
        expected = json.load(f)
    with tempfile.TemporaryDirectory() as work:
        steps, evaluations = train(work, objective, model, data, 6, True)
        for row, step in zip(steps, expected["steps"]):
            check_columns(row, step, f"{name}, step {row['step']}")
            near(row["grad_norm"] / step["grad_norm"], 1, 1e-3, f"{name}, norm of step {row['step']}")
        for row, of in zip(evaluations, ("val_before", "val_after")):
            check_columns(row, expected[of], f"{name}, {of}")
        check_weights(os.path.join(work, "run"), f"{FOLDER}/{name}/final.safetensors", name)


def objective_of(name, options):
    """Our options for one of the single losses; None: it is not ours."""
    kind = name.split("-")[0]
    kinds = ("dpo", "simpo", "cpo", "orpo", "kto")
    if name in NOT_OURS or kind not in kinds or (kind == "kto" and name != "kto-clamped"):
        return None
    objective = {"name": kind}
    if kind in ("dpo", "kto"):
        objective["reference"] = f"{FOLDER}/pref-reference"
    if kind == "dpo":
        objective["loss"] = "conservative" if name == "dpo-conservative" else options.get("loss_type", ["sigmoid"])[0]
    if kind == "cpo":
        objective["loss"] = options.get("loss_type", "sigmoid")
    if name == "simpo-defaults":
        objective.update(beta=0.1, gamma=0.5, nll=1)
    for key in ("beta", "label_smoothing"):
        if key in options:
            objective[key] = options[key]
    return objective


def check_losses():
    with open(f"{FOLDER}/pref-losses/expected.json") as f:
        losses = json.load(f)["losses"]
    for name, expected in losses.items():
        objective = objective_of(name, expected["options"])
        if objective is None:
            continue
        with tempfile.TemporaryDirectory() as work:
            data = "unpaired" if objective["name"] == "kto" else "pairs"
            row = train(work, objective, "base-llama-gqa", data, 1, False)[0][0]
        near(row["loss"], expected["loss"], 1e-4, name)
        near(row["grad_norm"] / expected["grad_norm"], 1, 1e-3, name + ", norm")


def main():
    if not os.path.isdir(os.path.join(FOLDER, "pref-losses")):
        print(f"{FOLDER} is not there: skipped")
        sys.exit(77)
    for name in TRAJECTORIES:
        check_trajectory(name)
    check_losses()
    print(f"{num_checked} numbers agree")


main()
