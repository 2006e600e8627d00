#!/usr/bin/env bash
# What model_test does: has Spin search all states of a model, and judges.
#
#   model.sh holds MODEL [-DNAME]...
#   model.sh fails MODEL MUTANT_NAME [-DNAME]...
#   model.sh lists MODEL DOCUMENT MUTANT_NAME...
#
# `holds`: there is no error. `fails`: with the mutant there is one. `lists`: the mutants
# are all that the model has, and the document tells of them. models.bzl says more.
set -euo pipefail
verb=$1 model=$(realpath "$2")
shift 2
# A search that goes deeper or takes more is not complete, and so no proof.
depth=${MODEL_DEPTH:-10000} megabytes=${MODEL_MEGABYTES:-2000}

die() {
  printf '%s\n' "$@"
  exit 1
}

in_model=$(grep -o '\<MUTANT_[A-Z_]*' "$model" | sort -u) || true
case $verb in
  holds) ;;
  fails)
    mutant=$1
    shift
    grep -qxF -e "$mutant" <<<"$in_model" || die "$model does not name $mutant"
    set -- "-D$mutant" "$@"
    ;;
  lists)
    document=$1
    shift
    [[ $in_model == "$(printf '%s\n' "$@" | sort -u)" ]] ||
      die "the mutants of $model and those that are tested are not the same:" "$in_model" "tested: $*"
    for mutant in "$@"; do
      grep -qF -e "\`${mutant#MUTANT_}\`" "$document" || die "$document does not tell of $mutant"
    done
    echo "$# mutants"
    exit 0
    ;;
  *) die "model.sh knows no $verb" ;;
esac

compiler=
for name in cc gcc clang clang-19; do
  if command -v "$name" >/dev/null; then
    compiler=$name
    break
  fi
done
if ! command -v spin >/dev/null || [[ ! $compiler ]]; then
  echo "there is no spin, or no C compiler for what it writes: install them (Debian: spin, gcc)"
  [[ ${BIBOP_REQUIRE_SPIN:-} != 1 ]] || exit 1
  echo "nothing was tested"
  exit 0
fi

folder=$(mktemp -d "${TEST_TMPDIR:-/tmp}/model.XXXXXX")
trap 'rm -rf "$folder"' EXIT
cd "$folder"
cp "$model" model.pml
spin -P"$compiler -E -x c" "$@" -a model.pml >spin.log 2>&1 || die "spin refuses $model:" "$(cat spin.log)"
[[ ! -s spin.log ]] || die "spin warns of $model:" "$(cat spin.log)"
# An error is found in less time than optimizing takes.
optimize=-O2
if [[ $verb == fails ]]; then optimize=-O0; fi
"$compiler" "$optimize" -w -DSAFETY -DCOLLAPSE -DMEMLIM="$megabytes" -o pan pan.c
status=0
./pan -m"$depth" -n >pan.log 2>&1 || status=$?

errors=$(sed -n 's/^State-vector .*, errors: \([0-9]*\)$/\1/p' pan.log)
[[ $errors ]] || die "the search ended with status $status:" "$(cat pan.log)"
if [[ $verb == fails ]]; then
  ((errors)) || die "$mutant is not caught: the model has a hole, or nobody needs what it leaves out" "$(cat pan.log)"
  echo "$mutant: $(grep -m 1 '^pan:1: ' pan.log)"
  exit 0
fi
if ((errors)); then
  echo "the model has an error. Its last steps, and the state that they lead to:"
  spin -P"$compiler -E -x c" "$@" -t -p model.pml 2>&1 | tail -n 200
  die "$(grep -m 1 '^pan:1: ' pan.log)"
fi
if ((status)) || grep -qiE 'search not completed|max search depth too small|out of memory|memory exceeded|reached -DMEMLIM|hash.*too small' pan.log; then
  die "the search is not complete:" "$(cat pan.log)"
fi
grep -q '^Full statespace search' pan.log || die "the search was not a full one:" "$(cat pan.log)"
grep -E 'errors: |states, stored|total actual memory' pan.log
