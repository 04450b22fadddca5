"""Recipes, and the workshop that keeps what was made until its inputs change."""

import hashlib
import json
import os
import shutil
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from oci import debian, layer, layout

IMAGES = Path(__file__).resolve().parent.parent
# What marks an image that stands in for one of Chalk's platform images.
STAND_IN = "ai.chalk.stand-in"


@dataclass(frozen=True)
class LayerRecipe:
    """How a layer is made."""

    name: str
    # Files of this repository, and of this machine, that decide the layer's content.
    inputs: tuple[Path, ...]
    # Fills the tree. The folder is for what it unpacks and compiles. Returns labels that every image with it gets.
    fill: Callable[[layer.Tree, Path], dict[str, str]]
    # What else decides the content.
    key: str = ""


@dataclass(frozen=True)
class ImageRecipe:
    """How an image is made."""

    name: str
    layers: tuple[LayerRecipe, ...]
    entrypoint: tuple[str, ...]
    user: str
    environment: dict[str, str] = field(default_factory=dict)
    labels: dict[str, str] = field(default_factory=dict)
    directory: str = "/"
    ports: tuple[int, ...] = ()


class Workshop:
    """Makes images in a folder of layouts, and of each layer only what has changed."""

    def __init__(self, out: Path) -> None:
        self._out, self._layers = out, out / ".layers"
        self._layers.mkdir(parents=True, exist_ok=True)
        self._digests = _FileDigests(self._layers / "files.json")
        self._keys: dict[str, str] = {}

    def make(self, recipes: list[ImageRecipe]) -> int:
        """Makes what is missing or stale, and returns how many images that were."""
        stale = [recipe for recipe in recipes if not self._is_made(recipe)]
        for recipe in stale:
            started = time.monotonic()
            layers, labels = [], dict(recipe.labels)
            for layer_recipe in recipe.layers:
                made, of_layer = self._layer(layer_recipe)
                layers.append(made)
                labels.update(of_layer)
            image = layout.Image(
                recipe.name, layers, list(recipe.entrypoint), recipe.user, recipe.environment, labels,
                recipe.directory, recipe.ports,
            )  # fmt: skip
            digest = layout.write(image, self._out)
            # Last, so that a layout without this note is made again.
            _replace(self._note(recipe), json.dumps({"key": self._image_key(recipe), "digest": digest}))
            packed, unpacked = sum(made.size for made in layers), sum(made.unpacked for made in layers)
            say(
                f"{recipe.name}: {packed / 1e6:.1f} MB, unpacked {unpacked / 1e6:.1f} MB, "
                f"{time.monotonic() - started:.1f} s, {digest}"
            )
        self._digests.save()
        return len(stale)

    def sweep(self, recipes: list[ImageRecipe]) -> None:
        """Removes the layers that no recipe asks for any longer, and what an interrupted run left."""
        wanted = {self._path(of).name for recipe in recipes for of in recipe.layers}
        wanted |= {Path(name).with_suffix(".labels").name for name in wanted} | {f"{name}.json" for name in wanted}
        wanted |= {"files.json", "lock"}
        wanted |= {self._note(recipe).name for recipe in recipes}
        for path in self._layers.iterdir():
            if path.name not in wanted:
                shutil.rmtree(path) if path.is_dir() else path.unlink()

    def _layer(self, recipe: LayerRecipe) -> tuple[layer.Layer, dict[str, str]]:
        path, labels = self._path(recipe), self._path(recipe).with_suffix(".labels")
        made = layer.packed(path)
        if made is None:
            say(f"layer {recipe.name} is made")
            tree, folder = layer.Tree(), self._layers / f"{recipe.name}.work"
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir()
            found = recipe.fill(tree, folder)
            _replace(labels, json.dumps(found, sort_keys=True))
            made = layer.pack(tree, path)
            shutil.rmtree(folder)
        return made, json.loads(labels.read_text())

    def _is_made(self, recipe: ImageRecipe) -> bool:
        try:
            note = json.loads(self._note(recipe).read_text())
            made = layout.manifest_digest(self._out / recipe.name)
        except (FileNotFoundError, ValueError, KeyError):
            return False
        return note == {"key": self._image_key(recipe), "digest": made}

    def _image_key(self, recipe: ImageRecipe) -> str:
        decides = [
            recipe.name, [self._layer_key(of) for of in recipe.layers], recipe.entrypoint, recipe.user,
            recipe.environment, recipe.labels, recipe.directory, recipe.ports, self._digests.of(Path(layout.__file__)),
        ]  # fmt: skip
        return hashlib.sha256(json.dumps(decides, sort_keys=True).encode()).hexdigest()

    def _layer_key(self, recipe: LayerRecipe) -> str:
        if recipe.name not in self._keys:
            inputs = [Path(layer.__file__), Path(debian.__file__), *recipe.inputs]
            decides = [recipe.name, recipe.key, [self._digests.of(path) for path in inputs]]
            self._keys[recipe.name] = hashlib.sha256(json.dumps(decides).encode()).hexdigest()
        return self._keys[recipe.name]

    def _path(self, recipe: LayerRecipe) -> Path:
        return self._layers / f"{recipe.name}-{self._layer_key(recipe)[:16]}.layer"

    def _note(self, recipe: ImageRecipe) -> Path:
        return self._layers / f"{recipe.name}.image"


class _FileDigests:
    """The digests of inputs. A file whose size, time and inode are those of the last look is not read again."""

    def __init__(self, path: Path) -> None:
        self._path, self._new = path, {}
        try:
            self._known = json.loads(path.read_text())
        except (FileNotFoundError, ValueError):
            self._known = {}

    def of(self, path: Path) -> str:
        """The digest of a file."""
        status = path.stat()
        seen = [status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino]
        known = self._known.get(str(path))
        if known is None or known[:-1] != seen:
            with open(path, "rb") as file:
                known = [*seen, hashlib.file_digest(file, "sha256").hexdigest()]
        self._new[str(path)] = known
        return known[-1]

    def save(self) -> None:
        """Keeps them for the next run."""
        _replace(self._path, json.dumps(self._known | self._new))


def say(words: str) -> None:
    """Tells a person."""
    print(f"images: {words}", file=sys.stderr, flush=True)


def _replace(path: Path, content: str) -> None:
    work = path.with_name(path.name + ".work")
    work.write_text(content)
    os.rename(work, path)
