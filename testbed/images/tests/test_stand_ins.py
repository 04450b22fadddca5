"""The stand-ins as processes with the projects that they serve."""

import json
import shutil
import subprocess
import threading
import time
import unittest

from .image import IMAGES, Load, Process

QUERY = "/v1/query/online"
FRAUD_INPUTS = {
    "user.email": "ada@Example.com",
    "user.foreign_share": 0.5,
    "user.transaction_count": 3,
    "user.credit_score": 700,
}
EVERY = ("engine", "static")


class Engine(unittest.TestCase):
    """Python, chalkpy and the project."""

    @classmethod
    def setUpClass(cls) -> None:
        cls.engine = cls.enterClassContext(Process("engine", CHALK_SOURCE_DIGEST="sha256:00"))
        cls.took = cls.engine.until("/ready", 200)

    def query(self, inputs: dict, outputs: list[str]) -> tuple[int, dict]:
        """An answer to a query."""
        status, body, _ = self.engine.ask(QUERY, {"inputs": inputs, "outputs": outputs})
        return status, json.loads(body)

    def test_it_is_ready_long_before_a_startup_probe_gives_up(self) -> None:
        self.assertLess(self.took, 10)

    def test_it_answers_with_the_id_in_the_body_and_in_the_header(self) -> None:
        status, body, headers = self.engine.ask("/")
        self.assertEqual((status, body, headers["x-chalk-deployment-id"]), (200, b"c1", "c1"))

    def test_its_version_says_that_it_is_a_stand_in_with_the_real_chalkpy(self) -> None:
        found = json.loads(self.engine.ask("/version")[1])
        wanted = {
            "stand_in": True, "component": "engine", "deployment_id": "c1", "chalkpy_version": "2.166.1",
            "source_digest": "sha256:00",
        }  # fmt: skip
        self.assertEqual({name: found[name] for name in wanted}, wanted)

    def test_a_query_runs_the_resolvers_of_the_project(self) -> None:
        status, found = self.query(FRAUD_INPUTS, ["user.fraud_score", "user.email_domain"])
        values = {one["field"]: one["value"] for one in found["data"]}
        # foreign_share * (1 - reputation / 2) * (1 - history / 2), as resolvers.py says.
        score = round(0.5 * (1 - 0.5 * 400 / 550) * (1 - 0.5 * 3 / 50), 4)
        self.assertEqual((status, values), (200, {"user.fraud_score": score, "user.email_domain": "example.com"}))

    def test_a_query_that_lacks_an_input_names_it(self) -> None:
        status, found = self.query({"user.foreign_share": 0.5, "user.credit_score": 1}, ["user.fraud_score"])
        self.assertEqual((status, found["errors"][0]["feature"]), (400, "user.transaction_count"))

    def test_a_resolver_that_raises_is_told_without_a_traceback(self) -> None:
        status, found = self.query({**FRAUD_INPUTS, "user.email": None}, ["user.email_domain"])
        self.assertEqual((status, found["errors"][0]["code"]), (200, "RESOLVER_FAILED"))
        self.assertNotIn("Traceback", str(found))

    def test_dates_are_read_and_written_as_json_has_them(self) -> None:
        status, found = self.query({"user.opened_on": "2024-11-30"}, ["user.opened_on"])
        self.assertEqual((status, found["data"][0]["value"]), (200, "2024-11-30"))

    def test_the_unit_tests_of_the_server_pass_in_the_image_and_none_is_skipped(self) -> None:
        folder = self.engine.root / "tmp" / "unit"
        shutil.copytree(IMAGES / "server" / "tests", folder / "tests", ignore=shutil.ignore_patterns("__pycache__"))
        self.addCleanup(shutil.rmtree, folder)
        program = "import os, unittest; os.chdir('/tmp/unit'); unittest.main(None)"
        command = ["/usr/sbin/chroot", "--userspec=65532:65532", self.engine.root, "/usr/bin/python3", "-c", program]
        ran = subprocess.run(
            [*command, "discover", "-t", "."], capture_output=True, text=True, env={"HOME": "/tmp"}, check=False
        )
        self.assertEqual(ran.returncode, 0, ran.stderr)
        self.assertRegex(ran.stderr, r"Ran \d\d+ tests")
        self.assertNotIn("skipped", ran.stderr)


