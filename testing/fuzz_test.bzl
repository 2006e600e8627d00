"""bibop_fuzz_test: a fuzz target that is an ordinary test as well.

The source defines LLVMFuzzerTestOneInput. As a test it is run over some pseudo-random
inputs (see fuzz_main.cc). With --config=fuzz, which takes clang, it is linked with
libFuzzer, which looks for inputs that reach new code:

    bazel run --config=fuzz //heap:object_heap_fuzz -- -max_total_time=600
"""

load("//bazel:bibop.bzl", "bibop_cc_test")

def bibop_fuzz_test(name, srcs, deps, runs, **kwargs):
    """A test of the fuzz target in srcs.

    Args:
      name: the target's name.
      srcs: the source that defines LLVMFuzzerTestOneInput.
      deps: the libraries under test and what else the target uses.
      runs: how many inputs the test takes.
      **kwargs: passed to bibop_cc_test.
    """
    bibop_cc_test(
        name = name,
        srcs = srcs,
        args = select({
            "//testing:libfuzzer_on": ["-max_total_time=10"],
            "//conditions:default": ["--runs=%d" % runs],
        }),
        linkopts = select({
            "//testing:libfuzzer_on": ["-fsanitize=fuzzer"],
            "//conditions:default": [],
        }),
        main = False,
        deps = deps + select({
            "//testing:libfuzzer_on": [],
            "//conditions:default": ["//testing:fuzz_main"],
        }),
        **kwargs
    )
