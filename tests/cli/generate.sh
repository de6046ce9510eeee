#!/usr/bin/env bash
# Proves what `ftrun generate` promises on the command line: which tokens it chooses, what counts as
# a special token, where it stops, that it prints as it goes; and that it, like other commands that
# work as one process, notices when a launcher has started several.
#
#   tests/cli/generate.sh FTRUN
. "$(dirname "$0")/../program/common.sh"
ftrun=$1
model=$work/model
num_checked=0

# same A B WHAT, other A B WHAT: compare two texts.
same() {
  [ "$1" = "$2" ] || fail "$3: \"$1\" and \"$2\""
  num_checked=$((num_checked + 1))
}
other() {
  [ "$1" != "$2" ] || fail "$3: both \"$1\""
  num_checked=$((num_checked + 1))
}

# ids NAME ARGUMENTS...: a list of the JSON that generate prints.
ids() {
  local name=$1
  shift
  "$ftrun" generate --model "$model" --json "$@" 2>"$work/err" | sed -E "s/.*\"$name\":\[([^]]*)\].*/\1/"
}

# refused STATUS WORDS COMMAND...: ends with this status and says these words, once.
refused() {
  local status=$1 words=$2 found=0
  shift 2
  "$@" >"$work/out" 2>&1 </dev/null || found=$?
  [ "$found" -eq "$status" ] || { cat "$work/out" >&2; fail "$*: status $found, not $status"; }
  [ "$(grep -cF -- "$words" "$work/out")" -eq 1 ] || { cat "$work/out" >&2; fail "not once: $words"; }
  num_checked=$((num_checked + 1))
}

quietly "$ftrun" init --config "$here/../program/identity-tied.json" --seed 3 --out "$model"

# ---- which token
greedy=$(ids ids --prompt "Once upon a time" --max-tokens 12)
[[ $greedy == *,*,* ]] || fail "hardly any tokens: $greedy"
same "$greedy" "$(ids ids --prompt "Once upon a time" --max-tokens 12 --temperature 0 --seed 7)" "greedy twice"
same "$greedy" "$(ids ids --prompt "Once upon a time" --max-tokens 12 --temperature 2 --top-p 1e-6)" "the likeliest only"
sampled=$(ids ids --prompt "Once upon a time" --max-tokens 12 --temperature 2 --seed 5)
same "$sampled" "$(ids ids --prompt "Once upon a time" --max-tokens 12 --temperature 2 --seed 5)" "one seed"
other "$sampled" "$(ids ids --prompt "Once upon a time" --max-tokens 12 --temperature 2 --seed 6)" "two seeds"
same 263 "$(ids logits --logits --prompt a --max-tokens 0 | tr ',' '\n' | wc -l)" "one logit a token"

# what was kept of earlier tokens is what reading them again gives
first=$(ids ids --prompt "abc" --max-tokens 1)
byte=$(printf '%b' "\\x$(printf %x "$first")")
[ "$first" -lt 32 ] || [ "$first" -gt 126 ] || \
  same "$(ids ids --prompt "abc" --max-tokens 2)" "$first,$(ids ids --prompt "abc$byte" --max-tokens 1)" "kept and read"

# ---- many prompts: each answer is what it is alone, in any order and number
prompts=("Once upon a time" abc "a" "a<|im_end|>b and a longer prompt than the others, by far" "Hi" "abcdefg" "x y z")
for prompt in "${prompts[@]}"; do printf '{"prompt": "%s"}\n\n' "$prompt"; done >"$work/prompts.jsonl"
for precision in bf16 fp32; do
  for sampling in "--temperature 0" "--temperature 2 --seed 5"; do
    # shellcheck disable=SC2206
    how=(--precision "$precision" --max-tokens 12 $sampling)
    for prompt in "${prompts[@]}"; do
      "$ftrun" generate --model "$model" --json --prompt "$prompt" "${how[@]}" 2>/dev/null
    done >"$work/alone"
    for batch in 1 2 5 32; do
      "$ftrun" generate --model "$model" --prompts "$work/prompts.jsonl" --batch $batch "${how[@]}" >"$work/together" \
        2>/dev/null
      cmp "$work/alone" "$work/together" >&2 || fail "answers of --batch $batch are not those alone (${how[*]})"
      num_checked=$((num_checked + 1))
    done
    tac "$work/prompts.jsonl" >"$work/backwards.jsonl"
    "$ftrun" generate --model "$model" --prompts "$work/backwards.jsonl" "${how[@]}" 2>/dev/null | tac >"$work/together"
    cmp "$work/alone" "$work/together" >&2 || fail "answers depend on the order of prompts (${how[*]})"
  done
