"""A server on loopback for a test, and raw bytes to and from it."""

import asyncio
import socket
import threading

from chalk_stand_in.connection import Connection, Connections
from chalk_stand_in.message import Answer, Request

HEADER = "x-chalk-deployment-id: c1"


def echo(request: Request):
    """Says what was asked. `/slow` takes a moment, `/broken` fails."""
    if request.path == "/broken":
        raise RuntimeError("broken on purpose")
    answer = Answer.text(200, f"{request.method} {request.path} {len(request.body)}")
    return _later(answer) if request.path == "/slow" else answer


async def _later(answer: Answer) -> Answer:
    await asyncio.sleep(0.2)
    return answer


class Server:
    """A server, as a context."""

    def __init__(self, handler=echo) -> None:
        self.loop = asyncio.new_event_loop()
        self.connections: Connections
        self._handler = handler

    def __enter__(self) -> "Server":
        async def listen():
            self.connections = Connections(self.loop, self._handler, HEADER)
            return await self.loop.create_server(lambda: Connection(self.connections), "127.0.0.1", 0)

        self._listener = listener = self.loop.run_until_complete(listen())
        self.port = listener.sockets[0].getsockname()[1]
        self._thread = threading.Thread(target=self.loop.run_forever, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.do(self._end)
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join(5)
        self.loop.close()

    def _end(self) -> None:
        self._listener.close()
        for connection in list(self.connections._open):
            connection._transport.abort()

    def do(self, what) -> None:
        """Does something in the server's thread."""
        done = threading.Event()
        self.loop.call_soon_threadsafe(lambda: (what(), done.set()))
        assert done.wait(5), "the server's thread hangs"

    def connect(self) -> socket.socket:
        """A connection to it."""
        return socket.create_connection(("127.0.0.1", self.port), 5)


def exchange(server: Server, *pieces: bytes) -> bytes:
    """Sends bytes over a connection of their own, says that no more come, and returns all that is answered."""
    with server.connect() as connection:
        for piece in pieces:
            connection.sendall(piece)
        connection.shutdown(socket.SHUT_WR)
        return rest(connection)


def rest(connection: socket.socket) -> bytes:
    """What comes until the other side ends."""
    answered = b""
    while piece := connection.recv(65536):
        answered += piece
    return answered


def one(connection: socket.socket) -> bytes:
    """One answer with a short body."""
    answered = b""
    while b"\r\n\r\n" not in answered:
        piece = connection.recv(65536)
        assert piece, f"the server has ended after {answered!r}"
        answered += piece
    return answered
