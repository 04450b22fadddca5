"""A connection that speaks HTTP/2 without TLS, from its first byte (RFC 9113, section 3.3).

A gateway speaks it to the query server, whose service says `kubernetes.io/h2c`. Frames and their states are those of
the package h2, which Debian has as python3-h2.
"""

import asyncio
import contextlib
import traceback
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import h2.config
import h2.connection
import h2.events
import h2.exceptions
import h2.settings
from hyperframe.frame import GoAwayFrame

from .message import BODY_MOST, FAILED, HEAD_MOST, Answer, Request

if TYPE_CHECKING:
    from .connection import Connections

# With these bytes, a client says that it speaks HTTP/2 (RFC 9113, section 3.4).
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
# RFC 9113, section 7.
FRAME_SIZE_ERROR = 6
STREAMS_MOST = 256
# A client that opens requests only to reset them costs more than it is worth (CVE-2023-44487).
RESETS_MOST = 1000
BODY_SECONDS = 20.0
TAKE_SECONDS = 20.0
IDLE_SECONDS = 3900.0
LINGER_SECONDS = 3.0
DROP_SECONDS = 1.0
# A number that no stream has yet: a GOAWAY with it announces the end and refuses nothing (RFC 9113, section 6.8).
LAST_STREAM = 2**31 - 1


class _Lengths:
    """Follows where frames begin. The package looks at a frame's length only once it has all of it."""

    MOST = 1 << 14
    HEADER = 9

    def __init__(self, before: int) -> None:
        self._left = before
        self._header = bytearray()

    def are_legal(self, data: bytes) -> bool:
        """Whether no frame that begins in these bytes is longer than this side allows."""
        at = 0
        while at < len(data):
            if self._left > 0:
                passed = min(self._left, len(data) - at)
                self._left -= passed
                at += passed
                continue
            piece = data[at : at + self.HEADER - len(self._header)]
            self._header += piece
            at += len(piece)
            if len(self._header) == self.HEADER:
                self._left = int.from_bytes(self._header[:3], "big")
                self._header.clear()
                if self._left > self.MOST:
                    return False
        return True


@dataclass(slots=True)
class _Stream:
    """A request that comes or is answered."""

    request: Request
    deadline: float
    body: bytearray = field(default_factory=bytearray)
    task: asyncio.Task | None = None
    # What of an answer waits for the client's window.
    waiting: memoryview | None = None
    # Whether it is answered, and what still comes of it is dropped.
    is_over: bool = False


