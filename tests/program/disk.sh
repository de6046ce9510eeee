#!/usr/bin/env bash
# Proves what a disk that fails does to a run: a checkpoint that cannot be written is a clear error, the
# ones before stay whole, and training goes on; what can be written later is; what is missing at the end
# is an error of its own, and the next run makes up for it. With faults made on purpose (FT_FAULT) at
# every step of writing, and, as root, on a disk that is really full or read-only.
#
#   tests/program/disk.sh FTRUN SAMPLE_DATA
. "$(dirname "$0")/common.sh"
. "$here/broken.sh"

# is_whole RUN: its metrics and checkpoints are as they were written.
is_whole() {
  "$ftrun" inspect "$1" >"$work/inspected" 2>&1 || { cat "$work/inspected" >&2; return 1; }
}

# One checkpoint fails, at one rank: the run ends well, and what is committed is whole.
one_fails() {
  local fault words
  while IFS='|' read -r fault words; do
    FT_FAULT="$fault=fail" train 2 || { cat "$work/said" >&2; fail "$fault: the run ended"; }
    must "$fault" grep -q "error: no checkpoint of step 4: .*$words" "$work/said"
    must "$fault: said once" [ "$(grep -c "error:" "$work/said")" -eq 1 ]
    [ ! -e "$work/run/checkpoints/step-00000004" ] || fail "$fault: left what was not committed"
    must "$fault" is_whole "$work/run"
    essence "$work/run" | diff "$work/wanted" - >&2 || fail "$fault: metrics differ"
    [ "$(export_sum "$work/run")" = "$wanted_sum" ] || fail "$fault: weights differ"
    rm -rf "$work/run"
  done <<END
file.create@2/1|cannot create: Read-only file system
file.write@3/1|cannot write: No space left on device
file.fsync@3/1|cannot fsync: Input/output error
file.rename@2/1|cannot rename .*: Input/output error
file.fsync_dir@2/1|cannot fsync: Input/output error
END
}

# None can be written: the run goes on to its end, and ends with status 74; the next begins again.
all_fail() {
  local status=0
  FT_FAULT="file.fsync/1=fail" train 2 || status=$?
  must "no checkpoint at all" [ "$status" -eq 74 ]
  must "no checkpoint at all" [ "$(grep -c '"grad_norm"' "$work/run/metrics.jsonl")" -eq 7 ]
  must "no checkpoint at all" grep -q "error: .*cannot fsync: Input/output error" "$work/said"
  must "no checkpoint at all" [ -z "$(newest)" ]
  go_on "no checkpoint at all" 1
  # stopped while the disk fails: the checkpoint before is what is left
  status=0
  FT_FAULT="file.fsync@4/1=fail,file.fsync@3/1=fail,forward@40/0=usr1" train 2 || status=$?
  must "stopped without a disk" [ "$status" -eq 74 ]
  must "stopped without a disk" [ "$(newest)" = 2 ]
  go_on "stopped without a disk" 3
}

# Rows that cannot be written are kept, and no checkpoint waits for them: it has them, also for a run that
# is killed before they could be written.
rows_are_kept() {
  FT_FAULT="metrics.write@2=fail,metrics.write@3=fail,metrics.write@4=fail" train 2 ||
    { cat "$work/said" >&2; fail "a full disk for some steps: the run ended"; }
  must "rows" grep -q "metrics.jsonl: cannot write: No space left .*kept in memory" "$work/said"
  must "rows" grep -q "can be written again; no row is lost" "$work/said"
  must "rows" grep -q "metrics.jsonl: cannot write.*; the checkpoint of step 2 has the rows that it lacks" "$work/said"
  go_on "rows" 1
  ! FT_FAULT="metrics.write=fail,backward@30/0=kill" train 2 || fail "rows, killed: was not killed"
  must "rows, killed: a checkpoint of step $(newest)" [ "$(newest)" -ge 2 ]
  [ ! -s "$work/run/metrics.jsonl" ] || fail "rows, killed: some were written"
  go_on "rows, killed" 2
}

