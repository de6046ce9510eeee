#!/usr/bin/env bash
# Proves the arithmetic contract end to end: the same config gives the same `loss`, `grad_norm` and
# `validation` as text, and the same exported weights as bytes, on any number of ranks and threads,
# in every sharding stage, and when stopped and resumed on other ranks. For tied and untied heads,
# in fp32 and bf16, and with master weights, moments and gradient sums that take fewer bytes.
#
#   tests/program/identity.sh FTRUN SAMPLE_DATA [full]
#
# Without `full` a selection of layouts is run, spread over heads and precisions so that each layout
# meets both of each; with it, all of 1, 2, 3, 5 and 8 ranks × 1 and 2 threads × stages 0 to 3.
. "$(dirname "$0")/common.sh"
ftrun=$1 sample_data=$2 extent=${3:-selection}

# must_equal NAME RUN: the run against the reference run of this model and precision.
must_equal() {
  local name=$1 run=$2
  essence "$run" >"$work/found"
  diff "$work/wanted" "$work/found" >&2 || fail "$name: metrics differ from one rank's"
  [ "$(export_sum "$run")" = "$wanted_sum" ] || fail "$name: exported weights differ"
  num_equal=$((num_equal + 1))
  rm -rf "$run"
}

# train RANKS THREADS STAGE RUN [KEY=VALUE...]
train() {
  local ranks=$1 threads=$2 stage=$3 run=$4
  shift 4
  OMP_NUM_THREADS=$threads on_ranks "$ranks" "$ftrun" train "$work/config.json" \
    "model.path=$work/$head" "train.precision=$precision" "sharding.stage=$stage" \
    "run.dir=$run" ${modes[@]+"${modes[@]}"} "$@"
}

# Stops a run by SIGUSR1 once it has made two steps, in one that takes a minute if nothing stops it,
# then goes on with other ranks and stage.
train_interrupted() {
  local run=$1 pid status=0 waited=0
  FT_FAULT="backward@13=slow:60" train 3 1 3 "$run" train.steps=60 >"$work/said" 2>&1 </dev/null &
  pid=$!
  until [ "$(grep -c grad_norm "$run/metrics.jsonl" 2>/dev/null || true)" -ge 2 ] 2>/dev/null; do
    sleep 0.02
    waited=$((waited + 1))
    kill -0 "$pid" 2>/dev/null && [ "$waited" -lt 3000 ] || { cat "$work/said" >&2; return 1; }
  done
  pkill -USR1 -P "$pid" || kill -USR1 "$pid"
  wait "$pid" || status=$?
  [ "$status" -eq 75 ] || { cat "$work/said" >&2; fail "stopped by SIGUSR1: status $status, not 75"; }
  quietly train 2 1 0 "$run" train.steps=60
}

prepare() {
  for head in tied untied; do
    quietly "$ftrun" init --config "$here/identity-$head.json" --seed 5 --out "$work/$head"
  done
  prepare_run "$work/tied" 5 "" # model and run are named when it trains
}

# "RANKS THREADS STAGE" of the layouts that are compared with 1 rank, 1 thread, stage 3.
layouts() {
  if [ "$extent" = full ]; then
    for ranks in 1 2 3 5 8; do
      for threads in 1 2; do
        for stage in 0 1 2 3; do
          echo "$ranks $threads $stage"
        done
      done
    done
  elif [ "$extent" = few ]; then
    printf '%s\n' "2 2 3" "3 1 0"
  else
    case "$head $precision" in
      "tied fp32") printf '%s\n' "1 2 0" "2 2 3" "5 1 0" ;;
      "tied bf16") printf '%s\n' "2 2 3" "3 1 2" "8 1 3" ;;
      "untied fp32") printf '%s\n' "3 1 2" "2 2 1" "8 1 3" ;;
      "untied bf16") printf '%s\n' "1 2 0" "5 1 0" "3 1 1" ;;
    esac
  fi
}

# compare_layouts WHAT: one rank's run against all layouts, and against one that is resumed.
compare_layouts() {
  local what=$1 ranks threads stage
  quietly train 1 1 3 "$work/one"
  essence "$work/one" >"$work/wanted"
  [ "$(grep -c loss "$work/wanted")" -ge 8 ] || fail "one rank wrote too few rows"
  wanted_sum=$(export_sum "$work/one")
  rm -rf "$work/one"
  while read -r ranks threads stage; do
    quietly train "$ranks" "$threads" "$stage" "$work/run"
    must_equal "$what, $ranks ranks × $threads threads, stage $stage" "$work/run"
  done < <(layouts)

  # Finished early, then told to go further, on other ranks.
  quietly train 5 1 3 "$work/run" train.steps=3
  quietly train 2 1 1 "$work/run"
  must_equal "$what, 3 steps on 5 ranks, then 2 ranks" "$work/run"
}

num_equal=0 modes=()
prepare
for head in tied untied; do
  for precision in fp32 bf16; do
    compare_layouts "$head $precision"
  done
done

# With fewer bytes a parameter: numbers are not those of f32, and no other form goes on with them.
# The head's gradient is made in pieces of the vocabulary, as that of a large head is.
[ "$extent" = full ] || extent=few
export FTRUN_LOGITS_BYTES=20000
head=untied precision=bf16
f32_sum=$wanted_sum
modes=(optimizer.master=bf16+8 optimizer.state=int8 train.gradient=bf16
  train.activation_checkpointing=2)
compare_layouts "$head $precision ${modes[*]}"
[ "$wanted_sum" != "$f32_sum" ] || fail "${modes[*]} changed nothing"
head=tied precision=fp32
modes=(optimizer.master=bf16 optimizer.state=int8 train.gradient=bf16)
compare_layouts "$head $precision ${modes[*]}"
quietly train 2 1 3 "$work/run" train.steps=2
grep -qE "head's gradient is made in [3-9] pieces" "$work/said" ||
  fail "the head was small: $(cat "$work/said")"
status=0
train 2 1 3 "$work/run" optimizer.master=fp32 --allow optimizer.master >"$work/said" 2>&1 || status=$?
[ "$status" -eq 78 ] || fail "resumed in another form: status $status, not 78"
grep -q 'optimizer.master: .*"bf16".* now it is "fp32"' "$work/said" ||
  fail "not both forms are named: $(cat "$work/said")"
rm -rf "$work/run"
modes=()
unset FTRUN_LOGITS_BYTES

# Interrupted in the middle of a step.
head=tied precision=bf16
quietly train 1 2 3 "$work/one" train.steps=60
essence "$work/one" >"$work/wanted"
wanted_sum=$(export_sum "$work/one")
train_interrupted "$work/run"
must_equal "$head $precision, interrupted on 3 ranks, then 2 ranks" "$work/run"

echo "$num_equal runs equal their one-rank runs, bit for bit"
