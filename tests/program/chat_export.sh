#!/usr/bin/env bash
# Proves that an export of a run on chats ends and chats as the run learnt it: end tokens in
# generation_config.json, and where the model had no template, a chat_template.jinja that writes what
# the layout writes.
#
#   tests/program/chat_export.sh FTRUN
. "$(dirname "$0")/common.sh"
ftrun=$1

model=$work/model
quietly "$ftrun" init --config "$here/identity-untied.json" --seed 3 --out "$model"
# a base model: its tokenizer has the tokens of chats, but no template, and only texts end
python3 - "$model" <<'END'
import json, sys
for name, change in (("tokenizer_config.json", {"chat_template": None}), ("config.json", {"eos_token_id": 257})):
    path = sys.argv[1] + "/" + name
    config = json.load(open(path)) | change
    json.dump({key: value for key, value in config.items() if value is not None}, open(path, "w"))
END
rm -f "$model/ftrun.sha256"

# One conversation of each form that all layouts have.
cat >"$work/chats.jsonl" <<'END'
{"messages": [{"role": "user", "content": " What's \\ 2 + 2?\n"}, {"role": "assistant", "content": "It's 4."}]}
{"messages": [{"role": "system", "content": "Be 'brief'."}, {"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello"}, {"role": "user", "content": "Bye"}, {"role": "assistant", "content": "Bye"}]}
END

# same_chats DIR LAYOUT SYSTEM...: transcripts by the directory's own template and by the layout.
same_chats() {
  local dir=$1 layout=$2
  shift 2
  "$ftrun" tokenize --chat --model "$dir" "$work/chats.jsonl" 2>"$work/said" | cut -d'"' -f1-3 >"$work/own"
  "$ftrun" tokenize --chat --model "$model" --template "$layout" "$@" "$work/chats.jsonl" 2>>"$work/said" |
    cut -d'"' -f1-3 >"$work/layout"
  [ -s "$work/own" ] && cmp -s "$work/own" "$work/layout" ||
    { cat "$work/said" "$work/own" "$work/layout" >&2; fail "$layout: other tokens by template than by layout"; }
}

# run_and_export LAYOUT SYSTEM...: a run of one step on chats in this layout, and its export.
run_and_export() {
  local layout=$1
  shift
  rm -rf "$work/data" "$work/run" "$work/out"
  quietly "$ftrun" prep --model "$model" --input "$work/chats.jsonl" --template "$layout" "$@" \
    --validation 0 --test 0 --out "$work/data"
  cat >"$work/config.json" <<END
{"model": {"path": "$model"}, "data": {"train": [{"path": "$work/data/train"}], "seq_len": 400},
 "train": {"global_batch": 1, "micro_batch": 1, "steps": 1}, "optimizer": {"lr": 1e-4},
 "run": {"dir": "$work/run"}}
END
  quietly "$ftrun" train "$work/config.json"
  "$ftrun" export "$work/run" --out "$work/out" >"$work/said" 2>&1 || { cat "$work/said" >&2; fail "export"; }
}

ends() { tr -d ' \n' <"$work/out/generation_config.json" | sed -E 's/.*"eos_token_id":(\[[^]]*\]|[0-9]+).*/\1/'; }

for layout in chatml alpaca plain; do
  run_and_export "$layout"
  [ -f "$work/out/chat_template.jinja" ] || { cat "$work/said" >&2; fail "$layout: no template"; }
  same_chats "$work/out" "$layout"
  quietly "$ftrun" inspect "$work/out"
  run_and_export "$layout" --system "Say 'x\\y'."
  same_chats "$work/out" "$layout" --system "Say 'x\\y'."
done

# <|im_end|> joins the end of text, once, and is told
run_and_export chatml
case $(ends) in
  *,*) ;;
  *) cat "$work/out/generation_config.json" >&2; fail "generation_config.json names one end token" ;;
esac
grep -q 'answers end with <|im_end|>' "$work/said" || { cat "$work/said" >&2; fail "the end is not told"; }

# the new file stands before config.json, and repeats its other ids
tr -d ' \n' <"$work/out/generation_config.json" >"$work/said"
grep -q '"bos_token_id":256' "$work/said" || { cat "$work/said" >&2; fail "generation_config.json lacks an id"; }

# a validation set in another layout is warned of
quietly "$ftrun" prep --model "$model" --input "$work/chats.jsonl" --template plain --validation 0 --test 0 --out "$work/plain"
"$ftrun" train "$work/config.json" --check "data.validation=[{\"name\":\"v\",\"path\":\"$work/plain/train\"}]" \
  >"$work/said" 2>&1 || { cat "$work/said" >&2; fail "another layout of the validation set"; }
grep -q 'validation set v was prepared with another template' "$work/said" ||
  { cat "$work/said" >&2; fail "another layout is not told"; }

# a model with a template of its own keeps it; a run in another layout is warned of
cp "$work/out/chat_template.jinja" "$model/chat_template.jinja"
run_and_export alpaca
cmp -s "$model/chat_template.jinja" "$work/out/chat_template.jinja" || fail "the template was replaced"
grep -q 'the run learnt the layout alpaca' "$work/said" || { cat "$work/said" >&2; fail "no warning"; }

# data that are gone are said
rm -rf "$work/data" "$work/out"
"$ftrun" export "$work/run" --out "$work/out" >"$work/said" 2>&1 || { cat "$work/said" >&2; fail "export"; }
grep -q 'training data are not there any more' "$work/said" || { cat "$work/said" >&2; fail "silent"; }
echo "chat exports: as learnt"
