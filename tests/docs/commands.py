#!/usr/bin/env python3
"""Proves that README.md and docs/ tell the truth to whoever types what they say: runs every command of every page, in
the order in which the README lists them, in a tree that has nothing but what a fresh clone and a build have.

    tests/docs/commands.py SOURCE_ROOT BUILD_ROOT [PAGE...]      all pages unless told; exit 0 or 1

A command is a line of a block ```sh, or text in backticks that begins with a program of ours and has arguments; words
in capitals stand for the reader's (PLACEHOLDERS). What a test cannot do (packages, other hosts, a batch system, a
download) is done by stand-ins; what takes minutes is made smaller. Needs only Python's standard library.
"""
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time

# ---- what is made smaller: in the copies of files that the tree has, and in commands
SMALLER_FILES = [
    ("configs/tiny-model.json", '"hidden_size": 192', '"hidden_size": 64'),
    ("configs/tiny-model.json", '"intermediate_size": 512', '"intermediate_size": 128'),
    ("configs/tiny-model.json", '"num_hidden_layers": 4', '"num_hidden_layers": 2'),
    ("configs/tiny-model.json", '"num_attention_heads": 6', '"num_attention_heads": 2'),
    ("configs/tiny.json", '"steps": 100', '"steps": 30'),
    ("configs/tiny.json", '"seq_len": 4096', '"seq_len": 256'),
    ("configs/tiny.json", '"lr": 1e-3', '"lr": 4e-3'),
    ("configs/smollm2-135m.json", '"steps": 30', '"steps": 4'),
    ("configs/smollm2-135m.json", '"every": 15', '"every": 2'),
    ("configs/quickstart-stories.json", '"steps": 250', '"steps": 3'),
    ("configs/quickstart-questions.json", '"steps": 400', '"steps": 3'),
    ("launch/quickstart.sh", "stories 8000", "stories 200"),
    ("launch/quickstart.sh", "questions 6000", "questions 200"),
    ("launch/quickstart.sh", "--max-tokens 60", "--max-tokens 4"),
    ("configs/llama2-7b.json", '"epochs": 2', '"steps": 2'),
    ("configs/llama2-7b.json", '"seq_len": 4096', '"seq_len": 256'),
    ("configs/llama2-7b.json", '"global_batch": 64', '"global_batch": 4'),
]
ADAPTED_COMMANDS = [
    (r" --seq-len [0-9]+", ""),
    (r"--shape [0-9,]+", "--shape 64,128,2,2,1,300 --seq-len 16"),
    (r"(ftrun bench (?!--tokenizer).*)", r"\1 --steps 1 --disk none"),
    # hosts that are one machine take each other's memory for their own
    (r"(mpirun --hostfile|launch/mpirun-hostfile)", r"OMPI_MCA_btl=self,tcp \1"),
]

# ---- words that stand for the reader's own, in text in backticks
PLACEHOLDERS = [
    (r" \[OPTIONS\]| ?…| \[KEY=VALUE\s*(…|\.\.\.)?\]| \[RUN\s*…\]", ""),
    (r"--out DIR", "--out made"),
    (r"--config FILE", "--config configs/tiny-model.json"),
    (r"\[?FILE(\.jsonl)?\]?", "plays.text.jsonl"),
    (r"CONFIG(\.json)?", "configs/tiny.json"),
    (r"--min NAME=VALUE", "--min questions.loss=0"),
    (r"NAME=VALUE", "questions.loss=50"),
    (r"\bOUT\b", "data/village"),
    (r"--adapter DIR", "--adapter own-adapter"),
    (r"\b(DIR|MODEL)\b", "models/tiny"),
    (r"\b(RUN|PATH)\b", "runs/tiny"),
    (r"\bKEY\b", "train.steps"),
    (r"\bSECTION\b", "train"),
    (r"\bCOMMAND\b", "train"),
    (r"\bTEXT\b", "Bram"),
    (r"\bN\b", "30"),
    (r"\bPREFIX\b", "/opt/ftrun"),
]
COMMAND = r"(ftrun|launch/\S+|mpirun|srun|module|apptainer|meson) \S+ .*|ftrun help .*|ftrun inspect .*|ftrun --\w+"
# Text in backticks that is no command as it stands, each with the reason.
NOT_COMMANDS = {
    "ftrun tokenize --chat --show": "names options; the model is told elsewhere",
    "ftrun generate --json --logits": "names options",
    "ftrun train …": "names a part of a command",
    "ftrun train … --check": "names a part of a command",
    "mpirun … ftrun train …": "names a part of a command",
    "ftrun COMMAND": "the form of all commands",
    "ftrun COMMAND [CONFIG.json] [KEY=VALUE …] [OPTIONS]": "the form of all commands",
    "ftrun gate RUN --max forgetting=…": "a part of a command, with any number",
    "launch/mpirun-loop.sh COMMAND...": "the form; a command is in the README",
    "srun --pty bash": "an interactive shell",
    "mpirun has detected an attempt to run as root": "a message",
    "mpirun bound this rank to … processors of …, which nobody asked for": "a message",
}

