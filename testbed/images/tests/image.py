"""An image's file system, unpacked, and processes in it."""

import functools
import hashlib
import http.client
import json
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time
from pathlib import Path

LAYOUTS = Path(os.environ.get("CHALK_IMAGE_LAYOUTS", "/nonexistent"))
IMAGES = Path(__file__).resolve().parent.parent
FRAUD = IMAGES.parent.parent / "examples" / "projects" / "fraud"
# How long a check waits for anything.
SECONDS = 30
_SCRATCH = tempfile.TemporaryDirectory(prefix="chalk-images-")


def blob(name: str, digest: str) -> Path:
    """A blob of an image's layout."""
    return LAYOUTS / name / "blobs" / "sha256" / digest.removeprefix("sha256:")


def documents(name: str) -> tuple[dict, dict]:
    """An image's manifest and its config."""
    index = json.loads((LAYOUTS / name / "index.json").read_text())
    manifest = json.loads(blob(name, index["manifests"][0]["digest"]).read_text())
    return manifest, json.loads(blob(name, manifest["config"]["digest"]).read_text())


def sha256(path: Path) -> str:
    """A file's digest."""
    with open(path, "rb") as file:
        return "sha256:" + hashlib.file_digest(file, "sha256").hexdigest()


def root(name: str) -> Path:
    """The image's file system; images with the same layers share one."""
    return _unpacked(name, tuple(layer["digest"] for layer in documents(name)[0]["layers"]))


@functools.cache
def _unpacked_layers(layers: tuple[Path, ...]) -> Path:
    folder = Path(tempfile.mkdtemp(dir=_SCRATCH.name))
    os.chmod(folder, 0o755)
    for layer in layers:
        subprocess.run(["tar", "-xpzf", layer, "-C", folder], check=True)
    return folder


def _unpacked(name: str, digests: tuple[str, ...]) -> Path:
    known = {digest: blob(name, digest) for digest in digests}
    key = tuple(_FIRST.setdefault(digest, path) for digest, path in known.items())
    return _unpacked_layers(key)


_FIRST: dict[str, Path] = {}


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


class Process:
    """An image's program with a project, as a context."""

    def __init__(
        self, image: str, project: Path | dict[str, str] | None = FRAUD, before: tuple[str, ...] = (), **variables: str
    ) -> None:
        self.root, (_, config), self._before = root(image), documents(image), before
        self._config = config["config"]
        folder = f"project-{len(list((self.root / 'tmp').iterdir()))}"
        self._project = self.root / "tmp" / folder
        if isinstance(project, Path):
            shutil.copytree(project, self._project)
        elif project is not None:
            self._project.mkdir()
            for name, content in project.items():
                (self._project / name).write_text(content)
        self.port = free_port()
        own = dict(line.split("=", 1) for line in self._config["Env"])
        self._variables = {
            **own,
            "CHALK_DEPLOYMENT_ID": "c1",
            "CHALK_SOURCE_DIRECTORY": f"/tmp/{folder}",
            "CHALK_DRAIN_SECONDS": "1",
            "PORT": str(self.port),
            **variables,
        }

    def __enter__(self) -> "Process":
        user, group = self._config["User"].split(":")
        self._log = tempfile.TemporaryFile()
        # The program is looked up before it is entered; the image's PATH says nothing of this machine's.
        command = [
            "/usr/sbin/chroot",
            f"--userspec={user}:{group}",
            "--groups=",
            self.root,
            *self._config["Entrypoint"],
        ]
        command = [*self._before, *command]
        path = {"PATH": os.environ["PATH"]} if self._before else {}
        self.process = subprocess.Popen(command, env={**self._variables, **path}, stderr=self._log, stdout=self._log)
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        self._log.close()
        shutil.rmtree(self._project, ignore_errors=True)

    def log(self) -> str:
        """What it has said so far."""
        # Without moving the place where the process writes on.
        return os.pread(self._log.fileno(), 1 << 20, 0).decode(errors="replace")

    def until_log(self, words: str) -> None:
        """Waits until it has said something."""
        until = time.monotonic() + SECONDS
        while words not in self.log():
            if time.monotonic() > until or self.process.poll() is not None:
                raise AssertionError(f"it does not say {words!r}: {self.log()}")
            time.sleep(0.01)

    def wait(self) -> int:
        """How it ends."""
        return self.process.wait(SECONDS)

    def term(self) -> None:
        """Tells it to end."""
        self.process.send_signal(signal.SIGTERM)

    def ask(self, path: str, body: object = None) -> tuple[int, bytes, http.client.HTTPMessage]:
        """An answer over a connection of its own."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=SECONDS)
        try:
            text = None if body is None else json.dumps(body)
            connection.request("GET" if body is None else "POST", path, text)
            answer = connection.getresponse()
            return answer.status, answer.read(), answer.headers
        finally:
            connection.close()

    def until(self, path: str, status: int) -> float:
        """Waits until a path is answered so, and returns how many seconds that took."""
        started = time.monotonic()
        while time.monotonic() - started < SECONDS:
            if self.process.poll() is not None:
                raise AssertionError(f"it has ended with {self.process.returncode}: {self.log()}")
            try:
                if self.ask(path)[0] == status:
                    return time.monotonic() - started
            except OSError:
                pass
            time.sleep(0.01)
        raise AssertionError(f"{path} is not answered with {status}: {self.log()}")


class Load:
    """Requests without a pause over a few connections that are kept, as a gateway keeps them; as a context."""

    def __init__(self, port: int, connections: int = 8, bodies: tuple[bytes, ...] = (b"c1",)) -> None:
        self._port, self._bodies, self._stop = port, bodies, threading.Event()
        self._threads = [threading.Thread(target=self._run) for _ in range(connections)]
        self.sent = self.closed = 0
        # How often each body was answered.
        self.answered: dict[bytes, int] = dict.fromkeys(bodies, 0)
        self.failed: list[str] = []
        self._lock = threading.Lock()

    def __enter__(self) -> "Load":
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join(SECONDS)

    def _run(self) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=SECONDS)
        while not self._stop.is_set():
            failure, closed = None, False
            try:
                connection.request("GET", "/")
                answer = connection.getresponse()
                body = answer.read()
                closed = answer.will_close
                if answer.status != 200 or body not in self._bodies:
                    failure = f"{answer.status} {body[:100]!r}"
            except (OSError, http.client.HTTPException) as error:
                failure = repr(error)
                connection.close()
            with self._lock:
                self.sent += 1
                self.closed += closed
                if failure is None:
                    self.answered[body] += 1
                if failure:
                    self.failed.append(failure)
                    # Refused connections come fast; a hundred of them tell as much as a million.
                    if len(self.failed) > 100:
                        return
        connection.close()
