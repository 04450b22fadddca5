"""`POST /v1/query/online`: the wanted features of one entity, out of the given ones.

Request and response are those of Chalk's own API as far as they go: `inputs`, `outputs`, `query_name` are read, and
`data` has an object with `field`, `value` and `error` for each output (chalkpy, `OnlineQueryRequest` and
`OnlineQueryResponse`). No value is stored, none is looked up, and expressions and joins are not computed.
"""

import json
import sys
import traceback
from typing import Any

from .message import Answer
from .plan import Failure, Missing, plan, run
from .project import Project

OUTPUTS_MOST = 1000


class Refused(Exception):
    """A query that is answered with 400."""

    def __init__(self, code: str, words: str, feature: str | None = None) -> None:
        super().__init__(words)
        self.code, self.feature = code, feature


def answer(project: Project, body: bytes) -> Answer:
    """Answers a query. Whatever goes wrong, a client is told in JSON, and never with a traceback."""
    try:
        return _answer(project, body)
    except Refused as refusal:
        return Answer.json(400, {"data": [], "errors": [_error(refusal.code, str(refusal), refusal.feature)]})
    except Exception:
        traceback.print_exc(file=sys.stderr)
        words = "the query failed in the server, which has logged why"
        return Answer.json(500, {"data": [], "errors": [_error("INTERNAL_SERVER_ERROR", words, None)]})


def _answer(project: Project, body: bytes) -> Answer:
    inputs, outputs = _request(project, body)
    values = {name: _read(project, name, value) for name, value in inputs.items()}
    for name in outputs:
        if name not in project.scalars:
            raise _unknown(project, name, "computed")
    try:
        steps = plan(project.steps, set(values), outputs)
    except Missing as missing:
        raise Refused("RESOLVER_NOT_FOUND", str(missing), missing.feature) from missing
    values, failures = run(steps, values)
    data, errors = [], []
    for name in outputs:
        failure = failures.get(name)
        value = None
        if failure is None:
            try:
                value = _written(project, name, values[name])
            except (ValueError, TypeError, OverflowError, AttributeError) as error:
                words = f"its value is no {name!r}: {error}"
                failure = Failure("VALIDATION_FAILED", words[:300], "")
        error = _error(failure.code, failure.message, name, failure.resolver or None) if failure else None
        data.append({"field": name, "value": value, "error": error, "valid": error is None})
        errors += [error] if error else []
    return Answer.json(200, {"data": data, "errors": errors or None})


def _request(project: Project, body: bytes) -> tuple[dict[str, Any], list[str]]:
    try:
        document = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise Refused("PARSE_FAILED", "the query is no JSON") from error
    inputs = document.get("inputs") if isinstance(document, dict) else None
    if not isinstance(inputs, dict):
        raise Refused("INVALID_QUERY", "a query is a JSON object with `inputs`, features by their names")
    outputs = document.get("outputs")
    if outputs is None and isinstance(document.get("query_name"), str):
        name = document["query_name"]
        if name not in project.queries:
            raise Refused("INVALID_QUERY", f"the project has no named query {name[:100]!r}")
        outputs = list(project.queries[name])
    if not isinstance(outputs, list) or not all(isinstance(name, str) for name in outputs) or not outputs:
        raise Refused("INVALID_QUERY", "a query has `outputs`, a list with the names of features, or a `query_name`")
    if len(outputs) > OUTPUTS_MOST:
        raise Refused("INVALID_QUERY", f"a query has at most {OUTPUTS_MOST} outputs")
    return inputs, list(dict.fromkeys(outputs))


def _read(project: Project, name: str, value: Any) -> Any:
    if name not in project.scalars:
        raise _unknown(project, name, "taken")
    if value is None:
        return None
    try:
        return project.scalars[name].read(value)
    # Converters of many types, each with its own errors.
    except Exception as error:
        raise Refused("VALIDATION_FAILED", f"the value is no {name!r}: {error}"[:300], name) from error


def _written(project: Project, name: str, value: Any) -> Any:
    written = None if value is None else project.scalars[name].write(value)
    # Not a number and infinity have no JSON.
    json.dumps(written, allow_nan=False)
    return written


def _unknown(project: Project, name: str, verb: str) -> Refused:
    if name in project.others:
        return Refused("INVALID_QUERY", f"{name!r} has no single value, and is not {verb} by a stand-in", name)
    return Refused("PARSE_FAILED", f"the project has no feature {name[:100]!r}", name[:100])


def _error(code: str, message: str, feature: str | None, resolver: str | None = None) -> dict[str, Any]:
    category = "FIELD" if code in ("RESOLVER_FAILED", "UPSTREAM_FAILED", "VALIDATION_FAILED") else "REQUEST"
    return {"code": code, "category": category, "message": message, "feature": feature, "resolver": resolver}
