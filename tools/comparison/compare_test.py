#!/usr/bin/env python3
"""What tools/compare promises, without a peer: its contestants here are a line of shell."""

import json
import os
import re
import subprocess
import sys
import tempfile
import unittest
import xml.etree.ElementTree

_TOOLS = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(0, _TOOLS)

from comparison import command_line, packages, plots, running  # noqa: E402
from comparison.contestants import Field  # noqa: E402
from comparison.model import (Comparison, Contestant, Figure, Runs, Workload,  # noqa: E402
                              from_json, to_json)
from comparison.peers import PEERS  # noqa: E402
from comparison.tables import report, workload_table  # noqa: E402
from comparison.workloads import QUICK, workloads  # noqa: E402

_WORK = Workload("trees", "Trees", "Trees are built.", "nodes",
                 (Figure("wall_s", "time", "s", logarithmic=True),
                  Figure("peak_mib", "memory", "MiB")))
_TREES = "bibop/benchmarks"


def _prints(name, text, peer="go"):
    return Contestant(name, peer, ("/bin/sh", "-c", f"cat <<'END'\n{text}\nEND"))


def _run(*contestants, rounds=1):
    said = []
    return running.run_workload(_WORK, list(contestants), rounds, said.append), said


class Running(unittest.TestCase):

    def test_reads_json_and_the_lines_of_our_own_programs(self):
        runs, _ = _run(_prints("a", '{"units": 7, "figures": {"wall_s": 0.5}}'),
                       _prints("b", "units 7\nwall_s 0.25"))
        a, b = runs.contestants
        self.assertEqual((a.units, a.figures["wall_s"]), (7, [0.5]))
        self.assertEqual((b.units, b.figures["wall_s"]), (7, [0.25]))
        self.assertGreater(a.figures["peak_mib"][0], 1)

    def test_contestants_run_in_turn(self):
        with tempfile.TemporaryDirectory() as folder:
            log = os.path.join(folder, "log")
            both = [Contestant(name, "go", ("/bin/sh", "-c", f"echo {name} >>{log}; echo units 1"))
                    for name in "ab"]
            _run(*both, rounds=3)
            with open(log, encoding="utf-8") as file:
                self.assertEqual(file.read().split(), list("ababab"))

    def test_medians_are_over_rounds(self):
        with tempfile.TemporaryDirectory() as folder:
            log = os.path.join(folder, "log")
            counts = Contestant("a", "go", (
                "/bin/sh", "-c", f"echo >>{log}; echo units 1; echo wall_s $(wc -l <{log})"))
            runs, _ = _run(counts, rounds=3)
        self.assertEqual(runs.contestants[0].figures["wall_s"], [1, 2, 3])
        self.assertEqual(runs.contestants[0].median("wall_s"), 2)

    def test_refuses_different_units(self):
        with self.assertRaisesRegex(running.DifferentWork,
                                    "b did different work: nodes 8, but 7 of a"):
            _run(_prints("a", "units 7"), _prints("b", "units 8"))

    def test_refuses_different_checksums(self):
        with self.assertRaisesRegex(running.DifferentWork, "checksum 2, but 1 of a"):
            _run(_prints("a", "units 7\nchecksum 1"), _prints("b", "units 7"),
                 _prints("c", "units 7\nchecksum 2"))

    def test_leaves_out_who_fails_and_goes_on(self):
        runs, said = _run(Contestant("a", "go", ("/bin/sh", "-c", "echo oh >&2; exit 3")),
                          Contestant("b", "go", ("/nowhere/program",)),
                          _prints("c", "no figures"), _prints("d", "units 7\nwall_s 1"), rounds=2)
        a, b, c, d = runs.contestants
        self.assertEqual(a.left_out, "failed: exit status 3: oh")
        self.assertIn("No such file", b.left_out)
        self.assertIn("it printed 'no figures'", c.left_out)
        self.assertEqual(d.figures["wall_s"], [1, 1])
        self.assertEqual(sum("exit status 3" in line for line in said), 1)

    def test_tells_the_rate_of_operations(self):
        runs, _ = _run(_prints("a", "units 5000\noperations_s 2"))
        self.assertEqual(runs.contestants[0].figures["operations_per_s"], [2.5])


