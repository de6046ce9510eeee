#!/usr/bin/env bash
# Proves that launch/mpirun-loop.sh, as shipped, brings a run that crashes again and again to its end,
# equal to the unbroken one; that it gives up where nothing comes forward, and does not try again what
# cannot succeed; and that asking it to stop leaves a checkpoint. Also asking the batch script of
# launch/slurm, without a Slurm, whatever else comes at the same moment.
#
#   tests/cluster/loop.sh FTRUN SAMPLE_DATA
. "$(dirname "$0")/../program/common.sh"
. "$root/tests/program/broken.sh"

# loop FAULT OPTION... -- WORD...: what the script says goes to $work/said; returns its status.
loop() {
  local fault=$1 options=() status=0
  shift
  while [ "$1" != -- ]; do options+=("$1"); shift; done
  shift
  FT_FAULT=$fault timeout 100 "$root/launch/mpirun-loop.sh" "${options[@]}" "$@" \
    >"$work/said" 2>&1 </dev/null || status=$?
  return "$status"
}

# Each attempt is killed in its fourth update, and leaves a newer checkpoint than it found.
crashes() {
  must "crashes" loop "update@4=kill" -p 0 -- mpirun --oversubscribe -np 2 "$ftrun" train \
    "$work/config.json"
  must "crashes: attempts" [ "$(grep -c "ended with status 137 .*going on" "$work/said")" -eq 2 ]
  go_on "crashes" 1
}

fruitless() {
  local status=0
  loop "forward@1=usr1" -f 2 -p 0 -- "$ftrun" train "$work/config.json" || status=$?
  must "nothing comes forward" [ "$status" -eq 75 ]
  must "nothing comes forward" grep -q "giving up, 2 in a row brought no step forward" "$work/said"
  status=0
  loop "backward@13=kill" -a 1 -p 0 -- "$ftrun" train "$work/config.json" || status=$?
  must "no more attempts" [ "$status" -eq 137 ]
  must "no more attempts" grep -q "giving up after 1 attempts" "$work/said"
  rm -rf "$work/run"
}

mistakes() {
  local status=0
  loop "" -- "$ftrun" train "$work/config.json" train.steps=none || status=$?
  must "a wrong configuration" [ "$status" -eq 78 ]
  status=0
  loop "" -- "$ftrun" train "$work/config.json" model.path="$work/nothing" || status=$?
  must "a missing model" [ "$status" -eq 66 ]
  must "a missing model" [ "$(grep -c "does not exist" "$work/said")" -eq 1 ]
  status=0
  loop "" -- "$ftrun" eval "$work/config.json" || status=$?
  must "another command" [ "$status" -eq 64 ]
  rm -rf "$work/run"
}

# begin COMMAND...: in the background, in a process group of its own, $script; returns once the run is
# in its second step, where it stays.
begin() {
  set -m
  FT_FAULT="forward@13=slow:60" "$@" >"$work/said" 2>&1 </dev/null &
  script=$!
  set +m
  wait_for 60 grep -q "forward: slow" "$work/run/log/rank-0.log" 2>/dev/null ||
    { kill -KILL -- "-$script"; cat "$work/said" >&2; fail "the run did not begin"; }
}

# Ctrl-C at the script: its process group gets SIGINT.
asked_to_stop() {
  local status=0
  begin "$root/launch/mpirun-loop.sh" mpirun --oversubscribe -np 2 "$ftrun" train "$work/config.json"
  kill -INT -- "-$script"
  wait "$script" || status=$?
  must "asked to stop" [ "$status" -eq 75 ]
  must "asked to stop: the committed step" [ "$(newest)" -eq 1 ]
  go_on "asked to stop" 3
}

# A reader of the messages that goes away ends nothing, though mpirun itself would end.
without_a_reader() {
  local status=0
  (sleep 0.1; exec "$root/launch/mpirun-loop.sh" mpirun --oversubscribe -np 2 "$ftrun" train "$work/config.json") \
    </dev/null > >(exec true) 2> >(exec true) || status=$?
  must "without a reader" [ "$status" -eq 0 ]
  must "without a reader" equals "$work/run"
  rm -rf "$work/run"
}

# What Slurm does to the batch script ahead of a preemption: USR1 and CONT, of which either may be there
# first, or both at once. The script is not Slurm's here, so it cannot be queued again.
warned_by_slurm() {
  local status=0 signal name="warned by Slurm: $*"
  begin env SLURM_JOB_ID=1 FTRUN="$ftrun" FTRUN_LAUNCHER=mpirun PATH="$work/no-slurm:$PATH" \
    bash "$root/launch/slurm/ftrun.sbatch" "$work/config.json"
  for signal in "$@"; do kill "-$signal" "$script"; done
  wait "$script" || status=$?
  must "$name" [ "$status" -eq 75 ]
  must "$name" grep -q "stopped by SIGUSR1" "$work/said"
  go_on "$name" 1
}

# Slurm's commands that the batch script uses, of a Slurm that does not answer.
make_no_slurm() {
  mkdir "$work/no-slurm"
  printf '#!/bin/sh\nexit 1\n' | tee "$work/no-slurm/scontrol" >"$work/no-slurm/squeue"
  chmod +x "$work/no-slurm/"*
}

prepare_broken
crashes
fruitless
mistakes
asked_to_stop
without_a_reader
make_no_slurm
warned_by_slurm USR1
warned_by_slurm CONT USR1
warned_by_slurm STOP USR1 CONT
echo "$num_good runs came to the unbroken one's metrics and weights"
