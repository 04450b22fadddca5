"""HTTP/1.1 on real sockets."""

import contextlib
import io
import select
import socket
import time
import unittest
from unittest import mock

from chalk_stand_in import connection as connections
from chalk_stand_in.message import BODY_MOST, HEAD_MOST

from .client import Server, exchange, one, rest

GET = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"


class Http1(unittest.TestCase):
    """Requests that are served, and those that are refused."""

    def setUp(self) -> None:
        self.server = self.enterContext(Server())

    def status(self, *pieces: bytes) -> bytes:
        """The status of the only answer."""
        answered = exchange(self.server, *pieces)
        self.assertEqual(answered.count(b"\r\nx-chalk-deployment-id"), 1, answered)
        return answered.split(b" ")[1]

    def test_a_connection_serves_one_request_after_another(self) -> None:
        with self.server.connect() as connection:
            for _ in range(3):
                connection.sendall(GET)
                answered = one(connection)
                self.assertTrue(answered.startswith(b"HTTP/1.1 200 OK\r\n"), answered)
                self.assertTrue(answered.endswith(b"\r\n\r\nGET / 0"), answered)
                self.assertNotIn(b"Connection: close", answered)

    def test_every_answer_says_which_deployment_gives_it_also_a_refusal(self) -> None:
        for request in (GET, b"nonsense\r\n\r\n", b"GET /slow HTTP/1.1\r\nHost: x\r\n\r\n"):
            self.assertIn(b"\r\nx-chalk-deployment-id: c1\r\n", exchange(self.server, request))

    def test_requests_sent_ahead_are_answered_in_their_order(self) -> None:
        slow = GET.replace(b"GET / ", b"GET /slow ")
        answered = exchange(self.server, slow + GET + slow.replace(b"GET", b"PUT"))
        self.assertEqual([part[:12] for part in answered.split(b"HTTP/1.1 200 OK")[1:]], [b"\r\nContent-Le"] * 3)
        self.assertLess(answered.index(b"GET /slow"), answered.index(b"GET / "))
        self.assertLess(answered.index(b"GET / "), answered.index(b"PUT /slow"))

    def test_a_request_may_come_byte_by_byte(self) -> None:
        request = b"POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc"
        answered = exchange(self.server, *(request[at : at + 1] for at in range(len(request))))
        self.assertTrue(answered.endswith(b"POST /a 3"), answered)

    def test_a_body_in_chunks_is_put_together_whatever_the_pieces(self) -> None:
        head = b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
        body = b"5;name=value\r\nhello\r\nA\r\n0123456789\r\n0\r\nTrailer: x\r\n\r\n"
        for size in (1, 2, 7, 100):
            pieces = [body[at : at + size] for at in range(0, len(body), size)]
            self.assertTrue(exchange(self.server, head, *pieces).endswith(b"POST / 15"), size)

    def test_a_chunked_body_ends_where_the_next_request_begins(self) -> None:
        head = b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
        answered = exchange(self.server, head + b"1\r\nx\r\n0\r\n\r\n" + GET)
        self.assertIn(b"POST / 1", answered)
        self.assertTrue(answered.endswith(b"GET / 0"), answered)

    def test_a_client_that_asks_first_is_told_to_go_on(self) -> None:
        with self.server.connect() as connection:
            connection.sendall(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nExpect: 100-continue\r\n\r\n")
            self.assertEqual(one(connection), b"HTTP/1.1 100 Continue\r\n\r\n")
            connection.sendall(b"x")
            self.assertTrue(one(connection).endswith(b"POST / 1"))

    def test_an_answer_to_head_has_the_length_and_no_body(self) -> None:
        answered = exchange(self.server, GET.replace(b"GET", b"HEAD"))
        self.assertIn(b"Content-Length: 8\r\n", answered)
        self.assertTrue(answered.endswith(b"\r\n\r\n"), answered)

    def test_a_client_that_closes_or_speaks_http_1_0_gets_one_answer(self) -> None:
        for request in (
            GET.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"),
            b"GET / HTTP/1.0\r\n\r\n",
        ):
            answered = exchange(self.server, request + GET)
            self.assertEqual(answered.count(b"HTTP/1.1 200"), 1, request)
            self.assertIn(b"Connection: close", answered)

    def test_a_handler_that_fails_answers_500_without_a_traceback(self) -> None:
        with contextlib.redirect_stderr(io.StringIO()) as logged:
            answered = exchange(self.server, b"GET /broken HTTP/1.1\r\nHost: x\r\n\r\n")
        self.assertTrue(answered.startswith(b"HTTP/1.1 500"), answered)
        self.assertNotIn(b"Traceback", answered)
        self.assertIn("broken on purpose", logged.getvalue())

    def test_what_two_programs_could_read_in_two_ways_is_refused(self) -> None:
        def request(*headers: str) -> bytes:
            return "\r\n".join(["POST / HTTP/1.1", *headers, "", ""]).encode("latin-1")

        host = "Host: x"
        for refused in (
            b"GET /\r\nHost: x\r\n\r\n",
            b"GET  / HTTP/1.1\r\nHost: x\r\n\r\n",
            b"G@T / HTTP/1.1\r\nHost: x\r\n\r\n",
            request(),
            request(host, host),
            request(host, "Content-Length: 1", "Content-Length: 2"),
            request(host, "Content-Length: +1"),
            request(host, "Content-Length: 1, 1"),
            request(host, "Content-Length: " + "9" * 30),
            request(host, "Content-Length: 1", "Transfer-Encoding: chunked"),
            request(host, "Content-Length : 1"),
            request(host, " folded: x"),
            request(host, "name"),
            request(host, "name: a\nother: b"),
            request(host, "Transfer-Encoding: chunked") + b"x\r\n\r\n",
            request(host, "Transfer-Encoding: chunked") + b"-1\r\n\r\n",
            request(host, "Transfer-Encoding: chunked") + b"1\r\nxx\r\n0\r\n\r\n",
            request(host, "Transfer-Encoding: chunked") + b"1;" + b"x" * 2000,
        ):
            self.assertEqual(self.status(refused), b"400", refused[:80])
        self.assertEqual(self.status(request(host, "Transfer-Encoding: gzip, chunked")), b"501")
        self.assertEqual(self.status(b"GET / HTTP/3.0\r\nHost: x\r\n\r\n"), b"505")

    def test_what_is_too_large_is_refused(self) -> None:
        host = b"GET / HTTP/1.1\r\nHost: x\r\n"
        self.assertEqual(self.status(host + b"a: " + b"x" * HEAD_MOST), b"431")
        self.assertEqual(self.status(host + b"a: b\r\n" * 200 + b"\r\n"), b"431")
        self.assertEqual(self.status(host + f"Content-Length: {BODY_MOST + 1}\r\n\r\n".encode()), b"413")
        chunk = b"80000\r\n" + b"x" * 0x80000 + b"\r\n"
        self.assertEqual(self.status(host + b"Transfer-Encoding: chunked\r\n\r\n", chunk, chunk, b"1\r\n"), b"413")

    def test_a_refusal_reaches_a_client_that_still_sends(self) -> None:
        with self.server.connect() as connection:
            connection.sendall(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999\r\n\r\n")
            # It has been answered by now, and goes on sending: a reset would tell it of nothing but the reset.
            select.select([connection], [], [], 5)
            for _ in range(10):
                connection.sendall(b"x" * 30_000)
            self.assertTrue(one(connection).startswith(b"HTTP/1.1 413"))

    def test_a_connection_that_is_lost_in_the_middle_costs_nothing(self) -> None:
        for part in (b"GET", GET[:-1], b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\nx", b""):
            self.assertEqual(exchange(self.server, part), b"")
        self.assertEqual(self.status(GET), b"200")

    def test_a_server_that_drains_serves_and_ends_each_connection(self) -> None:
        with self.server.connect() as early:
            early.sendall(GET)
            one(early)
            self.server.do(self.server.connections.drain)
            early.sendall(GET)
            self.assertIn(b"Connection: close", rest(early))
        answered = exchange(self.server, GET)
        self.assertTrue(answered.startswith(b"HTTP/1.1 200"), answered)
        self.assertIn(b"Connection: close", answered)

    def test_closing_idle_connections_leaves_those_with_a_request(self) -> None:
        with self.server.connect() as idle, self.server.connect() as busy:
            idle.sendall(GET)
            one(idle)
            busy.sendall(GET.replace(b"GET / ", b"GET /slow "))
            # Once the idle one has ended, the server has seen the other's request too.
            until = time.monotonic() + 5
            while all(one.is_idle for one in list(self.server.connections._open)):
                self.assertLess(time.monotonic(), until)
            self.server.do(self.server.connections.close_idle)
            self.assertEqual(rest(idle), b"")
            self.assertTrue(one(busy).endswith(b"GET /slow 0"))

    def test_where_there_are_too_many_connections_the_idle_one_makes_room(self) -> None:
        with mock.patch.object(connections.Connections, "MOST", 2):
            held = [self.server.connect() for _ in range(3)]
            for connection in held[1:]:
                connection.sendall(GET)
                self.assertTrue(one(connection).endswith(b"GET / 0"))
            self.assertEqual(rest(held[0]), b"")
            for connection in held:
                connection.close()


class Slow(unittest.TestCase):
    """Clients that take their time. The times are made short here."""

    def setUp(self) -> None:
        for name, value in {
            "HEAD_SECONDS": 0.2, "BODY_SECONDS": 0.2, "TAKE_SECONDS": 0.3, "LINGER_SECONDS": 0.2,
            "SWEEP_SECONDS": 0.05,
        }.items():  # fmt: skip
            self.enterContext(mock.patch.object(connections, name, value))
        self.server = self.enterContext(Server())

    def test_a_head_or_a_body_that_never_ends_is_given_up(self) -> None:
        for part in (GET[:-1], b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\nx"):
            with self.server.connect() as connection:
                connection.sendall(part)
                self.assertTrue(rest(connection).startswith(b"HTTP/1.1 408"), part)

    def test_bytes_that_trickle_in_win_no_time(self) -> None:
        with self.server.connect() as connection:
            connection.settimeout(0.05)
            answered = b""
            for _ in range(40):
                with contextlib.suppress(TimeoutError):
                    connection.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n"[:1])
                    answered = connection.recv(100)
                    break
            self.assertTrue(answered.startswith(b"HTTP/1.1 408"), answered)

    def test_a_client_that_takes_no_answers_is_given_up(self) -> None:
        with socket.socket() as connection:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            connection.connect(("127.0.0.1", self.server.port))
            connection.settimeout(0.5)
            with self.assertRaises(OSError):
                for _ in range(1000):
                    connection.sendall(GET * 1000)
        until = self.server.loop.time() + 5
        while len(self.server.connections) and self.server.loop.time() < until:
            pass
        self.assertEqual(len(self.server.connections), 0)


if __name__ == "__main__":
    unittest.main()
