"""Builds Bibop's benchmarks and the peers' programs."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys

from comparison import packages
from comparison.peers import PEERS, Peer

_HERE = os.path.dirname(os.path.realpath(__file__))
REPOSITORY = os.path.dirname(os.path.dirname(_HERE))
_PEERS = os.path.join(_HERE, "programs")
_LIBRARIES = "usr/lib/x86_64-linux-gnu"


class CannotBuild(Exception):
    """What a program needs is not there, or it does not compile."""


def _run(command: list[str], **options) -> None:
    """Runs a compiler. Raises CannotBuild with what it said first."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, **options)
    except FileNotFoundError as error:
        raise CannotBuild(f"there is no {command[0]}") from error
    if done.returncode != 0:
        said = (done.stderr or done.stdout).strip().splitlines()
        errors = [line for line in said if "error" in line or "undefined reference" in line]
        raise CannotBuild(f"{command[0]}: {(errors or said or ['failed'])[0].strip()[:300]}")


class Builder:
    """Builds into a folder, `work`."""

    def __init__(self, work: str, bazel: str) -> None:
        self._work = os.path.abspath(work)
        self._bazel = bazel
        os.makedirs(self._work, exist_ok=True)

    def benchmarks(self, names: list[str]) -> str:
        """Builds programs of //benchmarks, optimized; returns the folder that they are in."""
        links = os.path.join(self._work, "bazel-")
        command = [self._bazel, "build", "-c", "opt", f"--symlink_prefix={links}",
                   *(f"//benchmarks:{name}" for name in names)]
        print("building", " ".join(names), file=sys.stderr)
        if subprocess.run(command, cwd=REPOSITORY, stdout=sys.stderr, check=False).returncode:
            raise CannotBuild("Bibop's benchmarks do not build")
        return os.path.join(links + "bin", "benchmarks")

    def peer(self, name: str, may_install: bool) -> list[str]:
        """Builds a peer's program; returns the command line that its arguments follow.
        Raises CannotBuild if its packages are not there, and may not be installed."""
        peer = PEERS[name]
        if may_install:
            packages.install(peer.packages) or packages.unpack(peer.packages, self._root(peer))
        print("building", name, file=sys.stderr)
        try:
            return getattr(self, "_" + peer.language)(name, peer)
        except CannotBuild as error:
            missing = packages.missing(peer.packages)
            if missing and not packages.unpacked(peer.packages, self._root(peer)):
                raise CannotBuild(f"not installed: {', '.join(missing)}") from error
            raise

    def version(self, name: str) -> str:
        """Returns the versions of the packages that a peer comes from."""
        peer = PEERS[name]
        versions = {package: packages.version(package) for package in peer.packages}
        if None in versions.values():
            versions.update(packages.unpacked(peer.packages, self._root(peer)))
        return ", ".join(f"{package} {number}" for package, number in versions.items() if number)

    def _root(self, peer: Peer) -> str:
        return os.path.join(self._work, "packages", peer.packages[0])

    def _output(self, name: str) -> str:
        folder = os.path.join(self._work, "peers", name)
        os.makedirs(folder, exist_ok=True)
        return folder

    def _cpp(self, name: str, peer: Peer) -> list[str]:
        # Headers here are included as "bibop/...".
        include = os.path.join(self._work, "include")
        os.makedirs(include, exist_ok=True)
        link = os.path.join(include, "bibop")
        # It may be another checkout's.
        if os.path.islink(link):
            os.unlink(link)
        os.symlink(REPOSITORY, link)
        root = "/"
        search: list[str] = []
        if packages.unpacked(peer.packages, self._root(peer)):
            root = os.path.join(self._root(peer), "root")
            libraries = os.path.join(root, _LIBRARIES)
            search = ["-L" + libraries, "-Wl,-rpath," + libraries]
        program = os.path.join(self._output(name), name)
        benchmarks = os.path.join(REPOSITORY, "benchmarks")
        _run(["g++", "-std=c++20", "-O2", "-I" + include,
              *(flag for folder in peer.includes
                for flag in ("-isystem", os.path.join(root, folder))),
              *peer.flags, os.path.join(_PEERS, name + ".cc"),
              os.path.join(benchmarks, "latencies.cc"), "-o", program, *search, *peer.libraries])
        return [program, *peer.arguments]

    def _javascript(self, name: str, peer: Peer) -> list[str]:
        return [*self._cpp(name, peer), os.path.join(_PEERS, "javascript", "peer.js")]

    def _go(self, name: str, _: Peer) -> list[str]:
        program = os.path.join(self._output(name), name)
        sources = os.path.join(_PEERS, "golang")
        environment = {**os.environ, "CGO_ENABLED": "1", "GOFLAGS": "-mod=mod", "GOPROXY": "off",
                       "GOCACHE": os.path.join(self._work, "go-cache")}
        _run(["go", "build", "-o", program,
              *(os.path.join(sources, file) for file in sorted(os.listdir(sources)))],
             env=environment)
        return [program]

    def _java(self, name: str, _: Peer) -> list[str]:
        classes = self._output(name)
        sources = os.path.join(_PEERS, "java")
        _run(["javac", "-d", classes,
              *(os.path.join(sources, file) for file in sorted(os.listdir(sources)))])
        return ["java", "-cp", classes]

    def _ocaml(self, name: str, _: Peer) -> list[str]:
        # The compiler writes beside its sources.
        folder = self._output(name)
        sources = os.path.join(_PEERS, "ocaml")
        for file in os.listdir(sources):
            shutil.copy(os.path.join(sources, file), folder)
        _run(["ocamlopt", "-O3", "-unsafe", "-inline", "200", "-o", name, "clocks.c", "peer.ml"],
             cwd=folder)
        return [os.path.join(folder, name)]

    def _preload(self, name: str, peer: Peer) -> list[str]:
        library = peer.libraries[0]
        tried = subprocess.run(["/bin/true"], env={**os.environ, "LD_PRELOAD": library},
                               capture_output=True, text=True, check=False)
        if tried.stderr:
            raise CannotBuild(f"there is no {library}")
        return []