# ---- what a test cannot do: programs of these names
STAND_INS = {
    "meson": 'for word; do case $word in -D*) name=${word#-D}; grep -q "^option(\'${name%%=*}\'" meson_options.txt ||'
    " { echo \"no such option: $word\" >&2; exit 1; } ;; esac; done",
    "ninja": '[ "$1" = -C ] && [ $# -ge 2 ]',
    "hf": '[ "$1 $3" = "download --local-dir" ] && ftrun init --config configs/tiny-model.json --out "$4"',
    "module": 'case $1 in load | use) ;; *) exit 1 ;; esac',
    "mount": '[ "$1" = -o ] && [ -d "$3" ]',
    "apptainer": '[ "$1" = build ] && [ -s "$3" ]',
    "srun": "exit 1",
    "squeue": "exit 1",
    "scontrol": "exit 1",
    "sbatch": "while [[ $1 == -* ]]; do shift; done\nSLURM_JOB_ID=1 FTRUN_LAUNCHER=mpirun exec bash \"$@\"",
    # each host has its own /tmp
    "ssh": 'while [[ $1 == -* ]]; do shift; done\nexport TMPDIR=$(mktemp -d)\nshift\nexec sh -c "$*"',
}
# Files of the tree that are replaced: they install packages, or run this test.
REPLACED = ["launch/install.sh", "launch/test.sh"]
# and those of a build that CI makes otherwise
FUZZ = ["make_corpus", "fuzz_tokens"]


def write_program(path, text):
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "w", encoding="utf-8") as file:
        file.write("#!/bin/bash\n" + text + "\n")
    os.chmod(path, 0o755)


def make_tree(root, build, work):
    """A fresh clone with a build: links, and copies of what is changed here."""
    tree = os.path.join(work, "tree")
    os.makedirs(tree)
    for name in ["README.md", "LICENSE", "docs", "src", "include", "tests", "tools", "packages", "meson.build", "meson_options.txt"]:
        os.symlink(os.path.join(root, name), os.path.join(tree, name))
    os.symlink(build, os.path.join(tree, "build"))
    for name in ["configs", "launch"]:
        shutil.copytree(os.path.join(root, name), os.path.join(tree, name))
    for name, was, becomes in SMALLER_FILES:
        path = os.path.join(tree, name)
        text = open(path, encoding="utf-8").read()
        if was not in text:
            raise SystemExit(f"{name} has no {was} to be made smaller")
        open(path, "w", encoding="utf-8").write(text.replace(was, becomes))
    for name in REPLACED:
        write_program(os.path.join(tree, name), "true")
    for name in FUZZ:
        write_program(os.path.join(tree, "build-fuzz/tests/fuzz", name), "true")
    for name, text in STAND_INS.items():
        write_program(os.path.join(work, "bin", name), text)
    os.makedirs(os.path.join(work, "home"))
    return tree


def environment(work, build):
    env = dict(os.environ, HOME=os.path.join(work, "home"), OMP_NUM_THREADS="1", TMPDIR=work)
    env["PATH"] = ":".join([os.path.join(work, "bin"), os.path.join(build, "src/cli"), env["PATH"]])
    env.update(OMPI_ALLOW_RUN_AS_ROOT="1", OMPI_ALLOW_RUN_AS_ROOT_CONFIRM="1", OMPI_MCA_rmaps_base_oversubscribe="1")
    env.update(OMPI_MCA_mpi_yield_when_idle="1", OMPI_MCA_hwloc_base_binding_policy="none")
    return env


def blocks(page):
    """Blocks ```sh of a page, with the number of their first line."""
    lines, begin, found = open(page, encoding="utf-8").read().split("\n"), None, []
    for number, line in enumerate(lines, 1):
        if line.startswith("```"):
            if begin is not None:
                if lines[begin - 1] == "```sh":
                    found.append((begin + 1, "\n".join(lines[begin:number - 1])))
                begin = None
            else:
                begin = number
    return found


def strays(page):
    """Commands in blocks that are not marked as such: nobody would run them here."""
    inside, found = None, []
    for number, line in enumerate(open(page, encoding="utf-8"), 1):
        if line.startswith("```"):
            inside = None if inside else line.strip()
        elif inside != "```sh" and (inside or line.startswith("    ")):
            if re.match(r"\s*(ftrun [a-z]|mpirun |launch/|sbatch |srun |meson |ninja )", line):
                found.append(number)
    return found


