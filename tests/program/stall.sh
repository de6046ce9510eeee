#!/usr/bin/env bash
# Proves that a run in which nothing moves ends soon with status 75 and says who did not come: with a
# checkpoint of the last finished step where all ranks still answer, with the last one that was
# committed where a rank is stopped (SIGSTOP) or deaf. The next run goes on from it. It mostly waits.
#
#   tests/program/stall.sh FTRUN SAMPLE_DATA [full]
#
# `full` adds a job of which all ranks are deaf, as when a file system does not answer (a minute).
. "$(dirname "$0")/common.sh"
. "$here/broken.sh"

# stalled NAME FAULT MOST-SECONDS STEP LINE...: three ranks, of which one does not come.
stalled() {
  local name=$1 fault=$2 most=$3 step=$4 begin=$SECONDS status=0 line
  shift 4
  FT_FAULT=$fault train 3 run.stall_timeout=2 || status=$?
  must "$name: status $status" [ "$status" -eq 75 ]
  must "$name: in $((SECONDS - begin)) s" [ $((SECONDS - begin)) -lt "$most" ]
  must "$name: step $(newest) is committed" [ "$(newest)" = "$step" ]
  for line in "$@"; do
    must "$name" grep -qE "$line" "$work/said" "$work"/run/log/rank-*.log
  done
  rm "$work"/run/log/rank-*.log
}

waits='waits in (gather|reduce) of block [0-9] for 2\.[0-9] s: 2 of the 3 ranks of its node are there'

# A rank that does not come where the ranks look for each other: nothing but a clock can tell.
late_at_start() {
  local status=0
  FT_START_TIMEOUT=2 FT_FAULT="start/1=sleep:300" train 3 || status=$?
  must "late at the start: status $status" [ "$status" -eq 75 ]
  must "late at the start" grep -q "the ranks did not find each other within 2 s" "$work/said"
}

prepare_broken
late_at_start
stalled "a late rank" "forward@20/1=slow:300" 20 3 \
  "step 4: 1 of 3 ranks have not come to where rank [02] is, which trains, $waits:" \
  "  rank 1 \(host .*\) trains, is in no collective \(last sign of life [0-9.]* s ago\); 1 operations behind" \
  "stall: rank 2 \(host .*\), step 4: trains, $waits" \
  "stopped by a stall that rank"
stalled "a rank that is stopped" "backward@5/1=freeze" 35 3 \
  "rank 1 does not answer: stopped, dead or cut off" "1 of 3 ranks did not answer within 10 s"
stalled "rank 0 is stopped" "backward@5/0=freeze" 45 3 \
  "rank 0 did not answer within 15 s" "stall: rank 2 \(host .*\), step 5: trains, waits in"
stalled "a deaf rank" "backward@5/2=sleep:300" 35 3 \
  "rank 2 \(host .*\) trains, is in no collective" "the checkpoint was not written: a rank does not come"
if [ "${3:-}" = full ]; then
  stalled "all ranks are deaf" "backward@5=sleep:300" 100 3 \
    "step 5: nothing moves, though no rank waits for another" \
    "  rank 2 \(host .*\) trains, is in no collective \(last sign of life [0-9.]* s ago\)"
fi
FT_FAKE_NODE_SIZE=1 stalled "a late rank of another node" "backward@5/1=slow:300" 20 4 \
  "waits in (gather|reduce) of block [0-9] for 2\.[0-9] s for a message from rank 1"
go_on "after all stalls" 2
echo "stalled runs ended and went on"
