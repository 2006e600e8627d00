"""clang_tidy_test: passes if clang-tidy finds misuses, and only those.

For checks that a project relies on, and for their options. The source is as for
compile_fail_test:

    load("@bibop//testing:clang_tidy_test.bzl", "clang_tidy_test")

    clang_tidy_test(
        name = "vault_tidy_test",
        src = "vault_misuses.cc",
        config = "//:.clang-tidy",
        findings = {
            "SUSPENDS_WITH_A_LOCK": "across a suspension point .*misc-coroutine-hostile-raii",
        },
        deps = [":vault"],
    )

clang-tidy runs over the source with the options that it is compiled with, whichever compiler
that is: as it is, where it has to be silent, and once with each macro, where it has to find
what matches, and nothing in lines that are not in a conditional that names the macro.

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
            ctx.file.config.short_path,
            arguments.short_path,
        ] + [word for finding in ctx.attr.findings.items() for word in finding]]) + "\n",
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
        "findings": attr.string_dict(allow_empty = False, mandatory = True),
        "_run": attr.label(
            default = "//testing/private:clang_tidy.sh",
            allow_single_file = True,
        ),
    },
    fragments = CC_COMMAND_FRAGMENTS,
    toolchains = CC_COMMAND_TOOLCHAINS,
    test = True,
)

def clang_tidy_test(name, src, findings, config, **kwargs):
    """A test that clang-tidy finds misuses.

    Args:
      name: the target's name.
      src: the source, in which clang-tidy finds nothing as it is.
      findings: for each macro with which the source contains a misuse an extended regular
        expression that matches the finding: its message and, in brackets, the name of
        the check.
      config: a file such as .clang-tidy; Bibop's own is @bibop//tools:bibop.clang-tidy.
      **kwargs: what other tests take too, and copts, and deps, the libraries that the source uses.
    """
    _clang_tidy_test(
        name = name,
        src = src,
        config = config,
        findings = findings,
        **kwargs
    )
