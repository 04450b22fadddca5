"""The image of the build container on Argo Workflows: our own builder, `examples/build_image`."""

import shutil
import subprocess
from pathlib import Path

from oci.debian import Lock
from oci.layer import Tree

from . import cluster
from .recipe import ImageRecipe, LayerRecipe

# What Rust's programs unwind with, and whom they trust.
PACKAGES = ["ca-certificates", "libgcc-s1"]
# Where programs look for all authorities in one file, as Debian's own script makes it.
AUTHORITIES = "/etc/ssl/certs/ca-certificates.crt"
# Where the workflows look for it.
PROGRAM = "/usr/local/bin/build-image"


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
    return ImageRecipe("builder", (cluster.libc(), layer), (PROGRAM,), cluster.NOBODY, {"PATH": cluster.PATH}, labels)
