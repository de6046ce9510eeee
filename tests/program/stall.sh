#!/usr/bin/env bash
# Proves that a run in which nothing moves ends soon with status 75 and says who did not come: with a
# checkpoint of the last finished step where all ranks still answer, with the last one that was
# committed where a rank is stopped (SIGSTOP) or deaf. The next run goes on from it.
#
#   tests/program/stall.sh FTRUN SAMPLE_DATA
. "$(dirname "$0")/common.sh"
. "$here/broken.sh"

# stalled NAME FAULT MOST-SECONDS STEP LINE...: three ranks, of which one does not come.
stalled() {
  local name=$1 fault=$2 most=$3 step=$4 begin=$SECONDS status=0
  shift 4
  FT_FAULT=$fault train 3 run.stall_timeout=2 || status=$?
  must "$name" [ "$status" -eq 75 ]
  must "$name: in time" [ $((SECONDS - begin)) -lt "$most" ]
  must "$name: the committed step" [ "$(newest)" = "$step" ]
  local line
  for line in "$@"; do
    must "$name" grep -qE "$line" "$work/said" "$work"/run/log/rank-*.log
  done
  go_on "$name" 2
}

prepare_broken
stalled "a late rank" "forward@20/1=slow:300" 15 3 \
  "step 4: 1 of 3 ranks have not come to where rank [02] waits in (gather|reduce) of block" \
  "rank 1 \(host .*\) is in no collective: it computes, reads or writes" \
  "stall: rank 2 \(host .*\), step 4: waits in (gather|reduce) of block" \
  "stopped by a stall that rank"
stalled "a rank that is stopped" "forward@20/1=freeze" 30 2 \
  "rank 1 does not answer: stopped, dead or cut off" "1 of 3 ranks did not answer within 10 s"
stalled "rank 0 is stopped" "forward@20/0=freeze" 40 2 \
  "rank 0 did not answer within 15 s" "stall: rank 2 \(host .*\), step 4: waits in"
stalled "a deaf rank" "forward@20/2=sleep:300" 30 2 \
  "rank 2 \(host .*\) is in no collective" "did not come together to write the checkpoint"
echo "$num_good stalled runs ended and went on"