def _comparison():
    ours = Runs("bibop", "bibop", units=7, figures={"wall_s": [2, 1, 3], "peak_mib": [64]})
    go = Runs("go", "go", "GOGC=400", units=7, figures={"wall_s": [4, 4, 5], "peak_mib": [32]})
    gone = Runs("ocaml", "ocaml", left_out="not installed: ocaml-nox")
    runs = running.WorkloadRuns(_WORK, [ours, go, gone])
    return Comparison({"processor": "one"}, {"go": "golang-go 1", "ocaml": gone.left_out}, [runs])


class Reports(unittest.TestCase):

    def test_a_table_has_medians_ratios_and_who_is_missing(self):
        lines = workload_table(_comparison().workloads[0]).splitlines()
        self.assertIn("| **bibop** | **2.00** (1.00 to 3.00) | 1.00 | 64.0 |", lines)
        self.assertIn("| go | 4.00 (4.00 to 5.00) | 2.00 | **32.0** |", lines)
        self.assertIn("| ocaml | not installed: ocaml-nox |  |  |", lines)

    def test_losses_are_shown_like_wins(self):
        text = report(_comparison(), "plots")
        self.assertIn("| Trees | time, s | 2.00 | 4.00 | go | 0.50 |", text)
        self.assertIn("| Trees | memory, MiB | 64.0 | 32.0 | go | 2.00 |", text)

    def test_settings_and_versions_are_told(self):
        text = report(_comparison(), "plots")
        self.assertIn("| go | `GOGC=400` | Trees |", text)
        self.assertIn("| Go | golang-go 1 |", text)
        self.assertIn("| OCaml | not installed: ocaml-nox |", text)

    def test_figures_survive_being_recorded(self):
        recorded = json.loads(json.dumps(to_json(_comparison())))
        self.assertEqual(from_json(recorded), _comparison())

    def test_the_command_reports_on_recorded_figures(self):
        with tempfile.TemporaryDirectory() as folder:
            recorded = os.path.join(folder, "recorded.json")
            with open(recorded, "w", encoding="utf-8") as file:
                json.dump(to_json(_comparison()), file)
            subprocess.run([os.path.join(_TOOLS, "compare"), "--from", recorded, "--out", folder],
                           check=True, stdout=subprocess.DEVNULL)
            with open(os.path.join(folder, "report.md"), encoding="utf-8") as file:
                text = file.read()
            named = re.findall(r"\]\((plots/[^)]*)\)", text)
            self.assertEqual(len(named), 2)
            for plot in named:
                self.assertTrue(os.path.exists(os.path.join(folder, plot)), plot)

    def test_the_page_is_what_the_command_makes_of_its_figures(self):
        repository = os.path.dirname(_TOOLS)
        plots_of_page = os.path.join(repository, "docs/performance")
        with open(os.path.join(plots_of_page, "report.json"), encoding="utf-8") as file:
            comparison = from_json(json.load(file))
        with open(os.path.join(repository, "docs/performance.md"), encoding="utf-8") as file:
            self.assertIn(report(comparison, "performance"), file.read(),
                          "run tools/compare --from docs/performance/report.json --write-docs")
        for runs in comparison.workloads:
            for figure in runs.workload.figures:
                path = os.path.join(plots_of_page, plots.plot_name(runs.workload, figure))
                if os.path.exists(path):
                    with open(path, encoding="utf-8") as file:
                        self.assertEqual(file.read(), plots.plot(runs, figure), path)