class Components(unittest.TestCase):
    """The others."""

    def test_the_query_server_speaks_http_2_and_answers_queries(self) -> None:
        with Process("query-server") as server:
            server.until("/ready", 200)
            command = ["curl", "-s", "--http2-prior-knowledge", "-w", " %{http_version} %{http_code}"]
            ran = subprocess.run(
                [*command, f"http://127.0.0.1:{server.port}/"], capture_output=True, text=True, check=True
            )
            self.assertEqual(ran.stdout, "c1 2 200")
            self.assertEqual(server.ask(QUERY, {"inputs": FRAUD_INPUTS, "outputs": ["user.fraud_score"]})[0], 200)

    def test_a_worker_loads_the_project_stands_by_and_answers_no_query(self) -> None:
        with Process("stream-worker") as worker:
            worker.until("/ready", 200)
            self.assertIn(b'"stream-worker"', worker.ask("/version")[1])
            self.assertEqual(worker.ask(QUERY, {"inputs": FRAUD_INPUTS, "outputs": ["user.fraud_score"]})[0], 404)

    def test_the_static_one_speaks_both_versions(self) -> None:
        with Process("static") as server:
            server.until("/ready", 200)
            status, body, headers = server.ask("/")
            self.assertEqual((status, body, headers["x-chalk-deployment-id"]), (200, b"c1", "c1"))
            self.assertIn(b'"stand_in":true', server.ask("/version")[1])
            command = [
                "curl",
                "-s",
                "--http2-prior-knowledge",
                "-w",
                " %{http_version}",
                f"http://127.0.0.1:{server.port}/",
            ]
            self.assertEqual(subprocess.run(command, capture_output=True, text=True, check=True).stdout, "c1 2")


class Failures(unittest.TestCase):
    """Projects that do not work, and those that ask for it."""

    def test_a_project_that_raises_at_import_ends_the_process_and_says_where(self) -> None:
        files = {
            "chalk.yaml": "project: x\n",
            "features.py": "from chalk.features import features\n\nraise ValueError('by intent')\n",
        }
        with Process("engine", files) as engine:
            self.assertEqual(engine.wait(), 1)
            self.assertIn("does not load", engine.log())
            self.assertIn("features.py", engine.log())
            self.assertIn("ValueError: by intent", engine.log())

    def test_a_project_with_a_syntax_error_or_one_that_exits_does_not_run(self) -> None:
        for content in ("def\n", "import sys\nsys.exit(0)\n", "import no_such_module\n"):
            with Process("engine", {"chalk.yaml": "project: x\n", "a.py": content}) as engine:
                self.assertEqual(engine.wait(), 1, content)
                self.assertIn("does not load" if "exit" not in content else "ended the process", engine.log())

    def test_modules_with_names_of_the_standard_library_do_not_disturb_the_server(self) -> None:
        files = {
            f"{name}.py": "raise ValueError\n" for name in ("asyncio", "http", "json", "plan", "signal", "threading")
        }
        with Process("engine", {"chalk.yaml": "project: x\n", **files}) as engine:
            # chalkpy imports `plan`, which is the project's own. For the others it takes what is loaded.
            self.assertEqual(engine.wait(), 1)
            self.assertIn("plan.py", engine.log())
        del files["plan.py"]
        with Process("engine", {"chalk.yaml": "project: x\n", **files}) as engine:
            engine.until("/ready", 200)
            self.assertEqual(engine.ask(QUERY, {"inputs": {}, "outputs": ["a.b"]})[0], 400)

    def test_a_project_reads_its_own_files_by_their_names(self) -> None:
        files = {"chalk.yaml": "project: x\n", "a.py": "print('read', open('b.txt').read())\n", "b.txt": "the text"}
        with Process("engine", files) as engine:
            engine.until("/ready", 200)
            self.assertIn("read the text", engine.log())

    def test_where_there_is_no_ipv6_it_listens_all_the_same(self) -> None:
        for image in EVERY:
            with self.subTest(image):
                # A network namespace of its own, in which the loopback is up and IPv6 is not.
                script = 'ip link set lo up && sysctl -qw net.ipv6.conf.all.disable_ipv6=1 && exec "$@"'
                with Process(image, before=("unshare", "-n", "sh", "-c", script, "sh")) as server:
                    server.until_log("loads no project" if image == "static" else "loaded in")
                    inside = ["nsenter", "-n", "-t", str(server.process.pid), "curl", "-sf"]
                    ran = subprocess.run([*inside, f"http://127.0.0.1:{server.port}/"], capture_output=True, check=True)
                    self.assertEqual(ran.stdout, b"c1")

    def test_without_a_project_the_engine_ends(self) -> None:
        with Process("engine", None) as engine:
            self.assertEqual(engine.wait(), 1)
            self.assertIn("there is no project in", engine.log())

    def test_a_file_in_the_source_makes_either_server_misbehave(self) -> None:
        for image in EVERY:
            with (
                self.subTest(image),
                Process(image, {"chalk.yaml": "project: x\n", ".stand-in.json": '{"ready": false}'}) as server,
            ):
                server.until("/healthz", 200)
                server.until("/", 200)
                self.assertEqual(server.ask("/ready")[0], 503)
            files = {".stand-in.json": '{"exit_after": 0.3, "exit_code": 7}'}
            with self.subTest(image), Process(image, files) as server:
                self.assertEqual(server.wait(), 7)
            with self.subTest(image), Process(image, {".stand-in.json": '{"redy": false}'}) as server:
                self.assertEqual(server.wait(), 1)
                self.assertIn("redy", server.log())

    def test_the_variable_goes_before_the_file(self) -> None:
        for image in EVERY:
            files = {".stand-in.json": '{"ready": false, "status": 500}'}
            with self.subTest(image), Process(image, files, CHALK_STAND_IN='{"ready": true}') as server:
                server.until("/ready", 200)
                self.assertEqual(server.ask("/")[0], 500)

    def test_one_that_is_ready_later_is_not_ready_before(self) -> None:
        for image in EVERY:
            with self.subTest(image), Process(image, {".stand-in.json": '{"ready_after": 1.5}'}) as server:
                server.until("/healthz", 200)
                self.assertEqual(server.ask("/ready")[0], 503)
                server.until("/ready", 200)


