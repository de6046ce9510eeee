#!/usr/bin/env bash
# Proves that the README tells the truth: runs its shell blocks, one after the other, in an empty
# directory beside links to the source tree, and expects of each command that it succeeds. The
# launch scripts and the build are left out: they are what runs this test.
#
#   tests/program/readme.sh BUILD_ROOT
. "$(dirname "$0")/common.sh"
build=$(cd "$1" && pwd)

mkdir "$work/tree"
ln -s "$root/configs" "$work/tree/configs"
ln -s "$build" "$work/tree/build"
cd "$work/tree"

# What the launch scripts and meson would do has been done.
awk '/^```/ { inside = $0 == "```sh"; next } inside && !/^(launch\/|meson )/' "$root/README.md" >"$work/commands"
[ "$(wc -l <"$work/commands")" -ge 10 ] || fail "found too few commands in README.md"
quietly bash -euxo pipefail "$work/commands"
[ -s out/model.safetensors ] || fail "no exported model"
[ "$(grep -c grad_norm runs/tiny/metrics.jsonl)" -eq 30 ] || fail "not 30 steps in the metrics"
# what the run's files say of it: its end, its parts, what it took
ftrun=$build/src/cli/ftrun
"$ftrun" status runs/tiny >status
grep -qE '^runs/tiny +finished +30/30 ' status || fail "ftrun status: $(cat status)"
python3 "$root/tests/report/check_page.py" tiny.html 'after step 20' '(1 rank)' '(2 ranks)' 'ftrun train configs/tiny.json train.steps=30' \
  'matmul forward' activations 'Open MPI' 'bf16 by' || fail "tiny.html"
echo "$(wc -l <"$work/commands") lines of README.md did what it says"
