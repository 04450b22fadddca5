"""Requests as they are parsed, and answers as they are written (RFC 9110 and RFC 9112)."""

import http
import json
from dataclasses import dataclass, field
from typing import Any

HEAD_MOST = 16 << 10
HEADERS_MOST = 100
BODY_MOST = 1 << 20

_TOKEN = frozenset(b"!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ")
_TEXT = {"Content-Type": "text/plain; charset=utf-8"}
_JSON = {"Content-Type": "application/json"}


class Malformed(Exception):
    """A request that is answered with an error and ends its connection."""

    def __init__(self, status: int, words: str) -> None:
        super().__init__(words)
        self.status = status


@dataclass(slots=True)
class Request:
    """A request."""

    method: str
    path: str
    body: bytes = b""


@dataclass(slots=True)
class Answer:
    """What a request is answered with."""

    status: int
    body: bytes
    headers: dict[str, str] = field(default_factory=lambda: _TEXT)
    # The bytes of HTTP/1.1 by whether the connection closes and whether the body is left out.
    _written: dict[tuple[bool, bool], bytes] = field(default_factory=dict)

    @staticmethod
    def text(status: int, words: str) -> "Answer":
        """A line of text."""
        return Answer(status, words.encode())

    @staticmethod
    def json(status: int, document: Any) -> "Answer":
        """A JSON document."""
        return Answer(status, json.dumps(document, allow_nan=False).encode(), _JSON)

    def written(self, close: bool, bodiless: bool, common: str) -> bytes:
        """The bytes of HTTP/1.1, with a header that all answers of a server have. What is given again and again is made
        once."""
        made = self._written.get((close, bodiless))
        if made is None:
            lines = [f"HTTP/1.1 {self.status} {_phrase(self.status)}", f"Content-Length: {len(self.body)}"]
            lines += [f"{name}: {value}" for name, value in self.headers.items()]
            lines += ["Connection: close"] if close else []
            head = "\r\n".join([*lines, common, "", ""]).encode("latin-1")
            made = self._written[close, bodiless] = head if bodiless else head + self.body
        return made


FAILED = Answer.text(500, "the request could not be handled\n")


@dataclass(slots=True)
class Head:
    """What stands before a request's body."""

    request: Request
    # The body's length; none if it comes in chunks.
    length: int | None
    # Whether the connection ends with the answer.
    close: bool
    # Whether the client waits to be told that it may send the body.
    waits: bool


def parse(head: bytes) -> Head:
    """Parses a head, without the empty line that ends it. What two programs could read in two ways is refused."""
    first, *lines = head.split(b"\r\n")
    if len(lines) > HEADERS_MOST:
        raise Malformed(431, "too many headers")
    parts = first.split(b" ")
    if len(parts) != 3 or not parts[0] or not _TOKEN.issuperset(parts[0]) or not parts[1]:
        raise Malformed(400, "the request line is malformed")
    if parts[2] not in (b"HTTP/1.1", b"HTTP/1.0"):
        raise Malformed(505, "only HTTP/1.1 and 1.0 are spoken here")
    length, chunked, hosts, waits = None, False, 0, False
    close = parts[2] == b"HTTP/1.0"
    for line in lines:
        name, colon, value = line.partition(b":")
        if not colon or not name or not _TOKEN.issuperset(name) or b"\n" in line or b"\r" in line or b"\0" in line:
            raise Malformed(400, "a header is malformed")
        name, value = name.lower(), value.strip(b" \t")
        if name == b"content-length":
            if not value.isdigit() or len(value) > 18 or length not in (None, int(value)):
                raise Malformed(400, "the body's length is malformed")
            length = int(value)
        elif name == b"transfer-encoding":
            if value.lower() != b"chunked" or chunked:
                raise Malformed(501, "only the transfer coding `chunked` is known here")
            chunked = True
        elif name == b"connection":
            options = {option.strip() for option in value.lower().split(b",")}
            close = b"close" in options or (close and b"keep-alive" not in options)
        elif name == b"host":
            hosts += 1
        elif name == b"expect":
            waits = value.lower() == b"100-continue"
    if hosts > 1 or (hosts == 0 and parts[2] == b"HTTP/1.1"):
        raise Malformed(400, "a request has one Host header")
    if chunked and (length is not None or parts[2] == b"HTTP/1.0"):
        raise Malformed(400, "a body has a length or comes in chunks")
    if (length or 0) > BODY_MOST:
        raise Malformed(413, f"a body may have {BODY_MOST} bytes")
    path = parts[1].partition(b"?")[0].decode("latin-1")
    return Head(Request(parts[0].decode(), path), None if chunked else length or 0, close, waits)


def _phrase(status: int) -> str:
    try:
        return http.HTTPStatus(status).phrase
    except ValueError:
        return "Unknown"
