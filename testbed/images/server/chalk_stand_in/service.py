"""What is answered to which path."""

import asyncio
import threading
import time
from collections.abc import Awaitable
from concurrent.futures import ThreadPoolExecutor

from . import query
from .message import Answer, Request
from .project import Project, chalkpy_version
from .settings import Settings

QUERY_PATH = "/v1/query/online"
QUERY_SECONDS = 14.0
THREADS = 8
# Queries that wait for a thread; more are turned away.
WAITING_MOST = 256


class Service:
    """The answers of one process, and the state that they depend on."""

    def __init__(self, settings: Settings) -> None:
        self._settings, self._behaviour = settings, settings.behaviour
        self._started = time.monotonic()
        self._project: Project | None = None
        self._draining = threading.Event()
        self._threads = ThreadPoolExecutor(THREADS, "query")
        self._queries = 0
        self._id = Answer.text(self._behaviour.status, settings.deployment)
        self._fine, self._missing = Answer.text(200, "ok\n"), Answer.text(404, "there is nothing here\n")
        self._wrong = Answer(405, b"another method is meant\n", {"Content-Type": "text/plain", "Allow": "GET, HEAD"})
        self._post = Answer(405, b"a query is a POST\n", {"Content-Type": "text/plain", "Allow": "POST"})
        self._version = Answer.json(
            200,
            {
                "stand_in": True,
                "server": "python",
                "deployment_id": settings.deployment,
                "environment": settings.environment,
                "component": settings.component,
                "project": settings.project,
                "chalkpy_version": chalkpy_version(),
                "source_digest": settings.source_digest,
                "graph_digest": settings.graph_digest,
            },
        )

    def loaded(self, project: Project) -> None:
        """The project is there."""
        self._project = project

    def drain(self) -> None:
        """It is to end: not ready from now on, and else as before."""
        self._draining.set()

    def answer(self, request: Request) -> Answer | Awaitable[Answer]:
        """Answers a request."""
        path = request.path
        if path == QUERY_PATH and self._settings.serves:
            return self._query(request.body) if request.method == "POST" else self._post
        if path == "/":
            answer = self._id if self._project is not None else Answer.text(503, "the project is not loaded yet\n")
        elif path in ("/healthz", "/health"):
            answer = self._fine if self._behaviour.live else Answer.text(503, "told not to live\n")
        elif path == "/ready":
            words = self._unready()
            answer = Answer.text(503, words + "\n") if words else self._fine
        elif path == "/version":
            answer = self._version
        else:
            return self._missing
        if request.method not in ("GET", "HEAD"):
            return self._wrong
        return self._later(answer) if path == "/" and self._behaviour.delay else answer

    def _unready(self) -> str | None:
        """Why it is not ready."""
        if self._draining.is_set():
            return "draining"
        if self._project is None:
            return "the project is not loaded yet"
        if not self._behaviour.ready or time.monotonic() - self._started < self._behaviour.ready_after:
            return "told not to be ready"
        return None

    async def _later(self, answer: Answer) -> Answer:
        await asyncio.sleep(self._behaviour.delay)
        return answer

    async def _query(self, body: bytes) -> Answer:
        if self._project is None:
            return Answer.text(503, "the project is not loaded yet\n")
        if self._behaviour.delay:
            await asyncio.sleep(self._behaviour.delay)
        if self._behaviour.status != 200:
            return self._id
        if self._queries >= THREADS + WAITING_MOST:
            return Answer.text(503, "too many queries wait\n")
        self._queries += 1
        future = asyncio.get_running_loop().run_in_executor(self._threads, query.answer, self._project, body)
        future.add_done_callback(self._queried)
        try:
            # What runs cannot be stopped, and keeps its thread until it ends.
            return await asyncio.wait_for(asyncio.shield(future), QUERY_SECONDS)
        except TimeoutError:
            return Answer.text(504, "the query takes too long\n")

    def _queried(self, future: asyncio.Future) -> None:
        self._queries -= 1
        if not future.cancelled():
            future.exception()
