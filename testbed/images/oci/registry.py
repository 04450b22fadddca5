"""Pushes OCI image layouts (OCI distribution specification 1.1). What a registry has is not sent again."""

import http.client
import json
from pathlib import Path
from urllib.parse import quote, urlencode, urljoin, urlsplit

from .layout import MANIFEST

TIMEOUT = 60
# No answer that is read here is longer; what follows is dropped.
ANSWER_MOST = 4096


class Refused(Exception):
    """A registry's answer that is not the wanted one."""


class Registry:
    """A registry that is spoken to without TLS, and over one connection."""

    def __init__(self, address: str) -> None:
        parts = urlsplit(address)
        if parts.scheme != "http" or not parts.netloc or parts.path.strip("/"):
            raise Refused(f"{address!r} is no http://HOST:PORT")
        self.host = parts.netloc
        self._root = f"http://{parts.netloc}"
        self._connection = http.client.HTTPConnection(parts.netloc, timeout=TIMEOUT)
        # In which repository a blob of this run lies.
        self._lies: dict[str, str] = {}

    def __enter__(self) -> "Registry":
        return self

    def __exit__(self, *_: object) -> None:
        self._connection.close()

    def push(self, layout: Path, repository: str, tag: str) -> tuple[str, int]:
        """Pushes a layout's image under a tag. Returns its digest, and how many bytes were sent."""
        index = json.loads((layout / "index.json").read_text())
        digest = index["manifests"][0]["digest"]
        content = _blob(layout, digest).read_bytes()
        manifest = json.loads(content)
        blobs = [manifest["config"], *manifest["layers"]]
        sent = sum(self._blob(layout, repository, blob["digest"]) for blob in blobs)
        found = self._call("HEAD", f"/v2/{repository}/manifests/{tag}", headers={"Accept": MANIFEST})
        if found.status != 200 or found.headers.get("Docker-Content-Digest") != digest:
            path = f"/v2/{repository}/manifests/{quote(tag)}"
            self._expect(201, self._call("PUT", path, content, {"Content-Type": MANIFEST}))
            sent += len(content)
        return digest, sent

    def _blob(self, layout: Path, repository: str, digest: str) -> int:
        if self._call("HEAD", f"/v2/{repository}/blobs/{digest}").status == 200:
            self._lies.setdefault(digest, repository)
            return 0
        query = {"mount": digest, "from": self._lies[digest]} if digest in self._lies else {}
        answer = self._call("POST", f"/v2/{repository}/blobs/uploads/?{urlencode(query)}")
        self._lies.setdefault(digest, repository)
        if answer.status == 201 and query:
            return 0
        location = self._expect(202, answer).headers.get("Location") or ""
        where = urlsplit(urljoin(self._root, location))
        if where.netloc != self.host:
            raise Refused(f"the registry sends an upload to another host, {where.netloc!r}")
        target = f"{where.path}?{where.query}{'&' if where.query else ''}{urlencode({'digest': digest})}"
        with open(_blob(layout, digest), "rb") as file:
            size = _blob(layout, digest).stat().st_size
            headers = {"Content-Type": "application/octet-stream", "Content-Length": str(size)}
            self._expect(201, self._call("PUT", target, file, headers))
        return size

    def _call(self, method: str, path: str, body=None, headers: dict[str, str] | None = None):
        # A POST without a body needs a length too.
        headers = {"Content-Length": "0", **(headers or {})} if body is None and method == "POST" else headers or {}
        self._connection.request(method, path, body, headers)
        answer = self._connection.getresponse()
        answer.words = answer.read(ANSWER_MOST)
        answer.asked = f"{method} {path.split('?', maxsplit=1)[0]}"
        if not answer.isclosed():
            self._connection.close()
        return answer

    @staticmethod
    def _expect(status: int, answer):
        if answer.status != status:
            words = answer.words.decode(errors="replace").strip()
            raise Refused(f"{answer.asked} answered {answer.status} {answer.reason} and not {status}: {words}")
        return answer


def _blob(layout: Path, digest: str) -> Path:
    algorithm, _, encoded = digest.partition(":")
    return layout / "blobs" / algorithm / encoded
