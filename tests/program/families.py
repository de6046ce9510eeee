#!/usr/bin/env python3
"""Parts of families.sh that read JSON.

    families.py form REFERENCE EXPORT
        an export has the tensors, shapes and keys of what was read
    families.py keys FTRUN REFERENCE CONFIG FOLDER [OVERRIDE...]
        evaluates the model with each change of config.json that expected.json lists, and compares
        the validation loss with the one that transformers gives for the changed file
"""
import copy
import json
import os
import shutil
import struct
import subprocess
import sys


def fail(text):
    sys.exit("FAILED: " + text)


def tensors(directory):
    """Name and shape of each tensor of model.safetensors, and the bytes of each."""
    with open(os.path.join(directory, "model.safetensors"), "rb") as f:
        header = json.loads(f.read(struct.unpack("<Q", f.read(8))[0]))
        start = f.tell()
        header.pop("__metadata__", None)
        found = {}
        for name, entry in header.items():
            begin, end = entry["data_offsets"]
            f.seek(start + begin)
            found[name] = (entry["shape"], f.read(end - begin))
    return found


def read(directory, name):
    with open(os.path.join(directory, name)) as f:
        return json.load(f)


def check_form(reference, export):
    before, after = tensors(reference), tensors(export)
    if set(before) != set(after):
        fail("tensors differ: %s" % sorted(set(before) ^ set(after)))
    for name, (shape, data) in before.items():
        if after[name][0] != shape:
            fail("%s has shape %s, not %s" % (name, after[name][0], shape))
        foreign = name.startswith(("vision_tower.", "multi_modal_projector."))
        if foreign and after[name][1] != data:
            fail("%s was not carried along unchanged" % name)
    old, new = read(reference, "config.json"), read(export, "config.json")
    for key in ("dtype", "torch_dtype"):
        old.pop(key, None)
        new.pop(key, None)
    if json.dumps(old) != json.dumps(new):
        fail("config.json differs: %s and %s" % (old, new))


def place(config, path):
    """The object that a key like a.b is in, and its name there."""
    *tables, key = path.split(".")
    for table in tables:
        config = config.setdefault(table, {})
    return config, key


def changed_config(reference, change):
    config = copy.deepcopy(read(reference, "config.json"))
    for path in change["remove"]:
        table, key = place(config, path)
        table.pop(key, None)
    for path, value in change["changes"].items():
        table, key = place(config, path)
        table[key] = value
    return config


def check_keys(ftrun, reference, run_config, folder, *overrides):
    checks = read(reference, "expected.json")["checks"]
    for kind in ("same", "ignoring"):
        for what, change in checks.get(kind, {}).items():
            shutil.rmtree(folder, ignore_errors=True)
            os.makedirs(folder)
            for name in os.listdir(reference):
                if name != "config.json":
                    os.symlink(os.path.join(os.path.abspath(reference), name), os.path.join(folder, name))
            with open(os.path.join(folder, "config.json"), "w") as f:
                json.dump(changed_config(reference, change), f)
            command = [ftrun, "eval", run_config, *overrides, "--model", folder]
            run = subprocess.run(command, capture_output=True, text=True)
            if kind == "ignoring" and run.returncode == 65 and "is not supported" in run.stderr:
                continue  # refused by its name
            if run.returncode != 0:
                fail("%s: %s" % (what, run.stderr))
            (loss,) = (v["loss"] for v in json.loads(run.stdout)["validation"].values())
            expected = change["val_loss_before"]
            if not abs(loss - expected) <= 1e-5 * expected:
                fail("%s: loss %.9g, expected %.9g" % (what, loss, expected))


if __name__ == "__main__":
    {"form": check_form, "keys": check_keys}[sys.argv[1]](*sys.argv[2:])
