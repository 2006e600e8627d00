"""The peers: what they are, and which Debian packages they come from."""

from __future__ import annotations

import dataclasses

_NODE = "usr/include/nodejs/deps/v8/include"


@dataclasses.dataclass(frozen=True)
class Peer:
    """A peer, and how its program is built: Builder has a way for each language."""

    title: str
    packages: tuple[str, ...]
    language: str
    # For C++: folders of headers below /, flags of the compiler, and of the linker; for a
    # malloc: the library that is preloaded.
    includes: tuple[str, ...] = ()
    flags: tuple[str, ...] = ()
    libraries: tuple[str, ...] = ()
    # What its command line starts with.
    arguments: tuple[str, ...] = ()
    # What has to be said wherever it is compared.
    note: str = ""


PEERS = {
    "tcmalloc": Peer("tcmalloc", ("libtcmalloc-minimal4",), "preload",
                     libraries=("libtcmalloc_minimal.so.4",)),
    "jemalloc": Peer("jemalloc", ("libjemalloc2",), "preload", libraries=("libjemalloc.so.2",)),
    "mimalloc": Peer("mimalloc", ("libmimalloc2.0",), "preload", libraries=("libmimalloc.so.2",)),
    "bdwgc": Peer("bdwgc (Boehm, Demers, Weiser)", ("libgc-dev",), "cpp", libraries=("-lgc",),
                  note="conservative; cells of 16 bytes and their multiples, no header"),
    "cppgc": Peer("cppgc (V8's C++ collector, stand-alone)", ("libnode-dev", "libnode108"), "cpp",
                  includes=(_NODE,), flags=("-fno-rtti",), libraries=("-lnode",),
                  note="a header of 8 bytes for each object"),
    "v8": Peer("V8", ("libnode-dev", "libnode108"), "javascript", includes=(_NODE,),
               flags=("-fno-rtti",), libraries=("-lnode",),
               note="JavaScript objects: a header of 24 bytes, fields of 8, a clock that is a "
                    "call of the embedder; handles and globals are its C++ interface"),
    "spidermonkey": Peer("SpiderMonkey", ("libmozjs-102-dev",), "javascript",
                         includes=("usr/include/mozjs-102",), libraries=("-lmozjs-102",),
                         note="JavaScript objects: a header of 16 bytes and more, fields of 8; "
                              "handles are its C++ interface"),
    "go": Peer("Go", ("golang-go",), "go", note="the layouts of C++; no header"),
    "java": Peer("OpenJDK", ("openjdk-17-jdk-headless",), "java",
                 note="a header of 12 bytes, references of 4; with ZGC 16 and 8, and its heap is "
                      "mapped three times, so that its memory is its share of each page "
                      "(Pss) at the end"),
    "ocaml": Peer("OCaml", ("ocaml-nox",), "ocaml",
                  note="a header of 8 bytes, numbers of 63 bits"),
}
