"""What the repositories of bibop_deps() need in turn; call it after bibop_deps()."""

load("@bazel_features//:deps.bzl", "bazel_features_deps")

def bibop_deps_extra():
    bazel_features_deps()
