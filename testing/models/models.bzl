"""model_test: a model of a protocol, searched by Spin, and its mutants.

A model is a Promela program: processes whose steps Spin interleaves in every way, with
assertions. A mutant is the model with one macro defined, MUTANT_..., that leaves a step of the
protocol out or does it wrongly: a model that does not mind proves nothing.

    model_test(
        name = "queue",
        src = "queue.pml",
        mutants = ["NO_LOCK", "NO_RECHECK"],
    )

makes the tests queue_test, queue_no_lock_test and queue_no_recheck_test. The first passes if
all states were reached, none violates an assertion, and none but the last ones of processes is a
dead end; the others if there is an error. And queue_mutants_test: the mutants are all that the
source has, and docs/models.md tells of them.

They take spin and a C compiler from the PATH. Where there is none they say so and pass, unless
BIBOP_REQUIRE_SPIN is 1.
"""

def model_test(name, src, mutants, configurations = {"": []}):
    """Tests of a model and of its mutants.

    Args:
      name: the first part of the tests' names.
      src: the model.
      mutants: the mutants' macros, without MUTANT_. A dictionary if there are several
        configurations: for each mutant the one in which it is caught.
      configurations: by name, macros that are defined, for searches that begin differently.
    """
    of = mutants if type(mutants) == "dict" else {mutant: "" for mutant in mutants}
    document = "//docs:models.md"
    common = {
        "srcs": ["model.sh"],
        "env_inherit": ["BIBOP_REQUIRE_SPIN"],
        # What runs is no program of this repository's compilers.
        "tags": ["model", "nosanitizer"],
    }
    native.sh_test(
        name = name + "_mutants_test",
        size = "small",
        args = ["lists", "$(location %s)" % src, "$(location %s)" % document] +
               ["MUTANT_" + mutant for mutant in of],
        data = [src, document],
        **common
    )
    for configuration, macros in configurations.items():
        native.sh_test(
            name = "_".join([part for part in [name, configuration, "test"] if part]),
            size = "medium",
            args = ["holds", "$(location %s)" % src] + ["-D" + macro for macro in macros],
            data = [src],
            **common
        )
    for mutant, configuration in of.items():
        native.sh_test(
            name = "%s_%s_test" % (name, mutant.lower()),
            size = "small",
            args = ["fails", "$(location %s)" % src, "MUTANT_" + mutant] +
                   ["-D" + macro for macro in configurations[configuration]],
            data = [src],
            **common
        )
