#!/usr/bin/env bash
# Builds libc++ and libc++abi with MemorySanitizer, from Debian's own source of
# LLVM, for --config=msan:
#
#   tools/offline/build_msan_libcxx.sh DIRECTORY
#   ./bazelw test --config=clang --config=msan --config=msan-libcxx //...
#
# and adds the lines of --config=msan-libcxx to user.bazelrc.
# Needs: cmake, clang-19, and a deb-src line (or Types: deb deb-src) for the suite
# that clang-19 came from.
set -euo pipefail
to=$(mkdir -p "$1" && cd "$1" && pwd)
workspace=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
version=$(dpkg-query -W -f '${Version}' clang-19)
(cd "$work" && apt-get -qq -o APT::Sandbox::User=root source --download-only "llvm-toolchain-19=$version")
mkdir "$work/llvm"
tar -xf "$work"/llvm-toolchain-19_*.orig.tar.xz -C "$work/llvm" --strip-components=1 --wildcards \
  '*/cmake/*' '*/libc/*' '*/libcxx/*' '*/libcxxabi/*' '*/libunwind/*' '*/llvm/cmake/*' '*/llvm/utils/*' '*/runtimes/*'
cmake -S "$work/llvm/runtimes" -B "$work/build" -DCMAKE_BUILD_TYPE=Release \
  -DCMAKE_C_COMPILER=clang-19 -DCMAKE_CXX_COMPILER=clang++-19 \
  -DLLVM_ENABLE_RUNTIMES='libcxx;libcxxabi' -DLLVM_USE_SANITIZER=MemoryWithOrigins \
  -DLIBCXXABI_USE_LLVM_UNWINDER=OFF -DLLVM_INCLUDE_TESTS=OFF -DLIBCXX_INCLUDE_TESTS=OFF \
  -DLIBCXXABI_INCLUDE_TESTS=OFF -DLIBCXX_INCLUDE_BENCHMARKS=OFF -DCMAKE_INSTALL_PREFIX="$to"
cmake --build "$work/build" -j "$(nproc)" --target cxx cxxabi
cmake --build "$work/build" --target install-cxx --target install-cxxabi
touch "$workspace/user.bazelrc"
sed -i '/msan-libcxx/d' "$workspace/user.bazelrc"
cat >> "$workspace/user.bazelrc" <<EOF
build:msan-libcxx --repo_env=BAZEL_CXXOPTS=-nostdinc++:-isystem$to/include/c++/v1
build:msan-libcxx --repo_env=BAZEL_LINKOPTS=-L$to/lib:-Wl,-rpath,$to/lib
build:msan-libcxx --repo_env=BAZEL_LINKLIBS=-lc++:-lc++abi:-lm
EOF
