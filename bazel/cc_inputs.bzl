"""cc_inputs: the headers and archives that a program takes from some libraries.

For a test that uses the libraries in a way that Bazel does not see, and has to run
again when one of them changes.
"""

load("@rules_cc//cc/common:cc_info.bzl", "CcInfo")

def _cc_inputs_impl(ctx):
    transitive = []
    archives = []
    for dep in ctx.attr.deps:
        transitive.append(dep[CcInfo].compilation_context.headers)
        for linker_input in dep[CcInfo].linking_context.linker_inputs.to_list():
            for library in linker_input.libraries:
                archive = library.pic_static_library or library.static_library
                if archive:
                    archives.append(archive)
    return [DefaultInfo(files = depset(archives, transitive = transitive))]

cc_inputs = rule(
    implementation = _cc_inputs_impl,
    doc = "The headers and archives of libraries and of all that they depend on.",
    attrs = {
        "deps": attr.label_list(
            doc = "The libraries.",
            providers = [CcInfo],
        ),
    },
)
