"""kaniko's executor, which runs the commands of Dockerfiles: optional, as it takes minutes to compile."""

from pathlib import Path

from oci.debian import Lock
from oci.layer import Tree

from . import cluster
from .recipe import ImageRecipe, LayerRecipe

# Where the executor expects to lie: it leaves this folder alone when it takes an image apart over its own root.
FOLDER = "/kaniko"


def image(executor: Path) -> ImageRecipe:
    """The executor, whom it trusts, and nothing else: no shell, no helper, no credentials."""
    lock = Lock(cluster.LOCK)

    def fill(tree: Tree, folder: Path) -> dict[str, str]:
        versions = lock.unpack(["ca-certificates"], folder / "root")
        # No more than this: whatever lies here is seen by the commands of a Dockerfile beside its base image's files.
        tree.text("/etc/nsswitch.conf", "hosts: files dns\n")
        authorities = sorted((folder / "root/usr/share/ca-certificates/mozilla").glob("*.crt"))
        tree.text(f"{FOLDER}/ssl/certs/ca-certificates.crt", "".join(path.read_text() for path in authorities))
        tree.file(f"{FOLDER}/executor", executor, 0o755)
        return {"org.debian.packages.kaniko": " ".join(f"{name}={version}" for name, version in versions.items())}

    layer = LayerRecipe("kaniko", (Path(__file__), Path(cluster.__file__), executor), fill, lock.key(["ca-certificates"]))
    environment = {"HOME": "/root", "USER": "root", "PATH": FOLDER, "SSL_CERT_DIR": f"{FOLDER}/ssl/certs"}
    # It is root in its container, because it sets owners: see ARCHITECTURE.md, "Builds in the cluster".
    return ImageRecipe("kaniko", (layer,), (f"{FOLDER}/executor",), "0:0", environment)
