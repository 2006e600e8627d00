"""clang_tidy_test: passes if clang-tidy finds a misuse, and only that.

For a check that a project relies on, and for its options. The source is as for
compile_fail_test:

    load("@bibop//testing:clang_tidy_test.bzl", "clang_tidy_test")

    clang_tidy_test(
        name = "suspends_with_a_lock_tidy_test",
        src = "vault_misuses.cc",
        config = "//:.clang-tidy",
        finding = "persists across a suspension point .*misc-coroutine-hostile-raii",
        macro = "SUSPENDS_WITH_A_LOCK",
        deps = [":vault"],
    )

clang-tidy runs over the source with the options that it is compiled with, whichever compiler
that is, without the macro, where it has to be silent, and with -D<macro>, where
it has to find what matches, and nothing in lines that are not in a conditional that names
the macro.

It takes clang-tidy-19, clang-tidy or a later clang-tidy-NN from the PATH, or the program that
CLANG_TIDY names. Where there is none of version 19 or later the test says so and
passes, unless BIBOP_REQUIRE_CLANG_TIDY is 1:

    bazel test --test_env=BIBOP_REQUIRE_CLANG_TIDY=1 //...

Limit: options that name files of a compiler that Bazel brings itself do not reach them.
"""

load(
    "//testing/private:cc_command.bzl",
    "CC_COMMAND_ATTRS",
    "CC_COMMAND_FRAGMENTS",
    "CC_COMMAND_TOOLCHAINS",
    "cc_command",
)

def _quoted(text):
    return "'" + text.replace("'", "'\\''") + "'"

def _clang_tidy_test_impl(ctx):
    command = cc_command(ctx, copts = ctx.attr.copts, for_runfiles = True)
    source = ctx.file.src.short_path
    arguments = ctx.actions.declare_file(ctx.label.name + ".arguments")
    ctx.actions.write(
        arguments,
        "".join([a + "\n" for a in command.arguments if a not in ["-c", "-o", "/dev/null", source]]),
    )
    script = ctx.actions.declare_file(ctx.label.name + ".sh")
    ctx.actions.write(
        script,
        "#!/bin/sh\nexec " + " ".join([_quoted(word) for word in [
            ctx.file._run.short_path,
            source,
            ctx.attr.macro,
            ctx.file.config.short_path,
            ctx.attr.finding,
            arguments.short_path,
        ]]) + "\n",
        is_executable = True,
    )
    files = [arguments, ctx.file.config, ctx.file._lines, ctx.file._run]
    return [
        DefaultInfo(
            executable = script,
            runfiles = ctx.runfiles(files, transitive_files = command.inputs),
        ),
        RunEnvironmentInfo(inherited_environment = ["BIBOP_REQUIRE_CLANG_TIDY", "CLANG_TIDY"]),
    ]

_clang_tidy_test = rule(
    implementation = _clang_tidy_test_impl,
    attrs = CC_COMMAND_ATTRS | {
        "config": attr.label(allow_single_file = True, mandatory = True),
        "copts": attr.string_list(),
        "finding": attr.string(mandatory = True),
        "_run": attr.label(
            default = "//testing/private:clang_tidy.sh",
            allow_single_file = True,
        ),
    },
    fragments = CC_COMMAND_FRAGMENTS,
    toolchains = CC_COMMAND_TOOLCHAINS,
    test = True,
)

def clang_tidy_test(name, src, macro, finding, config, size = "small", **kwargs):
    """A test that clang-tidy finds a misuse.

    Args:
      name: the target's name.
      src: the source, in which clang-tidy finds nothing as it is.
      macro: with this macro defined the source contains the misuse.
      finding: an extended regular expression that matches a finding: the message and, in
        brackets, the name of the check.
      config: a file such as .clang-tidy; Bibop's own is @bibop//tools:bibop.clang-tidy.
      size: as for every test, but small by default.
      **kwargs: what other tests take too, and copts, and deps, the libraries that the source uses.
    """
    _clang_tidy_test(
        name = name,
        src = src,
        config = config,
        finding = finding,
        macro = macro,
        size = size,
        **kwargs
    )
