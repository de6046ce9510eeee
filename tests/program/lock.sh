#!/usr/bin/env bash
# Proves that a run directory has one writer: a second job is refused with status 73, naming host and
# process of the first, which is not disturbed; what a killed job has left is taken over; so is the
# lock of a holder that is silent for long, which then ends with status 73 and writes nothing more.
#
#   tests/program/lock.sh FTRUN SAMPLE_DATA
. "$(dirname "$0")/common.sh"
. "$here/broken.sh"

# begin_slow FAULT: a run in the background that is slow somewhere; its process id is in $pid.
begin_slow() {
  FT_FAULT=$1 "$ftrun" train "$work/config.json" >"$work/first" 2>&1 </dev/null &
  pid=$!
  local waited=0
  until grep -q "fault made" "$work"/run/log/rank-0.log 2>/dev/null; do
    sleep 0.05
    waited=$((waited + 1))
    [ "$waited" -lt 1200 ] || { kill -9 "$pid"; cat "$work/first" >&2; fail "the run did not begin"; }
  done
}

second_is_refused() {
  local status=0
  begin_slow "forward@40=slow:12"
  train 2 || status=$?
  must "second job" [ "$status" -eq 73 ]
  must "second job" grep -q "in use: process $pid on host $(hostname) trains there since" \
    "$work/said"
  wait "$pid" || fail "the first job was disturbed: $(cat "$work/first")"
  [ ! -e "$work/run/lock" ] || fail "a finished run left its lock"
  go_on "the first job" 1
}

killed_is_taken_over() {
  local status=0
  FT_FAULT="forward@40=kill" train 1 || status=$?
  [ -e "$work/run/lock" ] || fail "a killed run has no lock"
  must "what was killed" train 3
  must "what was killed" grep -q "was left by process .* taking over" "$work/said"
  go_on "what was killed" 2
}

# lock_of_elsewhere AGE [HOST RUN]: the lock of a host of which nothing is known but what the file says.
lock_of_elsewhere() {
  local run=$work/${3:-run}
  mkdir -p "$run"
  echo "{\"host\":\"${2:-elsewhere}\",\"machine\":\"another\",\"pid\":1,\"job\":\"77\",\"restart\":\"\",\"started\":1}" \
    >"$run/lock"
  touch -d "$1 seconds ago" "$run/lock"
}

# The filesystem's clock was set back by an hour: a sign of life that lies ahead is waited for no longer than
# others. Beside the other cases, because it takes a while.
clock_set_back() {
  lock_of_elsewhere -3600 elsewhere late
  timeout 60 "$ftrun" train "$work/config.json" run.dir="$work/late" train.steps=1 >"$work/late-said" 2>&1 </dev/null
}

# Whoever waits for a silent holder can be stopped.
waiting_is_stopped() {
  local status=0 begin=$SECONDS
  lock_of_elsewhere 0
  "$ftrun" train "$work/config.json" >"$work/said" 2>&1 </dev/null &
  pid=$!
  until grep -q "waiting for the next" "$work/said"; do
    [ $((SECONDS - begin)) -le 20 ] || fail "nobody waits"
    sleep 0.1
  done
  kill -TERM "$pid"
  wait "$pid" || status=$?
  must "a stop while waiting: status $status" [ "$status" -eq 75 ]
  must "a stop while waiting" [ -e "$work/run/lock" ]
  rm -rf "$work/run"
}

# Here flock proves that nobody holds it, unless there are signs of life: none come.
stale_is_taken_over() {
  lock_of_elsewhere 20
  must "a stale lock" train 2
  must "a stale lock" grep -q "was left by process 1 on elsewhere, job 77" "$work/said"
  rm -rf "$work/run"
}

# A sign of life some seconds ago: it is waited for the next, and none comes.
fresh_is_waited_for() {
  lock_of_elsewhere 11
  must "a silent lock" train 1
  must "a silent lock" grep -q "held by process 1 on elsewhere, job 77, whose last sign of life is 1[0-9] s old: waiting" \
    "$work/said"
  must "a silent lock" grep -q "was left by process 1 on elsewhere" "$work/said"
  rm -rf "$work/run"
}

