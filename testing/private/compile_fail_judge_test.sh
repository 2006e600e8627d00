#!/usr/bin/env bash
# What compile_fail_test accepts and refuses, shown with compilers that are scripts.
#
#   compile_fail_judge_test.sh compile_fail.sh compile_right.sh
set -euo pipefail
judge=$(realpath "$1") right=$(realpath "$2")
cd "$TEST_TMPDIR"
failures=0

printf '%s\n' 'int right;' '#ifdef MISUSES' 'int wrong;' '#endif' 'int after;' >source.cc

# compiler NAME MACROS: a program that says with -dM that it defines MACROS; otherwise it
# prints the file bad, and fails if there is an error in it, where it is given -DMISUSES
# or the option -Wstrict; else it prints the file good, and fails likewise.
compiler() {
  cat >"$1" <<END
#!/usr/bin/env bash
case " \$* " in
  *' -dM '*) printf '#define %s\n' $2; exit ;;
  *' -DMISUSES '* | *' -Wstrict '*) output=bad ;;
  *) output=good ;;
esac
cat "\$output"
! grep -q ' error: ' "\$output"
END
  chmod +x "$1"
}
compiler gcc-12 '"__GNUC__ 12"'
compiler clang-19 '"__GNUC__ 4" "__clang_major__ 19"'
compiler clang-23 '"__GNUC__ 4" "__clang_major__ 23"'

# expect pass|fail TEXT COMPILER EXPECTATION...: the verdict, and what it says.
expect() {
  local verdict=$1 text=$2 compiler=$3
  shift 3
  printf '%b\n' "$@" >expectations
  "$right" right expectations "./$compiler" source.cc
  "$judge" verdict source.cc MISUSES expectations right "./$compiler" source.cc
  if [[ $(head -n 1 verdict) != "$verdict" ]] || ! grep -q -e "$text" verdict; then
    echo "line ${BASH_LINENO[0]}: expected $verdict and '$text', got:"
    cat verdict
    failures=$((failures + 1))
  fi
}

: >good
echo 'source.cc:3:5: error: deleted function' >bad
expect pass 'gcc 12 rejects .*deleted' gcc-12 'error\t*\tdeleted (function|constructor)'
expect fail 'no error .* matches' gcc-12 'error\t*\tprivate'
# The best key counts alone.
expect pass 'clang 19 rejects' clang-19 'error\tclang\tdeleted' 'error\tclang-22\tprivate' 'error\tgcc\tprivate'
expect pass 'clang 23 rejects' clang-23 'error\tclang\tprivate' 'error\tclang-22\tdeleted' 'error\tclang-24\tprivate'
expect fail 'no error .* matches' clang-23 'error\tclang\tdeleted' 'error\tclang-22\tprivate'
# A compiler that no key names compiles the misuse, and so does one with no expression.
expect fail 'should compile' gcc-12 'error\tclang\tdeleted'
expect fail 'should compile' clang-23 'error\tclang\tdeleted' 'error\tclang-22\t'
# An option reaches the compilers it is for, with the macro and without.
expect fail 'even without' gcc-12 'error\t*\tdeleted' 'copt\tgcc\t-Wstrict'
expect pass 'rejects' gcc-12 'error\t*\tdeleted' 'copt\tclang\t-Wstrict'
expect pass 'rejects' clang-23 'error\t*\tdeleted' 'copt\tclang\t-Wstrict' 'copt\tclang-22\t'

echo 'source.cc:1:1: warning: deleted function' >good
expect fail 'in the same way' gcc-12 'error\t*\tdeleted'
: >good

# The errors are for lines of the misuse.
printf '%s\n' 'source.cc:3:5: error: deleted function' 'source.cc:5:1: error: another' >bad
expect fail 'error for line 5' gcc-12 'error\t*\tdeleted'
echo 'header.h:7:1: error: static assertion failed: say so' >bad
expect fail 'names a line' gcc-12 'error\t*\tsay so'
echo 'source.cc:3:5:   required from here' >>bad
expect pass 'say so' gcc-12 'error\t*\tsay so'
# What matches is an error, not a note.
printf '%s\n' 'source.cc:3:5: error: wrong' 'source.cc:3:5: note: deleted function' >bad
expect fail 'no error .* matches' gcc-12 'error\t*\tdeleted'

: >bad
expect fail 'compiles the misuse' gcc-12 'error\t*\tdeleted'
expect pass 'silently' gcc-12 'error\tclang\tdeleted'
echo 'source.cc:3:5: warning: hm' >bad
expect fail 'and warns' gcc-12 'error\tclang\tdeleted'
echo 'source.cc:1:5: warning: hm' >bad
expect pass 'silently' gcc-12 'error\tclang\tdeleted'

sed -i 's/MISUSES/OTHER/' source.cc
expect fail 'no conditional' gcc-12 'error\t*\tdeleted'

((failures == 0))
