"""A connection that speaks HTTP/1.1. What a client may take of it is bounded in bytes and in time."""

import asyncio
import traceback
from collections.abc import Awaitable, Callable

from .chunks import Chunks
from .message import FAILED, HEAD_MOST, Answer, Head, Malformed, Request, parse

try:
    from .http2 import PREFACE, Http2Connection
except ImportError:
    # Without Debian's python3-h2, such as on a machine that only runs the tests, there is no HTTP/2.
    PREFACE, Http2Connection = b"", None

# From the first byte of a request to the last of its head, from there to the last of its body, and for a client to take
# an answer.
HEAD_SECONDS = 10.0
BODY_SECONDS = 20.0
TAKE_SECONDS = 20.0
# Longer than the hour after which Envoy gives up an idle connection: were this side first, it would close some under a
# request that is on its way.
IDLE_SECONDS = 3900.0
# How long a connection that was ended on this side is read on, so that its last answer is not lost to a reset.
LINGER_SECONDS = 3.0
# How often deadlines are looked at.
SWEEP_SECONDS = 0.5
NEVER = float("inf")
# Requests that are sent before the answer to the last wait in this much memory.
AHEAD_MOST = 64 << 10

Handler = Callable[[Request], "Answer | Awaitable[Answer]"]


class Connection(asyncio.Protocol):
    """One connection."""

    def __init__(self, server: "Connections") -> None:
        self._server = server
        self._buffer = bytearray()
        self._transport: asyncio.Transport
        self._head: Head | None = None
        self._chunks: Chunks | None = None
        self._task: asyncio.Task | None = None
        self._paused = self._blocked = self._ended = self._no_more = False
        self._is_new = True
        self.idle_since = 0.0
        self.deadline = NEVER

    @property
    def is_idle(self) -> bool:
        """Whether no request is under way."""
        return self._task is None and self._head is None and not self._buffer

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._server.add(self)
        self._rest()

    def connection_lost(self, exc: Exception | None) -> None:
        self._ended = True
        if self._task is not None:
            self._task.cancel()
        self._server.remove(self)

    def data_received(self, data: bytes) -> None:
        if self._ended:
            return
        if self.is_idle:
            self._within(HEAD_SECONDS)
        self._buffer += data
        if self._is_new and Http2Connection is not None and self._is_http2():
            return
        self._go_on()
        if (self._task is not None or self._blocked) and len(self._buffer) > AHEAD_MOST and not self._paused:
            self._paused = True
            self._transport.pause_reading()

    def _is_http2(self) -> bool:
        """Whether the client speaks HTTP/2, or may be about to say so. If it does, another takes over."""
        start = bytes(self._buffer[: len(PREFACE)])
        if not PREFACE.startswith(start):
            self._is_new = False
            return False
        if start == PREFACE:
            made = Http2Connection(self._server, self._transport)
            self._server.replace(self, made)
            self._transport.set_protocol(made)
            made.data_received(bytes(self._buffer))
        return True

    def eof_received(self) -> bool:
        # What has come in whole is still answered, and nothing follows it.
        self._no_more = True
        return self._task is not None or self._blocked

    def pause_writing(self) -> None:
        self._blocked = True
        self._within(TAKE_SECONDS)

    def resume_writing(self) -> None:
        self._blocked = False
        if not self._ended:
            self._rest()
            self._go_on()

    def close(self) -> None:
        """Ends the connection: what was written is sent, and what still comes is dropped for a while."""
        self._ended = True
        self._buffer.clear()
        self._within(LINGER_SECONDS)
        try:
            self._transport.write_eof()
        except OSError:
            # The other side has gone already.
            self._transport.abort()

    def give_up(self) -> None:
        """The deadline is over."""
        if self._ended or self._blocked or (self._head is None and not self._buffer):
            self._transport.abort()
        else:
            self._transport.write(
                Answer.text(408, "the request took too long\n").written(True, False, self._server.common)
            )
            self.close()

    def _go_on(self) -> None:
        try:
            while not self._ended and not self._blocked and self._task is None and self._read():
                assert self._head is not None
                self._handle(self._head)
            if self._no_more and not self._ended and not self._blocked and self._task is None:
                self.close()
        except Malformed as error:
            self._transport.write(Answer.text(error.status, f"{error}\n").written(True, False, self._server.common))
            self.close()
        if self._paused and self._task is None and not self._blocked and not self._ended:
            self._paused = False
            self._transport.resume_reading()

    def _read(self) -> bool:
        """Reads on. True once a request is whole."""
        if self._head is None:
            # An empty line before a request is overlooked (RFC 9112, section 2.2).
            while self._buffer.startswith(b"\r\n"):
                del self._buffer[:2]
            end = self._buffer.find(b"\r\n\r\n", 0, HEAD_MOST)
            if end < 0:
                if len(self._buffer) >= HEAD_MOST:
                    raise Malformed(431, f"the headers may have {HEAD_MOST} bytes")
                return False
            self._head = parse(bytes(self._buffer[:end]))
            del self._buffer[: end + 4]
            if self._head.length == 0:
                return True
            self._within(BODY_SECONDS)
            self._chunks = Chunks() if self._head.length is None else None
            if self._head.waits:
                self._transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        if self._chunks is not None:
            if not self._chunks.take(self._buffer):
                return False
            self._head.request.body = bytes(self._chunks.body)
            return True
        length = self._head.length or 0
        if len(self._buffer) < length:
            return False
        self._head.request.body = bytes(self._buffer[:length])
        del self._buffer[:length]
        return True

    def _handle(self, head: Head) -> None:
        self.deadline = NEVER
        try:
            answer = self._server.handler(head.request)
        except Exception:
            traceback.print_exc()
            answer = FAILED
        if isinstance(answer, Answer):
            self._write(answer)
            return
        self._task = asyncio.ensure_future(answer)
        self._task.add_done_callback(self._handled)

    def _handled(self, task: asyncio.Task) -> None:
        self._task = None
        if self._ended:
            return
        error = None if task.cancelled() else task.exception()
        if error is not None:
            traceback.print_exception(error)
        self._write(FAILED if task.cancelled() or error is not None else task.result())
        self._go_on()

    def _write(self, answer: Answer) -> None:
        head, self._head, self._chunks = self._head, None, None
        assert head is not None
        close = head.close or self._server.closing
        self._transport.write(answer.written(close, head.request.method == "HEAD", self._server.common))
        if close:
            self.close()
        elif not self._blocked:
            self._rest()

    def _rest(self) -> None:
        """Between two requests."""
        self.idle_since = self._server.loop.time()
        self._within(HEAD_SECONDS if self._buffer else IDLE_SECONDS)

    def _within(self, seconds: float) -> None:
        self.deadline = self._server.loop.time() + seconds


