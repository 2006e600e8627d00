"""A repository that puts the C library's malloc under tcmalloc's label."""

_BUILD = """
alias(
    name = "tcmalloc",
    actual = "@bazel_tools//tools/cpp:malloc",
    visibility = ["//visibility:public"],
)
"""

def _libc_malloc_repository_impl(repository_ctx):
    repository_ctx.file("WORKSPACE", "")
    repository_ctx.file("BUILD.bazel", "")
    repository_ctx.file("tcmalloc/BUILD.bazel", _BUILD)

libc_malloc_repository = repository_rule(
    implementation = _libc_malloc_repository_impl,
    doc = "Provides @<name>//tcmalloc, which is the C library's malloc.",
)
