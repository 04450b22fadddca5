"""The images that the cluster itself needs: the sandbox of a pod, Envoy, Envoy Gateway and Argo's executor."""

import shutil
import subprocess
from pathlib import Path

from oci.debian import Lock
from oci.layer import Tree

from .recipe import IMAGES, ImageRecipe, LayerRecipe

# What a program that is linked against Debian's C library asks for, and no more.
LIBC = [
    "ld-linux-x86-64.so.2", "libc.so.6", "libdl.so.2", "libm.so.6", "libnss_dns.so.2", "libnss_files.so.2",
    "libpthread.so.0", "libresolv.so.2", "librt.so.1", "libutil.so.1",
]  # fmt: skip
LIBRARIES = "/lib/x86_64-linux-gnu"
LOCK = IMAGES / "debian.lock"
PATH = "/usr/local/bin:/usr/bin:/bin"
NOBODY = "65532:65532"


def skeleton(tree: Tree) -> None:
    """What programs expect of any system: names for the users, an order of name resolution, and a /tmp."""
    tree.directory("/tmp", 0o1777)
    tree.text("/etc/passwd", f"root:x:0:0::/:/\nnonroot:x:{NOBODY}::/:/\n")
    tree.text("/etc/group", "root:x:0:\nnonroot:x:65532:\n")
    tree.text("/etc/nsswitch.conf", "passwd: files\ngroup: files\nhosts: files dns\n")


def libc() -> LayerRecipe:
    """Debian's C library; below every dynamic program here, so that they share it."""
    lock = Lock(LOCK)

    def fill(tree: Tree, folder: Path) -> dict[str, str]:
        versions = lock.unpack(["libc6"], folder / "root")
        skeleton(tree)
        for name in LIBC:
            tree.file(f"{LIBRARIES}/{name}", (folder / "root" / LIBRARIES[1:] / name).resolve(), 0o755)
        tree.link("/lib64/ld-linux-x86-64.so.2", f"..{LIBRARIES}/ld-linux-x86-64.so.2")
        return {"org.debian.packages.libc": " ".join(f"{name}={version}" for name, version in versions.items())}

    return LayerRecipe("libc", (Path(__file__),), fill, lock.key(["libc6"]))


def pause() -> ImageRecipe:
    """The sandbox of every pod."""
    source = IMAGES / "pause" / "pause.c"

    def fill(tree: Tree, folder: Path) -> dict[str, str]:
        compiler = shutil.which("gcc")
        if compiler is None:
            raise SystemExit("pause is written in C, and there is no gcc (Debian: gcc, libc6-dev)")
        subprocess.run(
            [compiler, "-Os", "-s", "-static", "-Wall", "-Wextra", "-Werror", "-o", folder / "pause", source],
            check=True,
        )
        tree.file("/pause", folder / "pause", 0o755)
        return {}

    return ImageRecipe("pause", (LayerRecipe("pause", (Path(__file__), source), fill),), ("/pause",), "65535:65535")


def _program(name: str, binary: Path, path: str, below: tuple[LayerRecipe, ...], user: str) -> ImageRecipe:
    def fill(tree: Tree, _: Path) -> dict[str, str]:
        if not below:
            skeleton(tree)
        tree.file(path, binary, 0o755)
        return {}

    layer = LayerRecipe(name, (Path(__file__), binary), fill)
    return ImageRecipe(name, (*below, layer), (path,), user, {"PATH": PATH})


def images(binaries: Path) -> list[ImageRecipe]:
    """All four. Envoy Gateway and Argo start these programs by name, so they lie on the PATH."""
    return [
        pause(),
        _program("envoy", binaries / "envoy", "/usr/local/bin/envoy", (libc(),), NOBODY),
        _program("envoy-gateway", binaries / "envoy-gateway", "/usr/local/bin/envoy-gateway", (), NOBODY),
        # It writes into volumes of pods that may run as anyone, so it is root, as Argo's own image is.
        _program("argo-executor", binaries / "argoexec", "/bin/argoexec", (), "0:0"),
    ]
