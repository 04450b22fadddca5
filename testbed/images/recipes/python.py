"""Debian's Python without the parts that no server needs, and modules compiled so that a start reads no source."""

import subprocess
import sys
from pathlib import Path

from oci.debian import Lock
from oci.layer import Tree

from .cluster import LIBRARIES, LOCK
from .recipe import LayerRecipe

VERSION = "3.11"
PACKAGES = [
    "libbz2-1.0", "libcrypt1", "libexpat1", "libffi8", "libgcc-s1", "liblzma5", "libpython3.11-minimal",
    "libpython3.11-stdlib", "libsqlite3-0", "libssl3", "libstdc++6", "libuuid1", "python3.11-minimal", "tzdata",
    "zlib1g",
]  # fmt: skip
STANDARD_LIBRARY = f"/usr/lib/python{VERSION}"
# Where Debian's Python looks for what is not Debian's.
SITE = f"/usr/local/lib/python{VERSION}/dist-packages"
# Tests, tools of developers, and Debian's hook for crash reports.
LEFT_OUT = {"distutils", "lib2to3", "pydoc_data", "sitecustomize.py", "test", "turtledemo", "__pycache__"}
# Extension modules whose libraries are not in the image: without them an import says what it always says.
EXTENSIONS_LEFT_OUT = ("_curses", "_dbm", "nis", "readline")

# Compiled files carry the digest of their source and are not compared with it: in an image, neither ever changes.
_COMPILE = """
import py_compile, sys
root, shown = sys.argv[1:]
for line in sys.stdin:
    path = line.rstrip("\\n")
    name = shown + path[len(root):]
    py_compile.compile(path, dfile=name, doraise=False, quiet=2,
                       invalidation_mode=py_compile.PycInvalidationMode.UNCHECKED_HASH)
"""


def compile_all(folder: Path, shown: str) -> None:
    """Compiles all modules of a folder, which names itself by another path in them. What does not compile, such as a
    template, is left as it is."""
    if sys.version_info[:2] != (3, 11):
        raise SystemExit(f"the images' Python is {VERSION}, and this is {sys.version.split()[0]}; use Debian 12's")
    paths = sorted(str(path) for path in folder.rglob("*.py"))
    subprocess.run(
        [sys.executable, "-I", "-S", "-c", _COMPILE, folder, shown],
        input="".join(f"{path}\n" for path in paths),
        text=True,
        check=True,
        # Sets of constants are written in the order of their hashes.
        env={"PYTHONHASHSEED": "0", "LC_ALL": "C.UTF-8"},
    )


def python() -> LayerRecipe:
    """The interpreter with its standard library."""
    lock = Lock(LOCK)

    def fill(tree: Tree, folder: Path) -> dict[str, str]:
        root = folder / "root"
        versions = lock.unpack(PACKAGES, root)
        for library in (LIBRARIES, f"/usr{LIBRARIES}"):
            for path in sorted((root / library[1:]).glob("*.so*")):
                if path.is_symlink():
                    tree.link(f"{library}/{path.name}", str(path.readlink()))
                else:
                    tree.file(f"{library}/{path.name}", path)
        standard = root / STANDARD_LIBRARY[1:]
        for path in sorted(standard.rglob("*"), reverse=True):
            if path.name in LEFT_OUT or (path.name.startswith(EXTENSIONS_LEFT_OUT) and path.suffix == ".so"):
                subprocess.run(["rm", "-r", path], check=True)
        compile_all(standard, STANDARD_LIBRARY)
        tree.folder(STANDARD_LIBRARY, standard)
        tree.file(f"/usr/bin/python{VERSION}", root / f"usr/bin/python{VERSION}", 0o755)
        tree.link("/usr/bin/python3", f"python{VERSION}")
        subprocess.run(["rm", "-r", *(root / "usr/share/zoneinfo" / name for name in ("posix", "right"))], check=True)
        tree.folder("/usr/share/zoneinfo", root / "usr/share/zoneinfo")
        return {"org.debian.packages.python": " ".join(f"{name}={version}" for name, version in versions.items())}

    return LayerRecipe("python", (Path(__file__),), fill, lock.key(PACKAGES))
