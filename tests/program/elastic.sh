#!/usr/bin/env bash
# Proves that a checkpoint of 4 ranks is read by 1, 3, 7 and 16 ranks and in every sharding stage with
# the same weights (one checksum, logged when it was written and at each resume), that all ranks
# together read each byte of it once, and that a checkpoint whose weights are others is refused.
#
#   tests/program/elastic.sh FTRUN SAMPLE_DATA
. "$(dirname "$0")/common.sh"
. "$here/broken.sh"

# read_once BYTES: what all ranks have read by their own account is that much, but for hashes.
read_once() {
  local found
  found=$(sed -nE 's/.* ([0-9.]+) MiB were read in .*/\1/p' "$work/said")
  must "$found MiB read, of $1 bytes" awk -v found="$found" -v bytes="$1" \
    'BEGIN { mib = bytes / 1048576; exit !(found > 0.95 * mib && found < 1.05 * mib) }'
}

checksum() {
  sed -nE "s/.*$1.* checksum ([0-9a-f]{16}).*/\1/p" "$work/said"
}

prepare
must "4 ranks" train 4 train.steps=2
written=$(checksum "checkpoint of step 2 written")
[ "${#written}" -eq 16 ] || fail "no checksum was logged"
bytes=$(cat "$work"/run/checkpoints/step-00000002/* | wc -c)
while read -r ranks stage; do
  must "$ranks ranks, stage $stage" train "$ranks" --check "sharding.stage=$stage"
  must "$ranks ranks, stage $stage" [ "$(checksum "weights at step 2")" = "$written" ]
  must "$ranks ranks" grep -q "resuming after step 2, written by 4 ranks, on $ranks ranks" "$work/said"
  read_once "$bytes"
done <<END
1 3
3 2
7 0
16 3
END

# other_weights MASTER: a checkpoint with this form of master weights, which are others when loaded.
other_weights() {
  local status=0
  FT_FAULT="restored/1=fail" train 2 --check "optimizer.master=$1" || status=$?
  must "other weights, $1: status $status" [ "$status" -eq 65 ]
  must "other weights, $1" grep -q "the weights of step 2 have checksum [0-9a-f]*, they had $written" \
    "$work/said"
}

other_weights fp32
for master in bf16+8 bf16; do
  rm -rf "$work/run"
  must "master $master" train 1 train.steps=2 "optimizer.master=$master"
  written=$(checksum "checkpoint of step 2 written")
  other_weights "$master"
done

bytes=$(wc -c <"$work/model/model.safetensors")
rm -rf "$work/run"
for stage in 3 0; do
  must "import, stage $stage" train 5 --check "sharding.stage=$stage"
  read_once "$bytes"
done
echo "one checksum on every number of ranks, and each byte read once"
