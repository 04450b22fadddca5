"""The stand-ins behind the real Envoy, in both versions of HTTP, while one of two drains."""

import contextlib
import json
import os
import subprocess
import time
import unittest

from .image import SECONDS, Load, Process, free_port, root

TYPE = "type.googleapis.com/envoy.extensions"
HTTP = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"
MANAGER = f"{TYPE}.filters.network.http_connection_manager.v3.HttpConnectionManager"


def address(port: int) -> dict:
    """An address as Envoy has it."""
    return {"address": {"socket_address": {"address": "127.0.0.1", "port_value": port}}}


def configuration(listens: int, endpoints: list[int], version: int) -> dict:
    """One listener, and one cluster whose endpoints are asked whether they are ready, as a kubelet asks."""
    router = {"name": "router", "typed_config": {"@type": f"{TYPE}.filters.http.router.v3.Router"}}
    hosts = [{"name": "all", "domains": ["*"], "routes": [{"match": {"prefix": "/"}, "route": {"cluster": "engine"}}]}]
    manager = {
        "@type": MANAGER,
        "stat_prefix": "http",
        "http_filters": [router],
        "route_config": {"virtual_hosts": hosts},
    }
    health = {
        "timeout": "1s", "interval": "0.1s", "no_traffic_interval": "0.1s", "unhealthy_threshold": 1,
        "healthy_threshold": 1, "http_health_check": {"path": "/ready", "codec_client_type": f"HTTP{version}"},
    }  # fmt: skip
    options = {"http2_protocol_options" if version == 2 else "http_protocol_options": {}}
    cluster = {
        "name": "engine",
        "type": "STATIC",
        "connect_timeout": "1s",
        # Without it, Envoy asks those that are not ready too once there are few others.
        "common_lb_config": {"healthy_panic_threshold": {"value": 0}},
        "typed_extension_protocol_options": {
            HTTP: {"@type": f"type.googleapis.com/{HTTP}", "explicit_http_config": options}
        },
        "health_checks": [health],
        "load_assignment": {
            "cluster_name": "engine",
            "endpoints": [{"lb_endpoints": [{"endpoint": address(port)} for port in endpoints]}],
        },
    }
    filters = [{"name": "http", "typed_config": manager}]
    listener = {**address(listens), "filter_chains": [{"filters": filters}]}
    return {"static_resources": {"listeners": [listener], "clusters": [cluster]}}


@contextlib.contextmanager
def envoy(endpoints: list[int], version: int):
    """Envoy in front of endpoints; gives its process and its port."""
    port, folder = free_port(), root("envoy")
    file = folder / "tmp" / f"envoy-{port}.json"
    file.write_text(json.dumps(configuration(port, endpoints, version)))
    command = ["/usr/sbin/chroot", "--userspec=65532:65532", folder, "/usr/local/bin/envoy", "--disable-hot-restart"]
    command += ["--concurrency", "1", "--log-level", "error", "--config-path", f"/tmp/{file.name}"]
    with subprocess.Popen(command, env={}, stdout=subprocess.DEVNULL) as process:
        try:
            yield process, port
        finally:
            process.kill()
            os.unlink(file)


class Draining(unittest.TestCase):
    """No request fails, whoever speaks what."""

    def drain_one_of_two(self, image: str, version: int) -> None:
        """Ends one of two servers under load."""
        settings = {"CHALK_DRAIN_SECONDS": "1.5"}
        with (
            Process(image, CHALK_DEPLOYMENT_ID="one", **settings) as one,
            Process(image, CHALK_DEPLOYMENT_ID="two", **settings) as two,
        ):
            for server in (one, two):
                server.until("/ready", 200)
            with envoy([one.port, two.port], version) as (process, port):
                self.until_both_answer(process, port)
                with Load(port, bodies=(b"one", b"two")) as load:
                    time.sleep(0.7)
                    one.term()
                    self.assertEqual(one.wait(), 0, one.log())
                    first = dict(load.answered)
                    time.sleep(0.7)
            self.assertEqual(load.failed, [])
            self.assertGreater(first[b"one"], 100)
            self.assertEqual(load.answered[b"one"], first[b"one"], "nobody asks one that has ended")
            self.assertGreater(load.answered[b"two"], first[b"two"])

    def until_both_answer(self, process: subprocess.Popen, port: int) -> None:
        """Waits until Envoy has found both ready."""
        until, found = time.monotonic() + SECONDS, set()
        while found != {b"one", b"two"} and time.monotonic() < until:
            self.assertIsNone(process.poll(), "Envoy has ended")
            with Load(port, 1, (b"one", b"two")) as load:
                time.sleep(0.05)
            found |= {body for body, times in load.answered.items() if times}
        self.assertEqual(found, {b"one", b"two"})

    def test_the_engine_in_http_1(self) -> None:
        self.drain_one_of_two("engine", 1)

    def test_the_query_server_in_http_2(self) -> None:
        self.drain_one_of_two("query-server", 2)

    def test_the_static_one_in_http_1(self) -> None:
        self.drain_one_of_two("static", 1)

    def test_the_static_one_in_http_2(self) -> None:
        self.drain_one_of_two("static", 2)


if __name__ == "__main__":
    unittest.main()
