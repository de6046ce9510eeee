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
    inspect) cat "$root/docs/running.md" ;;
    *) section "$root/docs/commands.md" "$1" ;;
  esac
}

commands=$("$ftrun" --help | sed -nE 's/^  ([a-z]+) .*/\1/p')
[ "$(wc -w <<<"$commands")" -ge 9 ] || fail "found too few commands: $commands"
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
