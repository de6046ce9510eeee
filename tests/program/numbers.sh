#!/usr/bin/env bash
# Proves what happens to numbers that are not finite: the step, micro-batch, rank and tensor are
# named, alike on any number of ranks; the run stops with status 65 and a checkpoint of the last
# finished step, or skips the step, up to the bound, with the same bits on any number of ranks and
# when it is resumed; and a fault that does not come again costs nothing but time.
#
#   tests/program/numbers.sh FTRUN SAMPLE_DATA
. "$(dirname "$0")/common.sh"
. "$here/broken.sh"

# ends STATUS NAME RANKS FAULT [KEY=VALUE...]: a run with this fault ends with this status.
ends() {
  local wanted=$1 name=$2 ranks=$3 fault=$4 status=0
  shift 4
  FT_FAULT=$fault train "$ranks" "$@" || status=$?
  must "$name: status $status" [ "$status" -eq "$wanted" ]
}

said() {
  must "said: $1" grep -qE "$1" "$work/said"
}

# The default: nothing is changed, the last finished step is kept, the next run goes on from it.
stops() {
  ends 65 "a loss" 3 "loss-4-4=nan"
  said "step 4: the loss is -?nan .*; first in micro-batch 4 \(rows 44 to 45; rank 1, host .*\): its loss is -?nan\. This step has changed nothing"
  must "a loss: the committed step" [ "$(newest)" = 3 ]
  go_on "a loss" 2

  ends 65 "a gradient" 2 "contribution/1=nan" "train.precision=fp32"
  said "first in micro-batch 1 \(rows 2 to 3; rank 1, host .*\): the gradient of lm_head.weight has -?nan at element 0"
  rm -rf "$work/run"
}

# The step is left out; its row says so; ranks and resumes change nothing.
skips() {
  local fault="gradient-3-1=nan,loss-5-2=nan" skip="train.not_finite=skip"
  ends 0 "skipped, one rank" 1 "$fault" "$skip"
  said "step 3 is skipped \(1 of at most 10\): .* micro-batch 1 \(rows 26 to 27; rank 0"
  essence "$work/run" >"$work/skipped"
  must "a row of a skipped step" grep -q '^{"step":3,"loss":[0-9.]*,"grad_norm":null' "$work/skipped"
  must "a row of a skipped step" grep -q '^{"step":5,"loss":null,' "$work/skipped"
  local sum
  sum=$(export_sum "$work/run")
  [ "$sum" != "$wanted_sum" ] || fail "skipped steps changed nothing"
  rm -rf "$work/run"
  ends 75 "skipped, three ranks" 3 "$fault,update@4/1=usr1" "$skip"
  ends 75 "skipped, two ranks" 2 "$fault,forward@3=usr1" "$skip"
  ends 0 "skipped, four ranks" 4 "$fault" "$skip"
  essence "$work/run" | diff "$work/skipped" - >&2 || fail "skipped: metrics depend on the ranks"
  [ "$(export_sum "$work/run")" = "$sum" ] || fail "skipped: weights depend on the ranks"
  rm -rf "$work/run"
  ends 65 "skipped too often" 2 "$fault" "$skip" train.max_skipped=1
  said "As many steps as train.max_skipped allows were skipped"
  must "skipped too often: the committed step" [ "$(newest)" = 4 ]
  rm -rf "$work/run"
}

# A processor that errs once: the second result counts.
happens_once() {
  ends 0 "a fault that does not come again" 2 "contribution@9/1=nan"
  said "computed again, all numbers are finite"
  go_on "a fault that does not come again" 1
}

prepare_broken
stops
skips
happens_once
echo "numbers that are not finite: named, stopped at, skipped, and $num_good runs as if there were none"
