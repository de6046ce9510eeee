#!/usr/bin/env bash
# Proves that a run ends well: the best evaluation has a checkpoint, and export says which step it takes;
# the end tells losses, the best step and what comes next; Ctrl-C is answered at once, and a second one
# says what is lost; an export that is interrupted leaves nothing behind.
#
#   tests/program/ends.sh FTRUN SAMPLE_DATA
. "$(dirname "$0")/common.sh"
ftrun=$1 sample_data=$2

train() {
  "$ftrun" train "$work/config.json" "$@" >"$work/said" 2>&1 </dev/null
}

# within SECONDS WORDS: they are said by then.
within() {
  local end=$((SECONDS + $1 + 1))
  until grep -qE -- "$2" "$work/said"; do
    [ "$SECONDS" -lt "$end" ] || { cat "$work/said" >&2; fail "not said within $1 s: $2"; }
    sleep 0.05
  done
}

# Too high a rate on few records: the loss on others falls, and rises again. No regular checkpoint is
# due before the end, and the lowest evaluation has one.
best_has_a_checkpoint() {
  local lowest
  train run.dir="$work/run" || { cat "$work/said" >&2; fail "the run failed"; }
  lowest=$(sed -nE 's/^\{"step":([0-9]+),"validation".*"loss":([0-9.]+),.*/\2 \1/p' "$work/run/metrics.jsonl" |
    sort -g | head -n 1 | cut -d' ' -f2)
  [ "$lowest" -lt 60 ] || fail "the loss never rose: step $lowest is the lowest"
  [ "$(cat "$work/run/best")" = "$lowest" ] || fail "best is $(cat "$work/run/best"), not $lowest"
  [ -e "$work/run/checkpoints/$(printf 'step-%08d' "$lowest")/manifest.json" ] || fail "it has no checkpoint"
  says 'finished after step 60 of 60: [0-9]+ tokens' \
    "validation loss of questions: [0-9.]+ at step 0, [0-9.]+ at step 60, lowest [0-9.]+ at step $lowest" \
    "checkpoints: step 60 is the last, step $lowest the best" 'metrics.jsonl, tensorboard/' \
    "next: ftrun export $work/run --out MODEL --step best"
  "$ftrun" export "$work/run" --out "$work/last" >"$work/said" 2>&1
  says "taking step 60 of .*; by the first validation set, step $lowest is the best \(--step best\)"
  "$ftrun" export "$work/run" --out "$work/best" --step best >"$work/said" 2>&1
  says "taking step $lowest of .*, which is the best"
  # two steps in a row are not written
  train run.dir="$work/dense" validation.every=1 train.steps=6 schedule.name=linear optimizer.lr=1e-3
  [ "$(grep -c 'checkpoint of step' "$work/said")" -le 4 ] || { cat "$work/said" >&2; fail "too many"; }
}

ctrl_c() {
  local pid status=0
  : >"$work/said"
  FT_FAULT="backward@9=slow:60,checkpoint.write=sleep:4" "$ftrun" train "$work/config.json" \
    run.dir="$work/stopped" >"$work/said" 2>&1 </dev/null &
  pid=$!
  within 20 'fault.*backward|slow'
  sleep 0.3
  kill -INT "$pid"
  within 1 'stopping: the checkpoint of step [0-9]+ is written now, which takes about .* loses steps 1 to'
  sleep 0.5
  kill -INT "$pid"
  wait "$pid" || status=$?
  [ "$status" -eq 130 ] || fail "status $status after a second Ctrl-C"
  says 'ended at once: .* steps 1 to [0-9]+ are lost; run again'
}

