"""The images that stand in for Chalk's platform images: one for each component, and a static one for load."""

import os
import shutil
import subprocess
from pathlib import Path

from oci.debian import Lock
from oci.layer import Tree

from . import chalkpy, cluster, python
from .recipe import IMAGES, STAND_IN, ImageRecipe, LayerRecipe

COMPONENTS = ("engine", "query-server", "stream-worker", "batch-worker", "background-persistence")
# The label in which a base image tells the in-process builder which distributions it brings.
PROVIDES = "ai.chalk.provides"
PORT = 8080
# HTTP/2 for the query server, in Python and without dependencies of its own.
PACKAGES = ["python3-h2", "python3-hpack", "python3-hyperframe"]


def _server() -> LayerRecipe:
    package = IMAGES / "server" / "chalk_stand_in"
    sources = tuple(sorted(package.glob("*.py")))
    lock = Lock(cluster.LOCK)

    def fill(tree: Tree, folder: Path) -> dict[str, str]:
        versions = lock.unpack(PACKAGES, folder / "root")
        site = folder / "root" / "usr/lib/python3/dist-packages"
        (site / package.name).mkdir()
        for source in sources:
            shutil.copyfile(source, site / package.name / source.name)
        python.compile_all(site, python.SITE)
        tree.folder(python.SITE, site)
        return {"org.debian.packages.server": " ".join(f"{name}={version}" for name, version in versions.items())}

    return LayerRecipe("server", (Path(__file__), Path(python.__file__), *sources), fill, lock.key(PACKAGES))


def _static() -> LayerRecipe:
    module = IMAGES / "static"
    sources = tuple(module / name for name in ("go.mod", "main.go", "settings.go"))

    def fill(tree: Tree, folder: Path) -> dict[str, str]:
        go = shutil.which("go")
        if go is None:
            raise SystemExit("the static stand-in is written in Go, and there is no go on the PATH")
        subprocess.run(
            [go, "build", "-trimpath", "-buildvcs=false", "-ldflags=-s -w -buildid=", "-o", folder / "stand-in", "."],
            cwd=module,
            check=True,
            env={**os.environ, "CGO_ENABLED": "0", "GOTOOLCHAIN": "local", "GOFLAGS": "", "GOOS": "linux",
                 "GOARCH": "amd64"},
        )  # fmt: skip
        cluster.skeleton(tree)
        tree.file("/usr/local/bin/chalk-stand-in", folder / "stand-in", 0o755)
        return {}

    return LayerRecipe("static", (Path(__file__), Path(cluster.__file__), *sources), fill)


def images() -> list[ImageRecipe]:
    """All six."""
    layers = (cluster.libc(), python.python(), chalkpy.chalkpy(), _server())
    labels = {
        STAND_IN: "true",
        "org.opencontainers.image.description": "Stands in for a platform image of Chalk in the tests of chalk-deploy",
    }
    made = [
        ImageRecipe(
            component,
            layers,
            # Without the working directory on the path: a project's `signal.py` is not the standard library's.
            (f"/usr/bin/python{python.VERSION}", "-P", "-m", "chalk_stand_in"),
            cluster.NOBODY,
            {
                "CHALK_COMPONENT": component,
                "HOME": "/tmp",
                "LANG": "C.UTF-8",
                "PATH": cluster.PATH,
                "PYTHONDONTWRITEBYTECODE": "1",
                "PYTHONUNBUFFERED": "1",
            },
            {**labels, PROVIDES: ",".join(chalkpy.names()), "org.opencontainers.image.title": f"stand-in {component}"},
            ports=(PORT,),
        )
        for component in COMPONENTS
    ]
    static = ImageRecipe(
        "static", (_static(),), ("/usr/local/bin/chalk-stand-in",), cluster.NOBODY, {"PATH": cluster.PATH},
        {**labels, PROVIDES: "", "org.opencontainers.image.title": "stand-in static"}, ports=(PORT,),
    )  # fmt: skip
    return [*made, static]