class Plots(unittest.TestCase):

    def test_a_bar_is_as_long_as_its_median(self):
        svg = plots.plot(_comparison().workloads[0], _WORK.figures[1])
        root = xml.etree.ElementTree.fromstring(svg)
        space = "{http://www.w3.org/2000/svg}"
        _, *bars = root.iter(space + "rect")
        # Sorted: 32 MiB, then 64.
        short, long = (float(bar.get("width")) for bar in bars)
        self.assertAlmostEqual(2 * short, long, delta=0.2)
        texts = [text.text for text in root.iter(space + "text")]
        for text in ["go", "bibop", "32", "64", "Trees: memory, MiB"]:
            self.assertIn(text, texts)
        self.assertNotIn("ocaml", texts)

    def test_names_are_escaped(self):
        runs, _ = _run(_prints("a<b&c", "units 1\nwall_s 1"))
        svg = plots.plot(runs, _WORK.figures[0])
        self.assertIn("a<b&c", "".join(xml.etree.ElementTree.fromstring(svg).itertext()))

    def test_ticks_are_round_and_few(self):
        self.assertEqual(plots.ticks(0, 10, False), [0, 2, 4, 6, 8, 10])
        self.assertEqual(plots.ticks(0.5, 30, True), [0.5, 1, 2, 5, 10, 20])
        self.assertEqual(plots.ticks(3, 2e6, True), [10, 100, 1000, 1e4, 1e5, 1e6])


class Contestants(unittest.TestCase):

    def test_a_peer_that_is_missing_is_named_in_each_of_its_workloads(self):
        missing = {name: f"not installed: {name}" for name in PEERS}
        field = Field(QUICK, _TREES, {}, missing)
        for workload in workloads(QUICK):
            for contestant in field.of(workload):
                if contestant.peer in PEERS:
                    self.assertIsInstance(contestant, Runs, contestant.name)
                    self.assertIn("not installed", contestant.left_out)

    def test_no_two_have_the_same_name(self):
        programs = {name: ["program", "script"] for name in PEERS}
        field = Field(QUICK, _TREES, programs, {})
        for workload in workloads(QUICK):
            names = [contestant.name for contestant in field.of(workload)]
            self.assertEqual(len(names), len(set(names)), names)
            self.assertIn("bibop", names)

    def test_every_peer_takes_part(self):
        programs = {name: ["program", "script"] for name in PEERS}
        field = Field(QUICK, _TREES, programs, {})
        part = {contestant.peer for w in workloads(QUICK) for contestant in field.of(w)}
        self.assertEqual(part, {*PEERS, "bibop", "glibc", "floor", "pointers"})


class CommandLine(unittest.TestCase):

    def test_refuses_what_it_cannot_do(self):
        for arguments, said in [(["--only", "tree"], "no workload tree"),
                                (["--peers", "rust"], "no peer rust"),
                                (["--runs", "0"], "--runs may be 1 or more"),
                                (["--write-docs", "--quick"], "all workloads, in full")]:
            done = subprocess.run([os.path.join(_TOOLS, "compare"), *arguments],
                                  capture_output=True, text=True, check=False)
            self.assertEqual(done.returncode, 2, done.stderr)
            self.assertIn(said, done.stderr)

    def test_writes_into_the_place_that_the_page_has(self):
        with tempfile.TemporaryDirectory() as folder:
            os.makedirs(os.path.join(folder, "docs/performance"))
            page = os.path.join(folder, "docs/performance.md")
            stale = os.path.join(folder, "docs/performance/old.svg")
            with open(stale, "w", encoding="utf-8"):
                pass
            with open(page, "w", encoding="utf-8") as file:
                file.write("above\n<!-- tools/compare writes what follows -->\nold\n"
                           "<!-- to here -->\nbelow\n")
            command_line.write_docs(_comparison(), folder)
            with open(page, encoding="utf-8") as file:
                text = file.read()
            self.assertRegex(text, r"(?s)^above\n.*### Trees.*\nbelow\n$")
            self.assertNotIn("old", text)
            self.assertFalse(os.path.exists(stale))
            plot = os.path.join(folder, "docs/performance/trees_wall_s.svg")
            self.assertTrue(os.path.exists(plot))

    def test_a_package_that_does_not_exist_is_missing(self):
        self.assertEqual(packages.missing(("no-such-package",)), ["no-such-package"])


if __name__ == "__main__":
    unittest.main()
