#!/usr/bin/env bash
# Proves that `ftrun status` says where runs are: every state, in the table and as JSON; that it goes on behind a run
# that cannot be read; and that 100 long runs take less than a second.
#
#   tests/report/status.sh FTRUN MAKE_RUN
. "$(dirname "$0")/../program/common.sh"
ftrun=$(realpath "$1") make_run=$(realpath "$2")
cd "$work"

# same NAME: what was said is what is in the file NAME.
same() { diff -u "$1" said >&2 || fail "$1: status says something else"; }

"$make_run" finished 300 50 1
"$make_run" stopped 300 50 2
sed -i '/^{"step":2[1-9][0-9]/,$d' stopped/metrics.jsonl # as a kill leaves it
rm stopped/best
printf '{"step":211,"lo' >>stopped/metrics.jsonl
mkdir -p stopped/checkpoints/step-00000200 stopped/checkpoints/step-00000210
echo '{}' >stopped/checkpoints/step-00000200/manifest.json
"$make_run" new 100 50 3
rm new/metrics.jsonl new/best
"$make_run" epochs 20 50 1 one-set
sed -i 's/"steps":20/"steps":null,"epochs":2/' epochs/config.json
"$ftrun" status finished stopped new epochs >said
cat >expected <<'END'
RUN       STATE     STEP     LOSS    TOKENS/S  PEAK  LEFT   CHECKPOINT  EVALUATED                           BEST
finished  finished  300/300  1.2447  15418     75 %  0 s    -           300: domain 1.3730, general 2.2784  150: domain 1.2422, general 2.2576
END
head -n 2 said >first && mv first said
same expected
"$ftrun" status finished stopped new epochs >said
sed -E 's/ +/ /g' said | sed -n '3,$p' >lines && mv lines said
grep -qE '^stopped stopped 209/300 1\.[0-9]{4} [0-9]+ 7[0-9] % 3 min 200 200: domain [0-9.]+, general [0-9.]+ -$' said || fail "stopped: $(head -n 1 said)"
grep -qE '^new new 0/100 - - - - - - -$' said || fail "new: $(sed -n 2p said)"
grep -qE '^epochs stopped 20 [0-9.]+ ' said || fail "epochs: $(sed -n 3p said)"

# ---- held: the lock is taken, as a running job does; and left behind
exec 9>stopped/lock
flock 9
printf '{"host":"n012","pid":4242,"job":"77","restart":"","started":%s}' "$(date +%s)" >&9
cp -r new starting
exec 8>starting/lock
flock 8
"$ftrun" status stopped starting >said
grep -qE '^stopped +running ' said || fail "a held run is not running: $(cat said)"
grep -qE '^starting +starting ' said || fail "a held run without a step is not starting: $(cat said)"
grep -qE '^stopped: held by process 4242 on n012, job 77, last sign of life [0-9] s ago$' said || fail "the holder: $(tail -n 2 said)"
"$ftrun" status --json stopped finished >said
python3 - said <<'END'
import json, sys
held, done = [json.loads(line) for line in open(sys.argv[1])]
assert held["state"] == "running" and held["step"] == 209 and held["steps"] == 300, held
assert held["holder"]["host"] == "n012" and held["holder"]["pid"] == 4242 and held["holder"]["alive"], held
assert held["checkpoint"] == 200 and held["best"] is None, held
assert held["evaluated"]["step"] == 200 and "loss" in held["evaluated"]["validation"]["domain"], held
assert 120 < held["left_s"] < 300, held
assert done["state"] == "finished" and done["holder"] is None and done["left_s"] == 0, done
END
exec 9>&- 8>&-
touch -d '1 hour ago' stopped/lock
"$ftrun" status stopped >said
grep -qE '^stopped +lost ' said || fail "a run that was left behind is not lost: $(cat said)"
grep -q 'left behind by process 4242 on n012' said || fail "who left it: $(cat said)"

# ---- what cannot be read is named; the others are shown
found=0
mkdir none
"$ftrun" status none absent finished >said 2>errors || found=$?
[ "$found" -eq 65 ] || fail "a directory that is no run: status $found"
grep -q 'none: is no run directory' errors && grep -q 'absent: there is no such' errors || fail "errors: $(cat errors)"
grep -q '^finished ' said || fail "a good run behind bad ones is not shown"
for words in '' '--nosuch'; do
  found=0
  "$ftrun" status $words >said 2>&1 || found=$?
  [ "$found" -eq 64 ] || fail "status $words: $found"
done

# ---- 100 runs of 100,000 steps
"$make_run" long 100000 20000 1
runs=()
for ((i = 0; i < 100; i++)); do
  mkdir "long-$i"
  ln "$work"/long/* "long-$i"
  runs+=("long-$i")
done
begin=$(date +%s%N)
"$ftrun" status "${runs[@]}" >said
took=$((($(date +%s%N) - begin) / 1000000))
[ "$(grep -c ' 100000/100000 .* 80000: domain\| 100000/100000 ' said)" -eq 100 ] || fail "100 runs: $(head -n 3 said)"
[ "$took" -lt 1000 ] || fail "100 runs took $took ms"
echo "every state is told; 100 runs of 100,000 steps take $took ms"
