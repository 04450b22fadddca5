"""Answers to queries."""

import contextlib
import io
import json
import unittest

from chalk_stand_in.plan import Step
from chalk_stand_in.project import Project, Scalar
from chalk_stand_in.query import answer


def same(value: object) -> object:
    """A converter that changes nothing."""
    return value


PROJECT = Project(
    scalars={name: Scalar(int if name == "u.n" else same, same) for name in ("u.n", "u.twice", "u.bad", "u.odd")},
    others=frozenset(["u.rows"]),
    steps=[
        Step("r.twice", ("u.n",), ("u.twice",), lambda values: {"u.twice": 2 * values[0]}, {}),
        Step("r.bad", ("u.n",), ("u.bad",), lambda values: {"u.bad": [][values[0]]}, {}),
        Step("r.odd", ("u.n",), ("u.odd",), lambda values: {"u.odd": float("nan")}, {}),
    ],
    queries={"twice": ("u.twice",)},
)


def ask(document: object) -> tuple[int, dict]:
    """The status and the JSON of an answer."""
    body = document if isinstance(document, bytes) else json.dumps(document).encode()
    made = answer(PROJECT, body)
    return made.status, json.loads(made.body)


class Queries(unittest.TestCase):
    """What is answered."""

    def test_outputs_come_in_their_order_each_once(self) -> None:
        status, found = ask({"inputs": {"u.n": "4"}, "outputs": ["u.twice", "u.n", "u.twice"]})
        self.assertEqual(status, 200)
        self.assertEqual([(one["field"], one["value"]) for one in found["data"]], [("u.twice", 8), ("u.n", 4)])
        self.assertIsNone(found["errors"])

    def test_a_named_query_brings_its_outputs(self) -> None:
        status, found = ask({"inputs": {"u.n": 1}, "query_name": "twice"})
        self.assertEqual((status, found["data"][0]["value"]), (200, 2))

    def test_a_resolver_that_fails_is_told_beside_the_others(self) -> None:
        status, found = ask({"inputs": {"u.n": 4}, "outputs": ["u.bad", "u.twice"]})
        self.assertEqual(status, 200)
        self.assertEqual([one["value"] for one in found["data"]], [None, 8])
        self.assertEqual([one["code"] for one in found["errors"]], ["RESOLVER_FAILED"])
        self.assertEqual(found["errors"][0]["resolver"], "r.bad")
        self.assertNotIn("Traceback", json.dumps(found))

    def test_a_value_without_json_is_told(self) -> None:
        status, found = ask({"inputs": {"u.n": 4}, "outputs": ["u.odd"]})
        self.assertEqual((status, found["errors"][0]["code"]), (200, "VALIDATION_FAILED"))

    def test_what_is_missing_or_unknown_is_named_with_400(self) -> None:
        for document, code, named in (
            ({"inputs": {}, "outputs": ["u.twice"]}, "RESOLVER_NOT_FOUND", "u.n"),
            ({"inputs": {"u.x": 1}, "outputs": ["u.n"]}, "PARSE_FAILED", "u.x"),
            ({"inputs": {"u.n": 1}, "outputs": ["u.x"]}, "PARSE_FAILED", "u.x"),
            ({"inputs": {"u.rows": []}, "outputs": ["u.n"]}, "INVALID_QUERY", "u.rows"),
            ({"inputs": {"u.n": 1}, "outputs": ["u.rows"]}, "INVALID_QUERY", "u.rows"),
            ({"inputs": {"u.n": "x"}, "outputs": ["u.n"]}, "VALIDATION_FAILED", "u.n"),
        ):
            status, found = ask(document)
            error = found["errors"][0]
            self.assertEqual((status, error["code"], error["feature"]), (400, code, named), document)
            self.assertIn(named, error["message"])

    def test_whatever_is_no_query_is_refused_with_400(self) -> None:
        deep = b"[" * 100_000
        for body in (
            b"", b"[", b"\xff", b"null", b"[]", b"1", deep, b'{"inputs": ' + deep, b'{"u.n": 1' + b"0" * 9999,
            {}, {"inputs": []}, {"inputs": {}}, {"inputs": {}, "outputs": []}, {"inputs": {}, "outputs": "u.n"},
            {"inputs": {}, "outputs": [1]}, {"inputs": {}, "query_name": "other"},
            {"inputs": {}, "outputs": [str(number) for number in range(2000)]},
        ):  # fmt: skip
            status, found = ask(body)
            self.assertEqual((status, found["data"]), (400, []), str(body)[:60])
            self.assertEqual(len(found["errors"]), 1)

    def test_a_defect_of_the_server_itself_is_logged_and_not_shown(self) -> None:
        broken = Project(scalars={"a": Scalar(same, lambda value: {}[value])})
        with contextlib.redirect_stderr(io.StringIO()) as logged:
            made = answer(broken, b'{"inputs": {"a": "secret"}, "outputs": ["a"]}')
        self.assertEqual(made.status, 500)
        self.assertNotIn(b"secret", made.body)
        self.assertIn("KeyError", logged.getvalue())


if __name__ == "__main__":
    unittest.main()
