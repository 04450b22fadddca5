"""OCI image layouts (OCI image specification 1.1, *image layout*)."""

import hashlib
import json
import os
import shutil
from dataclasses import dataclass, field
from pathlib import Path

from .layer import Layer

MANIFEST = "application/vnd.oci.image.manifest.v1+json"
CONFIG = "application/vnd.oci.image.config.v1+json"
INDEX = "application/vnd.oci.image.index.v1+json"
# Images carry no time, or no two builds were equal.
CREATED = "1970-01-01T00:00:00Z"
MAKER = "testbed/images/build"


@dataclass(frozen=True)
class Image:
    """What an image is beside its layers."""

    name: str
    layers: list[Layer]
    entrypoint: list[str]
    user: str
    environment: dict[str, str] = field(default_factory=dict)
    labels: dict[str, str] = field(default_factory=dict)
    directory: str = "/"
    ports: tuple[int, ...] = ()


def write(image: Image, out: Path) -> str:
    """Writes an image as OUT/<name>, which is there in whole or not at all, and returns its manifest's digest."""
    work, old, layout = out / f".{image.name}.work", out / f".{image.name}.old", out / image.name
    for leftover in (work, old):
        shutil.rmtree(leftover, ignore_errors=True)
    blobs = work / "blobs" / "sha256"
    blobs.mkdir(parents=True)
    for layer in image.layers:
        _share(layer.path, blobs / layer.digest.removeprefix("sha256:"))
    config = _put(blobs, CONFIG, _config(image))
    layers = [layer.descriptor() for layer in image.layers]
    manifest = _put(blobs, MANIFEST, {"schemaVersion": 2, "mediaType": MANIFEST, "config": config, "layers": layers})
    manifest["platform"] = {"os": "linux", "architecture": "amd64"}
    index = {"schemaVersion": 2, "mediaType": INDEX, "manifests": [manifest]}
    (work / "oci-layout").write_bytes(_bytes({"imageLayoutVersion": "1.0.0"}))
    (work / "index.json").write_bytes(_bytes(index))
    # A folder cannot be put in the place of another in one step: between these two the image is absent, never half.
    if layout.exists():
        os.rename(layout, old)
    os.rename(work, layout)
    shutil.rmtree(old, ignore_errors=True)
    return manifest["digest"]


def manifest_digest(layout: Path) -> str:
    """The digest of a layout's image."""
    index = json.loads((layout / "index.json").read_text())
    return index["manifests"][0]["digest"]


def _config(image: Image) -> dict:
    config: dict = {
        "User": image.user,
        "Env": [f"{name}={value}" for name, value in sorted(image.environment.items())],
        "Entrypoint": image.entrypoint,
        "WorkingDir": image.directory,
        "Labels": image.labels,
    }
    if image.ports:
        config["ExposedPorts"] = {f"{port}/tcp": {} for port in image.ports}
    return {
        "created": CREATED,
        "architecture": "amd64",
        "os": "linux",
        "config": config,
        "rootfs": {"type": "layers", "diff_ids": [layer.diff for layer in image.layers]},
        "history": [{"created": CREATED, "created_by": MAKER} for _ in image.layers],
    }


def _put(blobs: Path, media_type: str, document: dict) -> dict:
    content = _bytes(document)
    digest = hashlib.sha256(content).hexdigest()
    (blobs / digest).write_bytes(content)
    return {"mediaType": media_type, "digest": f"sha256:{digest}", "size": len(content)}


def _bytes(document: dict) -> bytes:
    return json.dumps(document, sort_keys=True, separators=(",", ":")).encode()


def _share(source: Path, target: Path) -> None:
    try:
        os.link(source, target)
    except OSError:
        # Another file system, or one without hard links.
        shutil.copyfile(source, target)
