"""C++ rules with this repository's compiler options and include paths.

Headers are included as "bibop/<package>/<header>.h", here and by those who depend
on Bibop. That holds for `hdrs`: a header among `srcs` gets no such path, so name
internal headers in the `hdrs` of a target of limited visibility.
"""

load("@rules_cc//cc:defs.bzl", "cc_binary", "cc_library", "cc_test")

# Warnings that gcc and clang both take; .bazelrc makes them errors in this repository.
_WARNINGS = [
    "-Wall",
    "-Wextra",
    "-Wcast-qual",
    "-Wextra-semi",
    "-Wformat=2",
    "-Wimplicit-fallthrough",
    "-Woverloaded-virtual",
    "-Wpointer-arith",
    "-Wundef",
    "-Wvla",
    "-Wwrite-strings",
]

BIBOP_COPTS = _WARNINGS + select({
    Label("@rules_cc//cc/compiler:clang"): [
        "-Wthread-safety",
    ],
    # gcc's flow-sensitive warnings have false positives, above all in inlined code of
    # the standard library (its bug 105651) and of code that a sanitizer instruments.
    "//conditions:default": [
        "-Wno-restrict",
        "-Wno-error=array-bounds",
        "-Wno-error=maybe-uninitialized",
        "-Wno-error=stringop-overflow",
        "-Wno-error=stringop-overread",
    ],
})

_MALLOC = Label("//:malloc")
_GTEST = [
    Label("@googletest//:gtest"),
    Label("@googletest//:gtest_main"),
]

def bibop_cc_library(name, copts = [], **kwargs):
    """cc_library whose headers are included as "bibop/<package>/<header>.h".

    Args:
      name: the target's name.
      copts: options besides BIBOP_COPTS.
      **kwargs: passed to cc_library.
    """
    cc_library(
        name = name,
        copts = BIBOP_COPTS + copts,
        include_prefix = "bibop",
        strip_include_prefix = "/",
        **kwargs
    )

def bibop_cc_binary(name, copts = [], malloc = _MALLOC, **kwargs):
    """cc_binary with the malloc that --//:malloc names.

    Args:
      name: the target's name.
      copts: options besides BIBOP_COPTS.
      malloc: the target that provides malloc.
      **kwargs: passed to cc_binary.
    """
    cc_binary(
        name = name,
        copts = BIBOP_COPTS + copts,
        malloc = malloc,
        **kwargs
    )

def bibop_cc_test(name, copts = [], deps = [], main = True, malloc = _MALLOC, size = "small", **kwargs):
    """cc_test with GoogleTest and the malloc that --//:malloc names.

    Args:
      name: the target's name.
      copts: options besides BIBOP_COPTS.
      deps: the libraries under test and what else the test uses.
      main: False for a test that has a main() of its own; such a test also names
        @googletest//:gtest itself where it uses it.
      malloc: the target that provides malloc.
      size: as for every test, but small by default.
      **kwargs: passed to cc_test.
    """
    cc_test(
        name = name,
        size = size,
        copts = BIBOP_COPTS + copts,
        malloc = malloc,
        # Heaps have threads, which a death test must not fork away from.
        env = {"GTEST_DEATH_TEST_STYLE": "threadsafe"},
        deps = deps + (_GTEST if main else []),
        **kwargs
    )
