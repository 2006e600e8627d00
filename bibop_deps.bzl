"""Bibop's dependencies for builds from WORKSPACE.

    load("@bibop//:bibop_deps.bzl", "bibop_deps")

    bibop_deps()

    load("@bibop//:bibop_deps_extra.bzl", "bibop_deps_extra")

    bibop_deps_extra()

A repository that the WORKSPACE declares before stays as it is. The names are those
of MODULE.bazel.
"""

load("@bazel_tools//tools/build_defs/repo:http.bzl", "http_archive")
load("@bazel_tools//tools/build_defs/repo:utils.bzl", "maybe")
load("//third_party/libc_malloc:repository.bzl", "libc_malloc_repository")

def bibop_deps():
    """Declares every repository that Bibop's libraries, tests, benchmarks and examples use."""
    maybe(
        http_archive,
        name = "platforms",
        sha256 = "218efe8ee736d26a3572663b374a253c012b716d8af0c07e842e82f238a0a7ee",
        urls = ["https://github.com/bazelbuild/platforms/releases/download/0.0.10/platforms-0.0.10.tar.gz"],
    )
    maybe(
        http_archive,
        name = "rules_cc",
        sha256 = "4b12149a041ddfb8306a8fd0e904e39d673552ce82e4296e96fac9cbf0780e59",
        strip_prefix = "rules_cc-0.1.0",
        urls = ["https://github.com/bazelbuild/rules_cc/releases/download/0.1.0/rules_cc-0.1.0.tar.gz"],
    )
    maybe(
        http_archive,
        name = "bazel_features",
        sha256 = "2cd9e57d4c38675d321731d65c15258f3a66438ad531ae09cb8bb14217dc8572",
        strip_prefix = "bazel_features-1.11.0",
        urls = ["https://github.com/bazel-contrib/bazel_features/releases/download/v1.11.0/bazel_features-v1.11.0.tar.gz"],
    )
    maybe(
        http_archive,
        name = "bazel_skylib",
        sha256 = "3b5b49006181f5f8ff626ef8ddceaa95e9bb8ad294f7b5d7b11ea9f7ddaf8c59",
        urls = ["https://github.com/bazelbuild/bazel-skylib/releases/download/1.9.0/bazel-skylib-1.9.0.tar.gz"],
    )
    maybe(
        http_archive,
        name = "abseil-cpp",
        sha256 = "6e1aee535473414164bf83e4ebc40240dec71a4701f8a642d906e95bea1aea0c",
        strip_prefix = "abseil-cpp-20260526.0",
        urls = ["https://github.com/abseil/abseil-cpp/releases/download/20260526.0/abseil-cpp-20260526.0.tar.gz"],
    )
    maybe(
        http_archive,
        name = "googletest",
        sha256 = "6e3191c1455468b3fc35a417fb565c1c5071aee1b7e7f85e30cf48a98d37d8b5",
        strip_prefix = "googletest-1.18.0",
        urls = ["https://github.com/google/googletest/releases/download/v1.18.0/googletest-1.18.0.tar.gz"],
    )
    maybe(
        http_archive,
        name = "google_benchmark",
        sha256 = "32131c08ee31eeff2c8968d7e874f3cb648034377dfc32a4c377fa8796d84981",
        strip_prefix = "benchmark-1.9.1",
        urls = ["https://github.com/google/benchmark/archive/refs/tags/v1.9.1.tar.gz"],
    )
    maybe(
        http_archive,
        name = "asio",
        build_file = Label("//third_party/asio:asio.BUILD"),
        sha256 = "f3bac015305fbb700545bd2959fbc52d75a1ec2e05f9c7f695801273ceb78cf5",
        strip_prefix = "asio-asio-1-34-2",
        urls = ["https://github.com/chriskohlhoff/asio/archive/refs/tags/asio-1-34-2.tar.gz"],
    )

    maybe(
        http_archive,
        name = "llhttp",
        build_file = Label("//third_party/llhttp:llhttp.BUILD"),
        sha256 = "9da0d23453e8e242cf3b2bc5d6fb70b1517b8a70520065fcbad6be787e86638e",
        strip_prefix = "llhttp-release-v8.1.0",
        urls = ["https://github.com/nodejs/llhttp/archive/refs/tags/release/v8.1.0.tar.gz"],
    )

    # google/tcmalloc wants protobuf and more, which WORKSPACE has no short way to:
    # programs that are built from here take the C library's malloc.
    maybe(libc_malloc_repository, name = "tcmalloc")