# Locks are each host's own (NFS with local_lock): the lock can be had, but signs of life come. The host has
# the name of this one, as containers may.
signs_beat_locks() {
  local status=0 beat
  lock_of_elsewhere 0 "$(hostname)"
  (while sleep 1; do touch "$work/run/lock"; done) &
  beat=$!
  train 1 || status=$?
  kill "$beat"
  must "signs of life: status $status" [ "$status" -eq 73 ]
  must "signs of life" grep -q "in use: process 1 on host $(hostname), job 77" "$work/said"
  rm -rf "$work/run"
}

# The lock is removed by hand, and the handle of the file is as good as gone: nobody else is there.
removed_is_taken_again() {
  local status=0
  begin_slow "forward@40=slow:2"
  rm "$work/run/lock"
  wait "$pid" || fail "a removed lock ended the run: $(cat "$work/first")"
  grep -q "lock was removed while this job held it: it is taken again" "$work/first" || fail "not said: a removed lock"
  go_on "a removed lock" 1
  begin_slow "forward@40=slow:2"
  cp "$work/run/lock" "$work/copy" && mv "$work/copy" "$work/run/lock"
  wait "$pid" || fail "a restored lock ended the run: $(cat "$work/first")"
  go_on "a restored lock" 1
}

# The directory is renamed: a link is left in its old place, by which all ranks go on, and resumes too.
# Where another directory has the name meanwhile, nothing is written there.
renamed_is_followed() {
  local status=0
  begin_slow "forward@40=slow:2"
  mv "$work/run" "$work/renamed"
  wait "$pid" || fail "a renamed directory ended the run: $(cat "$work/first")"
  grep -q "run was renamed to .*/renamed: a link is left in its old place" "$work/first" || fail "not said: renamed"
  [ -L "$work/run" ] && [ -d "$work/renamed/checkpoints" ] || fail "renamed: no link, or no directory"
  equals "$work/renamed" || fail "renamed: not the unbroken run"
  rm -rf "$work/run" "$work/renamed"
  begin_slow "forward@40=slow:2"
  mv "$work/run" "$work/renamed"
  mkdir "$work/run"
  wait "$pid" || status=$?
  [ "$status" -eq 73 ] || fail "replaced directory: status $status: $(cat "$work/first")"
  grep -q "was renamed to .*/renamed, and .*/run is another one now" "$work/first" || fail "not said: replaced"
  [ -z "$(ls "$work/run")" ] || fail "replaced directory: $(ls "$work/run")"
  rm -rf "$work/run" "$work/renamed"
}

# Silent for ten minutes, though its process lives: it is stopped, and goes on later.
silent_is_taken_over() {
  local status=0
  begin_slow "forward@40=freeze"
  touch -d '10 minutes ago' "$work/run/lock"
  must "a silent holder" train 2
  must "a silent holder" grep -q "taking over" "$work/said"
  essence "$work/run" >"$work/before"
  kill -CONT "$pid"
  wait "$pid" || status=$?
  [ "$status" -eq 73 ] || fail "the silent holder ended with $status: $(cat "$work/first")"
  grep -q "another job has taken over" "$work/first" || fail "said: $(cat "$work/first")"
  essence "$work/run" | cmp -s - "$work/before" || fail "the silent holder wrote metrics"
  go_on "a silent holder" 1
}

prepare_broken
clock_set_back &
late=$!
second_is_refused
killed_is_taken_over
stale_is_taken_over
fresh_is_waited_for
waiting_is_stopped
signs_beat_locks
removed_is_taken_again
renamed_is_followed
silent_is_taken_over
wait "$late" || fail "a clock that was set back: $(cat "$work/late-said")"
grep -q "was left by process 1 on elsewhere, job 77" "$work/late-said" || fail "said: $(cat "$work/late-said")"
echo "one writer at a time: $num_good runs equal the unbroken one"
