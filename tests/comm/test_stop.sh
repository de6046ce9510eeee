#!/bin/sh
# A job that is asked to stop stops: every rank after the same section, with collectives that work
# afterwards, with status 75 and without noise, within a second though a rank is late by thirty.
# Alone: sh tests/comm/test_stop.sh mpirun build/tests/comm/stop_job
mpirun=$1 job=$2 failed=0

# expect RANKS NODE-SIZE SEED HOW STATUS-PATTERN OUTPUT-PATTERN
expect() {
  start=$(date +%s)
  output=$(FT_FAKE_NODE_SIZE=$2 timeout 60 "$mpirun" --oversubscribe -np "$1" "$job" "$3" $4 2>&1)
  status=$?
  seconds=$(($(date +%s) - start))
  if ! printf '%s' $status | grep -qx "$5" || [ $seconds -gt 15 ] ||
    ! printf '%s\n' "$output" | grep -qx "$6" || [ "$(printf '%s\n' "$output" | wc -l)" -ne 1 ]; then
    printf 'ranks %s, nodes of %s, seed %s %s: status %s after %s s, output:\n%s\n' \
      "$1" "${2:-all}" "$3" "$4" $status $seconds "$output"
    failed=1
  fi
}

stopped='stopped by SIGUSR1 after section [0-9]*, 0\.[0-9] s later'
seed=1
for layout in '1 0' '2 0' '2 1' '3 0' '3 2' '4 2' '4 -2' '5 1'; do
  for again in 1 2; do
    expect ${layout% *} ${layout#* } $seed '' 75 "$stopped"
    seed=$((seed + 1))
  done
  expect ${layout% *} ${layout#* } $seed late 75 "$stopped"
  expect ${layout% *} ${layout#* } $seed end '0\|75' "$stopped\|finished"
done
exit $failed
