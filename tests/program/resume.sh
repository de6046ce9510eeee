#!/usr/bin/env bash
# Proves that a run goes on from its newest checkpoint that is whole: one that is not is named and set
# aside, with `best` following, and nothing is touched where none is whole; that --step chooses one;
# that what is no checkpoint's folder confuses nobody; and that `inspect --latest` tells scripts the
# newest step, whether the run is finished, and whose attempt wrote it; and that a replayed set goes on
# as well. What is trained again has the
# unbroken run's bits.
#
#   tests/program/resume.sh FTRUN SAMPLE_DATA
. "$(dirname "$0")/common.sh"
. "$here/broken.sh"

latest() {
  "$ftrun" inspect "$work/run" --latest
}

# checkpoint STEP: its folder.
checkpoint() {
  printf '%s/run/checkpoints/step-%08d' "$work" "$1"
}

# A run of 6 steps in two attempts, with checkpoints of steps 2, 4 and 6.
begin_run() {
  rm -rf "$work/run"
  must "four steps" train 2 train.steps=4 checkpoint.keep=9 run.attempt=first
  must "the first attempt" [ "$(latest)" = "4 yes first" ]
  must "two more" train 1 train.steps=6 checkpoint.keep=9 run.attempt=second
  must "the second attempt" [ "$(latest)" = "6 yes second" ]
}

# damaged NAME STEP WORDS: after the newest checkpoint was damaged, the run goes on from STEP.
damaged() {
  must "$1: is checked" train 1 checkpoint.keep=9 --check
  must "$1: is checked" grep -q "would resume from the checkpoint of step $2" "$work/said"
  must "$1: nothing is touched by a check" [ -d "$(checkpoint 6)" ]
  must "$1" train 2 checkpoint.keep=9
  must "$1" grep -q "warning: the checkpoint of step 6 is not whole: .*$3" "$work/said"
  must "$1" grep -q "resuming after step $2" "$work/said"
  must "$1" grep -q "the checkpoint of step 6 is set aside as .*step-00000006.set-aside" "$work/said"
  essence "$work/run" | diff "$work/wanted" - >&2 || fail "$1: metrics differ from the unbroken run's"
  [ "$(export_sum "$work/run")" = "$wanted_sum" ] || fail "$1: exported weights differ"
  must "$1: best has a checkpoint" [ -d "$(checkpoint "$(cat "$work/run/best")")" ]
  must "$1" [ "$(latest)" = "7 yes -" ]
}

newest_is_damaged() {
  begin_run
  rm "$(checkpoint 6)"/rank-00000-of-00001.h5
  damaged "a missing file" 4 "missing"
  begin_run
  truncate -s -100 "$(checkpoint 6)"/rank-00000-of-00001.h5
  damaged "a short file" 4 "shorter\|bytes"
  begin_run
  printf '\377' | dd of="$(checkpoint 6)/rank-00000-of-00001.h5" bs=1 seek=300000 conv=notrunc 2>"$work/dd"
  damaged "a changed byte" 4 "checksum"
  begin_run
  truncate -s 200 "$(checkpoint 6)/manifest.json"
  rm "$(checkpoint 4)"/rank-00001-of-00002.h5
  damaged "two that are not whole" 2 "manifest"
}

none_is_whole() {
  local status=0 before
  begin_run
  rm "$work"/run/checkpoints/*/rank-00000*.h5
  before=$(cd "$work/run" && find . -type d | sort)
  train 1 || status=$?
  must "none is whole" [ "$status" -eq 65 ]
  must "none is whole" grep -q "no checkpoint of this run is whole" "$work/said"
  must "none is whole: nothing is touched" [ "$before" = "$(cd "$work/run" && find . -type d | sort)" ]
  must "none is whole" [ "$(latest)" = "-1 no -" ]
}

chosen() {
  local status=0
  begin_run
  train 1 --step 3 || status=$?
  must "no such step" [ "$status" -eq 66 ]
  must "no such step" grep -q "it has: 2, 4, 6" "$work/said"
  must "a chosen step" train 1 --step 2 checkpoint.keep=9
  must "a chosen step" grep -q "resuming after step 2" "$work/said"
  must "newer ones are set aside" [ -d "$(checkpoint 6).set-aside" ]
  essence "$work/run" | diff "$work/wanted" - >&2 || fail "a chosen step: metrics differ"
  [ "$(export_sum "$work/run")" = "$wanted_sum" ] || fail "a chosen step: exported weights differ"
  # a finished run asked for more is no longer finished, whatever its launcher says
  status=0
  FT_FAULT="forward@1=usr1" train 1 train.steps=9 || status=$?
  must "more steps are asked for" [ "$status" -eq 75 ]
  must "more steps are asked for" [ "$(latest)" = "7 no -" ]
}

# Folders beside the checkpoints that are none: a copy, a backup, one of another program.
others_beside() {
  begin_run
  cp -r "$(checkpoint 6)" "$(checkpoint 6).bak"
  cp -r "$(checkpoint 6)" "$work/run/checkpoints/step-000000000000099"
  mkdir "$work/run/checkpoints/step-best"
  cp "$(checkpoint 6)/manifest.json" "$work/run/checkpoints/step-best/"
  must "folders beside it" [ "$(latest)" = "6 yes second" ]
  must "folders beside it" train 2
  essence "$work/run" | diff "$work/wanted" - >&2 || fail "folders beside it: metrics differ"
  [ "$(export_sum "$work/run")" = "$wanted_sum" ] || fail "folders beside it: exported weights differ"
  must "no run" [ "$("$ftrun" inspect "$work/nothing" --latest)" = "-1 no -" ]
}

# A set that is replayed, in two attempts on two numbers of ranks: its rows, and the change of its loss
# since step 0, are the unbroken run's.
replayed() {
  local replay="data.replay={\"path\":\"$work/data/train\",\"share\":0.25}"
  rm -rf "$work/run"
  must "replay" train 1 "$replay"
  essence "$work/run" >"$work/replayed"
  must "replay: the change is 0 at step 0" grep -q '"step":0,.*"replay":{.*"change":0}' "$work/replayed"
  must "replay: the change is told" grep -Eq '"step":7,.*"replay":.*"change":-?[0-9.e-]+}' "$work/replayed"
  must "replay: the end tells it" grep -q "forgetting: .* nats from step 0 to step 7" "$work/said"
  rm -rf "$work/run"
  must "replay: four steps" train 2 "$replay" train.steps=4
  must "replay: the rest" train 1 "$replay"
  essence "$work/run" | diff "$work/replayed" - >&2 || fail "replay: metrics differ from the unbroken run's"
  must "replay taken away" [ "$(train 1 train.steps=8; echo $?)" -eq 78 ]
  must "replay taken away" grep -q "data.replay: the run had .* so far, now it is null" "$work/said"
}

prepare_broken
replayed
newest_is_damaged
none_is_whole
chosen
others_beside
echo "runs went on from their newest whole checkpoint, or from the chosen one"