# Files that are open for days and replaced meanwhile, by an editor, a rotation, a copy that is put back:
# the file that has the name is written to.
files_are_replaced() {
  local file pid
  FT_FAULT="forward@40=slow:3" train 1 &
  pid=$!
  wait_for 60 grep -qs "forward: slow" "$work/run/log/rank-0.log" || fail "the run did not begin"
  for file in metrics.jsonl log/rank-0.log; do
    cp "$work/run/$file" "$work/copy"
    mv "$work/copy" "$work/run/$file"
  done
  wait "$pid" || { cat "$work/said" >&2; fail "replaced files ended the run"; }
  must "replaced files" grep -q "metrics.jsonl: is another file than was written to.*opened again" "$work/said"
  grep -q "checkpoint of step 7" "$work/run/log/rank-0.log" || fail "the log ends where it was replaced"
  go_on "replaced files" 1
}

# `best` and the removal of old checkpoints are not worth a run.
little_things() {
  FT_FAULT="file.remove@3/0=fail" train 2
  must "removing fails" grep -q "older checkpoints stay: .*cannot remove" "$work/said"
  must "removing fails" is_whole "$work/run"
  go_on "removing fails" 2
}

# A disk of 7 MiB: one checkpoint of 4.6 MiB fits, a second does not. It is told before the first
# step, and nothing is left; a disk that fills while the run goes on ends nothing.
full_disk() {
  local status=0
  mkdir "$work/disk"
  mount -t tmpfs -o size=7m none "$work/disk" 2>/dev/null ||
    { echo "not tried: a full disk (mount needs root)"; return 0; }
  trap 'umount "$work/disk"; rm -rf "$work"' EXIT
  for check in "" --check; do
    status=0
    train 2 run.dir="$work/disk/run" $check || status=$?
    must "a small disk" [ "$status" -eq 74 ]
    must "a small disk" grep -q "run.dir: .*checkpoints need 0.01. GiB and 0.00. GiB are free" "$work/said"
    must "a small disk" [ -z "$(ls -A "$work/disk")" ]
  done
  head -c 7m /dev/zero >"$work/disk/other" 2>/dev/null || true
  status=0
  train 1 run.dir="$work/disk/a/run" --check || status=$?
  must "no byte left" [ "$status" -eq 74 ]
  must "no byte left" [ "$(ls -A "$work/disk")" = other ]
  rm "$work/disk/other"
  mount -o remount,size=30m "$work/disk"
  fills_up
  mount -o remount,size=100m "$work/disk"
  must "more room" train 1 run.dir="$work/disk/run"
  must "more room" grep -q "resuming after step 2" "$work/said"
  must "more room" equals "$work/disk/run"
  mount -o remount,ro "$work/disk"
  status=0
  train 2 run.dir="$work/disk/run" train.steps=9 || status=$?
  must "read-only" [ "$status" -eq 73 ]
  must "read-only" grep -q "Read-only file system" "$work/said"
  num_good=$((num_good + 1))
}

# Somebody else fills the disk once the checkpoint of step 2 is there.
fills_up() {
  local status=0 waited=0 pid
  FT_FAULT="backward@8/0=slow:4" train 2 run.dir="$work/disk/run" &
  pid=$!
  until [ -e "$work/disk/run/checkpoints/step-00000002/manifest.json" ]; do
    sleep 0.05
    waited=$((waited + 1))
    [ "$waited" -lt 1200 ] || fail "no checkpoint of step 2"
  done
  head -c 22m /dev/zero >"$work/disk/other" || true
  wait "$pid" || status=$?
  rm "$work/disk/other"
  must "a full disk" [ "$status" -eq 74 ]
  must "a full disk" grep -q "error: no checkpoint of step 4: .*needs 0.00. GiB and 0.00. GiB are free" \
    "$work/said"
  must "a full disk" is_whole "$work/disk/run"
}

prepare_broken
one_fails
all_fail
rows_are_kept
files_are_replaced
little_things
full_disk
echo "a failing disk: $num_good runs went on to the unbroken one's metrics and weights"