def inline(page):
    """Commands in backticks, which may go on in the next line."""
    text = re.sub(r"```.*?```", lambda m: "\n" * m.group(0).count("\n"), open(page, encoding="utf-8").read(), flags=re.S)
    for match in re.finditer(r"`([^`]+)`", text):
        span = " ".join(match.group(1).split())
        if re.fullmatch(COMMAND, span) and span not in NOT_COMMANDS and not span.endswith(":"):
            yield text.count("\n", 0, match.start()) + 1, span


def filled_in(span):
    for pattern, becomes in PLACEHOLDERS:
        span = re.sub(pattern, becomes, span)
    return span


def run(name, line, command, tree, env):
    """One block or command; says what failed."""
    for pattern, becomes in ADAPTED_COMMANDS:
        command = re.sub(pattern, becomes, command)
    shutil.rmtree(os.path.join(tree, "made"), ignore_errors=True)
    script = "set -eo pipefail\ntrap 'echo \"this failed: $BASH_COMMAND\" >&2' ERR\n" + command
    begin, used = time.time(), os.times()
    done = subprocess.run(["bash", "-c", script], cwd=tree, env=env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True, errors="replace", timeout=300)
    if os.environ.get("TIMES"):
        now = os.times()
        cpu = now.children_user + now.children_system - used.children_user - used.children_system
        print(f"{time.time() - begin:6.1f} s, {cpu:5.1f} of processors  {name}:{line}", flush=True)
    if done.returncode != 0:
        print(f"{name}:{line}: status {done.returncode}\n{command}\n{done.stdout[-3000:]}")
    return done.returncode == 0


def reader_has(tree, env):
    """A reader's own model, data and adapter, where a page's example is a large one."""
    script = """ftrun init --config configs/tiny-model.json --out models/Llama-2-7b-hf
build/tools/sample_data questions 60 4 >own.jsonl
for set in domain general; do ftrun prep --model models/Llama-2-7b-hf --input own.jsonl --out data/$set --validation 0.2; done
ftrun train configs/llama2-7b.json method.name=lora train.steps=1 run.dir=own-run
ftrun export own-run --out own-adapter
rm -r own.jsonl own-run"""
    if not run("what a reader has", 0, script, tree, env):
        raise SystemExit(1)


def check_readme(root, tree, env):
    """What the README's run is said to leave behind."""
    script = f"""[ "$(grep -c grad_norm runs/tiny/metrics.jsonl)" -eq 30 ]
ftrun status runs/tiny | grep -E '^runs/tiny +finished +30/30 '
python3 '{root}/tests/report/check_page.py' tiny.html 'after step 20' '(1 rank)' '(2 ranks)' \\
  'ftrun train configs/tiny.json train.steps=30' 'matmul forward' activations 'Open MPI' 'bf16 by'"""
    return run("README.md, what it leaves", 0, script, tree, env)


def pages(root):
    """In the order in which the README lists them; all must be there."""
    readme = open(os.path.join(root, "README.md"), encoding="utf-8").read()
    listed = re.findall(r"^\| `(docs/[a-z0-9-]+\.md)` \|", readme, re.MULTILINE)
    there = {f"docs/{name}" for name in os.listdir(os.path.join(root, "docs")) if name.endswith(".md")}
    if set(listed) != there:
        raise SystemExit(f"README.md lists other pages than docs/ has: {sorted(set(listed) ^ there)}")
    return ["README.md", *listed]


def main():
    root, build = os.path.abspath(sys.argv[1]), os.path.abspath(sys.argv[2])
    chosen, good, count = sys.argv[3:] or pages(root), True, 0
    with tempfile.TemporaryDirectory(prefix="ftrun-docs.") as work:
        tree, env = make_tree(root, build, work), environment(work, build)
        reader_has(tree, env)
        for name in chosen:
            page, begin = os.path.join(root, name), time.time()
            for number in strays(page):
                print(f"{name}:{number}: a command in a block that is not ```sh")
                good = False
            # a text may name a command before the block that shows how to come to it
            for line, command in blocks(page) + [(n, filled_in(c)) for n, c in inline(page)]:
                good = run(name, line, command, tree, env) and good
                count += 1
            if name == "README.md":
                good = check_readme(root, tree, env) and good
            print(f"{name}: {time.time() - begin:.1f} s", flush=True)
    print(f"{count} commands and blocks of commands did what they say" if good else "FAILED")
    return 0 if good and count >= len(chosen) // 2 else 1


if __name__ == "__main__":
    sys.exit(main())
