#!/usr/bin/env bash
# Proves that docs/ names every option of every command: takes the options from each command's
# --help, and the commands from `ftrun --help`.
#
#   tests/cli/help.sh FTRUN
. "$(dirname "$0")/../program/common.sh"
ftrun=$1
num_options=0

# section FILE HEADING: the lines under a heading of the same or a higher level.
section() {
  awk -v heading="## $2" '$0 == heading { inside = 1; next } /^## / { inside = 0 } inside' "$1"
}

# where COMMAND: the text that tells of it.
where() {
  case $1 in
    prep | tokenize) cat "$root/docs/data.md" ;;
    bench) cat "$root/docs/bench.md" ;;
    status | report | gate) section "$root/docs/report.md" "ftrun $1" ;;
    plan) cat "$root/docs/plan.md" ;;
    inspect) cat "$root/docs/running.md" ;;
    *) section "$root/docs/commands.md" "$1" ;;
  esac
}

commands=$("$ftrun" --help | sed -nE 's/^  ([a-z]+) .*/\1/p')
[ "$(wc -w <<<"$commands")" -ge 10 ] || fail "found too few commands: $commands"
for command in $commands; do
  where "$command" >"$work/text"
  grep -q "ftrun $command" "$work/text" || fail "docs do not tell of ftrun $command"
  "$ftrun" "$command" --help >"$work/help"
  for option in $(sed -nE 's/^ +(-., )?(--[a-z-]+).*/\2/p' "$work/help"); do
    case $option in --help | --usage) continue ;; esac
    grep -qE -- "$option([^a-z-]|$)" "$work/text" || fail "docs do not tell of ftrun $command $option"
    num_options=$((num_options + 1))
  done
done
[ "$num_options" -ge 40 ] || fail "found too few options: $num_options"
echo "$num_options options are told of in docs/"

# ---- ftrun help
"$ftrun" help >"$work/listed"
diff "$work/listed" <("$ftrun" --help) >&2 || fail "ftrun help lists other commands than ftrun --help"
for command in $commands; do
  diff <("$ftrun" help "$command") <("$ftrun" "$command" --help) >&2 || fail "ftrun help $command is not its --help"
done
"$ftrun" help schedule.name | grep -q 'allowed   "constant" or "linear"' || fail "ftrun help schedule.name does not say what is allowed"
"$ftrun" help train.global_batch >"$work/key"
for words in train.global_batch 'rows of one step' integer 64 'a whole number between 1 and 16777216' 'may not change'; do
  grep -q "$words" "$work/key" || fail "ftrun help train.global_batch does not say: $words"
done
[ "$("$ftrun" help schedule | grep -c '^schedule\.')" -ge 3 ] || fail "ftrun help schedule does not explain its keys"
found=0
"$ftrun" help no.such.key >"$work/said" 2>&1 || found=$?
[ "$found" -eq 64 ] && grep -q 'no.such.key' "$work/said" || fail "an unknown topic: status $found"
for topic in trane:train data.seqlen:data.seq_len; do
  "$ftrun" help "${topic%:*}" >"$work/said" 2>&1 && fail "help ${topic%:*}: status 0"
  grep -qF "did you mean ${topic#*:}?" "$work/said" || fail "${topic#*:} is not guessed"
done

# ---- ftrun --version
"$ftrun" --version >"$work/version"
head -n 1 "$work/version" | grep -qE '^ftrun [0-9]+\.[0-9]+\.[0-9]+ \([0-9a-z -]+\)$' || fail "the version is $(head -n 1 "$work/version")"
for library in 'MPI v?[0-9]' 'hwloc [0-9]' 'oneDNN [0-9]' 'OpenBLAS [0-9]' 'cJSON [0-9]' 'zlib [0-9]' 'zstd [0-9]' 'PCRE2 [0-9]' 'utf8proc [0-9]' 'xxHash [0-9]'; do
  grep -qE "^libraries .*$library" "$work/version" || fail "--version does not tell: $library"
done
FTRUN_CPU=plain "$ftrun" --version | grep -q '^computes .*, plain,' || fail "--version does not tell what is computed with"
