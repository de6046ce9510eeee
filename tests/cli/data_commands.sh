#!/usr/bin/env bash
# Proves what `ftrun prep` and `ftrun tokenize` promise on the command line: what goes to standard
# output, exit statuses, and that neither needs MPI.
#
#   tests/cli/data_commands.sh FTRUN
. "$(dirname "$0")/../program/common.sh"
ftrun=$1
model=$work/model
num_checked=0

# expect STATUS WORDS COMMAND...: the command ends with this status and says these words; what it
# prints on standard output is left in $work/out.
expect() {
  local status=$1 words=$2 found=0
  shift 2
  "$@" >"$work/out" 2>"$work/err" </dev/null || found=$?
  [ "$found" -eq "$status" ] || { cat "$work/err" >&2; fail "$*: status $found, not $status"; }
  grep -qF -- "$words" "$work/out" "$work/err" || { cat "$work/err" >&2; fail "$*: no \"$words\""; }
  num_checked=$((num_checked + 1))
}

# prints EXPECTED: standard output of the last command, whole.
prints() {
  diff <(printf '%s\n' "$1") "$work/out" >&2 || fail "other output than expected"
}

quietly "$ftrun" init --config "$here/../program/identity-tied.json" --seed 1 --out "$model"

# ---- tokenize
printf '%s\n' '{"text":"ab"}' '' '{"text":""}' '{"text":"<|im_end|>c","more":1}' >"$work/in.jsonl"
expect 0 '' "$ftrun" tokenize --model "$model" "$work/in.jsonl"
prints '{"ids":[97,98]}
{"ids":[]}
{"ids":[]}
{"ids":[260,99]}'
"$ftrun" tokenize --model "$model" <"$work/in.jsonl" | diff - "$work/out" || fail "standard input"

printf '%s\n' '{"prompt":"a","completion":"b"}' >"$work/chat.jsonl"
expect 0 '' "$ftrun" tokenize --model "$model" --chat "$work/chat.jsonl"
header='259,117,115,101,114,10,97,260,10,259,97,115,115,105,115,116,97,110,116,10'
zeros='0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0'
prints "{\"ids\":[$header,98,260,10],\"loss_mask\":[$zeros,1,1,0]}"
expect 0 '«b│<|im_end|>»' "$ftrun" tokenize --model "$model" --chat --show "$work/chat.jsonl"
expect 0 $'\033[4;32mb' "$ftrun" tokenize --model "$model" --chat --show --color always "$work/chat.jsonl"
NO_COLOR=1 expect 0 '«b' "$ftrun" tokenize --model "$model" --chat --show "$work/chat.jsonl"

# it needs the tokenizer's files only
mkdir "$work/tokenizer"
cp "$model"/tokenizer*.json "$work/tokenizer"
expect 0 "$header" "$ftrun" tokenize --model "$work/tokenizer" --chat "$work/chat.jsonl"

expect 65 'chat.jsonl:1: {"text": "…"} was expected' "$ftrun" tokenize --model "$model" "$work/chat.jsonl"
expect 64 'one file at a time' "$ftrun" tokenize --model "$model" "$work/in.jsonl" "$work/in.jsonl"
{ cat "$work/chat.jsonl"; echo '{"messages":[{"content":"a"}]}'; } >"$work/half.jsonl"
expect 65 'half.jsonl:2: "messages": message 1: "role" is missing' "$ftrun" tokenize --model "$model" --chat "$work/half.jsonl"
[ "$(wc -l <"$work/out")" -eq 1 ] || fail "the line before the bad one is not there"
status=0
printf '\nx' | "$ftrun" tokenize --model "$model" >"$work/out" 2>"$work/err" || status=$?
[ $status -eq 65 ] && grep -qF 'standard input:2: is no JSON' "$work/err" || fail "a bad line of standard input"
expect 66 'absent' "$ftrun" tokenize --model "$model" "$work/absent"
expect 66 'absent' "$ftrun" tokenize --model "$work/absent" "$work/in.jsonl"
expect 64 'model is missing' "$ftrun" tokenize
expect 64 'chatml' "$ftrun" tokenize --model "$model" --template vicuna
expect 64 '--color' "$ftrun" tokenize --model "$model" --color red