done
printf '{"prompt": "abc"}\n{"prompt": "abc", "stream": 7}\n{"prompt": "abc", "stream": 0}\n' >"$work/streams.jsonl"
"$ftrun" generate --model "$model" --prompts "$work/streams.jsonl" --temperature 2 --max-tokens 9 >"$work/out" 2>/dev/null
same 2 "$(sort -u "$work/out" | wc -l)" "different answers of two streams"
bad_prompts() { # LINE WORDS: refused, naming the line
  printf '{"prompt": "abc"}\n%s\n' "$1" >"$work/bad.jsonl"
  refused 65 "bad.jsonl:2: $2" "$ftrun" generate --model "$model" --prompts "$work/bad.jsonl"
}
bad_prompts '{"text": "abc"}' 'has no "prompt" that is a text'
bad_prompts '{"prompt": 3}' 'has no "prompt" that is a text'
bad_prompts '{"prompt": "a", "stream": -1}' '"stream" is not a whole number from 0 on'
bad_prompts "{\"prompt\": \"$(printf 'x%.0s' {1..600})\"}" 'the prompt has 601 tokens'
bad_prompts 'abc' ''
printf '\n' >"$work/bad.jsonl"
refused 65 'has no prompt' "$ftrun" generate --model "$model" --prompts "$work/bad.jsonl"
refused 64 'exclude each other' "$ftrun" generate --model "$model" --prompts "$work/bad.jsonl" --prompt a
refused 64 '--batch needs --prompts' "$ftrun" generate --model "$model" --prompt a --batch 3

# ---- the prompt
same 256,97,260,98 "$(ids prompt_ids --prompt 'a<|im_end|>b' --max-tokens 0)" "a special token in the prompt"
printf '{"messages":[{"role":"user","content":"Hi"},{"role":"assistant","content":""}]}\n' >"$work/chat.jsonl"
asked=$("$ftrun" tokenize --model "$model" --chat "$work/chat.jsonl" | sed -E 's/^\{"ids":\[([^]]*)\].*/\1/')
same "$asked" "$(ids prompt_ids --chat --prompt Hi --max-tokens 0),260,10" "a chat's prompt is what was trained on"
refused 64 '--prompt is missing' "$ftrun" generate --model "$model"
refused 65 'allows 512 positions' "$ftrun" generate --model "$model" --prompt "$(printf 'x%.0s' {1..600})"

# ---- where it stops: the end of text of generation_config.json
cp -r "$model" "$work/ending"
printf '{"eos_token_id": [257, %d]}\n' "$(ids ids --prompt "Once upon a time" --max-tokens 1)" >"$work/ending/generation_config.json"
model=$work/ending
same "${greedy%%,*}" "$(ids ids --prompt "Once upon a time" --max-tokens 12)" "stopped at the end of text"
same "" "$("$ftrun" generate --model "$model" --prompt "Once upon a time" 2>/dev/null)" "it is not printed"

# ---- as it goes: ends when nobody reads on, long before it would be done
sed 's/"max_position_embeddings": 512/"max_position_embeddings": 60000/' "$here/../program/identity-tied.json" >"$work/long.json"
quietly "$ftrun" init --config "$work/long.json" --seed 3 --out "$work/long"
status=0
timeout 60 "$ftrun" generate --model "$work/long" --prompt "Once upon a time" --max-tokens 59000 2>/dev/null |
  head -c 1 >"$work/out" || status=${PIPESTATUS[0]}
same 74 "$status" "status of a closed pipe"
same 1 "$(wc -c <"$work/out")" "bytes read"

# ---- alone
refused 64 'generate works as one process, but 2 were started' \
  mpirun --oversubscribe -np 2 "$ftrun" generate --model "$model" --prompt a
as_task() { # as srun would start it, by the side of others
  env SLURM_STEP_NUM_TASKS="$1" SLURM_PROCID="$2" SLURM_NTASKS=4 PMIX_NAMESPACE=step "${@:3}"
}
for command in "generate --model $model --prompt a" "export run --out out"; do
  # shellcheck disable=SC2086
  refused 64 "${command%% *} works as one process, but 4 were started" as_task 4 0 "$ftrun" $command
done
status=0
as_task 4 1 "$ftrun" export run --out out >"$work/out" 2>&1 || status=$?
same "64 0" "$status $(wc -c <"$work/out")" "what a second task says"
refused 66 run as_task 1 0 "$ftrun" export run --out out
status=0 # the first task says why
as_task 4 1 env -u PMIX_NAMESPACE "$ftrun" train run.json >"$work/out" 2>&1 || status=$?
same 64 "$status" "status of tasks that no MPI connects"

# ---- compute threads that wait for each other do so briefly, unless the user has chosen
if ldd "$ftrun" | grep -q libgomp; then
  spins() { env -u GOMP_SPINCOUNT OMP_DISPLAY_ENV=verbose "$@" "$ftrun" generate --help 2>&1 | sed -n "s/.*GOMP_SPINCOUNT = '\(.*\)'/\1/p" | tail -n 1; }
  same 10000 "$(spins env -u OMP_WAIT_POLICY)" "brief waits"
  same 0 "$(spins env OMP_WAIT_POLICY=passive)" "the user's choice"
  same 77 "$(spins env GOMP_SPINCOUNT=77)" "the user's choice"
fi

echo "$num_checked promises of generate hold"
