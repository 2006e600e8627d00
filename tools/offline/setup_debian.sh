#!/usr/bin/env bash
# Obtains Bazel and the modules that Bibop is built with on a Debian 12 (bookworm)
# machine that reaches nothing but its Debian package archive, and prints the path of
# that Bazel. ./bazelw calls it where no Bazel is installed.
#
#   tools/offline/setup_debian.sh
#
# Everything comes through the machine's own apt configuration. It makes one folder,
#
#   ${BIBOP_BAZEL_PREFIX:-${XDG_CACHE_HOME:-~/.cache}/bibop-bazel}/v-<hash>
#     bin/bazel   Bazel 7.x, with the settings below
#     modules/    the modules and archives that MODULE.bazel and WORKSPACE name
#     bazelrc     --override_module for bzlmod, --override_repository for WORKSPACE,
#                 no registry asked, no download
#
# and does nothing when it is there. MODULE.bazel and WORKSPACE stay those of a user
# with internet. If a compiler or another tool that a build needs is missing, the
# script says which, and installs it if it runs as root; nothing else is installed.
#
# Bookworm's own Bazel is 4.2.3; the first Debian release with 7.x is newer, and its
# package needs a newer C library and Java. So that package and what it depends on are
# downloaded with a private apt configuration (signatures checked as always), unpacked
# under the folder, and the few programs among them are pointed (patchelf) at the C
# library beside them. Compilers and whatever Bazel runs stay the machine's own.
set -euo pipefail

suite=${BIBOP_OFFLINE_SUITE:-forky}
needed_mb=2000
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd -P)

log() { printf 'setup_debian: %s\n' "$*" >&2; }
die() {
  trap - ERR
  log "$*"
  exit 1
}

cache=${XDG_CACHE_HOME:-${HOME:+$HOME/.cache}}
prefix=${BIBOP_BAZEL_PREFIX:-${cache:+$cache/bibop-bazel}}
[[ $prefix ]] || die "neither HOME nor BIBOP_BAZEL_PREFIX is set: there is no place to put Bazel"
# The path ends up in Bazel's configuration files and in programs' headers.
[[ $prefix =~ ^/[A-Za-z0-9/._+@-]+$ ]] ||
  die "'$prefix' is no absolute path of plain characters: set BIBOP_BAZEL_PREFIX to one"

llhttp_build=$here/../../third_party/llhttp/llhttp.BUILD
id=$(cat "$here/setup_debian.sh" "$here/lcov_merger.py" "$llhttp_build" - <<<"$suite $prefix" | sha256sum | cut -c1-12)
place=$prefix/v-$id
if [[ -d $place ]]; then
  touch "$place" 2>/dev/null || true # In use: see the end of this script.
  echo "$place/bin/bazel"
  exit 0
fi

# ---- what has to hold before anything is done --------------------------------------
for tool in apt-get apt-cache dpkg dpkg-deb flock; do
  command -v "$tool" >/dev/null ||
    die "there is no $tool here: this works on Debian only; install bazelisk instead"
done
architecture=$(dpkg --print-architecture)
[[ $architecture == amd64 ]] ||
  die "this machine's architecture is $architecture, and this works on amd64 only: install bazelisk instead"
mkdir -p "$prefix" 2>/dev/null || die "cannot make the folder $prefix: set BIBOP_BAZEL_PREFIX to another"

# One run at a time; the lock goes with the process that holds it.
exec 9>"$prefix/lock" || die "cannot write in $prefix: set BIBOP_BAZEL_PREFIX to another folder"
if ! flock --nonblock 9; then
  log "waiting for another run that sets up $prefix"
  flock 9
  if [[ -d $place ]]; then
    echo "$place/bin/bazel"
    exit 0
  fi
fi
rm -rf "$prefix"/tmp.* # What a killed run left.

free_mb() { df -Pm "$prefix" | awk 'NR == 2 { print $4 }'; }
(($(free_mb) >= needed_mb)) ||
  die "$prefix has $(free_mb) MB free and the set-up needs $needed_mb MB: make room or set BIBOP_BAZEL_PREFIX"

work=$(mktemp -d "$prefix/tmp.XXXXXX")
trap 'rm -rf "$work"' EXIT
failed() {
  trap - ERR
  if (($(free_mb) < 50)); then
    log "the disk that holds $prefix is full; nothing is left behind"
  else
    log "stopped at line $1, after the messages above; nothing is left behind, run it again"
  fi
}
trap 'failed $LINENO' ERR
trap 'exit 130' INT
trap 'exit 143' TERM

