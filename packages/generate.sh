#!/bin/sh
# Writes the manual pages and completions that the program makes of its own tables.
#
#   packages/generate.sh FTRUN FOLDER COMMAND...
set -eu
ftrun=$1 folder=$2
shift 2
export ASAN_OPTIONS=detect_leaks=0 # a build with sanitizers is tested later
"$ftrun" help --man >"$folder/ftrun.1"
for command; do
  "$ftrun" help --man "$command" >"$folder/ftrun-$command.1"
done
"$ftrun" help --completion=bash >"$folder/ftrun.bash"
"$ftrun" help --completion=zsh >"$folder/_ftrun"
