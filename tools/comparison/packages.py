"""Debian packages: which are installed, and installing those that are not."""

from __future__ import annotations

import glob
import os
import subprocess
import sys


def version(package: str) -> str | None:
    """Returns the version of an installed package, or None."""
    try:
        query = subprocess.run(
            ["dpkg-query", "-W", "-f=${db:Status-Status} ${Version}", package],
            capture_output=True, text=True, check=False)
    except FileNotFoundError:
        return None
    status, _, number = query.stdout.partition(" ")
    return number if query.returncode == 0 and status == "installed" else None


def missing(packages: tuple[str, ...]) -> list[str]:
    """Returns those of the packages that are not installed."""
    return [package for package in packages if version(package) is None]


def _apt_get(*arguments: str, **options) -> bool:
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    try:
        return subprocess.run(["apt-get", *arguments], stdout=sys.stderr, env=environment,
                              check=False, **options).returncode == 0
    except FileNotFoundError:
        return False


def install(packages: tuple[str, ...]) -> bool:
    """Installs what is not installed of the packages; returns whether all are now. Takes
    root, and the lists that apt-get update fetches."""
    wanted = missing(packages)
    return not wanted or _apt_get("install", "-y", "--no-install-recommends", *wanted)


def update() -> None:
    """Fetches the lists of packages."""
    _apt_get("update")


def unpack(packages: tuple[str, ...], folder: str) -> str | None:
    """Downloads packages and unpacks them below `folder`, for what cannot be installed
    beside something else, as Debian's libnode beside another nodejs. Returns the folder
    that stands for `/`, or None."""
    root = os.path.join(folder, "root")
    if unpacked(packages, folder):
        return root
    os.makedirs(folder, exist_ok=True)
    if not _apt_get("download", *packages, cwd=folder):
        return None
    for package in glob.glob(os.path.join(folder, "*.deb")):
        subprocess.run(["dpkg-deb", "-x", package, root], check=True)
    return root


def unpacked(packages: tuple[str, ...], folder: str) -> dict[str, str]:
    """Returns the versions of the packages that `unpack` unpacked, or nothing if not all."""
    versions = {}
    for package in packages:
        files = glob.glob(os.path.join(folder, f"{package}_*.deb"))
        if not files or not os.path.isdir(os.path.join(folder, "root")):
            return {}
        versions[package] = os.path.basename(files[0]).split("_")[1].replace("%3a", ":")
    return versions
