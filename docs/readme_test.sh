#!/usr/bin/env bash
# The README's first C++ example is docs/readme_example.cc, to the letter, and that
# program prints what the README says it prints.
#
#   readme_test.sh README.md readme_example.cc readme_example
set -euo pipefail
readme=$1 source=$2 program=$3

if ! diff <(sed -n '/^```c++$/,/^```$/{/^```/d;p}' "$readme" | head -n "$(wc -l <"$source")") "$source"; then
  echo "the README's example is not docs/readme_example.cc (see the differences above)" >&2
  exit 1
fi
output=$("$program")
if [[ $output != Ada ]]; then
  echo "the README's example printed '$output' instead of 'Ada'" >&2
  exit 1
fi
