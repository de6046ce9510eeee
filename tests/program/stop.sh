#!/usr/bin/env bash
# Proves that a run that is stopped at any point leaves a checkpoint of its last finished step, with
# status 75, and goes on to the same metrics and weights as a run that was never stopped: by a signal
# at one rank or at all, while loading, in a forward or backward pass, an update, an evaluation, a
# checkpoint's writing or commit; by SIGUSR1 to mpirun; by the time limit. However long the step
# takes, the checkpoint is there within a second. FT_FAULT makes each happen at the same place every
# time (docs/reliability.md).
#
#   tests/program/stop.sh FTRUN SAMPLE_DATA [places|times]
#
# `places`: all but what is looked at to the second, which `times` is; without either, all.
. "$(dirname "$0")/common.sh"
. "$here/broken.sh"

# stopped NAME RANKS FAULTS STEP [KEY=VALUE...]: the run, begun or gone on with, meets these faults and
# ends with status 75; the step must be committed then. What comes next goes on from there.
stopped() {
  local name=$1 ranks=$2 faults=$3 step=$4 status=0
  shift 4
  FT_FAULT=$faults train "$ranks" "$@" || status=$?
  must "$name: status $status" [ "$status" -eq 75 ]
  must "$name: step $(newest) is committed" [ "$(newest)" = "$step" ]
}

# Seconds between the request and the checkpoint, as the run says.
in_a_second() {
  local seconds
  seconds=$(sed -nE 's/.*its checkpoint was there ([0-9.]+) s later.*/\1/p' "$work/said")
  must "$1: $seconds s" awk -v s="${seconds:-99}" 'BEGIN { exit !(s < 1) }'
}

# begun NAME POINT RANKS FAULTS: a run in the background (its process is $pid) has come to the point.
begun() {
  local name=$1 point=$2 ranks=$3 faults=$4 waited=0 seen
  seen=$(grep -c "at $point" "$work"/run/log/rank-0.log || true)
  FT_FAULT=$faults mpirun --oversubscribe -np "$ranks" "$ftrun" train "$work/config.json" \
    >"$work/said" 2>&1 </dev/null &
  pid=$!
  until [ "$(grep -c "at $point" "$work"/run/log/rank-0.log)" -gt "$seen" ]; do
    sleep 0.05
    waited=$((waited + 1))
    [ "$waited" -lt 1200 ] || { kill -9 "$pid"; cat "$work/said" >&2; fail "$name: never at $point"; }
  done
}

# A signal at one rank or at all, while loading, in passes, updates and evaluations. After the
# evaluation of step 6 was made up for, the job is killed: the next one must not take it for known.
passes() {
  local status=0
  stopped "loading" 3 "load/1=usr1" ""
  stopped "first evaluation" 2 "evaluate@1/1=term" ""
  stopped "first step" 3 "backward@1/2=usr2" ""
  stopped "update, which is finished first" 3 "update@1/1=usr1" 1
  stopped "backward pass, one rank" 1 "backward@27=usr1" 3
  stopped "evaluation, best checkpoint" 3 "evaluate@1=usr1,evaluate@1=sleep:0.5" 6
  FT_FAULT="backward@1/0=kill" train 2 || status=$?
  must "killed after an evaluation" [ "$status" -ne 0 ]
  stopped "last checkpoint being written" 2 \
    "checkpoint.write@1/1=usr1,checkpoint.write@1=slow:0.5" 7
  must "an evaluation that the checkpoint does not know of is made again" \
    grep -q "validation after step 6:" "$work/said"
  go_on "stopped in passes and evaluations" 3
  must "six steps" train 1 train.steps=6
  stopped "last evaluation" 2 "evaluate@1/1=usr1,evaluate@1=sleep:1" 7
  [ "$(grep -c '"validation"' "$work/run/metrics.jsonl")" -eq 3 ] || fail "the last evaluation was made"
  go_on "stopped in the last evaluation" 3
}

# Around checkpoints.
checkpoints() {
  stopped "backward pass, last rank" 4 "backward@3/3=int" 1
  stopped "update with a checkpoint due" 2 "update@1/0=usr1" 2
  stopped "checkpoint being written" 2 "checkpoint.write@1/1=usr1,checkpoint.write@1/0=slow:0.5" 4
  stopped "checkpoint being committed" 3 "checkpoint.commit@1/2=usr1,checkpoint.commit@1=sleep:0.5" 6
  go_on "stopped around checkpoints" 1
}

