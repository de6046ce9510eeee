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
echo "$(wc -l <"$work/commands") lines of README.md did what it says"
