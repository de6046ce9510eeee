#!/usr/bin/env bash
# Makes the table of docs/memory.md: the quickstart's model, 500 steps on its stories, with each
# form of master weights, moments and gradient sums, beside AdamW in f32. Takes one to two minutes
# of one core a mode; what has been trained already is only shown. memory_curves.py draws what seeds
# 1 to 3 have left in DIR.
#
#   tests/bench/memory_modes.sh BUILD DIR [SEED [MODE...]]
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
. "$here/../../launch/terminal.sh"
build=$(cd "$1" && pwd) dir=$2 seed=${3:-1}
export OMP_NUM_THREADS=1
mkdir -p "$dir"
cd "$dir"
shift 2
[ $# -eq 0 ] || shift
wanted=" $* "

modes=(
  "fp32"
  "bf16+8-int8-bf16 optimizer.master=bf16+8 optimizer.state=int8 train.gradient=bf16"
  "bf16-int8-bf16 optimizer.master=bf16 optimizer.state=int8 train.gradient=bf16"
  "bf16+8 optimizer.master=bf16+8"
  "bf16 optimizer.master=bf16"
  "int8 optimizer.state=int8"
  "gradient-bf16 train.gradient=bf16"
)
if [ $# -gt 0 ]; then
  for i in "${!modes[@]}"; do
    [[ $wanted == *" ${modes[$i]%% *} "* ]] || unset "modes[$i]"
  done
fi

prepare() {
  local set number
  "$build/src/cli/ftrun" init --config "$here/../../configs/tiny-model.json" --seed 1 \
    --out runs/quickstart/random
  for set in "stories 1" "questions 2"; do
    read -r set number <<<"$set"
    "$build/tools/sample_data" "$set" 8000 "$number" >"$set.jsonl"
    "$build/src/cli/ftrun" prep --model runs/quickstart/random --input "$set.jsonl" \
      --out "runs/quickstart/data/$set"
  done
}

# row NAME: validation losses on stories, and the mean training loss of the last 50 steps.
row() {
  local metrics=runs/$1-$seed/metrics.jsonl step
  printf '| %s' "$1"
  for step in 100 200 300 400 500; do
    sed -nE "s/^\{\"step\":$step,\"validation\":\{\"stories\":\{\"loss\":([0-9.]{6}).*/ | \1/p" \
      "$metrics" | tr -d '\n'
  done
  grep '"grad_norm"' "$metrics" | tail -n 50 | sed -E 's/.*"loss":([0-9.]+),.*/\1/' |
    awk '{ sum += $1 } END { printf " | %.4f |\n", sum / NR }'
}

[ -d runs/quickstart/data/questions ] || prepare >&2
for mode in "${modes[@]}"; do
  read -r -a words <<<"$mode"
  tail -n 1 "runs/${words[0]}-$seed/metrics.jsonl" 2>/dev/null | grep -q '"step":500,"validation"' ||
    "$build/src/cli/ftrun" train "$here/../../configs/quickstart-stories.json" train.steps=500 \
      train.micro_batch=2 schedule.warmup_steps=20 validation.every=100 checkpoint.every=200 \
      "run.seed=$seed" "run.dir=runs/${words[0]}-$seed" "${words[@]:1}" >&2
done
echo "| mode | step 100 | 200 | 300 | 400 | 500 | training, last 50 |"
echo "|---|---|---|---|---|---|---|"
for mode in "${modes[@]}"; do row "${mode%% *}"; done
