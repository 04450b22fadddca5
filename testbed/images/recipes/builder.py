"""The image of the build container on Argo Workflows: our own builder, `examples/build_image`, and the uv with which it
installs what projects require."""

import shutil
import subprocess
import zipfile
from pathlib import Path

from oci.debian import Lock
from oci.layer import Tree

from . import chalkpy, cluster, python
from .recipe import IMAGES, ImageRecipe, LayerRecipe

UV_LOCK = IMAGES / "builder.lock"

# What Rust's programs unwind with, and whom they trust.
PACKAGES = ["ca-certificates", "libgcc-s1"]
# Where programs look for all authorities in one file, as Debian's own script makes it.
AUTHORITIES = "/etc/ssl/certs/ca-certificates.crt"
# Where the workflows look for it.
PROGRAM = "/usr/local/bin/build-image"


def _uv() -> LayerRecipe:
    """uv, which asks a Python for what it must know and runs nothing else."""

    def fill(tree: Tree, folder: Path) -> dict[str, str]:
        pip = shutil.which("pip3") or shutil.which("pip")
        if pip is None:
            raise SystemExit("uv is fetched by pip, and there is none (Debian: python3-pip)")
        wheels = folder / "wheels"
        subprocess.run(
            [pip, "download", "--quiet", "--no-deps", "--require-hashes", "--only-binary", ":all:",
             *(f"--platform={platform}" for platform in chalkpy.PLATFORMS), "--dest", wheels,
             "--requirement", UV_LOCK],
            check=True,
        )  # fmt: skip
        (wheel,) = wheels.iterdir()
        with zipfile.ZipFile(wheel) as archive:
            (name,) = [name for name in archive.namelist() if name.endswith(".data/scripts/uv")]
            tree.file("/usr/local/bin/uv", Path(archive.extract(name, folder)), 0o755)
        return {"ai.chalk.builder.uv": wheel.name.split("-")[1]}

    return LayerRecipe("uv", (Path(__file__), Path(chalkpy.__file__), UV_LOCK), fill)


def image(program: Path) -> ImageRecipe:
    """The builder around this program."""
    lock = Lock(cluster.LOCK)

    def fill(tree: Tree, folder: Path) -> dict[str, str]:
        versions = lock.unpack(PACKAGES, folder / "root")
        library = folder / "root" / cluster.LIBRARIES[1:] / "libgcc_s.so.1"
        tree.file(f"{cluster.LIBRARIES}/libgcc_s.so.1", library.resolve(), 0o755)
        authorities = sorted((folder / "root/usr/share/ca-certificates/mozilla").glob("*.crt"))
        tree.text(AUTHORITIES, "".join(path.read_text() for path in authorities))
        strip = shutil.which("strip")
        if strip is None:
            raise SystemExit("the builder is packed without its symbols, and there is no strip (Debian: binutils)")
        subprocess.run([strip, "-o", folder / "build-image", program], check=True)
        tree.file(PROGRAM, folder / "build-image", 0o755)
        return {"org.debian.packages.builder": " ".join(f"{name}={version}" for name, version in versions.items())}

    layer = LayerRecipe("builder", (Path(__file__), Path(cluster.__file__), program), fill, lock.key(PACKAGES))
    labels = {
        "ai.chalk.builder": "chalk-deploy",
        "org.opencontainers.image.title": "chalk-deploy's builder",
        "org.opencontainers.image.description": "Builds and pushes images in a workflow; chalk-deploy's own, not Chalk's",
    }
    layers = (cluster.libc(), python.python(), _uv(), layer)
    return ImageRecipe("builder", layers, (PROGRAM,), cluster.NOBODY, {"PATH": cluster.PATH}, labels)
