"""A layer: files packed so that the same content gives the same bytes.

Entries stand in the order of their paths, belong to root, and carry the time zero. The compressor's level is fixed; its
version is Debian's zlib.
"""

import hashlib
import io
import json
import os
import tarfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

MEDIA_TYPE = "application/vnd.oci.image.layer.v1.tar+gzip"
LEVEL = 5
PIECE = 1 << 20
# What zlib is told for a gzip member with the largest window: its header carries no time and no name.
GZIP_WINDOW = 31


@dataclass(frozen=True)
class Entry:
    """What a path of an image is: a directory, a link to `target`, the bytes of `content` or those of `source`."""

    mode: int
    source: Path | None = None
    content: bytes | None = None
    target: str | None = None


@dataclass(frozen=True)
class Layer:
    """A packed layer in a file."""

    path: Path
    digest: str
    size: int
    # The digest of the tar inside, as an image's config lists it.
    diff: str
    # How much the files take when they are unpacked.
    unpacked: int

    def descriptor(self) -> dict:
        """The layer as a manifest names it."""
        return {"mediaType": MEDIA_TYPE, "digest": self.digest, "size": self.size}


class Tree:
    """The files of a layer by their paths, which are absolute."""

    def __init__(self) -> None:
        self._entries: dict[str, Entry] = {}

    def directory(self, path: str, mode: int = 0o755) -> None:
        """A directory; those above a file need not be named."""
        self._put(path, Entry(mode))

    def file(self, path: str, source: Path, mode: int = 0o644) -> None:
        """A file with the bytes of one of this machine."""
        self._put(path, Entry(mode, source=source))

    def text(self, path: str, content: str, mode: int = 0o644) -> None:
        """A file with this text."""
        self._put(path, Entry(mode, content=content.encode()))

    def link(self, path: str, target: str) -> None:
        """A symbolic link."""
        self._put(path, Entry(0o777, target=target))

    def folder(self, path: str, source: Path) -> None:
        """A folder of this machine with all that is in it. What is executable there stays it; other modes are lost."""
        for parent, directories, files in os.walk(source):
            inner = Path(path, Path(parent).relative_to(source))
            self.directory(str(inner))
            for name in [*directories, *files]:
                found = Path(parent, name)
                if found.is_symlink():
                    self.link(str(inner / name), os.readlink(found))
                elif name in files:
                    self.file(str(inner / name), found, 0o755 if os.access(found, os.X_OK) else 0o644)

    def entries(self) -> Iterator[tuple[str, Entry]]:
        """All entries with the directories above them, each after its parent."""
        whole = dict(self._entries)
        for path in self._entries:
            for parent in list(Path(path).parents)[:-1]:
                whole.setdefault(str(parent), Entry(0o755))
        return iter(sorted(whole.items(), key=lambda entry: Path(entry[0]).parts))

    def _put(self, path: str, entry: Entry) -> None:
        if not path.startswith("/") or path != os.path.normpath(path):
            raise ValueError(f"{path!r} is no absolute, normal path")
        self._entries[path] = entry


class _Packer(io.RawIOBase):
    """Compresses what is written, and takes the digests on both sides."""

    def __init__(self, file: BinaryIO) -> None:
        self.file, self.size, self._read = file, 0, 0
        self.inner, self.outer = hashlib.sha256(), hashlib.sha256()
        self._zlib = zlib.compressobj(LEVEL, zlib.DEFLATED, GZIP_WINDOW)

    def writable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._read

    def write(self, data: bytes) -> int:
        self.inner.update(data)
        self._read += len(data)
        self._out(self._zlib.compress(data))
        return len(data)

    def finish(self) -> None:
        """Writes what the compressor still holds."""
        self._out(self._zlib.flush())

    def _out(self, data: bytes) -> None:
        self.file.write(data)
        self.outer.update(data)
        self.size += len(data)


def pack(tree: Tree, path: Path) -> Layer:
    """Packs a tree into a file, which is there in whole or not at all, and notes its digests beside it."""
    work = path.with_name(path.name + ".work")
    unpacked = 0
    with open(work, "wb") as file:
        packer = _Packer(file)
        with tarfile.open(fileobj=packer, mode="w", format=tarfile.PAX_FORMAT, copybufsize=PIECE) as tar:
            for name, entry in tree.entries():
                unpacked += _add(tar, name, entry)
        packer.finish()
        file.flush()
        os.fsync(file.fileno())
    layer = Layer(
        path, f"sha256:{packer.outer.hexdigest()}", packer.size, f"sha256:{packer.inner.hexdigest()}", unpacked
    )
    os.rename(work, path)
    note = {"digest": layer.digest, "size": layer.size, "diff": layer.diff, "unpacked": unpacked}
    work.write_text(json.dumps(note))
    os.rename(work, _note(path))
    return layer


def packed(path: Path) -> Layer | None:
    """The layer that was packed into a file before, if it is all there."""
    try:
        note = json.loads(_note(path).read_text())
        layer = Layer(path, note["digest"], note["size"], note["diff"], note["unpacked"])
        return layer if path.stat().st_size == layer.size else None
    except (FileNotFoundError, ValueError, KeyError):
        return None


def _note(path: Path) -> Path:
    return path.with_name(path.name + ".json")


def _add(tar: tarfile.TarFile, path: str, entry: Entry) -> int:
    header = tarfile.TarInfo(path.lstrip("/"))
    header.mode = entry.mode
    if entry.target is not None:
        header.type, header.linkname = tarfile.SYMTYPE, entry.target
        tar.addfile(header)
    elif entry.content is not None:
        header.size = len(entry.content)
        tar.addfile(header, io.BytesIO(entry.content))
    elif entry.source is not None:
        with open(entry.source, "rb") as source:
            header.size = os.fstat(source.fileno()).st_size
            tar.addfile(header, source)
    else:
        header.type = tarfile.DIRTYPE
        tar.addfile(header)
    return header.size