class Connections:
    """All connections of a server."""

    MOST = 2048

    def __init__(self, loop: asyncio.AbstractEventLoop, handler: Handler, common: str) -> None:
        self.loop, self.handler = loop, handler
        # A header of every answer, `name: value`.
        self.common = common
        # Whether each answer ends its connection.
        self.closing = False
        self._open: set[Connection | Http2Connection] = set()
        loop.call_soon(self._sweep)

    def __len__(self) -> int:
        return len(self._open)

    def add(self, connection: "Connection") -> None:
        """A new one. Where there are too many, the one that has been idle for longest makes room, or else it goes."""
        if len(self._open) >= self.MOST:
            idle = min((one for one in self._open if one.is_idle), key=lambda one: one.idle_since, default=connection)
            idle.close()
        self._open.add(connection)

    def remove(self, connection: "Connection | Http2Connection") -> None:
        """One that is lost."""
        self._open.discard(connection)

    def replace(self, connection: "Connection", other: "Http2Connection") -> None:
        """One that turns out to speak another version."""
        self._open.discard(connection)
        self._open.add(other)

    def drain(self) -> None:
        """From now on, each answer ends its connection, or says that it will end."""
        self.closing = True
        for connection in self._open:
            if Http2Connection is not None and isinstance(connection, Http2Connection):
                connection.announce_end()

    def close_idle(self) -> int:
        """Closes those without a request, and returns how many are left."""
        for connection in [one for one in self._open if one.is_idle]:
            connection.close()
        return len(self._open)

    def _sweep(self) -> None:
        self.loop.call_later(SWEEP_SECONDS, self._sweep)
        now = self.loop.time()
        for connection in [one for one in self._open if one.deadline <= now]:
            connection.give_up()
