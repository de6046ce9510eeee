#!/bin/sh
# A rank that fails ends the whole job: soon, with its code, and with exactly one line of output,
# whatever the others are doing.
# Alone: sh tests/comm/test_abort.sh mpirun build/tests/comm/abort_job
mpirun=$1 job=$2 failed=0

# expect RANKS HOW CODE MESSAGE-PATTERN [NODE-SIZE]
expect() {
  start=$(date +%s)
  output=$(FT_FAKE_NODE_SIZE=$5 timeout 60 "$mpirun" --oversubscribe -np "$1" "$job" "$2" 2>&1)
  status=$?
  seconds=$(($(date +%s) - start))
  lines=$(printf '%s\n' "$output" | wc -l)
  if [ $status -ne "$3" ] || [ "$lines" -ne 1 ] || [ $seconds -gt 15 ] ||
    ! printf '%s\n' "$output" | grep -q "^ftrun: error: $4\$"; then
    printf 'ranks %s, %s, nodes of %s: status %s (expected %s) after %s s, output:\n%s\n' \
      "$1" "$2" "${5:-all}" $status "$3" $seconds "$output"
    failed=1
  fi
}

expect 1 all 71 'rank 0 (host .*), step 8: no room anywhere'
expect 2 last 74 'rank 1 (host .*), step 7: the disk of rank 1 is gone'
expect 4 last 74 'rank 3 (host .*), step 7: the disk of rank 3 is gone' 2
expect 4 all 71 'rank [0-3] (host .*), step 8: no room anywhere'
expect 3 all 71 'rank 0 (host .*), step 8: no room anywhere' 1
expect 3 busy 65 'rank 2 (host .*), step 9: a bad file'
expect 2 short 70 'rank 0 (host .*), gather of block 3: rank 1 sent 50 bytes where 75 were expected'
expect 2 long 70 'rank 0 (host .*), gather of block 3: MPI_Test failed: MPI_ERR_TRUNCATE.*'
expect 2 all 64 'rank [01] (host .*), start: FT_FAKE_NODE_SIZE is "x", expected a number of ranks.*' x
exit $failed
