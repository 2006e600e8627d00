#!/usr/bin/env bash
# The program as its user sees it: what each command prints about testdata/sample.status,
# and what it says, with which exit code, to input that is no index.
set -euo pipefail

pkgraph=$PWD/$1
sample=$PWD/examples/pkgraph/testdata/sample.status
cd "$TEST_TMPDIR"

failures=0
fail() {
  echo "FAILED: $*" >&2
  failures=$((failures + 1))
}

# Runs the program on the sample; its exit code has to be 0. Prints what it prints.
answer() {
  "$pkgraph" --file="$sample" "$@" 2>errors || fail "$*: exit code $?: $(cat errors)"
}

# prints ARGUMENTS... <<<EXPECTED: prints exactly that about the sample.
prints() {
  local expected actual
  expected=$(cat)
  actual=$(answer "$@")
  diff <(echo "$expected") <(echo "$actual") >&2 || fail "$*: prints something else"
}

# rejects CODE TEXT ARGUMENTS...: exits with CODE, has TEXT on standard error, and prints
# no answer. Standard input is passed on.
rejects() {
  local code=0 expected=$1 text=$2
  shift 2
  "$pkgraph" "$@" >output 2>errors || code=$?
  [[ $code == "$expected" ]] || fail "$*: exit code $code, not $expected: $(cat errors)"
  grep -qF -- "$text" errors || fail "$*: does not say '$text' but: $(cat errors)"
  [[ ! -s output ]] || fail "$*: prints an answer all the same: $(cat output)"
}

# ---- each command ------------------------------------------------------------------

prints closure apt <<'EOF'
apt needs 11 packages (by Pre-Depends and Depends, with every alternative)
  1 step away: adduser, debian-archive-keyring, gpgv, gpgv1 (missing),
    gpgv2 (missing), libapt-pkg6.0, libc6, libgcc-s1
  2 steps away: gcc-12-base, passwd, zlib1g
EOF

prints closure base-files <<'EOF'
base-files needs 6 packages (by Pre-Depends and Depends, with every alternative)
  1 step away: awk (virtual)
  2 steps away: mawk, original-awk
  3 steps away: libc6
  4 steps away: libgcc-s1
  5 steps away: gcc-12-base
EOF

prints --recommends closure mdadm <<'EOF'
mdadm needs 12 packages (by Pre-Depends, Depends and Recommends, with every alternative)
  1 step away: default-mta (missing), libc6, mail-transport-agent (virtual)
  2 steps away: exim4-daemon-light, libgcc-s1, libidn2-0 (missing)
  3 steps away: exim4-base, exim4-config, exim4-config-2 (virtual), gcc-12-base
  4 steps away: cron (missing), cron-daemon (missing)
EOF

prints rdeps libc6 <<'EOF'
packages that name libc6
  Pre-Depends (1): mawk
  Depends (9): apt, exim4-daemon-light, gpgv, libapt-pkg6.0, libgcc-s1, mdadm,
    original-awk, passwd, zlib1g
EOF

prints rdeps mail-transport-agent <<'EOF'
packages that name mail-transport-agent (virtual)
  Recommends (1): mdadm
  Provides (1): exim4-daemon-light
  Conflicts (1): exim4-daemon-light
EOF

prints rdeps original-awk <<'EOF'
no package names original-awk
EOF

prints why base-files gcc-12-base <<'EOF'
from base-files to gcc-12-base in 5 steps
  base-files Pre-Depends: awk
  awk is provided by original-awk
  original-awk Depends: libc6 (>= 2.34)
  libc6 Depends: libgcc-s1
  libgcc-s1 Depends: gcc-12-base (= 12.2.0-14)
  gcc-12-base
EOF

prints why mdadm exim4-config <<'EOF'
mdadm does not need exim4-config (by Pre-Depends and Depends)
EOF

prints --recommends why mdadm exim4-config <<'EOF'
from mdadm to exim4-config in 3 steps
  mdadm Recommends: default-mta | mail-transport-agent
  mail-transport-agent is provided by exim4-daemon-light
  exim4-daemon-light Depends: exim4-config (>= 4.30) | exim4-config-2
  exim4-config
EOF

prints why apt apt <<'EOF'
from apt to apt in 0 steps
  apt
EOF

prints cycles <<'EOF'
2 groups of packages that need each other (by Pre-Depends and Depends)
  3 packages: exim4-base, exim4-config, exim4-daemon-light
  2 packages: libc6, libgcc-s1
