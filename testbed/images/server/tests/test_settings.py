"""Settings, the behaviours that a project asks for, and the answers that follow from them."""

import tempfile
import unittest
from pathlib import Path

from chalk_stand_in.message import Request
from chalk_stand_in.project import Project
from chalk_stand_in.service import Service
from chalk_stand_in.settings import FILE, VARIABLE, Behaviour, Invalid, Settings

POD = {
    "CHALK_DEPLOYMENT_ID": "cm9n46thy000bwe6y784y4j0l",
    "CHALK_ENVIRONMENT": "prod",
    "CHALK_COMPONENT": "query-server",
    "CHALK_PROJECT": "fraud detection",
    "CHALK_SOURCE_DIGEST": "sha256:00",
}


class TheSettings(unittest.TestCase):
    """What a pod tells."""

    def setUp(self) -> None:
        self.folder = Path(self.enterContext(tempfile.TemporaryDirectory()))

    def settings(self, **variables: str) -> Settings:
        """The settings of a pod whose project lies in the test's folder."""
        return Settings.of({**POD, "CHALK_SOURCE_DIRECTORY": str(self.folder), **variables})

    def test_a_pod_is_understood(self) -> None:
        settings = self.settings()
        self.assertEqual(settings.deployment, POD["CHALK_DEPLOYMENT_ID"])
        self.assertEqual((settings.component, settings.project), ("query-server", "fraud detection"))
        self.assertEqual((settings.port, settings.behaviour), (8080, Behaviour()))
        self.assertLess(settings.drain + settings.finish, 30, "what preStop leaves of the grace period")
        self.assertEqual(Settings.of({}).source, Path("/app"))

    def test_what_cannot_be_meant_is_refused(self) -> None:
        for name, value in (
            ("CHALK_COMPONENT", "cook"), ("PORT", "x"), ("PORT", "-1"), ("PORT", "99999"), ("PORT", "nan"),
            ("CHALK_DRAIN_SECONDS", "inf"), ("CHALK_DEPLOYMENT_ID", ""), ("CHALK_DEPLOYMENT_ID", "a\r\nb: c"),
            (VARIABLE, "{"), (VARIABLE, "[]"), (VARIABLE, '{"redy": true}'), (VARIABLE, '{"ready": 1}'),
            (VARIABLE, '{"exit_after": true}'), (VARIABLE, '{"status": 99}'), (VARIABLE, '{"exit_code": 256}'),
            (VARIABLE, '{"ready": "no"}'),
        ):  # fmt: skip
            with self.assertRaises(Invalid, msg=f"{name}={value}") as caught:
                self.settings(**{name: value})
            self.assertTrue(str(caught.exception))

    def test_a_project_asks_for_a_behaviour_and_the_variable_goes_before(self) -> None:
        (self.folder / FILE).write_text('{"ready": false, "delay": 1}')
        self.assertEqual(self.settings().behaviour, Behaviour(ready=False, delay=1))
        self.assertEqual(self.settings(**{VARIABLE: '{"delay": 0.5}'}).behaviour, Behaviour(ready=False, delay=0.5))
        (self.folder / FILE).write_text("ready: false")
        with self.assertRaises(Invalid):
            self.settings()


class TheAnswers(unittest.TestCase):
    """What is answered to which path, and when."""

    def service(self, component: str = "engine", loaded: bool = True, **behaviour: object) -> Service:
        """A service in a state."""
        variables = {**POD, "CHALK_COMPONENT": component, "CHALK_SOURCE_DIRECTORY": "/nowhere"}
        settings = Settings.of(variables)
        service = Service(Settings(**{**vars(settings), "behaviour": Behaviour(**behaviour)}))
        if loaded:
            service.loaded(Project())
        return service

    def status(self, service: Service, path: str, method: str = "GET") -> int:
        """The status of an answer that is given at once."""
        return service.answer(Request(method, path)).status

    def test_the_root_answers_with_the_id_and_nothing_else(self) -> None:
        answer = self.service().answer(Request("GET", "/"))
        self.assertEqual((answer.status, answer.body), (200, POD["CHALK_DEPLOYMENT_ID"].encode()))

    def test_a_server_whose_project_is_not_loaded_lives_and_is_not_ready(self) -> None:
        service = self.service(loaded=False)
        found = {path: self.status(service, path) for path in ("/healthz", "/health", "/ready", "/", "/version")}
        self.assertEqual(found, {"/healthz": 200, "/health": 200, "/ready": 503, "/": 503, "/version": 200})
        service.loaded(Project())
        self.assertEqual((self.status(service, "/ready"), self.status(service, "/")), (200, 200))

    def test_a_server_that_drains_lives_and_serves_and_is_not_ready(self) -> None:
        service = self.service()
        service.drain()
        found = {path: self.status(service, path) for path in ("/healthz", "/ready", "/")}
        self.assertEqual(found, {"/healthz": 200, "/ready": 503, "/": 200})

    def test_behaviours_are_kept(self) -> None:
        self.assertEqual(self.status(self.service(ready=False), "/ready"), 503)
        self.assertEqual(self.status(self.service(ready_after=60), "/ready"), 503)
        self.assertEqual(self.status(self.service(live=False), "/healthz"), 503)
        self.assertEqual(self.status(self.service(status=418), "/"), 418)

    def test_other_paths_and_methods_are_refused(self) -> None:
        service = self.service()
        self.assertEqual(self.status(service, "/nothing"), 404)
        self.assertEqual(self.status(service, "/", "POST"), 405)
        self.assertEqual(self.status(service, "/v1/query/online"), 405)
        self.assertEqual(self.status(self.service("batch-worker"), "/v1/query/online", "POST"), 404)


if __name__ == "__main__":
    unittest.main()
