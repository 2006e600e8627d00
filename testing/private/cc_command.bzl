"""The command line with which the C++ toolchain would check one source.

For rules that look at how a source compiles, or does not.
"""

load("@rules_cc//cc:find_cc_toolchain.bzl", "find_cc_toolchain", "use_cc_toolchain")
load("@rules_cc//cc/common:cc_common.bzl", "cc_common")
load("@rules_cc//cc/common:cc_info.bzl", "CcInfo")

CC_COMMAND_ATTRS = {
    "deps": attr.label_list(providers = [CcInfo]),
    "src": attr.label(allow_single_file = [".cc", ".cpp", ".cxx"], mandatory = True),
    "_cc_toolchain": attr.label(default = "@rules_cc//cc:current_cc_toolchain"),
    "_lines": attr.label(
        default = "//testing/private:misuse_lines.sh",
        allow_single_file = True,
    ),
}
CC_COMMAND_FRAGMENTS = ["cpp"]
CC_COMMAND_TOOLCHAINS = use_cc_toolchain()

def _in_runfiles(path):
    """Where a file or folder of the execution root is, seen from a test's folder."""
    parts = path.split("/")
    if parts[0] == "bazel-out":
        parts = parts[3:]  # bazel-out/<configuration>/bin
    if parts and parts[0] == "external":
        parts = [".."] + parts[1:]
    return "/".join(parts) or "."

def cc_command(ctx, copts = [], for_runfiles = False):
    """What checks ctx.file.src with the options of a cc_library that has the same deps.

    Args:
      ctx: of a rule with the attributes, fragments and toolchains above.
      copts: options besides those of the command line.
      for_runfiles: whether paths are those that a test sees, instead of an action's.

    Returns:
      A struct: compiler, the program's path; arguments, of which the last ones check the source
      and write nothing; env; inputs, a depset of the source and all headers; tools, a
      depset of what the compiler itself needs.
    """
    toolchain = find_cc_toolchain(ctx)
    features = cc_common.configure_features(
        ctx = ctx,
        cc_toolchain = toolchain,
        requested_features = ctx.features,
        unsupported_features = ctx.disabled_features + ["module_maps", "layering_check", "parse_headers"],
    )
    context = cc_common.merge_cc_infos(
        direct_cc_infos = [d[CcInfo] for d in ctx.attr.deps],
    ).compilation_context
    place = (lambda paths: depset([_in_runfiles(p) for p in paths.to_list()])) if for_runfiles else (lambda paths: paths)
    variables = cc_common.create_compile_variables(
        feature_configuration = features,
        cc_toolchain = toolchain,
        source_file = ctx.file.src.short_path if for_runfiles else ctx.file.src.path,
        output_file = "/dev/null",
        user_compile_flags = ctx.fragments.cpp.copts + ctx.fragments.cpp.cxxopts + copts + ["-fsyntax-only"],
        include_directories = place(context.includes),
        quote_include_directories = place(context.quote_includes),
        system_include_directories = place(depset(transitive = [context.system_includes, context.external_includes])),
        preprocessor_defines = depset(transitive = [context.defines, context.local_defines]),
    )
    return struct(
        compiler = cc_common.get_tool_for_action(
            feature_configuration = features,
            action_name = "c++-compile",
        ),
        arguments = cc_common.get_memory_inefficient_command_line(
            feature_configuration = features,
            action_name = "c++-compile",
            variables = variables,
        ),
        env = cc_common.get_environment_variables(
            feature_configuration = features,
            action_name = "c++-compile",
            variables = variables,
        ),
        inputs = depset([ctx.file.src], transitive = [context.headers]),
        tools = toolchain.all_files,
    )