class Ends(unittest.TestCase):
    """SIGTERM."""

    def test_no_request_fails_while_a_server_drains(self) -> None:
        for image in EVERY:
            with self.subTest(image), Process(image, CHALK_DRAIN_SECONDS="2") as server:
                server.until("/ready", 200)
                with Load(server.port) as load:
                    time.sleep(0.5)
                    before = load.sent
                    server.term()
                    server.until("/ready", 503)
                    time.sleep(1)
                self.assertEqual(load.failed, [])
                self.assertGreater(load.sent - before, 100, "it has served on")
                self.assertGreater(load.closed, 100, "each answer has ended its connection")
                self.assertEqual(server.wait(), 0, server.log())

    def test_the_harness_sees_requests_that_fail(self) -> None:
        with Process("static") as server:
            server.until("/ready", 200)
            with Load(server.port) as load:
                server.process.kill()
                server.process.wait()
                time.sleep(0.2)
            self.assertTrue(load.failed)

    def test_what_is_under_way_when_the_drain_is_over_is_still_answered(self) -> None:
        for image in EVERY:
            variables = {"CHALK_STAND_IN": '{"delay": 1.5}', "CHALK_DRAIN_SECONDS": "0.1"}
            with self.subTest(image), Process(image, **variables) as server:
                server.until("/ready", 200)
                found = []
                asking = threading.Thread(target=lambda to, of: to.append(of.ask("/")[:2]), args=(found, server))
                asking.start()
                time.sleep(0.3)
                server.term()
                asking.join(10)
                self.assertEqual(found, [(200, b"c1")])
                self.assertEqual(server.wait(), 0)

    def test_a_second_signal_ends_it_at_once(self) -> None:
        for image in EVERY:
            with self.subTest(image), Process(image, CHALK_DRAIN_SECONDS="60") as server:
                server.until("/ready", 200)
                server.term()
                server.until("/ready", 503)
                server.term()
                self.assertEqual(server.process.wait(2), 128 + 15)

    def test_one_that_does_not_heed_sigterm_goes_on(self) -> None:
        for image in EVERY:
            with self.subTest(image), Process(image, CHALK_STAND_IN='{"ignore_term": true}') as server:
                server.until("/ready", 200)
                server.term()
                time.sleep(1.5)
                self.assertEqual(server.ask("/ready")[0], 200)


if __name__ == "__main__":
    unittest.main()
