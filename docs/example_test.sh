#!/usr/bin/env bash
# A page's first C++ example is a source here, to the letter, and that program prints
# what the page says it prints.
#
#   example_test.sh README.md readme_example.cc readme_example OUTPUT
set -euo pipefail
page=$1 source=$2 program=$3 expected=$4

if ! diff <(sed -n '/^```c++$/,/^```$/{/^```/d;p}' "$page" | head -n "$(wc -l <"$source")") "$source"; then
  echo "the example of $page is not $source (see the differences above)" >&2
  exit 1
fi
if ! grep -qF "prints \`$expected\`" "$page"; then
  echo "$page does not say that the example prints '$expected'" >&2
  exit 1
fi
output=$("$program")
if [[ $output != "$expected" ]]; then
  echo "the example of $page printed '$output' instead of '$expected'" >&2
  exit 1
fi
