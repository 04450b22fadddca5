"""The process: it listens, loads the project, serves, and drains on SIGTERM.

The event loop has a thread of its own. The main thread imports the project, because some packages may be imported in
no other, and then waits for signals. A second signal ends the process at once.
"""

import asyncio
import errno
import os
import signal
import socket
import sys
import threading
import time

from . import project
from .connection import Connection, Connections
from .service import Service
from .settings import Invalid, Settings

BACKLOG = 1024
# By it, chalk-deploy's probe of a gateway sees which deployment has answered.
DEPLOYMENT_HEADER = "x-chalk-deployment-id"


def main() -> None:
    """Runs until it is told to end."""
    try:
        settings = Settings.of(os.environ)
    except (Invalid, OSError) as error:
        _end(1, str(error))
    service = Service(settings)
    ending, told = threading.Event(), []

    def on_signal(number: int, _: object) -> None:
        if settings.behaviour.ignore_term and number == signal.SIGTERM:
            return
        told.append(number)
        if len(told) > 1 or number == signal.SIGINT or not loaded.is_set():
            # Nothing is under way yet, or somebody does not want to wait.
            os._exit(0 if number == signal.SIGTERM and len(told) == 1 else 128 + number)
        ending.set()

    loaded = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, on_signal)
    if settings.behaviour.exit_after >= 0:
        timer = threading.Timer(settings.behaviour.exit_after, _end, (settings.behaviour.exit_code, "told to end"))
        timer.daemon = True
        timer.start()
    serving = _Serving(settings, service)
    serving.start()
    started = time.monotonic()
    try:
        service.loaded(project.load(settings.source))
    except project.NotLoaded as error:
        _end(1, str(error))
    except BaseException as error:
        _end(1, f"the project in {settings.source} does not load: {type(error).__name__}: {error}")
    loaded.set()
    _say(f"{settings.component} of {settings.deployment}: loaded in {time.monotonic() - started:.1f} s")
    # An event that is waited for without end would not let signals through on every platform.
    while not ending.wait(3600):
        pass
    _say(f"draining for {settings.drain:g} s")
    service.drain()
    serving.drain()
    # Threads of the project's own must not hold the process.
    _end(0, "drained")


class _Serving:
    """The event loop in its thread."""

    def __init__(self, settings: Settings, service: Service) -> None:
        self._settings, self._service = settings, service
        self._loop = asyncio.new_event_loop()
        self._drained = threading.Event()
        self._connections: Connections
        self._listener: asyncio.Server

    def start(self) -> None:
        """Listens, and serves from then on."""
        try:
            self._loop.run_until_complete(self._listen())
        except OSError as error:
            _end(1, f"port {self._settings.port} cannot be listened on: {error}")
        threading.Thread(target=self._loop.run_forever, name="http", daemon=True).start()

    def drain(self) -> None:
        """Serves on for a while, each answer the last of its connection; then lets what is under way end."""
        asyncio.run_coroutine_threadsafe(self._drain(), self._loop).result()

    async def _listen(self) -> None:
        self._connections = Connections(
            self._loop, self._service.answer, f"{DEPLOYMENT_HEADER}: {self._settings.deployment}"
        )
        made = lambda: Connection(self._connections)  # noqa: E731
        self._listener = await self._loop.create_server(made, sock=_socket(self._settings.port), backlog=BACKLOG)

    async def _drain(self) -> None:
        self._connections.drain()
        await asyncio.sleep(self._settings.drain)
        self._listener.close()
        until = self._loop.time() + self._settings.finish
        while self._connections.close_idle() and self._loop.time() < until:
            await asyncio.sleep(0.05)


def _socket(port: int) -> socket.socket:
    """A socket for IPv6 and IPv4; for IPv4 alone where a kernel or a namespace has no other."""
    if socket.has_dualstack_ipv6():
        try:
            return socket.create_server(("::", port), family=socket.AF_INET6, dualstack_ipv6=True, backlog=BACKLOG)
        except OSError as error:
            if error.errno not in (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT):
                raise
    return socket.create_server(("", port), backlog=BACKLOG)


def _say(words: str) -> None:
    print(f"stand-in: {words}", file=sys.stderr, flush=True)


def _end(code: int, words: str) -> None:
    _say(words)
    os._exit(code)


main()