# ---- prep
for i in $(seq 200); do printf '{"prompt":"question %d","completion":"answer %d"}\n' "$i" "$i"; done >"$work/many.jsonl"
expect 0 'cannot forge a turn' "$ftrun" tokenize --model "$model" --check-template
expect 0 'written as when they were the last' "$ftrun" tokenize --model "$model" --check-template
rm "$work/tokenizer/tokenizer_config.json"
expect 65 'has no chat template' "$ftrun" tokenize --model "$work/tokenizer" --check-template
expect 64 'expected a date' "$ftrun" tokenize --model "$model" --chat --date tomorrow
expect 64 'all, last or marked' "$ftrun" tokenize --model "$model" --chat --train-on some
expect 0 "template    model (the model's own)" "$ftrun" prep --model "$model" --input "$work/many.jsonl" --out "$work/data"
grep -Eq '^all +200 ' "$work/out" || fail "the report lacks the sum"
expect 0 'template      model ' "$ftrun" inspect "$work/data/train/00000.h5"
grep -q 'today was' "$work/out" && fail "a date is recorded that the template does not read"
# a template that reads the date: it is fixed and recorded
cp -r "$model" "$work/dated"
printf "{{ strftime_now('%%d.%%m.%%Y') }}{%% for m in messages %%}<|im_start|>{{ m.content }}<|im_end|>{%% endfor %%}" \
  >"$work/dated/chat_template.jinja"
expect 0 '3│1│.│0│1│.│2│0│2│6' "$ftrun" prep --model "$work/dated" --input "$work/many.jsonl" --out "$work/dated-data" \
  --date 2026-01-31 --show
expect 0 '2026-01-31T12:00:00' "$ftrun" inspect "$work/dated-data/train/00000.h5"
for set in train validation test; do
  [ -s "$work/data/$set/00000.h5" ] || fail "$set has no shard"
done
expect 73 '--overwrite' "$ftrun" prep --model "$model" --input "$work/many.jsonl" --out "$work/data"
cp -r "$work/data" "$work/before"
expect 0 '' "$ftrun" prep --model "$model" "$work/many.jsonl" --out "$work/data/" --overwrite --threads 3
cmp "$work/before/train/00000.h5" "$work/data/train/00000.h5" || fail "threads changed a shard"
expect 0 '«a│n│s│w│e│r' "$ftrun" prep --model "$model" --show -i "$work/many.jsonl" -o "$work/shown"

# a pipe, and two inputs
expect 0 '' "$ftrun" prep --model "$model" --input <(head -n 50 "$work/many.jsonl") <(tail -n 150 "$work/many.jsonl") --out "$work/piped"
cmp "$work/before/train/00000.h5" "$work/piped/train/00000.h5" || fail "a pipe changed a shard"

{ sed -n 1,3p "$work/many.jsonl"; echo '{"foo":1}'; echo '{"text":'; } >"$work/bad.jsonl"
expect 65 'bad.jsonl:4: is of no known form' "$ftrun" prep --model "$model" --input "$work/bad.jsonl" --out "$work/none"
grep -qF 'bad.jsonl:5: is no JSON: column 9: the text ends' "$work/err" || fail "the second bad line is not shown"
[ ! -e "$work/none" ] || fail "a refused run wrote something"
expect 0 '2 bad' "$ftrun" prep --model "$model" --input "$work/bad.jsonl" --out "$work/some" --skip-bad-lines --validation 0 --test 0
for i in $(seq 30); do echo '{x'; done >"$work/bad30.jsonl"
expect 65 '30 of 30 lines' "$ftrun" prep --model "$model" --input "$work/bad30.jsonl" --out "$work/none"
[ "$(grep -c 'is no JSON' "$work/err")" -eq 20 ] || fail "not 20 bad lines were shown"

