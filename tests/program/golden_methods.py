#!/usr/bin/env python3
"""Proves that ftrun trains as the references of golden-methods did: loss 1e-4, gradient norms 1e-3, trained
tensors 2e-3 after six steps, file names, validation losses, merged models; and the same bits on other ranks.

    golden_methods.py FTRUN DIR WORK [CASE ...]

DIR holds the references (CASE/adapter_init, expected.json ...). Without it the test is skipped."""
import json, os, shutil, struct, subprocess, sys

ftrun, golden, work = sys.argv[1:4]
if not os.path.isdir(golden):
    sys.exit(77)
WIDTH = {"F32": 4, "BF16": 2, "F16": 2}


def tensors(path):
    """name -> (shape, values) of a safetensors file."""
    data = open(path, "rb").read()
    size = struct.unpack("<Q", data[:8])[0]
    out = {}
    for name, t in json.loads(data[8:8 + size]).items():
        if name == "__metadata__":
            continue
        at, end = t["data_offsets"]
        raw = data[8 + size + at:8 + size + end]
        if t["dtype"] == "F32":
            values = struct.unpack(f"<{len(raw) // 4}f", raw)
        else:
            assert t["dtype"] == "BF16", t
            values = [struct.unpack("<f", b"\0\0" + raw[i:i + 2])[0] for i in range(0, len(raw), 2)]
        out[name] = (t["shape"], values)
    return out


def run(*command, ranks=1):
    start = ["mpirun", "--oversubscribe", "-np", str(ranks)] if ranks > 1 else []
    done = subprocess.run(start + [ftrun, *command], capture_output=True, text=True)
    assert done.returncode == 0, f"{command}: {done.stderr}"
    return done.stdout


def near(a, b, tolerance, what):
    assert abs(a - b) <= tolerance * max(1, abs(b)), f"{what}: {a}, expected {b}"


def compare(found, expected, what, tolerance=2e-3, spared=1e-4):
    """All but a share of `spared` elements: one whose gradient is nearly zero takes Adam's step by its sign."""
    assert found.keys() == expected.keys(), f"{what}: {sorted(found.keys() ^ expected.keys())}"
    off = total = 0
    for name in expected:
        assert found[name][0] == expected[name][0], f"{what} {name}: {found[name][0]}, {expected[name][0]}"
        off += sum(abs(a - b) > tolerance for a, b in zip(found[name][1], expected[name][1]))
        total += len(found[name][1])
    assert off <= spared * total + 1, f"{what}: {off} of {total} elements differ"


def configure(case, directory, expected, options):
    base, h = os.path.join(golden, expected["base"]), expected["hyperparameters"]
    config = {"model": {"path": base},
              "data": {"train": [{"path": base + "/train.h5"}], "seq_len": h["seq_len"], "packing": h["packing"],
                       "fit": "next", "shuffle": h["shuffle"],
                       "validation": [{"name": "val", "path": base + "/val.h5"}]},
              "train": {"global_batch": h["global_batch"], "micro_batch": 1, "steps": h["steps"],
                        "precision": h["precision"], "grad_clip": h["grad_clip"]},
              "optimizer": {"lr": h["lr"], "betas": h["betas"], "eps": h["eps"], "weight_decay": h["weight_decay"]},
              "schedule": {"name": h["schedule"], "warmup_steps": h["warmup_steps"]},
              "validation": {"every": 100}, "run": {"seed": 1}}
    if os.path.isdir(case + "/adapter_init"):
        config["model"]["adapter"] = case + "/adapter_init"
    for key, value in options.items():
        section, name = key.split(".")
        config[section][name] = value
    path = directory + "/config.json"
    json.dump(config, open(path, "w"))
    return path


def rows(run_dir):
    steps, losses = [], []
    for line in open(run_dir + "/metrics.jsonl"):
        row = json.loads(line)
        if "validation" in row:
            losses.append(row["validation"]["val"]["loss"])
        else:
            steps.append({k: row[k] for k in ("loss", "grad_norm", "lr")})
    return steps, losses


def check_steps(name, expected, found):
    steps, losses = found
    for i, step in enumerate(expected["steps"]):
        near(steps[i]["loss"], step["loss"], 1e-4, f"{name} step {i + 1} loss")
        near(steps[i]["grad_norm"], step["grad_norm"], 1e-3, f"{name} step {i + 1} norm")
    near(losses[0], expected["val_loss_before"], 1e-4, f"{name} before")
    near(losses[-1], expected["val_loss_after"], 1e-4, f"{name} after")


# name: (what of expected.json holds the steps, options, the final file, the merged one)
FULL = "final.safetensors"
ADAPTER = "adapter_final/adapter_model.safetensors"
CASES = {
    **{n: (None, {}, ADAPTER, "merged.safetensors")
       for n in ("lora-patterns", "lora-layers", "lora-bias-all", "dora", "dora-bias", "ia3", "ia3-bias")},
    **{n: (None, {}, ADAPTER, None) for n in ("prefix", "prefix-bias", "prompt-random", "prompt-text")},
    "layer-decay": (None, {"optimizer.layer_decay": 0.75}, FULL, None),
    "freeze-layers": (None, {"train.freeze": ["model.embed_tokens.weight", "model.layers.[01].*", "model.norm.weight",
                                              "lm_head.weight"]}, FULL, None),
    "bitfit": (None, {"train.freeze": ["*.weight"]}, FULL, None),
    "lora-qv": (None, {}, ADAPTER, "merged.safetensors"),
    "lora-all-rslora": (None, {}, ADAPTER, "merged.safetensors"),
    "lora-save-head": (None, {}, ADAPTER, "merged.safetensors"),
    "lora-save-head-tied": (None, {}, ADAPTER, "merged.safetensors"),
    "lora-tied-embed": (None, {}, ADAPTER, "merged_right.safetensors"),
    "lora-tied-embed-ensure": ("one_tensor_for_both_ends", {},
                               "adapter_final_one_tensor/adapter_model.safetensors", None),
}
ON_RANKS = ("layer-decay", "lora-all-rslora", "lora-tied-embed-ensure", "dora", "ia3", "prefix", "prompt-text")


def check(name):
    part, options, final, merged = CASES[name]
    case, directory = os.path.join(golden, name), os.path.join(work, name)
    shutil.rmtree(directory, ignore_errors=True)
    os.makedirs(directory)
    whole = json.load(open(case + "/expected.json"))
    expected = {**whole, **whole[part]} if part else whole
    path = configure(case, directory, whole, options)
    run("train", path, f"run.dir={directory}/run")
    found = rows(directory + "/run")
    check_steps(name, expected, found)
    run("export", directory + "/run", "--out", directory + "/out", *(["--dtype", "fp32"] if final == FULL else []))
    file = "model.safetensors" if final == FULL else "adapter_model.safetensors"
    ours = tensors(f"{directory}/out/{file}")
    want = tensors(f"{case}/{final}")
    if final == FULL:
        ours = {k: v for k, v in ours.items() if k in want}
    compare(ours, want, name)
    if merged:
        run("export", directory + "/run", "--merge", "--dtype", "fp32", "--out", directory + "/merged")
        compare(tensors(directory + "/merged/model.safetensors"), tensors(f"{case}/{merged}"), name + " merged")
    if name in ON_RANKS:
        run("train", path, f"run.dir={directory}/three", "sharding.stage=2", ranks=3)
        assert rows(directory + "/three") == found, f"{name}: other bits on 3 ranks"
    print(name, "as the reference")


for case in sys.argv[4:] or CASES:
    check(case)
