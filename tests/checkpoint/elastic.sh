#!/bin/sh
# elastic.sh MPIRUN TEST_ELASTIC: saves on 1 to 4 ranks, restores each on 1 to 4 ranks.
set -e
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
for ranks in 1 2 3 4; do
  "$1" --oversubscribe -np $ranks "$2" save "$dir"
done
for ranks in 1 2 3 4; do
  "$1" --oversubscribe -np $ranks "$2" restore "$dir"
done
