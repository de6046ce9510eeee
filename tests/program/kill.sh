#!/usr/bin/env bash
# Proves that a run that is killed goes on to the unbroken run's metrics and weights: SIGKILL at every
# step of writing and pruning checkpoints (FT_FAULT), and SIGKILL of one rank, of all ranks or of
# mpirun at random moments. After each, what is committed is whole.
#
#   tests/program/kill.sh FTRUN SAMPLE_DATA             a few of each, other ones for another SEED
#   tests/program/kill.sh FTRUN SAMPLE_DATA steps       every step of every checkpoint, alone and on 2 ranks
#   tests/program/kill.sh FTRUN SAMPLE_DATA moments N   N random moments
#
# SEED from the environment (1). Nothing depends on what a moment happens to hit.
. "$(dirname "$0")/common.sh"
. "$here/broken.sh"
seed=${SEED:-1}

# Everything that a checkpoint's writing does to the disk, by any thread (docs/reliability.md).
points=(file.create file.write file.fsync file.rename file.fsync_dir file.remove
  checkpoint.write checkpoint.commit)

# random N: a number below N, the next of the seed's.
random_state=$seed
random() {
  random_state=$(((random_state * 1103515245 + 12345) & 0x7fffffff))
  drawn=$(((random_state >> 8) % $1))
}

# What is committed must be whole, whatever was happening.
committed_is_whole() {
  local manifest
  for manifest in "$work"/run/checkpoints/*/manifest.json; do
    [ -e "$manifest" ] || continue
    "$ftrun" inspect "${manifest%/*}" >"$work/inspected" 2>&1 || return 1
  done
}

# killed_at NAME RANKS RULE: false if the run came to its end, so that the rule was never met.
killed_at() {
  local name=$1 ranks=$2 status=0
  FT_FAULT="$3=kill" train "$ranks" || status=$?
  [ "$status" -ne 0 ] || { rm -rf "$work/run"; return 1; }
  must "$name" committed_is_whole
  random 3
  go_on "$name" $((1 + drawn))
}

# Every time a rank comes to a point, until it does not come there so often.
every_step() {
  local ranks=$1 rank=$2 point n
  for point in "${points[@]}"; do
    n=1
    while killed_at "$point $n at rank $rank of $ranks" "$ranks" "$point@$n/$rank"; do
      n=$((n + 1))
    done
    echo "$point: $((n - 1)) times at rank $rank of $ranks"
  done
}

# The same where a run has nothing left but its last evaluation, of which its checkpoint is then told.
every_step_of_telling() {
  local point n status
  for point in file.create file.write file.fsync file.rename file.fsync_dir; do
    for ((n = 1; ; n++)); do
      must "six steps" train 1 train.steps=6
      status=0
      FT_FAULT="evaluate@1/1=usr1,evaluate@1=sleep:1" train 2 || status=$?
      must "stopped in the last evaluation: status $status" [ "$status" -eq 75 ]
      killed_at "$point $n of telling a checkpoint" 2 "$point@$n/0" || break
    done
    echo "$point: $((n - 1)) times when a checkpoint is told of an evaluation"
  done
}

some_steps() {
  local point
  for point in "${points[@]}"; do
    random 3
    killed_at "$point at a run's checkpoint" 1 "$point@$((4 + drawn))" ||
      killed_at "$point at a run's checkpoint" 1 "$point@$((2 + drawn))" || true
  done
  killed_at "the last of two files" 2 "file.fsync@2/1" || fail "rank 1 writes no second checkpoint"
}

# ---- moments

# ranks_of MPIRUN: the process ids of its ranks.
ranks_of() {
  pgrep -P "$1" -f "$ftrun" || true
}

# kill_at_moment RANKS VICTIM MOMENT: VICTIM is one, all or mpirun; MOMENT counts thousandths of the
# unbroken run's time.
kill_at_moment() {
  local ranks=$1 victim=$2 moment=$3 launcher pids one status=0
  FT_FAULT="forward=slow:0.01,checkpoint.write=slow:0.05" mpirun --oversubscribe -np "$ranks" \
    "$ftrun" train "$work/config.json" >"$work/said" 2>&1 </dev/null &
  launcher=$!
  sleep "$(awk -v m="$moment" -v s="$unbroken_s" 'BEGIN { print m * s / 1000 }')"
  mapfile -t pids < <(ranks_of "$launcher")
  case $victim in
    mpirun) pids+=("$launcher"); kill -KILL "$launcher" 2>/dev/null || true ;;
    all) [ ${#pids[@]} -eq 0 ] || kill -KILL "${pids[@]}" 2>/dev/null || true ;;
    one)
      random "$ranks"
      one=${pids[$drawn]:-}
      [ -z "$one" ] || kill -KILL "$one" 2>/dev/null || true
      ;;
  esac
  wait "$launcher" 2>/dev/null || status=$?
  wait_for 30 are_gone "${pids[@]}" || fail "$name: ranks go on without mpirun"
}

are_gone() {
  local pid
  for pid in "$@"; do
    [ ! -e "/proc/$pid" ] || [ "$(sed -E 's/.*\) (.).*/\1/' "/proc/$pid/stat" 2>/dev/null)" = Z ] ||
      return 1
  done
}

moments() {
  local count=$1 i ranks victims=(one all mpirun) victim begin moment name
  begin=$(date +%s%N)
  FT_FAULT="forward=slow:0.01,checkpoint.write=slow:0.05" train 2
  unbroken_s=$(awk -v ns=$(($(date +%s%N) - begin)) 'BEGIN { print ns / 1e9 }')
  rm -rf "$work/run"
  for ((i = 0; i < count; i++)); do
    victim=${victims[$((i % 3))]}
    random 3
    ranks=$((1 + drawn))
    random 1000
    moment=$drawn name="$victim of $ranks ranks killed at $drawn thousandths"
    kill_at_moment "$ranks" "$victim" "$moment"
    must "$name" committed_is_whole
    random 3
    go_on "$name" $((1 + drawn))
  done
}

prepare_broken
case ${3:-} in
  "") some_steps; moments 3 ;;
  steps) every_step 1 0; every_step 2 0; every_step 2 1; every_step_of_telling ;;
  moments) moments "${4:-200}" ;;
  *) fail "kill.sh: \"$3\" is not known" ;;
esac
echo "$num_good killed runs went on to the unbroken one's metrics and weights (seed $seed)"