# A file stops the run, and holds it until it is removed; a terminal has one line that is updated.
stop_file() {
  local pid status=0 begin
  : >"$work/said"
  FT_FAULT="backward@9=slow:60" "$ftrun" train "$work/config.json" run.dir="$work/filed" \
    >"$work/said" 2>&1 </dev/null &
  pid=$!
  within 20 'step 1/60'
  touch "$work/filed/stop" # in the middle of a step of a minute
  begin=$SECONDS
  wait "$pid" || status=$?
  [ $((SECONDS - begin)) -le 20 ] || fail "the file was seen after the step"
  [ "$status" -eq 75 ] || { cat "$work/said" >&2; fail "status $status of a run with a file stop"; }
  says 'stopped by the file .*/filed/stop \(remove it to go on\) after step'
  status=0
  train run.dir="$work/filed" || status=$?
  [ "$status" -eq 78 ] || fail "status $status while the file is there"
  says 'filed/stop asks for no more steps'
  rm "$work/filed/stop"
  command -v script >/dev/null || { echo "not tried: a terminal (there is no script)"; return 0; }
  script -qec "'$ftrun' train '$work/config.json' run.dir='$work/filed' train.steps=20" /dev/null \
    >"$work/said" 2>&1 </dev/null || { cat "$work/said" >&2; fail "the run on a terminal failed"; }
  says 'resuming after step' "$(printf '\r')?.*step [0-9]+/20  loss .* of peak .* left"
  on_narrow_terminal
}

# Its line has no more than one row, or only the last one would be replaced; what cannot replace lines
# has plain ones.
on_narrow_terminal() {
  local shown=$'\r\033\[K[^\r]*' kind
  for kind in xterm dumb; do
    script -qec "stty cols 40; TERM=$kind '$ftrun' train '$work/config.json' run.dir='$work/$kind' train.steps=3" /dev/null \
      >"$work/said" 2>&1 </dev/null || { cat "$work/said" >&2; fail "the run on a terminal failed"; }
    grep -oa "$shown" "$work/said" | tr -d '\r' | sed 's/^.\[K//' >"$work/$kind.rows" || true
  done
  grep -q 'step 2/3  loss' "$work/xterm.rows" || fail "no line was updated"
  ! grep '.\{40\}' <(grep '  loss' "$work/xterm.rows" | grep -v 'grad norm') >&2 || fail "a line is wider than its terminal"
  [ ! -s "$work/dumb.rows" ] || fail "lines are replaced where that is not possible"
}

# No lower loss, by more than min_delta, of the set that counts.
patience_ends_it() {
  train run.dir="$work/patient" validation.patience=2 validation.monitor=questions ||
    { cat "$work/said" >&2; fail "the run failed"; }
  says 'no lower loss in 2 evaluations: the run ends after step' "finished after step [0-9]+ of 60"
  train run.dir="$work/demanding" validation.patience=1 validation.min_delta=100
  says 'the run ends after step 5'
}

export_is_interrupted() {
  local pid status=0
  FT_FAULT="file.write@1=sleep:2" "$ftrun" export "$work/run" --out "$work/cut" >"$work/said" 2>&1 &
  pid=$!
  sleep 1
  kill -XCPU "$pid"
  wait "$pid" || status=$?
  [ "$status" -eq 75 ] || { cat "$work/said" >&2; fail "status $status of an interrupted export"; }
  says 'interrupted: nothing is left'
  ! ls -d "$work"/cut* 2>/dev/null || fail "an interrupted export left something"
}

"$sample_data" questions 24 3 >"$work/questions.jsonl"
quietly "$ftrun" init --config "$here/identity-tied.json" --seed 5 --out "$work/model"
quietly "$ftrun" prep --model "$work/model" --input "$work/questions.jsonl" --out "$work/data" --validation 0.5
cat >"$work/config.json" <<END
{"model": {"path": "$work/model"},
 "data": {"train": [{"path": "$work/data/train"}],
          "validation": [{"name": "questions", "path": "$work/data/validation"}],
          "seq_len": 300},
 "train": {"global_batch": 4, "micro_batch": 2, "steps": 60},
 "optimizer": {"lr": 1e-2},
 "schedule": {"name": "constant", "warmup_steps": 2},
 "validation": {"every": 5},
 "checkpoint": {"every": 1000},
 "run": {"dir": "$work/run", "seed": 9}}
END
best_has_a_checkpoint
ctrl_c
stop_file
patience_ends_it
export_is_interrupted
echo "runs and exports end well"
