"""What a process is told by its environment and by the project that it serves.

The variables are those of the pods that chalk-deploy makes. A project may ask a stand-in to misbehave, so that the
end-to-end tests need no image for each failure: by a file `.stand-in.json` beside its sources, or by the variable
`CHALK_STAND_IN` with the same JSON, which goes before the file.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path

FILE = ".stand-in.json"
VARIABLE = "CHALK_STAND_IN"
FILE_MOST = 65536
COMPONENTS = ("engine", "query-server", "stream-worker", "batch-worker", "background-persistence")
# Those that answer queries. The others work on their own; here they only stand by.
SERVING = ("engine", "query-server")


class Invalid(Exception):
    """A setting that cannot be meant."""


@dataclass(frozen=True)
class Behaviour:
    """How a stand-in misbehaves; by default not at all."""

    # Whether it is ever ready.
    ready: bool = True
    # How many seconds after its start it may be ready.
    ready_after: float = 0.0
    # Whether it says that it lives.
    live: bool = True
    # Whether it ends by itself that many seconds after its start, and how; never, if it is negative.
    exit_after: float = -1.0
    exit_code: int = 1
    # The status of answers to `/` and to queries.
    status: int = 200
    # How many seconds these answers take.
    delay: float = 0.0
    # Whether SIGTERM is not heeded, so that only SIGKILL ends it.
    ignore_term: bool = False

    @staticmethod
    def of(document: object) -> "Behaviour":
        """That of a JSON document; a member that does not exist or has another type is refused."""
        if not isinstance(document, dict):
            raise Invalid(f"the behaviour is no JSON object: {document!r:.100}")
        kinds = {known.name: type(known.default) for known in fields(Behaviour)}
        for name, value in document.items():
            if name not in kinds:
                raise Invalid(f"the behaviour has no member {name!r:.100}; there are {', '.join(kinds)}")
            # In JSON, one second may be written as an integer.
            allowed = (int, float) if kinds[name] is float else (kinds[name],)
            if not isinstance(value, allowed) or (isinstance(value, bool) and kinds[name] is not bool):
                raise Invalid(f"the behaviour's `{name}` is {value!r:.100} and no {kinds[name].__name__}")
        behaviour = Behaviour(**document)
        if not 200 <= behaviour.status <= 599 or not 0 <= behaviour.exit_code <= 255:
            raise Invalid("the behaviour's `status` is none of HTTP, or its `exit_code` is none of a process")
        return behaviour


@dataclass(frozen=True)
class Settings:
    """What this process is."""

    deployment: str
    environment: str
    component: str
    project: str
    source_digest: str | None
    graph_digest: str | None
    source: Path
    port: int
    # How long it serves on after SIGTERM, and how long what is under way then has.
    drain: float
    finish: float
    behaviour: Behaviour

    @staticmethod
    def of(variables: Mapping[str, str]) -> "Settings":
        """Those of an environment, and of the project that it names."""
        source = Path(variables.get("CHALK_SOURCE_DIRECTORY", "/app"))
        component = variables.get("CHALK_COMPONENT", "engine")
        if component not in COMPONENTS:
            raise Invalid(f"CHALK_COMPONENT is {component!r:.100}, and not one of {', '.join(COMPONENTS)}")
        deployment = variables.get("CHALK_DEPLOYMENT_ID", "none")
        if not all("!" <= symbol <= "~" for symbol in deployment) or not 0 < len(deployment) <= 200:
            raise Invalid(f"CHALK_DEPLOYMENT_ID is {deployment!r:.100} and no id")
        return Settings(
            deployment=deployment,
            environment=variables.get("CHALK_ENVIRONMENT", "none"),
            component=component,
            project=variables.get("CHALK_PROJECT", "none"),
            source_digest=variables.get("CHALK_SOURCE_DIGEST"),
            graph_digest=variables.get("CHALK_GRAPH_DIGEST"),
            source=source,
            port=int(_number(variables, "PORT", 8080, 65535)),
            # The pods' `preStop` has waited 10 s before SIGTERM comes; 30 s are left then.
            drain=_number(variables, "CHALK_DRAIN_SECONDS", 5, 3600),
            finish=_number(variables, "CHALK_FINISH_SECONDS", 20, 3600),
            behaviour=_behaviour(variables, source),
        )

    @property
    def serves(self) -> bool:
        """Whether the component answers queries."""
        return self.component in SERVING


def _number(variables: Mapping[str, str], name: str, default: float, most: float) -> float:
    text = variables.get(name, "")
    try:
        number = float(text) if text else float(default)
    except ValueError:
        number = -1.0
    if not 0 <= number <= most:
        raise Invalid(f"{name} is {text!r:.100} and no number from 0 to {most:g}")
    return number


def _behaviour(variables: Mapping[str, str], source: Path) -> Behaviour:
    document: dict = {}
    try:
        with open(source / FILE, "rb") as file:
            content = file.read(FILE_MOST)
        document = _json(content, FILE)
    except FileNotFoundError:
        pass
    text = variables.get(VARIABLE)
    return Behaviour.of({**document, **_json(text.encode(), VARIABLE)} if text else document)


def _json(content: bytes, subject: str) -> dict:
    try:
        document = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise Invalid(f"{subject} is no JSON: {error}") from error
    if not isinstance(document, dict):
        raise Invalid(f"{subject} is no JSON object")
    return document
