#!/usr/bin/env bash
# Proves that a run that is stopped at any point leaves a checkpoint of its last finished step, with
# status 75, and goes on to the same metrics and weights as a run that was never stopped: by a signal
# at one rank or at all, while loading, in a forward or backward pass, an update, an evaluation, a
# checkpoint's writing or commit; by SIGUSR1 to mpirun; by the time limit. However long the step
# takes, the checkpoint is there within a second. FT_FAULT makes each happen at the same place every
# time (docs/reliability.md).
#
#   tests/program/stop.sh FTRUN SAMPLE_DATA
. "$(dirname "$0")/common.sh"
. "$here/broken.sh"

# stopped NAME RANKS FAULTS [KEY=VALUE...]: a run with these faults ends with status 75.
stopped() {
  local name=$1 ranks=$2 faults=$3 status=0
  shift 3
  FT_FAULT=$faults train "$ranks" "$@" || status=$?
  must "$name" [ "$status" -eq 75 ]
}

# Seconds between the request and the checkpoint, as the run says.
seconds_later() {
  sed -nE 's/.*its checkpoint was there ([0-9.]+) s later.*/\1/p' "$work/said"
}

# A signal at every phase: NAME, ranks, fault, step that must be committed, ranks that go on.
phases() {
  while IFS='|' read -r name ranks fault step again; do
    stopped "$name" "$ranks" "$fault"
    must "$name: the committed step" [ "$(newest)" = "$step" ]
    go_on "$name" "$again"
  done <<END
loading|3|load/1=usr1||2
first evaluation|2|evaluate@1/1=term||1
forward pass of the first step|3|forward@1/2=usr2||2
forward pass, one rank|1|forward@20/0=usr1|1|3
forward pass, all ranks|3|forward@10=usr1|1|2
backward pass, last rank|4|backward@7/3=int|3|1
update, which is finished first|3|update@4/1=usr1|4|2
update with a checkpoint due|2|update@2/0=usr1|2|3
evaluation, best checkpoint|3|evaluate@3/0=usr1|6|2
evaluation without checkpoint|2|evaluate@2/1=usr1|3|2
checkpoint being written|2|checkpoint.write@2/1=usr1,checkpoint.write@2/0=slow:0.5|4|3
checkpoint being committed|3|checkpoint.commit@2/2=usr1|4|1
last checkpoint being written|2|checkpoint.write@4/1=usr1,checkpoint.write@4=slow:0.5|7|2
END
}

# A step that takes half a minute, of which the other ranks wait in collectives.
long_step() {
  local begin=$SECONDS
  stopped "long step" 3 "forward@20/1=slow:30,backward@7/0=usr1"
  must "long step: in time" [ $((SECONDS - begin)) -lt 15 ]
  must "long step: checkpoint in time" awk -v s="$(seconds_later)" 'BEGIN { exit !(s < 1) }'
  go_on "long step" 2

  begin=$SECONDS
  stopped "long step, alone" 1 "forward@20=usr1,forward@21=slow:30"
  must "long step, alone: in time" [ $((SECONDS - begin)) -lt 10 ]
  go_on "long step, alone" 3
}

# What users do: SIGUSR1 to mpirun, which forwards it to all ranks.
to_mpirun() {
  local pid status=0 waited=0 begin
  FT_FAULT="forward@13=slow:60" mpirun --oversubscribe -np 3 "$ftrun" train "$work/config.json" \
    >"$work/said" 2>&1 </dev/null &
  pid=$!
  until grep -q "forward: slow" "$work"/run/log/rank-0.log 2>/dev/null; do
    sleep 0.05
    waited=$((waited + 1))
    [ "$waited" -lt 1200 ] || { kill -9 "$pid"; cat "$work/said" >&2; fail "the run did not begin"; }
  done
  begin=$SECONDS
  kill -USR1 "$pid"
  wait "$pid" || status=$?
  must "SIGUSR1 to mpirun" [ "$status" -eq 75 ]
  must "SIGUSR1 to mpirun: in time" [ $((SECONDS - begin)) -lt 8 ]
  must "SIGUSR1 to mpirun: the committed step" [ "$(newest)" = 2 ]
  go_on "SIGUSR1 to mpirun" 2
}

# The limit comes in the middle of a step that takes a minute; Slurm's end time does the same.
time_limit() {
  local begin=$SECONDS
  stopped "time limit" 2 "forward@13=slow:60" run.time_limit=8
  must "time limit: in time" [ $((SECONDS - begin)) -lt 12 ]
  must "time limit: reason" grep -q "stopped by the time limit after step 1 of 7" "$work/said"
  go_on "time limit" 1
  begin=$SECONDS
  SLURM_JOB_END_TIME=$(($(date +%s) + 8)) stopped "Slurm's end" 2 "forward@13=slow:60"
  must "Slurm's end: in time" [ $((SECONDS - begin)) -lt 12 ]
  go_on "Slurm's end" 3
}

# A second signal ends the process at once; the first one's checkpoint was not to be had, an earlier
# one stays.
second_signal() {
  local status=0
  FT_FAULT="checkpoint.write@2=slow:30,forward@30=usr1" mpirun --oversubscribe -np 2 "$ftrun" \
    train "$work/config.json" >"$work/said" 2>&1 </dev/null &
  local pid=$! waited=0 begin
  until grep -q "forward: usr1" "$work"/run/log/rank-0.log 2>/dev/null; do
    sleep 0.05
    waited=$((waited + 1))
    [ "$waited" -lt 1200 ] || { kill -9 "$pid"; cat "$work/said" >&2; fail "the run did not begin"; }
  done
  sleep 1
  begin=$SECONDS
  kill -USR2 "$pid"
  wait "$pid" || status=$?
  must "second signal" [ "$status" -ne 0 ]
  must "second signal: at once" [ $((SECONDS - begin)) -lt 10 ]
  must "second signal: the committed step" [ "$(newest)" = 2 ]
  go_on "second signal" 3
}

# A rank that dies leaves what was committed; the next run goes on from it.
killed() {
  while IFS='|' read -r name ranks fault again; do
    local status=0
    FT_FAULT=$fault train "$ranks" || status=$?
    must "$name" [ "$status" -ne 0 ]
    go_on "$name" "$again"
  done <<END
killed in a forward pass|3|forward@30/1=kill|2
killed in an update|2|update@5/0=kill|3
killed while a checkpoint is written|3|checkpoint.write@2/2=kill|1
killed before a commit|2|checkpoint.commit@3/0=kill|2
killed, alone|1|backward@40=kill|2
END
}

prepare_broken
phases
long_step
to_mpirun
time_limit
second_signal
killed
echo "$num_good broken runs went on to the unbroken one's metrics and weights"
