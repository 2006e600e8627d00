#!/usr/bin/env bash
# The program as its user sees it: how it starts, serves, and ends.
#
#   pkgraphd_test.sh PKGRAPHD INDEX
set -euo pipefail

pkgraphd=$PWD/$1
cp "$2" "$TEST_TMPDIR/index"
cd "$TEST_TMPDIR"

failures=0
fail() {
  echo "FAILED: $*" >&2
  failures=$((failures + 1))
}

# Starts the service in the background, as $service, and waits for its URL: $port.
start() {
  : >output  # what the last one said
  "$pkgraphd" --index=index --port=0 "$@" >>output 2>errors &
  service=$!
  until grep -q '^http://' output; do
    kill -0 "$service" 2>/dev/null || { cat errors >&2; exit 1; }
    sleep 0.01
  done
  port=$(sed -n 's#^http://127.0.0.1:\([0-9]*\)/$#\1#p' output)
}

# get PATH TEXT: the answer has the text, in its head or its body.
get() {
  exec 3<>"/dev/tcp/127.0.0.1/$port"
  printf 'GET %s HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n' "$1" >&3
  cat <&3 >answer
  exec 3>&-
  grep -qF -- "$2" answer || fail "$1: no '$2' in: $(cat answer)"
}

# ends SIGNAL: the service ends with 0 when it gets it.
ends() {
  local code=0
  kill "-$1" "$service"
  wait "$service" || code=$?
  [[ $code == 0 ]] || fail "SIG$1: exit code $code: $(cat errors)"
  grep -qx "shutting down" output || fail "SIG$1: says $(cat output)"
  [[ ! -s errors ]] || fail "SIG$1: $(cat errors)"
}

# dies SIGNAL CODE: the service ends with CODE when it gets the signal.
dies() {
  local code=0
  kill "-$1" "$service"
  wait "$service" || code=$?
  [[ $code == "$2" ]] || fail "SIG$1: exit code $code, not $2: $(cat output errors)"
}

# rejects CODE TEXT ARGUMENTS...: exits with CODE and has TEXT on standard error.
rejects() {
  local code=0 expected=$1 text=$2
  shift 2
  "$pkgraphd" "$@" >rejected_output 2>rejected || code=$?
  [[ $code == "$expected" ]] || fail "$*: exit code $code, not $expected: $(cat rejected)"
  grep -qF -- "$text" rejected || fail "$*: does not say '$text' but: $(cat rejected)"
}

# ---- it serves until it is told to end ---------------------------------------------

start
grep -q '^index: 34 names, 19 versions, read in ' output || fail "$(cat output)"
get /package/apt "HTTP/1.1 200 "
get /package/apt '"package": "apt"'
get / "GET  /closure/NAME"

# Another one does not get the same port.
rejects 1 "127.0.0.1" --index=index --port="$port"

# A client that is connected and silent does not keep it.
exec 4<>"/dev/tcp/127.0.0.1/$port"
ends TERM
exec 4>&-

start --threads=1 --max_connections=5
get /healthz "ok"
ends INT

# ---- it drives itself --------------------------------------------------------------

for spelling in "--self-test 2" "--self_test=1"; do
  # shellcheck disable=SC2086
  "$pkgraphd" --index=index $spelling >output 2>errors ||
    fail "$spelling: exit code $?: $(cat output errors)"
  for line in "requests  " "errors       0" "latency      p50 " "pauses  " \
    "scopes       0, idle 0" "graphs       1" "PASSED"; do
    grep -q "^$line" output || fail "$spelling: no '$line' in: $(cat output)"
  done
done

# Or what is there from before would be taken for its output.
: >output
"$pkgraphd" --index=index --self-test 1000 >output 2>errors &
service=$!
until grep -q '^http://' output; do sleep 0.01; done
dies TERM 1
grep -qx "self-test: broken off" output || fail "self-test and SIGTERM: $(cat output)"

# ---- signals while it starts -------------------------------------------------------

mkfifo pipe
for signal in INT TERM; do
  "$pkgraphd" --index=pipe --port=0 >output 2>errors &
  service=$!
  exec 5>pipe # once it reads
  dies "$signal" $((128 + $(kill -l "$signal")))
  exec 5>&-
done

# ---- what it does not take ---------------------------------------------------------

rejects 1 "missing: No such file" --index=missing
printf 'Package: a\nVersion: 1\n\n' >bad
rejects 1 "bad:1: the stanza that starts here has no Architecture" --index=bad
rejects 1 "/proc/self/mem: cannot be read: " --index=/proc/self/mem
rejects 1 "threads: 0 to 256" --index=index --threads=1000
rejects 2 "cannot be read again" --index=-
rejects 2 "--port: 0 to 65535" --port=65536
rejects 2 "--max_connections: at least 1" --max_connections=0
rejects 2 "--self-test: a number of seconds" --self-test=-1
rejects 2 "not a flag: apt" apt
rejects 2 "Unknown command line flag 'bogus'" --bogus

((failures == 0)) || exit 1
echo "PASSED"
