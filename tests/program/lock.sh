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

# The lock of a host of which nothing is known but what the file says; here flock proves that nobody
# holds it.
stale_is_taken_over() {
  mkdir -p "$work/run"
  echo '{"host":"elsewhere","pid":1,"job":"77","restart":"","started":1}' >"$work/run/lock"
  must "a stale lock" train 2
  must "a stale lock" grep -q "was left by process 1 on elsewhere, job 77" "$work/said"
  rm -rf "$work/run"
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
second_is_refused
killed_is_taken_over
stale_is_taken_over
silent_is_taken_over
echo "one writer at a time: $num_good runs equal the unbroken one"
