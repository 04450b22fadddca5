"""A body that comes in chunks (RFC 9112, section 7.1)."""

from .message import BODY_MOST, Malformed

# A chunk's size with its extensions, which are not read, and all trailers.
LINE_MOST = 1024
TRAILERS_MOST = 8192


class Chunks:
    """Takes a body out of a buffer, as far as it has come."""

    def __init__(self) -> None:
        self.body = bytearray()
        # How much of the present chunk is missing; none before its size is known.
        self._left: int | None = None
        self._trailers = -1

    def take(self, buffer: bytearray) -> bool:
        """Takes what it can. True once the body is whole."""
        while True:
            if self._trailers >= 0:
                return self._take_trailers(buffer)
            if self._left is None:
                line = _line(buffer, LINE_MOST)
                if line is None:
                    return False
                digits = line.split(b";")[0].strip(b" \t")
                if not digits or len(digits) > 8 or not all(digit in b"0123456789abcdefABCDEF" for digit in digits):
                    raise Malformed(400, "a chunk's size is malformed")
                self._left = int(digits, 16)
                if len(self.body) + self._left > BODY_MOST:
                    raise Malformed(413, f"a body may have {BODY_MOST} bytes")
                if self._left == 0:
                    self._trailers = 0
                continue
            piece = bytes(buffer[: self._left])
            self.body += piece
            del buffer[: len(piece)]
            self._left -= len(piece)
            if self._left > 0 or len(buffer) < 2:
                return False
            if buffer[:2] != b"\r\n":
                raise Malformed(400, "a chunk does not end where its size says")
            del buffer[:2]
            self._left = None

    def _take_trailers(self, buffer: bytearray) -> bool:
        while True:
            line = _line(buffer, TRAILERS_MOST)
            if line is None:
                return False
            if not line:
                return True
            self._trailers += len(line)
            if self._trailers > TRAILERS_MOST:
                raise Malformed(431, "too many trailers")


def _line(buffer: bytearray, most: int) -> bytes | None:
    end = buffer.find(b"\r\n", 0, most)
    if end < 0:
        if len(buffer) >= most:
            raise Malformed(400, "a line of a chunk is too long")
        return None
    line = bytes(buffer[:end])
    del buffer[: end + 2]
    return line