expect 64 '--out is missing' "$ftrun" prep --model "$model" --input "$work/many.jsonl"
expect 64 '--validation' "$ftrun" prep --model "$model" --input "$work/many.jsonl" --out "$work/none" --validation 2
expect 64 'positions' "$ftrun" prep --model "$model" --input "$work/many.jsonl" --out "$work/none" --seq-len 100000
expect 66 'absent' "$ftrun" prep --model "$model" --input "$work/absent" --out "$work/none"
expect 66 'absent' "$ftrun" prep --model "$work/absent" --input "$work/many.jsonl" --out "$work/none"
cp -r "$model" "$work/small"
rm "$work/small/ftrun.sha256" # it is changed on purpose
sed -i -e 's/"vocab_size": 263/"vocab_size": 260/' -e 's/^    257,/    257/' -e '/^    260/d' "$work/small/config.json"
expect 65 'does not fit' "$ftrun" prep --model "$work/small" --input "$work/many.jsonl" --out "$work/none"
grep -qF "$work/small/tokenizer.json" "$work/err" || fail "the tokenizer's file is not named"
grep -qF "$work/small/config.json" "$work/err" || fail "the config is not named"
[ ! -e "$work/none" ] || fail "a refused run wrote something"

# several ranks, whose files come in another order, and a compressed one: the same bytes
mkdir "$work/parts"
split -n l/3 "$work/many.jsonl" "$work/parts/"
for part in "$work/parts/"a?; do mv "$part" "$part.jsonl"; done
expect 0 '' "$ftrun" prep --model "$model" --input "$work/parts" --out "$work/one" --clean
if command -v mpirun >/dev/null; then
  expect 0 'prompt/completion' mpirun --oversubscribe -np 3 "$ftrun" prep --model "$model" "$work/parts/ac.jsonl" \
    "$work/parts/aa.jsonl" "$work/parts/ab.jsonl" --out "$work/three" --clean
  diff -r "$work/one" "$work/three" || fail "ranks changed the result"
fi
gzip -k "$work/many.jsonl"
expect 0 '' "$ftrun" prep --model "$model" --input "$work/many.jsonl.gz" --out "$work/packed"
cmp "$work/before/train/00000.h5" "$work/packed/train/00000.h5" || fail "gzip changed a shard"
for name in report.html report.json dropped.jsonl; do
  [ -f "$work/one/$name" ] || fail "$name is missing"
done

expect 0 'data prepared by ftrun' "$ftrun" inspect "$work/one"
grep -Eq '^  lines +200$' "$work/out" || fail "inspect does not say how many lines there were"
[ "$(grep -c 'token shard' "$work/out")" -eq 3 ] || fail "inspect does not read every set"

# options in a file, which the command line overrides
cat >"$work/prep.json" <<EOF
{"model": "$model", "input": ["$work/parts/*.jsonl"], "out": "$work/filed", "validation": 0.5, "test": 0, "threads": 1,
 "clean": {"duplicates": "drop"}, "field": {"prompt": "prompt"}}
EOF
expect 0 'report' "$ftrun" prep "$work/prep.json" --validation 0.1
sed 's/"test"/"sead"/' "$work/prep.json" >"$work/wrong.json"
expect 78 'wrong.json: sead: there is no such key' "$ftrun" prep "$work/wrong.json"
expect 64 '--rule: rule "bad" is unknown' "$ftrun" prep --model "$model" "$work/many.jsonl" --out "$work/none" --rule bad=drop
expect 64 '--rule: rule lines: action "fix"' "$ftrun" prep --model "$model" "$work/many.jsonl" --out "$work/none" --rule lines=fix

# what a file is instead gets its sentence at once
echo '[{"text": "a"}]' >"$work/array.json"
expect 65 "jq -c '.[]'" "$ftrun" prep --model "$model" "$work/array.json" --out "$work/none"
printf 'version https://git-lfs.github.com/spec/v1\n' >"$work/lfs.jsonl"
expect 65 'git lfs pull' "$ftrun" prep --model "$model" "$work/lfs.jsonl" --out "$work/none"
printf 'PAR1' >"$work/a.parquet"
expect 65 "load('parquet'" "$ftrun" prep --model "$model" "$work/a.parquet" --out "$work/none"

echo "$num_checked commands did what they promise"