# Signals of terminals and of limits on processor time, which are repeated; one that is ignored; messages
# whose reader has gone away.
announced() {
  local status=0
  stopped "closed terminal" 2 "backward@7/1=hup" 1
  stopped "processor time" 1 "backward@13=xcpu,checkpoint.write@1=slow:0.5,checkpoint.commit@1=xcpu" 2
  (trap '' HUP && FT_FAULT="backward@1=hup,backward@20=usr1" exec "$ftrun" train "$work/config.json" \
    >"$work/said" 2>&1 </dev/null) || status=$?
  must "nohup: status $status" [ "$status" -eq 75 ]
  must "nohup: step $(newest) is committed" [ "$(newest)" = 3 ]
  "$ftrun" train "$work/config.json" train.steps=5 2> >(head -n 1 >"$work/said") </dev/null ||
    fail "a reader that goes away ended the run with $?"
  must "a reader that goes away: step $(newest)" [ "$(newest)" = 5 ]
  go_on "announced ends" 2
}

# Steps that take half a minute or more: other ranks wait in collectives, one rank alone computes, the
# time limit comes, or Slurm's end of the job.
long_steps() {
  local begin=$SECONDS
  stopped "long step" 3 "backward@5/1=slow:30,backward@5/0=usr1" 1
  in_a_second "long step"
  must "long step: in time" [ $((SECONDS - begin)) -lt 20 ]
  stopped "long step, alone" 1 "backward@25=usr1,backward@26=slow:30" 3
  in_a_second "long step, alone"
  begin=$SECONDS
  stopped "time limit" 2 "backward@7=slow:60" 4 run.time_limit=6
  must "time limit: reason" grep -q "stopped by the time limit after step 4 of 7" "$work/said"
  must "time limit: in time" [ $((SECONDS - begin)) -lt 15 ]
  begin=$SECONDS
  SLURM_JOB_END_TIME=$(($(date +%s) + 6)) stopped "Slurm's end" 3 "backward@5=slow:60" 5
  must "Slurm's end: in time" [ $((SECONDS - begin)) -lt 15 ]
  SLURM_JOB_END_TIME=$(($(date +%s) - 60)) stopped "an end in the past" 1 "backward@1=usr1" 5
  must "an end in the past" grep -q "SLURM_JOB_END_TIME=.* is in the past by 6[0-9] s" "$work/said"
}

# What users do: SIGUSR1 to mpirun, which forwards it to all ranks. Then the same while a checkpoint
# is written that takes long: a second signal ends the job at once and leaves what is committed.
signals_to_mpirun() {
  local status=0 begin pid
  begun "SIGUSR1 to mpirun" backward 3 "backward@1=slow:60"
  begin=$SECONDS
  kill -USR1 "$pid"
  wait "$pid" || status=$?
  must "SIGUSR1 to mpirun: status $status" [ "$status" -eq 75 ]
  must "SIGUSR1 to mpirun: in time" [ $((SECONDS - begin)) -lt 10 ]
  must "SIGUSR1 to mpirun: the committed step" [ "$(newest)" = 5 ]
  begun "second signal" backward 2 "checkpoint.write=slow:30,backward@7=usr1"
  sleep 1
  begin=$SECONDS status=0
  kill -USR2 "$pid"
  wait "$pid" || status=$?
  must "second signal" [ "$status" -ne 0 ]
  must "second signal: at once" [ $((SECONDS - begin)) -lt 10 ]
  must "second signal: the committed step" [ "$(newest)" = 5 ]
}

# A rank that dies leaves what was committed; the next run goes on from it.
killed() {
  local status
  while IFS='|' read -r name ranks fault step; do
    status=0
    FT_FAULT=$fault train "$ranks" || status=$?
    must "$name" [ "$status" -ne 0 ]
    must "$name: step $(newest) is committed" [ "$(newest)" = "$step" ]
  done <<END
killed in a backward pass|3|backward@13/1=kill|2
killed in an update|2|update@2/0=kill|2
killed while a checkpoint is written|3|checkpoint.write@1/2=kill|2
killed before a commit|2|checkpoint.commit@1/0=kill|2
killed, alone|1|backward@40=kill|4
END
  go_on "killed" 2
}

prepare_broken
if [ "${3:-places}" = places ]; then
  passes
  checkpoints
  announced
  killed
fi
if [ "${3:-times}" = times ]; then
  long_steps
  signals_to_mpirun
  go_on "stopped in long steps" 2
fi
echo "after every stop the run went on to the unbroken one's metrics and weights"
