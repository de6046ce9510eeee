# What the end-to-end tests share. Sourced with the paths of ftrun (and others) as arguments.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(cd "$here/../.." && pwd)
. "$root/launch/terminal.sh"
export OMP_NUM_THREADS="${OMP_NUM_THREADS:-1}"

work=$(mktemp -d "${TMPDIR:-/tmp}/ftrun-program.XXXXXX")
trap 'rm -rf "$work"' EXIT

# fail MESSAGE...: ends the test.
fail() {
  printf 'FAILED: %s\n' "$*" >&2
  exit 1
}

# quietly COMMAND...: shows what the command said only if it fails; returns its status.
quietly() {
  local status=0
  "$@" >"$work/said" 2>&1 </dev/null || status=$?
  [ "$status" -eq 0 ] || { printf '%s\n' "$*"; cat "$work/said"; } >&2
  return "$status"
}

# on_ranks N COMMAND...: one rank runs without mpirun, as every command can.
on_ranks() {
  local ranks=$1
  shift
  if [ "$ranks" -eq 1 ]; then "$@"; else mpirun --oversubscribe -np "$ranks" "$@"; fi
}

# expect STATUS COMMAND...: the command ends with this status; its words are left in $work/said.
num_checked=0
expect() {
  local status=$1 found=0
  shift
  "$@" >"$work/said" 2>&1 </dev/null || found=$?
  [ "$found" -eq "$status" ] || { cat "$work/said" >&2; fail "$*: status $found, not $status"; }
  num_checked=$((num_checked + 1))
}

# says WORDS...: $work/said has each of them; extended regular expressions, unless $words_are is -F.
says() {
  local words
  for words in "$@"; do
    grep -q "${words_are:--E}" -- "$words" "$work/said" || { cat "$work/said" >&2; fail "not said: $words"; }
  done
}

says_not() {
  ! grep "${words_are:--E}" -- "$1" "$work/said" >&2 || fail "said: $1"
}

# What follows needs $ftrun and $sample_data.

# essence RUN: rows in the form "step, loss, grad_norm" or "step, validation": what must not depend on
# layout, nor on what happened to the run.
essence() {
  sed -E 's/,"lr":.*//' "$1/metrics.jsonl"
}

# export_sum RUN: SHA-256 of the exported f32 weights.
export_sum() {
  quietly "$ftrun" export "$1" --out "$1-export" --dtype fp32 || return
  sha256sum <"$1-export/model.safetensors"
  rm -rf "$1-export"
}

# prepare_run MODEL STEPS RUN: data for the model, and $work/config.json of a small run with
# evaluations and checkpoints.
prepare_run() {
  "$sample_data" questions 260 3 >"$work/questions.jsonl"
  quietly "$ftrun" prep --model "$1" --input "$work/questions.jsonl" --out "$work/data"
  cat >"$work/config.json" <<END
{"model": {"path": "$1"},
 "data": {"train": [{"path": "$work/data/train"}],
          "validation": [{"name": "questions", "path": "$work/data/validation"}],
          "seq_len": 300},
 "train": {"global_batch": 12, "micro_batch": 2, "steps": $2},
 "optimizer": {"lr": 1e-3},
 "schedule": {"name": "constant", "warmup_steps": 2},
 "validation": {"every": 3},
 "checkpoint": {"every": 2},
 "run": {"dir": "$3", "seed": 9}}
END
}
