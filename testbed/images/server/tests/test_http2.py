"""HTTP/2 without TLS, spoken by a client of the package h2."""

import contextlib
import io
import unittest

try:
    import h2.config
    import h2.connection
    import h2.events
except ImportError:
    h2 = None

from chalk_stand_in.message import BODY_MOST, Answer, Request

from .client import HEADER, Server, echo


class Client:
    """A connection that speaks HTTP/2."""

    def __init__(self, server: Server) -> None:
        self.socket = server.connect()
        self.http2 = h2.connection.H2Connection(h2.config.H2Configuration(header_encoding="utf-8"))
        self.http2.initiate_connection()
        self.events: list = []
        self.flush()

    def flush(self) -> None:
        """Sends what is to be sent."""
        self.socket.sendall(self.http2.data_to_send())

    def ask(self, method: str, path: str, body: bytes = b"", end: bool = True) -> int:
        """Sends a request, and returns its stream."""
        stream = self.http2.get_next_available_stream_id()
        fields = [(":method", method), (":path", path), (":scheme", "http"), (":authority", "x")]
        self.http2.send_headers(stream, fields, end_stream=end and not body)
        if body:
            self.http2.send_data(stream, body, end_stream=end)
        self.flush()
        return stream

    def until(self, is_it) -> None:
        """Reads until an event is one."""
        while not any(is_it(event) for event in self.events):
            data = self.socket.recv(65536)
            assert data, f"the server has ended after {self.events}"
            for event in self.http2.receive_data(data):
                self.events.append(event)
                if isinstance(event, h2.events.DataReceived):
                    self.http2.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
            self.flush()

    def until_more(self) -> None:
        """Reads until there is another event."""
        before = list(self.events)
        self.until(lambda event: event not in before)

    def answer(self, stream: int) -> tuple[dict, bytes]:
        """The answer on a stream."""
        self.until(lambda event: isinstance(event, h2.events.StreamEnded) and event.stream_id == stream)
        mine = [event for event in self.events if getattr(event, "stream_id", 0) == stream]
        head = next(event for event in mine if isinstance(event, h2.events.ResponseReceived))
        return dict(head.headers), b"".join(one.data for one in mine if isinstance(one, h2.events.DataReceived))


def large(request: Request):
    """A body that no window has room for at once."""
    return Answer(200, b"x" * 300_000) if request.path == "/large" else echo(request)


@unittest.skipIf(
    h2 is None, "the package h2 (Debian: python3-h2) is not here; `check` runs this in the image, which has it"
)
class Http2(unittest.TestCase):
    """What a gateway sends to the query server."""

    def setUp(self) -> None:
        self.server = self.enterContext(Server(large))
        self.client = Client(self.server)
        self.addCleanup(self.client.socket.close)

    def test_a_request_is_answered_with_the_deployment(self) -> None:
        head, body = self.client.answer(self.client.ask("GET", "/a?b"))
        self.assertEqual((head[":status"], body), ("200", b"GET /a 0"))
        name, _, value = HEADER.partition(": ")
        self.assertEqual(head[name], value)

    def test_streams_are_answered_each_in_its_time(self) -> None:
        slow, fast = self.client.ask("GET", "/slow"), self.client.ask("POST", "/", b"abc")
        self.assertEqual(self.client.answer(fast)[1], b"POST / 3")
        self.assertFalse([one for one in self.client.events if getattr(one, "stream_id", 0) == slow])
        self.assertEqual(self.client.answer(slow)[1], b"GET /slow 0")

    def test_a_body_larger_than_the_window_comes_in_whole(self) -> None:
        streams = [self.client.ask("GET", "/large") for _ in range(3)]
        for stream in streams:
            self.assertEqual(len(self.client.answer(stream)[1]), 300_000)

    def test_an_answer_to_head_has_no_body(self) -> None:
        head, body = self.client.answer(self.client.ask("HEAD", "/"))
        self.assertEqual((head[":status"], head["content-length"], body), ("200", "8", b""))

    def test_a_body_that_is_too_long_is_refused_and_the_connection_goes_on(self) -> None:
        stream, left = self.client.ask("POST", "/", b"x", end=False), BODY_MOST
        while left > 0:
            room = min(self.client.http2.local_flow_control_window(stream), 16384, left)
            if room == 0:
                self.client.until_more()
                continue
            self.client.http2.send_data(stream, b"x" * room)
            self.client.flush()
            left -= room
        self.assertEqual(self.client.answer(stream)[0][":status"], "413")
        self.assertEqual(self.client.answer(self.client.ask("GET", "/"))[1], b"GET / 0")

    def test_a_handler_that_fails_answers_500(self) -> None:
        with contextlib.redirect_stderr(io.StringIO()):
            self.assertEqual(self.client.answer(self.client.ask("GET", "/broken"))[0][":status"], "500")

    def test_a_request_that_is_taken_back_harms_no_other(self) -> None:
        for _ in range(10):
            self.client.http2.reset_stream(self.client.ask("GET", "/slow"))
        self.client.flush()
        self.assertEqual(self.client.answer(self.client.ask("GET", "/"))[1], b"GET / 0")

    def test_a_client_that_only_takes_requests_back_is_sent_away(self) -> None:
        with self.assertRaises((AssertionError, BrokenPipeError, ConnectionResetError)):
            for _ in range(2000):
                self.client.http2.reset_stream(self.client.ask("GET", "/slow"))
                self.client.flush()
            self.client.answer(self.client.ask("GET", "/"))

    def test_draining_is_announced_and_refuses_nothing(self) -> None:
        under_way = self.client.ask("GET", "/slow")
        self.client.answer(self.client.ask("GET", "/"))
        self.server.do(self.server.connections.drain)
        # The package lets a client that has got a GOAWAY send nothing more, so what comes is read as bytes.
        goaway = b""
        while len(goaway) < 17:
            goaway += self.client.socket.recv(100)
        # RFC 9113, section 6.8: length 8, type 7, no flags, stream 0; the last stream; no error.
        self.assertEqual(goaway[:17].hex(), "0000080700000000007fffffff00000000")
        late = self.client.ask("GET", "/late")
        self.client.events += self.client.http2.receive_data(goaway[17:])
        self.assertEqual(self.client.answer(under_way)[1], b"GET /slow 0")
        self.assertEqual(self.client.answer(late)[1], b"GET /late 0")

    def test_bytes_that_are_no_frames_end_the_connection(self) -> None:
        self.client.socket.sendall(b"\xff" * 100)
        with self.assertRaises((AssertionError, ConnectionResetError)):
            self.client.until(lambda event: False)

    def test_a_preface_may_come_in_pieces_and_a_near_one_is_http_1(self) -> None:
        with self.server.connect() as other:
            for piece in (b"PR", b"I * HTTP/2.0\r\n", b"\r\nSM\r\n\r\n", b"\0\0\0\4\0\0\0\0\0"):
                other.sendall(piece)
            self.assertEqual(other.recv(9)[3:4], b"\4", "the server answers with its settings")
        with self.server.connect() as other:
            other.sendall(b"PRI * HTTP/1.1\r\nHost: x\r\n\r\n")
            self.assertTrue(other.recv(100).startswith(b"HTTP/1.1 200"))


if __name__ == "__main__":
    unittest.main()
