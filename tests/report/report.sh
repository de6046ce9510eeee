#!/usr/bin/env bash
# Proves that `ftrun report` writes one page that stands alone, in well-formed HTML and SVG, with a picture for each
# kind of number and a place for everything the files say; that texts of people cannot break it; that --csv leaves
# nothing out; and that a run of 100,000 steps gives a page of less than 3 MB in a few seconds.
#
#   tests/report/report.sh FTRUN MAKE_RUN
. "$(dirname "$0")/../program/common.sh"
ftrun=$(realpath "$1") make_run=$(realpath "$2")
cd "$work"

# check PAGE WORDS...: the page is well formed, asks for nothing from elsewhere, and has the words in its text.
check() {
  python3 "$here/../report/check_page.py" "$@" || fail "$1"
}

"$make_run" one 600 50 1 rewards samples
quietly "$ftrun" report one --svg pictures --csv numbers.csv
check report.html one 'Training loss' 'Validation loss' Forgetting 'Rewards, training' 'Reward margin' 'Learning rate' \
  'Gradient norm' Throughput 'Share of peak' 'Resident memory' 'best: 1.2422 at step 300' 'mean of the 15 steps' \
  'after step 150' finished '13 evaluations' '600 training steps, one of every 24' 'n01 (2 ranks), n02 (1 rank)' 'ftrun train a.json' OMP_NUM_THREADS=8 \
  'a run was resumed there' '3.0 GiB' '75 s, 75.0 %' Configuration optimizer.lr 1e-5 Environment Samples 'Who <lives> in the mill?' 'The miller & his cat, step 600.'

# ---- the pictures alone
[ "$(ls pictures | wc -l)" -ge 12 ] || fail "only $(ls pictures | wc -l) pictures"
python3 - pictures/*.svg <<'END' || fail "pictures"
import sys, xml.etree.ElementTree as tree
for path in sys.argv[1:]:
    root = tree.parse(path).getroot()
    names = {e.tag.rsplit("}")[-1] for e in root.iter()}
    assert {"title", "desc", "path", "text", "style"} <= names, (path, names)
    assert "http" not in open(path).read().replace("http://www.w3.org/2000/svg", ""), path
END

# ---- all numbers
python3 - numbers.csv one/metrics.jsonl <<'END' || fail "numbers.csv"
import csv, json, sys
rows = list(csv.DictReader(open(sys.argv[1])))
assert len(rows) == 601 and [int(r["step"]) for r in rows] == list(range(601)), len(rows)
for line in open(sys.argv[2]):
    row = json.loads(line)
    found = rows[row["step"]]
    if "validation" in row:
        assert float(found["validation.general.loss"]) == row["validation"]["general"]["loss"]
    else:
        assert float(found["loss"]) == row["loss"] and float(found["rewards.margin"]) == row["rewards"]["margin"]
END
"$ftrun" report one --out - >page.html
check page.html 'Training loss'
"$ftrun" report one --csv - --out page.html 2>/dev/null | cmp - numbers.csv || fail "--csv -"

# ---- several runs, among them one with less in it, and texts that would break a page
mkdir -p deep/one
"$make_run" deep/one 300 50 2
sed -i 's/"lr":1e-5/"lr":2e-5/; s/models\/tiny/<script>\\"\&x/' deep/one/config.json
"$make_run" short 3 50 3 one-set
rm short/best
quietly "$ftrun" report one/ deep/one short --out several.html
check several.html deep/one short 'Validation loss: domain' 'Validation loss: general' 'What differs' 1e-5 2e-5 '<script>"&x'
grep -q '<script>"&' several.html && fail "a text of people is not escaped"
"$make_run" empty 10 50 1
: >empty/metrics.jsonl
quietly "$ftrun" report empty --out empty.html
rm empty/history.jsonl empty/usage.json
quietly "$ftrun" report empty --out empty.html
check empty.html 'not recorded' empty 'nothing was evaluated'

# ---- names of any kind and length
mkdir names
long=$(printf 'ä%.0s' {1..80})
printf '{"step":0,"validation":{"%s":{"loss":2},"a.b\\"<&":{"loss":1}}}\n{"step":1,"loss":2}\n' "$long" >names/metrics.jsonl
printf '{"train":{"steps":1}}\n' >names/config.json
cp -r names $'names\xff'
quietly "$ftrun" report names $'names\xff' --out names.html --svg names-svg
check names.html 'a.b"<&'
python3 -c 'import sys, xml.etree.ElementTree as t; [t.parse(p) for p in sys.argv[1:]]' names-svg/*.svg || fail "pictures with such names"

# ---- what is refused
refused() {
  local status=$1 words=$2 found=0
  shift 2
  "$ftrun" report "$@" >said 2>&1 || found=$?
  [ "$found" -eq "$status" ] || fail "report $*: status $found, not $status"
  grep -qF -- "$words" said || fail "report $*: not said: $words; but $(cat said)"
}
refused 66 'absent: there is no such run directory' absent
mkdir none
refused 65 'none: is no run directory' none
refused 64 '9 runs' one one one one one one one one one
refused 64 'the run directory is missing'
refused 73 'nowhere/page.html' one --out nowhere/page.html
refused 64 'into each other' one --out - --csv -
cp -r one broken
printf '{"step":601,}\n' >>broken/metrics.jsonl
refused 65 'broken/metrics.jsonl:614' broken

# ---- long
"$make_run" long 100000 500 1 rewards samples
begin=$(date +%s%N)
quietly "$ftrun" report long --out long.html
took=$((($(date +%s%N) - begin) / 1000000))
bytes=$(stat -c %s long.html)
[ "$bytes" -lt 3000000 ] || fail "the page of 100,000 steps has $bytes bytes"
[ "$took" -lt 20000 ] || fail "the page of 100,000 steps took $took ms"
check long.html 'mean of the 2501 steps' 'from the lowest to the highest'
echo "the page of 100,000 steps has $((bytes / 1000)) kB and took $took ms"
