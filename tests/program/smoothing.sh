#!/usr/bin/env bash
# Proves, of what makes training smoother: the average of the weights (train.ema), beside noise on the
# embeddings (train.neftune_alpha), has the same bits on 1 and 3 ranks and of a run that went on
# elsewhere; it is exported and evaluated by --ema, and changes nothing else; a run without one says so.
#
#   tests/program/smoothing.sh FTRUN SAMPLE_DATA
. "$(dirname "$0")/common.sh"
ftrun=$1 sample_data=$2
model=$work/model
sed 's/"float32"/"bfloat16"/' "$here/identity-tied.json" >"$work/config-bf16.json" # exports are what was computed with
quietly "$ftrun" init --config "$work/config-bf16.json" --seed 1 --out "$model"
prepare_run "$model" 4 "$work/run"

# train RANKS RUN KEY=VALUE...
train() {
  local ranks=$1 run=$2
  shift 2
  quietly on_ranks "$ranks" "$ftrun" train "$work/config.json" "run.dir=$work/$run" "$@"
}

# weights RUN [OPTION...]: SHA-256 of what is exported.
weights() {
  local run=$work/$1
  shift
  quietly "$ftrun" export "$run" --out "$run-export" "$@" || return
  sha256sum <"$run-export/model.safetensors"
  rm -rf "$run-export"
}

# loss_of ARGUMENT...: what `eval` says.
loss_of() {
  quietly "$ftrun" eval "$work/config.json" "$@" || return
  grep -o '"loss":[^,]*' "$work/said"
}

noise=train.neftune_alpha=5
train 1 plain "$noise"
train 1 one "$noise" train.ema=0.9
train 3 three "$noise" train.ema=0.9 sharding.stage=0
train 2 parts "$noise" train.ema=0.9 train.steps=2
train 3 parts "$noise" train.ema=0.9
for run in three parts; do
  cmp <(essence "$work/one") <(essence "$work/$run") || fail "$run: other bits"
done
train 1 silent train.steps=1
[ "$(essence "$work/silent" | head -n 1)" = "$(essence "$work/plain" | head -n 1)" ] ||
  fail "there is noise in an evaluation"
[ "$(essence "$work/silent" | grep -m 1 grad_norm)" != "$(essence "$work/plain" | grep -m 1 grad_norm)" ] ||
  fail "there is no noise"
cmp <(essence "$work/plain") <(essence "$work/one") || fail "an average changes the training"
[ "$(weights plain)" = "$(weights one)" ] || fail "an average changes the weights"
averaged=$(weights one --ema --dtype fp32)
[ "$averaged" != "$(weights one --dtype fp32)" ] || fail "the average is the last weights"
for run in three parts; do
  [ "$averaged" = "$(weights $run --ema --dtype fp32)" ] || fail "$run: another average"
done

quietly "$ftrun" export "$work/one" --ema --out "$work/averaged"
exported=$(loss_of --model "$work/averaged")
[ "$exported" = "$(loss_of "run.dir=$work/one" --ema)" ] || fail "--ema evaluates to another loss than its export"
[ "$exported" != "$(loss_of "run.dir=$work/one")" ] || fail "--ema changes nothing"

expect 64 "$ftrun" export "$work/plain" --ema --out "$work/none"
says 'keeps no average of its weights' 'train.ema'
expect 64 "$ftrun" eval "$work/config.json" "run.dir=$work/plain" --ema
says 'keeps no average of its weights'
expect 78 "$ftrun" train "$work/config.json" "run.dir=$work/plain" "$noise" train.ema=0.9 train.steps=5
says 'train.ema'
echo "averages are the same on any number of ranks"