class Http2Connection(asyncio.Protocol):
    """One connection."""

    def __init__(self, server: "Connections", transport: asyncio.Transport) -> None:
        self._server, self._transport = server, transport
        name, _, value = server.common.partition(": ")
        self._common = (name.lower(), value)
        self._streams: dict[int, _Stream] = {}
        self._lengths = _Lengths(len(PREFACE))
        self._resets = 0
        self._ended = self._announced = False
        self._idle_since = server.loop.time()
        self._blocked_since: float | None = None
        self._http2 = h2.connection.H2Connection(h2.config.H2Configuration(client_side=False, header_encoding="utf-8"))
        self._http2.initiate_connection()
        codes = h2.settings.SettingCodes
        self._http2.update_settings({codes.MAX_CONCURRENT_STREAMS: STREAMS_MOST, codes.MAX_HEADER_LIST_SIZE: HEAD_MOST})
        self._send()

    @property
    def is_idle(self) -> bool:
        """Whether no request is under way."""
        return not self._streams

    @property
    def idle_since(self) -> float:
        """Since when."""
        return self._idle_since

    @property
    def deadline(self) -> float:
        """When somebody has waited for too long."""
        if self._blocked_since is not None:
            return self._blocked_since + TAKE_SECONDS
        if self._ended:
            return self._idle_since + LINGER_SECONDS
        streams = [stream.deadline for stream in self._streams.values()]
        return min(streams) if streams else self._idle_since + IDLE_SECONDS

    def connection_lost(self, exc: Exception | None) -> None:
        self._ended = True
        for stream in self._streams.values():
            if stream.task is not None:
                stream.task.cancel()
        self._streams.clear()
        self._server.remove(self)

    def data_received(self, data: bytes) -> None:
        if self._ended:
            return
        if not self._lengths.are_legal(data):
            self._transport.write(GoAwayFrame(0, error_code=FRAME_SIZE_ERROR).serialize())
            self.close()
            return
        try:
            for event in self._http2.receive_data(data):
                self._on(event)
        # The package raises errors of its own and, for some malformed frames, of others.
        except (h2.exceptions.ProtocolError, ValueError, KeyError):
            # What the client has done wrong stands in the GOAWAY that the package has written.
            self._send()
            self.close()
            return
        self._send()

    def pause_writing(self) -> None:
        self._blocked_since = self._server.loop.time()
        # Who does not read may not have more written for him.
        self._transport.pause_reading()

    def resume_writing(self) -> None:
        self._blocked_since = None
        if not self._transport.is_closing():
            self._transport.resume_reading()

    def announce_end(self) -> None:
        """Tells the client that other requests belong on another connection. Those that still come are answered."""
        if not self._announced and not self._ended:
            self._announced = True
            self._transport.write(GoAwayFrame(0, last_stream_id=LAST_STREAM).serialize())

    def close(self) -> None:
        """Ends the connection once what was written is sent."""
        if not self._ended:
            self._ended, self._idle_since = True, self._server.loop.time()
            self._transport.close()

    def give_up(self) -> None:
        """The deadline is over."""
        now = self._server.loop.time()
        late = [number for number, stream in self._streams.items() if stream.deadline <= now]
        if self._ended or self._blocked_since is not None or not late:
            self._transport.abort()
            return
        for number in late:
            self._forget(number)
            self._reset(number)
        self._send()

    def _on(self, event: h2.events.Event) -> None:
        if isinstance(event, h2.events.RequestReceived):
            fields = dict(event.headers)
            path = fields.get(":path", "/").partition("?")[0]
            request = Request(fields.get(":method", ""), path)
            self._streams[event.stream_id] = _Stream(request, self._server.loop.time() + BODY_SECONDS)
            if self._server.closing:
                self.announce_end()
        elif isinstance(event, h2.events.DataReceived):
            self._http2.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
            stream = self._streams.get(event.stream_id)
            if stream is not None and not stream.is_over:
                stream.body += event.data
                if len(stream.body) > BODY_MOST:
                    self._refuse(event.stream_id, stream)
        elif isinstance(event, h2.events.StreamEnded):
            self._handle(event.stream_id)
        elif isinstance(event, h2.events.StreamReset):
            self._forget(event.stream_id)
            self._resets += 1
            if self._resets > RESETS_MOST:
                self.close()
        elif isinstance(event, h2.events.WindowUpdated):
            for number in [event.stream_id] if event.stream_id else list(self._streams):
                self._write(number)
        elif isinstance(event, h2.events.ConnectionTerminated) and not self._streams:
            self.close()

    def _refuse(self, number: int, stream: _Stream) -> None:
        """Answers a body that is too long. Some clients overlook an answer that a reset follows at once: what comes is
        dropped for a while."""
        stream.body.clear()
        self._answer(number, Answer.text(413, f"a body may have {BODY_MOST} bytes\n"))
        self._streams[number] = _Stream(stream.request, self._server.loop.time() + DROP_SECONDS, is_over=True)

    def _handle(self, number: int) -> None:
        stream = self._streams.get(number)
        if stream is None:
            return
        if stream.is_over:
            self._forget(number)
            return
        stream.deadline = float("inf")
        stream.request.body = bytes(stream.body)
        try:
            answer = self._server.handler(stream.request)
        except Exception:
            traceback.print_exc()
            answer = FAILED
        if isinstance(answer, Answer):
            self._answer(number, answer)
        else:
            stream.task = asyncio.ensure_future(answer)
            stream.task.add_done_callback(lambda task: self._handled(number, task))

    def _handled(self, number: int, task: asyncio.Task) -> None:
        error = None if task.cancelled() else task.exception()
        if error is not None:
            traceback.print_exception(error)
        if number in self._streams and not self._ended:
            self._answer(number, FAILED if task.cancelled() or error is not None else task.result())
            self._send()

    def _answer(self, number: int, answer: Answer) -> None:
        stream = self._streams[number]
        bodiless = stream.request.method == "HEAD" or not answer.body
        fields = [(":status", str(answer.status)), ("content-length", str(len(answer.body))), self._common]
        fields += [(name.lower(), value) for name, value in answer.headers.items()]
        try:
            self._http2.send_headers(number, fields, end_stream=bodiless)
        except h2.exceptions.ProtocolError:
            # The client has closed the stream meanwhile.
            self._forget(number)
            return
        if bodiless:
            self._forget(number)
            return
        stream.waiting = memoryview(answer.body)
        stream.deadline = self._server.loop.time() + TAKE_SECONDS
        self._write(number)

    def _write(self, number: int) -> None:
        """Writes as much of an answer as the client's window has room for."""
        stream = self._streams.get(number)
        while stream is not None and stream.waiting is not None:
            try:
                room = min(self._http2.local_flow_control_window(number), self._http2.max_outbound_frame_size)
                if room <= 0:
                    return
                piece, stream.waiting = stream.waiting[:room], stream.waiting[room:]
                is_last = not stream.waiting
                self._http2.send_data(number, bytes(piece), end_stream=is_last)
            except h2.exceptions.ProtocolError:
                is_last = True
            if is_last:
                self._forget(number)
                return

    def _reset(self, number: int) -> None:
        # It may be closed already.
        with contextlib.suppress(h2.exceptions.ProtocolError):
            self._http2.reset_stream(number)

    def _forget(self, number: int) -> None:
        stream = self._streams.pop(number, None)
        if stream is not None and stream.task is not None:
            stream.task.cancel()
        self._idle_since = self._server.loop.time()

    def _send(self) -> None:
        data = self._http2.data_to_send()
        if data and not self._transport.is_closing():
            self._transport.write(data)