EOF

prints --recommends cycles <<'EOF'
3 groups of packages that need each other (by Pre-Depends, Depends and Recommends)
  3 packages: exim4-base, exim4-config, exim4-daemon-light
  2 packages: apt, libapt-pkg6.0
  2 packages: libc6, libgcc-s1
EOF

answer churn 20 >output
for line in "rebuilt the graph of 34 names 20 times in " "once dropped 0 live objects" \
  "collections " "pauses       median " "RSS          #1 " ", #20 " "peak RSS "; do
  grep -qF "$line" output || fail "churn: no '$line' in: $(cat output)"
done
grep -qF "20 of 20 rebuilds (100%)" errors || fail "churn: no progress: $(cat errors)"

answer >output
for line in "34 names, 19 package versions" "> closure apt" "> why apt zlib1g" "> rdeps apt" \
  "> cycles" "> churn 5" "peak RSS "; do
  grep -qF "$line" output || fail "tour: no '$line' in: $(cat output)"
done

# ---- where the index comes from ----------------------------------------------------

diff <("$pkgraph" --file=- cycles <"$sample") <(answer cycles) || fail "standard input"
mkdir -p elsewhere && cp "$sample" elsewhere/index
diff <(BUILD_WORKING_DIRECTORY=$PWD/elsewhere "$pkgraph" --file=index cycles) <(answer cycles) ||
  fail "a path relative to the directory that 'bazel run' was called in"
diff <(BUILD_WORKING_DIRECTORY=/ "$pkgraph" --file="$sample" cycles) <(answer cycles) ||
  fail "an absolute path under 'bazel run'"

rejects 1 "missing: No such file" --file=missing cycles
rejects 1 "elsewhere: is a directory" --file=elsewhere cycles

# ---- input that is no index --------------------------------------------------------

# malformed TEXT COMMAND...: for each kind of command, since they read in their own ways.
malformed() {
  local text=$1
  rejects 1 "$text" --file=bad cycles
  rejects 1 "$text" --file=bad churn 2
  rejects 1 "$text" --file=bad
  rejects 1 "standard input${text#bad}" --file=- cycles <bad
}

: >bad
malformed "bad:1: the file has no package"

printf 'Package: a\nVersion: 1\nArchitecture: all\n\nPackage: b\nVersi' >bad
malformed "bad:6: the file ends in the middle of this line"

printf 'Package: a\nVersion: 1\nArchitecture: all\n\nPackage: b\n' >bad
malformed "bad:5: the stanza that starts here has no Version: is the file complete?"

head -c 100000 "$pkgraph" >bad
malformed "bad:1: the byte 0x"

gzip <"$sample" >bad
malformed "bad:1: the byte 0x1f is not text: a binary or compressed file?"

{
  printf 'Package: a\nDepends: '
  head -c 10000000 /dev/zero | tr '\0' x
  printf '\n'
} >bad
malformed "bad:2: a line of more than 1048576 bytes"

{
  printf 'Package: a\nVersion: 1\nDepends:\n'
  awk 'BEGIN { for (i = 0; i < 700000; ++i) print " some-package," }'
} >bad
malformed "bad:3: the field \"Depends\" is longer than 1048576 bytes"

printf 'Package: a\nVersion: 1\nArchitecture: all\nDepends: b,\n c (oops)\n' >bad
malformed "bad:4: Depends: \"c (oops)\" is not a package with its version"

printf '<html>\n<body>Not found</body>\n</html>\n' >bad
malformed "bad:1: expected 'Name: value', found \"<html>\""

# ---- mistakes on the command line --------------------------------------------------

rejects 1 'has no package "aptt": did you mean "apt"?' --file="$sample" closure aptt
rejects 1 'has no package "nonsense"' --file="$sample" why apt nonsense
rejects 2 "not a command: frobnicate" frobnicate
rejects 2 "not a command: closure" closure
rejects 2 "not a command: why apt" why apt
rejects 2 "not a command: churn 0" churn 0
rejects 2 "not a command: churn many" churn many
rejects 2 "not a command: cycles apt" cycles apt
rejects 2 "Unknown command line flag 'bogus'" --bogus cycles

if "$pkgraph" --file="$sample" cycles >/dev/full 2>errors; then
  fail "an answer that could not be written: exit code 0"
fi
grep -qF "the answer cannot be written" errors || fail "full disk: $(cat errors)"

((failures == 0)) || exit 1
echo "PASSED"