# ---- the machine's own packages ------------------------------------------------------
export DEBIAN_FRONTEND=noninteractive
machine_apt=(apt-get -qq -o DPkg::Lock::Timeout=600 -o APT::Sandbox::User=root)
updated=
update_lists() {
  [[ ! $updated ]] || return 0
  updated=1
  (($(id -u) == 0)) || die "this machine's package lists are empty or old: run as root: apt-get update"
  log "apt-get update"
  # One source that does not answer is no reason to stop: the next step may not need it.
  "${machine_apt[@]}" update </dev/null >&2 || log "apt-get update reported a problem; going on"
}
candidate() { [[ $(apt-cache policy "$1" | awk '/Candidate:/ { print $2 }') == [0-9]* ]]; }

missing=()
for pair in python3:python3 patchelf:patchelf xz:xz-utils; do
  command -v "${pair%%:*}" >/dev/null || missing+=("${pair#*:}")
done
# Whoever names a compiler has one.
if [[ ! ${CC:-} ]] && ! command -v g++ >/dev/null; then missing+=(g++); fi
if ((${#missing[@]})); then
  (($(id -u) == 0)) ||
    die "run as root: apt-get install -y --no-install-recommends ${missing[*]}"
  for package in "${missing[@]}"; do candidate "$package" || update_lists; done
  install() {
    "${machine_apt[@]}" install -y --no-install-recommends "${missing[@]}" </dev/null >"$work/install.log" ||
      { cat "$work/install.log" >&2 && return 1; }
  }
  log "installing on this machine: ${missing[*]} (apt-get install --no-install-recommends)"
  if ! install; then
    [[ ! $updated ]] || die "apt-get could not install ${missing[*]}"
    update_lists # Old lists name packages that the archive no longer has.
    install || die "apt-get could not install ${missing[*]}"
  fi
fi

# ---- a private apt: the machine's own archive, another suite -------------------------
archives() {
  # shellcheck disable=SC2016 # apt-get expands these.
  apt-get indextargets --format '$(REPO_URI)|$(SUITE)|$(COMPONENT)|$(ORIGIN)' 'Created-By: Packages' |
    awk -F'|' '$3 == "main" && $4 == "Debian" && $2 !~ /security|updates|backports/ &&
               $1 !~ /security/ && !seen[$1]++ { print $1 }'
}
mapfile -t uris < <(archives)
if ((${#uris[@]} == 0)) || ! candidate libgoogle-perftools-dev || ! candidate node-llhttp; then
  update_lists
  mapfile -t uris < <(archives)
fi
((${#uris[@]})) || die "there is no Debian archive among this machine's apt sources"

apt=$work/apt root=$work/root
mkdir -p "$apt"/{etc/sources.list.d,etc/preferences.d,lists/partial,archives/partial,src} \
  "$root" "$work"/{bin,modules,registry}
{
  printf 'Types: deb deb-src\nURIs: %s\nSuites: %s\nComponents: main\n' "${uris[0]}" "$suite"
  keyring=/usr/share/keyrings/debian-archive-keyring.gpg
  if [[ -e $keyring ]]; then echo "Signed-By: $keyring"; fi
} > "$apt/etc/sources.list.d/suite.sources"

# What the machine has anyway, or what building C++ does not need: held to be
# installed, so that apt leaves it out.
for p in build-essential default-jdk-headless python3 unzip zlib1g-dev libjs-jquery node-core-js \
  node-html5shiv ca-certificates-java ca-certificates java-common dpkg perl-base debconf util-linux \
  openssl-provider-legacy; do
  printf 'Package: %s\nStatus: install ok installed\nArchitecture: amd64\nVersion: 99:99\nMaintainer: none <none@localhost>\nDescription: held\n\n' "$p"
done > "$apt/status"

cat > "$apt/apt.conf" <<END
Dir::Etc::sourcelist "/dev/null";
Dir::Etc::sourceparts "$apt/etc/sources.list.d";
Dir::Etc::preferences "/dev/null";
Dir::Etc::preferencesparts "$apt/etc/preferences.d";
Dir::State::lists "$apt/lists";
Dir::State::status "$apt/status";
Dir::Cache "$apt";
Dir::Cache::archives "$apt/archives";
APT::Default-Release "";
APT::Install-Recommends "0";
APT::Architecture "amd64";
APT::Architectures { "amd64"; };
APT::Sandbox::User "root";
Acquire::Languages "none";
Acquire::Retries "3";
Binary::apt-get::APT::Keep-Downloaded-Packages "1";
END
# The machine's own hooks (after an update, before an install) have no business here.
printf '#clear %s;\n' APT::Update::Post-Invoke APT::Update::Post-Invoke-Success \
  DPkg::Pre-Install-Pkgs DPkg::Post-Invoke >> "$apt/apt.conf"

private() { APT_CONFIG=$apt/apt.conf "$@" </dev/null; }
log "reading the package lists of Debian's $suite from this machine's archive"
private apt-get -qq update >&2 || die "apt-get cannot read the lists of $suite from this machine's archive"
version=$(private apt-cache policy bazel-bootstrap | awk '/Candidate:/ { print $2 }')
[[ $version == 7.* ]] ||
  die "Debian's $suite has bazel-bootstrap '$version', not 7.x: name another suite in BIBOP_OFFLINE_SUITE or install bazelisk"
jre=$(private apt-cache depends default-jre-headless | awk '/Depends: openjdk-/ && !seen++ { print $2 }')
[[ $jre ]] || die "Debian's $suite has no default Java runtime: name another suite in BIBOP_OFFLINE_SUITE"
log "downloading Bazel $version, $jre and what they need"
private apt-get -qq -y --download-only install bazel-bootstrap "$jre" >/dev/null
log "downloading the sources of the modules"
(cd "$apt/src" && private apt-get -qq source --download-only abseil googletest benchmark >/dev/null)
(cd "$apt/src" && private apt-get -qq download libasio-dev)
# The malloc is a compiled library, so it is the one of this machine's own suite; and
# bookworm's llhttp is the very version that MODULE.bazel names.
(cd "$apt/src" && "${machine_apt[@]}" download libgoogle-perftools-dev node-llhttp </dev/null)

# ---- Bazel ---------------------------------------------------------------------------
log "unpacking"
for deb in "$apt"/archives/*.deb; do dpkg-deb -x "$deb" "$root"; done
rm -rf "$root"/usr/share/{doc,man,locale,lintian}
final=$place/root
lib=$final/usr/lib/x86_64-linux-gnu
jvm=$(cd "$root/usr/lib/jvm" && printf '%s\n' java-*-openjdk-amd64 | tail -n 1)

# Absolute links inside the tree point at the machine: turn them inwards.
find "$root" -type l -lname '/*' -print0 | while IFS= read -r -d '' link; do
  target=$(readlink "$link")
  if [[ -e $root$target || -L $root$target ]]; then ln -sfn "$final$target" "$link"; fi
done

# Programs: the loader and the libraries of this tree. DT_RPATH, unlike
# LD_LIBRARY_PATH, is not handed on to the compilers and tests that Bazel starts.
patch_elf() { patchelf --set-interpreter "$lib/ld-linux-x86-64.so.2" --force-rpath --set-rpath "$2" "$1"; }
for f in "$root/usr/bin/bazel" "$root"/usr/libexec/x86_64-linux-gnu/bazel/*; do patch_elf "$f" "$lib"; done
for f in "$root/usr/lib/jvm/$jvm"/{bin/java,lib/jspawnhelper}; do
  patch_elf "$f" "$final/usr/lib/jvm/$jvm/lib:$final/usr/lib/jvm/$jvm/lib/server:$lib"
done

# The class path that the client hands to Java. Debian's jars name further jars
# by absolute path in their manifests; left alone, those would be the machine's
# own, older ones. So such lines go, and what they named joins the class path.
python3 - "$root" "$final" <<'EOF'
import os, re, sys, zipfile

root, final = sys.argv[1:3]
listing = os.path.join(root, "usr/share/bazel/bazel_classpath_debian_depends.txt")


def here(path):
    """The file in the unpacked tree that a path of the final tree names."""
    path = root + path
    while os.path.islink(path):
        target = os.readlink(path)
        path = root + target[len(final):] if target.startswith(final) else (
            os.path.normpath(os.path.join(os.path.dirname(path), target)))
    return path


def named_jars(jar):
    """Takes the absolute Class-Path entries out of a jar and returns them."""
    with zipfile.ZipFile(jar) as z:
        if "META-INF/MANIFEST.MF" not in z.namelist():
            return []
        entries = [(i, z.read(i)) for i in z.infolist()]
    named = []
    for n, (info, data) in enumerate(entries):
        if info.filename != "META-INF/MANIFEST.MF":
            continue
        text = re.sub(r"\r?\n ", "", data.decode("utf-8", "replace"))
        lines = text.splitlines()
        kept = [l for l in lines if not l.lower().startswith("class-path:")]
        for l in lines:
            if l.lower().startswith("class-path:"):
                named += [w for w in l.split(":", 1)[1].split() if w.startswith("/")]
        wrapped = []
        for l in kept:
            while len(l.encode()) > 70:
                wrapped.append(l[:70])
                l = " " + l[70:]
            wrapped.append(l)
        entries[n] = (info, ("\r\n".join(wrapped) + "\r\n\r\n").encode())
    if named:
        with zipfile.ZipFile(jar + ".new", "w", zipfile.ZIP_DEFLATED) as z:
            for info, data in entries:
                z.writestr(info, data)
        os.replace(jar + ".new", jar)
    return named


jars = [l.strip() for l in open(listing) if l.strip()]
seen = set()
for jar in jars:  # grows as it goes
    if jar in seen:
        continue
    seen.add(jar)
    file = here(jar)
    if os.path.exists(file):
        jars += [j for j in named_jars(file) if j not in seen and os.path.exists(here(j))]
ordered = list(dict.fromkeys(jars))
with open(listing, "w") as f:
    f.writelines(final + j + "\n" for j in ordered if os.path.exists(here(j)))
EOF

# What the package's /etc/bazel/bazelrc says, with the paths of this tree.
{
  printf 'startup --server_javabase=%s\n' "$final/usr/lib/jvm/$jvm"
  sed -e "s|/usr/share/bazel|$final/usr/share/bazel|g" \
    -e '/^try-import/d' -e '/host_javabase/d' -e '/sandbox_debug/d' -e '/override_module=rules_cc=/d' \
    "$root/etc/bazel/bazelrc"
} > "$work/bazelrc"
cat > "$work/bin/bazel" <<EOF
#!/bin/sh
exec "$final/usr/bin/bazel" --nosystem_rc --bazelrc="$place/bazelrc" "\$@"
EOF
chmod 755 "$work/bin/bazel"

# ---- the modules ----------------------------------------------------------------
# name of the module, Debian's source package
for m in abseil-cpp:abseil googletest:googletest google_benchmark:benchmark; do
  name=${m%%:*} source=${m#*:}
  mkdir "$work/modules/$name"
  tar -xf "$apt/src/${source}"_*.orig.tar.* -C "$work/modules/$name" --strip-components=1
  # A boundary for WORKSPACE builds, where the archive has none.
  [[ -e $work/modules/$name/WORKSPACE ]] || : > "$work/modules/$name/WORKSPACE"
done

# Debian's rules_cc is 0.0.11; recent abseil asks for one name that came later.
cp -a "$root/usr/share/bazel/rules/cc" "$work/modules/rules_cc"
grep -q '"emscripten"' "$work/modules/rules_cc/cc/compiler/BUILD" || cat >> "$work/modules/rules_cc/cc/compiler/BUILD" <<'EOF'

config_setting(
    name = "emscripten",
    flag_values = {"@rules_cc//cc/private/toolchain:compiler": "emscripten"},
)
EOF

# Asio: headers only.
asio=$work/modules/asio
mkdir -p "$asio"
dpkg-deb --fsys-tarfile "$apt"/src/libasio-dev_*.deb | tar -xf - -C "$asio" --strip-components=2 ./usr/include
printf 'module(name = "asio", version = "0.0.0")\nbazel_dep(name = "rules_cc", version = "0.0.11")\n' > "$asio/MODULE.bazel"
: > "$asio/WORKSPACE"
cat > "$asio/BUILD.bazel" <<'EOF'
load("@rules_cc//cc:defs.bzl", "cc_library")

cc_library(
    name = "asio_no_openssl",
    hdrs = glob(["include/**/*.hpp", "include/**/*.ipp"]),
    includes = ["include"],
    linkopts = ["-pthread"],
    visibility = ["//visibility:public"],
)
EOF

# llhttp: the C sources, laid out as in the archive that MODULE.bazel names.
llhttp=$work/modules/llhttp
mkdir -p "$llhttp"
dpkg-deb --fsys-tarfile "$apt"/src/node-llhttp_*.deb | tar -xf - -C "$llhttp" \
  --transform 's|^\./usr/share/include/llhttp|include|;s|^\./usr/share/llhttp|src|' \
  ./usr/share/include/llhttp ./usr/share/llhttp
major=$(awk '$2 == "LLHTTP_VERSION_MAJOR" { print $3 }' "$llhttp/include/llhttp.h")
[[ $major == 8 ]] ||
  die "this machine's node-llhttp is version '$major', and Bibop is built with llhttp 8: use bookworm's, or install bazelisk"
cp "$llhttp_build" "$llhttp/BUILD.bazel"
: > "$llhttp/WORKSPACE"

# google/tcmalloc is not in Debian; gperftools' malloc of the same ancestry
# stands in for it, under the same label, @tcmalloc//tcmalloc.
tcmalloc=$work/modules/tcmalloc
mkdir -p "$tcmalloc/tcmalloc"
dpkg-deb --fsys-tarfile "$apt"/src/libgoogle-perftools-dev_*.deb |
  tar -xOf - ./usr/lib/x86_64-linux-gnu/libtcmalloc_minimal.a > "$tcmalloc/tcmalloc/libtcmalloc_minimal.a"
printf 'module(name = "tcmalloc", version = "0.0.0")\nbazel_dep(name = "rules_cc", version = "0.0.11")\n' > "$tcmalloc/MODULE.bazel"
: > "$tcmalloc/WORKSPACE"
cat > "$tcmalloc/tcmalloc/BUILD.bazel" <<'EOF'
load("@rules_cc//cc:defs.bzl", "cc_library")

cc_library(
    name = "tcmalloc",
    srcs = ["libtcmalloc_minimal.a"],
    alwayslink = True,
    linkopts = ["-pthread"],
    linkstatic = True,
    visibility = ["//visibility:public"],
)
EOF

# Modules that only have to exist for the others' MODULE.bazel to be read: none of
# their targets is used in a C++ build here.
for m in apple_support buildozer libpfm protobuf re2 rules_foreign_cc zlib; do
  mkdir "$work/modules/$m"
  printf 'module(name = "%s", version = "0.0.0")\n' "$m" > "$work/modules/$m/MODULE.bazel"
  : > "$work/modules/$m/BUILD.bazel"
  : > "$work/modules/$m/WORKSPACE"
done

# What `bazel coverage` runs.
cov=$work/modules/remote_coverage_tools
mkdir "$cov"
cp "$here/lcov_merger.py" "$cov/lcov_merger.py"
chmod 755 "$cov/lcov_merger.py"
: > "$cov/WORKSPACE"
cat > "$cov/BUILD.bazel" <<'EOF'
package(default_visibility = ["//visibility:public"])

[sh_binary(
    name = name,
    srcs = ["lcov_merger.py"],
) for name in ["coverage_report_generator", "lcov_merger"]]
EOF

{
  echo "# No registry is asked and nothing is downloaded."
  echo "common --registry=file://$place/registry"
  echo "common --repository_disable_download"
  echo "common --lockfile_mode=off"
  # The modules that Debian packages have their --override_module lines already.
  sed -n 's|^common --override_module=|common:workspace --override_repository=|p' "$work/bazelrc"
  for d in "$work"/modules/*/; do
    name=$(basename "$d")
    if [[ $name == remote_coverage_tools ]]; then # A repository of an extension of bazel_tools.
      echo "common --override_repository=bazel_tools~remote_coverage_tools_extension~$name=$place/modules/$name"
    elif [[ $name == llhttp ]]; then # An archive that the root module names.
      echo "common --override_repository=_main~_repo_rules~$name=$place/modules/$name"
    else
      echo "common --override_module=$name=$place/modules/$name"
    fi
    echo "common:workspace --override_repository=$name=$place/modules/$name"
  done
} > "$work/modules.bazelrc"
cat "$work/modules.bazelrc" >> "$work/bazelrc"
rm "$work/modules.bazelrc"

rm -rf "$apt"
chmod 755 "$work"
mv "$work" "$place"
trap - EXIT ERR

# Other versions of this script have folders of their own, perhaps in use by another
# checkout; those that no run has used for a month go.
find "$prefix" -mindepth 1 -maxdepth 1 -name 'v-*' -mtime +30 -exec rm -rf {} + || true
log "ready: $place/bin/bazel ($version), $(du -sh "$place" | cut -f1)"
echo "$place/bin/bazel"
