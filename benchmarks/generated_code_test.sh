#!/usr/bin/env bash
# Handles cost nothing to use: functions that take handles have the machine code of the
# same functions with pointers, instruction for instruction.
#
#   generated_code_test.sh HANDLES.o POINTERS.o
#
# generated_code.cc has the functions, each in a section of its own. Those that begin
# with control_ differ, and have to be found to.
set -euo pipefail

handles=$1 pointers=$2
command -v objdump >/dev/null || {
  echo "there is no objdump: install binutils" >&2
  exit 1
}

failures=0
fail() {
  echo "FAILED: $*" >&2
  failures=$((failures + 1))
}

# functions OBJECT: the names of its functions.
functions() {
  objdump --syms "$1" | awk '$3 == "F" || $4 == "F" { print $NF }' | grep -v '^_' | sort
}

# code OBJECT FUNCTION: its instructions, with what they refer to in other sections.
# Addresses count from the beginning of the function. Which register of two a compiler
# names first means nothing where it then asks whether they are equal: one order is taken.
code() {
  objdump --disassemble="$2" --reloc --no-show-raw-insn "$1" |
    sed -n "/<$2>:\$/,\$p" | sed '1d;/^$/d;/^Disassembly of section/d' |
    awk '
      function flush() { if (held != "") print held; held = "" }
      $2 ~ /^(je|jne)$/ && split(operands, r, ",") == 2 && r[1] > r[2] {
        sub(operands, r[2] "," r[1], held)
      }
      { flush(); held = $0; operands = $2 == "cmp" && $3 ~ /^%[a-z0-9]+,%[a-z0-9]+$/ ? $3 : "" }
      END { flush() }'
}

names=$(functions "$handles")
[[ $names == "$(functions "$pointers")" ]] ||
  fail "the objects have different functions: $names, and $(functions "$pointers")"

compared=0 controls=0
for name in $names; do
  ours=$(code "$handles" "$name")
  theirs=$(code "$pointers" "$name")
  # At the least it returns.
  grep -qE '\s(ret|retq|jmp)\b' <<<"$theirs" || fail "$name: no code was found: $theirs"
  if [[ $name == control_* ]]; then
    controls=$((controls + 1))
    [[ $ours != "$theirs" ]] || fail "$name: the difference was not noticed"
  else
    compared=$((compared + 1))
    [[ $ours == "$theirs" ]] ||
      fail "$name: with handles (<) it is not what it is with pointers (>):" \
        "$(diff <(echo "$ours") <(echo "$theirs"))"
  fi
done
((compared >= 14)) || fail "only $compared functions were compared"
((controls >= 1)) || fail "no control was compared"

if ((failures)); then
  echo "$failures failures" >&2
  exit 1
fi
echo "$compared functions are the same, $controls differ as they should"
