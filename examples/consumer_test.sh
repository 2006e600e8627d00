#!/usr/bin/env bash
# Builds, tests and runs a copy of examples/consumer with a Bazel of its own, against
# the checkout that this test belongs to.
#
#   consumer_test.sh bzlmod|workspace
set -euo pipefail

die() {
  echo "consumer_test: $*" >&2
  exit 1
}

mode=$1
case $mode in
  bzlmod) override=(--override_module) config=() ;;
  workspace) override=(--override_repository) config=(--config=workspace) ;;
  *) die "the argument is bzlmod or workspace, not '$mode'" ;;
esac

# A runfile is a link to the source file, as this test is not sandboxed.
module=$(realpath "$TEST_SRCDIR/$TEST_WORKSPACE/MODULE.bazel")
checkout=$(dirname "$module")
[[ -d $checkout/examples/consumer ]] ||
  die "the runfile MODULE.bazel leads to $checkout, which is no checkout of Bibop"

# ./bazelw names its Bazel in BIBOP_BAZEL.
bazel=${BIBOP_BAZEL:-$(command -v bazelisk || command -v bazel || true)}
[[ $bazel && -x $bazel ]] ||
  die "there is no Bazel to run within this test: start it with ./bazelw, or put bazelisk or bazel on the PATH"

scratch=$TEST_TMPDIR
# With this set, Bazel would not use the user's cache of downloaded files.
unset TEST_TMPDIR
mkdir "$scratch/consumer"
cp -RL "$checkout"/examples/consumer/. "$scratch/consumer"
rm -f "$scratch"/consumer/MODULE.bazel.lock
cd "$scratch/consumer"

disk_cache=${BIBOP_DISK_CACHE:-${XDG_CACHE_HOME:-${HOME:-$scratch}/.cache}/bibop-disk-cache}
startup=(--output_base="$scratch/output" --max_idle_secs=60 --host_jvm_args=-Xmx512m)
options=(
  "${config[@]}"
  "${override[@]}=bibop=$checkout"
  --disk_cache="$disk_cache"
  # As in Bibop's own .bazelrc: what compiles alike is found in the cache.
  --features=external_include_paths
  --incompatible_strict_action_env
  --symlink_prefix=/
  --noshow_progress
  --curses=no
  --color=no
)

# Removes what the nested Bazel made and stops its server, however this ends.
finish() {
  "$bazel" "${startup[@]}" clean --expunge >/dev/null 2>&1 || "$bazel" "${startup[@]}" shutdown || true
}
trap finish EXIT
trap 'exit 143' TERM
trap 'exit 130' INT

echo "consumer_test: $bazel test //..., $mode, with bibop from $checkout"
"$bazel" "${startup[@]}" test "${options[@]}" //...
output=$("$bazel" "${startup[@]}" run "${options[@]}" --ui_event_filters=-info //:consumer)
[[ $output == "a b a" ]] || die "the consumer's program printed '$output' instead of 'a b a'"
