"""Debian packages, pinned by version and digest in a lock file, fetched by apt, and unpacked without running any."""

import hashlib
import os
import subprocess
import sys
from pathlib import Path

# The archive of a distribution drops a version once there is a security update of it. A build that stops then would
# break everywhere at once, so that the update is taken and told instead.
RELEASE_MARK = "+deb"


class Lock:
    """The lines `package version sha256` of a lock file."""

    def __init__(self, path: Path) -> None:
        self._pins: dict[str, tuple[str, str]] = {}
        for line in path.read_text().splitlines():
            if line and not line.startswith("#"):
                package, version, digest = line.split()
                self._pins[package] = version, digest

    def key(self, packages: list[str]) -> str:
        """What of the lock decides these packages' content."""
        return "\n".join(f"{package} {' '.join(self._pins[package])}" for package in sorted(packages))

    def unpack(self, packages: list[str], folder: Path) -> dict[str, str]:
        """Fetches packages and unpacks them into one folder. Returns the versions that were got."""
        archives = folder.with_name(folder.name + ".packages")
        archives.mkdir(parents=True, exist_ok=True)
        versions = {}
        for package in sorted(packages):
            version, digest = self._pins[package]
            archive, versions[package] = _fetch(package, version, digest, archives)
            subprocess.run(["dpkg-deb", "-x", archive, folder], check=True)
            archive.unlink()
        return versions


def lock(packages: list[str], folder: Path) -> str:
    """The lines of a lock file with the versions that the machine's package lists offer."""
    lines = []
    for package in sorted(packages):
        archive = _download(f"{package}:amd64", folder)
        if archive is None:
            raise SystemExit(f"apt offers no package {package}")
        lines.append(f"{package} {_field(archive, 'Version')} {_sha256(archive)}\n")
        archive.unlink()
    return "".join(lines)


def _fetch(package: str, version: str, digest: str, folder: Path) -> tuple[Path, str]:
    archive = _download(f"{package}:amd64={version}", folder)
    if archive is None and os.geteuid() == 0:
        # A new machine has no package lists, an old one has stale ones.
        subprocess.run(["apt-get", "-q", "update"], check=False, stdout=sys.stderr)
        archive = _download(f"{package}:amd64={version}", folder)
    if archive is not None:
        if _sha256(archive) != digest:
            raise SystemExit(f"the package {package} {version} is not the one that debian.lock names")
        return archive, version
    archive = _download(f"{package}:amd64", folder)
    found = _field(archive, "Version") if archive else "none"
    if archive is None or found.split(RELEASE_MARK)[0] != version.split(RELEASE_MARK, maxsplit=1)[0]:
        raise SystemExit(f"apt offers {package} {found} and not {version}: renew debian.lock (testbed/images/lock)")
    print(
        f"images: {package} {version} is gone from the archive; {found} replaces it (digests change)", file=sys.stderr
    )
    return archive, found


def _download(package: str, folder: Path) -> Path | None:
    # apt checks the archive against the signed lists. It warns where its own user may not write.
    command = ["apt-get", "-q", "-o", "APT::Sandbox::User=root", "download", package]
    before = set(folder.iterdir())
    result = subprocess.run(command, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False)
    new = [path for path in folder.iterdir() if path not in before and path.suffix == ".deb"]
    return new[0] if result.returncode == 0 and new else None


def _field(archive: Path, name: str) -> str:
    return subprocess.run(
        ["dpkg-deb", "-f", archive, name], check=True, stdout=subprocess.PIPE, text=True
    ).stdout.strip()


def _sha256(path: Path) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
