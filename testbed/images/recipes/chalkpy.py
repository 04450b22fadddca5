"""chalkpy and what it imports, from the wheels of PyPI that requirements.lock names by their digests."""

import shutil
import subprocess
import zipfile
from pathlib import Path

from oci.layer import Tree

from . import python
from .recipe import IMAGES, LayerRecipe

LOCK = IMAGES / "requirements.lock"
# The oldest C library that a wheel of the lock asks for is older than Debian 12's.
PLATFORMS = ("manylinux_2_28_x86_64", "manylinux_2_17_x86_64", "manylinux2014_x86_64")
# What only those need who test these packages or compile against them.
FOLDERS_LEFT_OUT = {"tests", "include", "__pycache__"}
SUFFIXES_LEFT_OUT = {".pyi", ".pyx", ".pxd", ".pxi", ".h", ".hpp", ".c", ".cc", ".cpp", ".cmake", ".a"}
# Arrow's RPC, which chalkpy does not import, and second and third copies of one library.
FILES_LEFT_OUT = ("pyarrow/_flight.", "pyarrow/libarrow_flight.", "pyarrow/libarrow_python_flight.")
COPIES_LEFT_OUT = ("pyarrow/libarrow_python.so", "pyarrow/libarrow_python.so.2600.1.0")


def names() -> list[str]:
    """The distributions of the lock."""
    return [line.split("==")[0] for line in LOCK.read_text().splitlines() if "==" in line]


def version() -> str:
    """The version of chalkpy in the lock."""
    line = next(line for line in LOCK.read_text().splitlines() if line.startswith("chalkpy=="))
    return line.split("==")[1].split()[0]


def chalkpy() -> LayerRecipe:
    """chalkpy."""

    def fill(tree: Tree, folder: Path) -> dict[str, str]:
        wheels, site = folder / "wheels", folder / "site"
        pip = shutil.which("pip3") or shutil.which("pip")
        if pip is None:
            raise SystemExit("chalkpy is fetched by pip, and there is none (Debian: python3-pip)")
        subprocess.run(
            [pip, "download", "--quiet", "--no-deps", "--require-hashes", "--only-binary", ":all:",
             "--python-version", python.VERSION, *(f"--platform={platform}" for platform in PLATFORMS),
             "--dest", wheels, "--requirement", LOCK],
            check=True,
        )  # fmt: skip
        for wheel in sorted(wheels.iterdir()):
            with zipfile.ZipFile(wheel) as archive:
                archive.extractall(site, [name for name in archive.namelist() if _is_needed(name)])
            wheel.unlink()
        python.compile_all(site, python.SITE)
        tree.folder(python.SITE, site)
        return {"ai.chalk.stand-in.chalkpy": version()}

    return LayerRecipe("chalkpy", (Path(__file__), Path(python.__file__), LOCK), fill)


def _is_needed(name: str) -> bool:
    path = Path(name)
    # A wheel's list of its files is no longer true, and its scripts belong to no server.
    is_record = path.parent.suffix == ".dist-info" and path.name == "RECORD"
    is_data = path.parts[0].endswith(".data")
    in_folder = FOLDERS_LEFT_OUT.intersection(path.parts[:-1])
    left_out = is_record or is_data or in_folder or path.suffix in SUFFIXES_LEFT_OUT
    return not left_out and not name.startswith(FILES_LEFT_OUT) and name not in COPIES_LEFT_OUT
