#!/usr/bin/env python3
"""Writes docs/handle_safety.md from the catalogue in handles/misuses/misuses.bzl.

    docs/handle_safety.py           writes it
    docs/handle_safety.py --check   fails if it is not what would be written

Fails, too, if a test that the catalogue names does not exist.
"""

import ast
import difflib
import os
import re
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
CATALOGUE = "handles/misuses/misuses.bzl"
PAGE = "docs/handle_safety.md"

# Columns of compilers: the heading, the compiler, the major version.
COMPILERS = [("gcc 12", "gcc", 12), ("clang 19", "clang", 19), ("clang 22", "clang", 22)]

INTRODUCTION = """\
# What is caught, and by what

{count} ways to misuse handles, and what comes of each. This page is generated from the tests that
pin it: [handles/misuses](../handles/misuses) has the source of each misuse and what each compiler
says of it, and a change of either that is not here fails a test. To write it anew: `docs/handle_safety.py`.

There are three rings, each useful alone:

1. **The compiler.** What says *error* does not compile, with any option. What names a flag is a
   warning: with `-Werror` and that flag it does not compile either. These help most:

   ```
   # .bazelrc; gcc
   build --copt=-Werror=unused-result
   # clang
   build --copt=-Werror=unused-value --copt=-Werror=return-stack-address
   build --copt=-Werror=consumed --copt=-Werror=thread-safety
   # clang 22, in addition
   build --copt=-Xclang --copt=-fexperimental-lifetime-safety
   build --copt=-Xclang --copt=-fexperimental-lifetime-safety-inference
   build --copt=-Werror=experimental-lifetime-safety
   ```

2. **clang-tidy** 19 and later, whichever compiler builds the program:
   [tools/bibop.clang-tidy](../tools/bibop.clang-tidy) has the checks and their options. It finds what
   clang warns of, too, for those who build with gcc. `@bibop//testing:clang_tidy_test.bzl` tests such a
   configuration, `@bibop//testing:compile_fail_test.bzl` what your own headers are to reject.

   Some right uses are taken for wrong ones: by `-Wconsumed` a loop without an end condition in which, or around which,
   there is an `EscapableHandleScope`; by `-Wthread-safety` two `NoGcScope`s, or two seals of one scope, in one function.

3. **Checked builds**, `--config=checked` or `--@bibop//:checked_handles`, on in `dbg` and under the
   sanitizers: run your tests in one. Where it says *aborts* the program ends with a paragraph that says
   what happened and, where a scope is involved, where that was opened and closed. What aborts in
   *every build* does so in production too.

   In such builds a handle is larger and knows where it is: libraries that move what they are given to the heap
   make it abort. Capture handles by reference in a local `std::function`, or take an `absl::FunctionRef`; compare with
   `EXPECT_EQ`, not with a matcher; sort with `std::sort`.

A dash means that nothing is said; an empty field that there is nothing for a compiler to see. gcc 12 and clang
19 are what continuous integration runs; the tests hold for clang 22 too, which is run by hand
([building.md](building.md)). What is in brackets was read of, not run.
"""


def load():
    """Returns the groups of the catalogue."""
    with open(os.path.join(ROOT, CATALOGUE), encoding="utf-8") as file:
        tree = ast.parse(file.read())
    for statement in tree.body:
        if isinstance(statement, ast.Assign) and statement.targets[0].id == "MISUSES":
            return ast.literal_eval(statement.value)
    sys.exit(f"{CATALOGUE} has no MISUSES")


def best(by_compiler, compiler, major, default):
    """Returns the value for the key that fits best, as compile_fail_test chooses it."""
    if not isinstance(by_compiler, dict):
        return by_compiler
    value, rank = default, -1
    for key, candidate in by_compiler.items():
        kind, _, oldest = key.partition("-")
        if kind == compiler and int(oldest or 0) <= major and int(oldest or 0) > rank:
            value, rank = candidate, int(oldest or 0)
    return value


def compiler_field(misuse, compiler, major):
    if "src" not in misuse:
        return ""
    if not best(misuse["errors"], compiler, major, ""):
        return "–"
    copts = best(misuse.get("copts", {}), compiler, major, [])
    flags = ["-W" + c.removeprefix("-Werror=") for c in copts if c.startswith("-Werror=")]
    return " ".join(f"`{flag}`" for flag in flags) or "error"


def check_test(name):
    """Fails if "file:Suite.Test" does not exist."""
    path, _, test = name.partition(":")
    suite, _, case = test.partition(".")
    with open(os.path.join(ROOT, path), encoding="utf-8") as file:
        if not re.search(rf"\bTEST(_F|_P)?\(\s*{suite},\s*{case}\s*\)", file.read()):
            sys.exit(f"{CATALOGUE} names the test {name}, which does not exist")


def row(misuse):
    known = set("id title src errors copts later finding checked every note".split())
    unknown = set(misuse) - known
    if unknown:
        sys.exit(f"{CATALOGUE}: {misuse['id']} has {unknown}, of which nothing is known")
    tests = misuse.get("checked", []) + misuse.get("every", [])
    for name in tests:
        check_test(name)
    if "src" not in misuse and not tests:
        sys.exit(f"{CATALOGUE}: {misuse['id']} has neither a source nor a test")
    fields = [compiler_field(misuse, *compiler[1:]) for compiler in COMPILERS]
    later = "; ".join(f"[{c.replace('-', ' ')}: {what}]" for c, what in misuse.get("later", {}).items())
    if later:
        fields[-1] += f" {later}"
    finding = misuse.get("finding", "")
    check = re.search(r"((misc|bugprone|cppcoreguidelines|clang-diagnostic)-[a-z-]*)", finding)
    fields.append(f"`{check[1].rstrip('-')}`" if check else "")
    fields.append("aborts" if tests else "")
    fields.append("aborts" if misuse.get("every") else "")
    nothing = not check and not tests and all(f.startswith("–") for f in fields[: len(COMPILERS)])
    notes = ["**not caught**"] * nothing + ([misuse["note"]] if "note" in misuse else [])
    return "| " + " | ".join([misuse["title"]] + fields + ["; ".join(notes)]) + " |"


def page(groups):
    lines = [INTRODUCTION.format(count=sum(len(g["misuses"]) for g in groups))]
    headings = ["misuse"] + [c[0] for c in COMPILERS] + ["clang-tidy", "checked builds", "every build", ""]
    for group in groups:
        lines += [f"## {group['group']}", "", "| " + " | ".join(headings) + " |", "|---" * len(headings) + "|"]
        lines += [row(misuse) for misuse in group["misuses"]]
        lines.append("")
    return "\n".join(lines).replace("  |", " |")


def main():
    wanted = page(load())
    path = os.path.join(ROOT, PAGE)
    if sys.argv[1:] == ["--check"]:
        with open(path, encoding="utf-8") as file:
            found = file.read()
        if found != wanted:
            sys.stdout.writelines(difflib.unified_diff(
                found.splitlines(True), wanted.splitlines(True), PAGE, "what the catalogue says"))
            sys.exit(f"{PAGE} is not what {CATALOGUE} says: run docs/handle_safety.py")
        return
    if sys.argv[1:]:
        sys.exit(__doc__)
    with open(path, "w", encoding="utf-8") as file:
        file.write(wanted)


if __name__ == "__main__":
    main()
