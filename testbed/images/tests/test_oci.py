"""The tools: layers, layouts, the workshop that makes only what has changed, and pushes to a registry."""

import contextlib
import gzip
import hashlib
import http.server
import io
import json
import os
import shutil
import subprocess
import tarfile
import tempfile
import threading
import time
import unittest
from pathlib import Path
from unittest import mock

from oci import debian, layer, layout
from oci.registry import Refused, Registry
from recipes.recipe import ImageRecipe, LayerRecipe, Workshop

from .image import free_port


class Scratch(unittest.TestCase):
    """A test with a folder of its own."""

    def setUp(self) -> None:
        self.folder = Path(self.enterContext(tempfile.TemporaryDirectory()))


class Layers(Scratch):
    """Files as a layer."""

    def tree(self, names: list[str]) -> layer.Tree:
        """A tree that is filled in this order."""
        tree = layer.Tree()
        for name in names:
            tree.text(f"/{name}", name, 0o600)
        return tree

    def test_the_order_and_the_machine_do_not_show(self) -> None:
        one = layer.pack(self.tree(["a/b", "a.c", "z"]), self.folder / "one")
        source = self.folder / "source"
        source.write_text("a.c")
        os.utime(source, (1, 1))
        tree = self.tree(["z", "a/b"])
        tree.file("/a.c", source, 0o600)
        other = layer.pack(tree, self.folder / "other")
        self.assertEqual((one.digest, one.diff, one.size), (other.digest, other.diff, other.size))

    def test_a_layer_is_the_tar_that_its_digests_tell_of(self) -> None:
        packed = layer.pack(self.tree(["etc/deep/file", "x"]), self.folder / "layer")
        content = packed.path.read_bytes()
        self.assertEqual(packed.digest, "sha256:" + hashlib.sha256(content).hexdigest())
        self.assertEqual(packed.diff, "sha256:" + hashlib.sha256(gzip.decompress(content)).hexdigest())
        self.assertEqual(packed.size, len(content))
        self.assertEqual(content[4:8], bytes(4), "a gzip header carries a time")
        with tarfile.open(packed.path) as tar:
            self.assertEqual(tar.getnames(), ["etc", "etc/deep", "etc/deep/file", "x"])
            for member in tar:
                self.assertEqual((member.uid, member.gid, member.uname, member.mtime), (0, 0, "", 0))

    def test_links_modes_and_long_names_arrive(self) -> None:
        tree, long = layer.Tree(), "/" + "/".join(["directory" * 10] * 5)
        tree.text(long, "x", 0o755)
        tree.link("/link", "target")
        tree.directory("/tmp", 0o1777)
        with tarfile.open(layer.pack(tree, self.folder / "layer").path) as tar:
            self.assertEqual(tar.getmember(long[1:]).mode, 0o755)
            self.assertEqual(tar.getmember("link").linkname, "target")
            self.assertEqual(tar.getmember("tmp").mode, 0o1777)

    def test_a_folder_is_taken_with_its_links_and_without_its_odd_modes(self) -> None:
        source = self.folder / "source"
        (source / "inner").mkdir(parents=True)
        (source / "inner" / "run").write_text("x")
        (source / "inner" / "run").chmod(0o700)
        (source / "text").write_text("x")
        (source / "text").chmod(0o666)
        (source / "to").symlink_to("inner")
        tree = layer.Tree()
        tree.folder("/at", source)
        modes = {path: entry.mode for path, entry in tree.entries()}
        self.assertEqual(
            modes, {"/at": 0o755, "/at/inner": 0o755, "/at/inner/run": 0o755, "/at/text": 0o644, "/at/to": 0o777}
        )

    def test_paths_that_lead_elsewhere_are_refused(self) -> None:
        for path in ("relative", "/a/../b", "/a//b", "/a/", "//a/."):
            with self.assertRaises(ValueError, msg=path):
                layer.Tree().text(path, "")

    def test_what_breaks_off_leaves_no_layer(self) -> None:
        tree = self.tree(["a"])
        tree.file("/missing", self.folder / "missing")
        with self.assertRaises(FileNotFoundError):
            layer.pack(tree, self.folder / "layer")
        self.assertIsNone(layer.packed(self.folder / "layer"))
        made = layer.pack(self.tree(["a"]), self.folder / "layer")
        self.assertEqual(layer.packed(self.folder / "layer"), made)
        os.truncate(made.path, made.size - 1)
        self.assertIsNone(layer.packed(self.folder / "layer"))


class Making(Scratch):
    """The workshop."""

    def setUp(self) -> None:
        super().setUp()
        self.source = self.folder / "source"
        self.source.write_text("one")
        self.out = self.folder / "out"
        self.filled: list[str] = []

    def recipe(self, name: str = "image", below: tuple[LayerRecipe, ...] = ()) -> ImageRecipe:
        """An image with one file."""

        def fill(tree: layer.Tree, _: Path) -> dict[str, str]:
            self.filled.append(name)
            tree.file("/file", self.source)
            return {"from": name}

        made = LayerRecipe(name, (self.source,), fill)
        return ImageRecipe(name, (*below, made), ("/file",), "1:1", labels={"a": "b"})

    def make(self, *recipes: ImageRecipe) -> int:
        """What a run makes."""
        with contextlib.redirect_stderr(io.StringIO()):
            workshop = Workshop(self.out)
            made = workshop.make(list(recipes))
            workshop.sweep(list(recipes))
            return made

    def test_a_second_run_makes_nothing_and_reads_no_input(self) -> None:
        self.assertEqual(self.make(self.recipe()), 1)
        with mock.patch.object(hashlib, "file_digest", side_effect=AssertionError("an input is read again")):
            self.assertEqual(self.make(self.recipe()), 0)
        self.assertEqual(self.filled, ["image"])

    def test_a_changed_input_makes_it_again_and_a_touched_one_does_not(self) -> None:
        self.make(self.recipe())
        before = layout.manifest_digest(self.out / "image")
        os.utime(self.source)
        self.assertEqual(self.make(self.recipe()), 0)
        self.source.write_text("two")
        self.assertEqual(self.make(self.recipe()), 1)
        self.assertNotEqual(layout.manifest_digest(self.out / "image"), before)
        self.source.write_text("one")
        self.assertEqual(self.make(self.recipe()), 1)
        self.assertEqual(layout.manifest_digest(self.out / "image"), before)

    def test_another_folder_gets_the_same_digest(self) -> None:
        self.make(self.recipe())
        before = layout.manifest_digest(self.out / "image")
        self.out = self.folder / "other"
        self.make(self.recipe())
        self.assertEqual(layout.manifest_digest(self.out / "image"), before)

    def test_a_shared_layer_is_made_once_and_its_labels_are_on_both(self) -> None:
        shared = self.recipe("shared").layers[0]
        self.make(self.recipe("one", (shared,)), self.recipe("two", (shared,)))
        self.assertEqual(self.filled, ["shared", "one", "two"])
        for name in ("one", "two"):
            manifest = json.loads((self.out / name / "index.json").read_text())["manifests"][0]["digest"]
            config = json.loads(self.blob(name, manifest).read_text())["config"]["digest"]
            self.assertEqual(
                json.loads(self.blob(name, config).read_text())["config"]["Labels"], {"a": "b", "from": name}
            )

    def blob(self, name: str, digest: str) -> Path:
        """A blob of a layout."""
        return self.out / name / "blobs" / "sha256" / digest.removeprefix("sha256:")

    def test_a_run_that_was_cut_off_anywhere_is_made_up_for(self) -> None:
        self.make(self.recipe())
        wanted = layout.manifest_digest(self.out / "image")
        for cut in range(100):
            shutil.rmtree(self.out)
            calls, real = [0], os.rename

            def rename(source: Path, target: Path, calls=calls, real=real, cut=cut) -> None:
                if calls[0] == cut:
                    raise KeyboardInterrupt
                calls[0] += 1
                real(source, target)

            try:
                with mock.patch.object(os, "rename", rename):
                    self.make(self.recipe())
            except KeyboardInterrupt:
                if (self.out / "image").exists():
                    self.assertEqual(layout.manifest_digest(self.out / "image"), wanted)
            else:
                self.assertGreater(cut, 3, "it was cut off a few times")
                return
            self.make(self.recipe())
            self.assertEqual(layout.manifest_digest(self.out / "image"), wanted)
            self.assertEqual([path.name for path in self.out.iterdir() if path.name.endswith((".work", ".old"))], [])
        self.fail("it never came through")

    def test_what_no_recipe_names_any_longer_is_swept(self) -> None:
        self.make(self.recipe())
        (self.out / ".layers" / "leftover.work").mkdir()
        (self.out / ".layers" / "old.layer").touch()
        self.make(self.recipe())
        names = {path.name.split("-")[0] for path in (self.out / ".layers").iterdir()}
        self.assertEqual(names, {"image", "image.image", "files.json"})


class Packages(Scratch):
    """Debian packages. An archive stands in for apt's: it has the packages that a test makes."""

    def setUp(self) -> None:
        super().setUp()
        self.archive = self.folder / "archive"
        self.archive.mkdir()
        self.enterContext(mock.patch.object(debian, "_download", self.download))
        self.enterContext(mock.patch.object(os, "geteuid", return_value=1000))

    def package(self, version: str) -> str:
        """Makes a package with its version in a file, and returns its digest."""
        content = self.folder / f"content-{version}"
        (content / "DEBIAN").mkdir(parents=True)
        control = f"Package: thing\nVersion: {version}\nArchitecture: all\nMaintainer: nobody\nDescription: x\n"
        (content / "DEBIAN" / "control").write_text(control)
        # A script that would be seen if it ran.
        script = content / "DEBIAN" / "postinst"
        script.write_text(f"#!/bin/sh\ntouch {self.folder}/ran\n")
        script.chmod(0o755)
        (content / "version").write_text(version)
        made = self.archive / f"{version}.deb"
        subprocess.run(["dpkg-deb", "--build", content, made], check=True, stdout=subprocess.DEVNULL)
        return hashlib.sha256(made.read_bytes()).hexdigest()

    def download(self, package: str, folder: Path) -> Path | None:
        """The version that is asked for, or the newest."""
        _, _, version = package.partition("=")
        found = sorted(self.archive.glob(f"{version}.deb" if version else "*.deb"))
        return Path(shutil.copy(found[-1], folder)) if found else None

    def unpack(self, version: str, digest: str) -> tuple[dict[str, str], str]:
        """The versions that are got, and what is said meanwhile."""
        (self.folder / "lock").write_text(f"# a comment\nthing {version} {digest}\n")
        with contextlib.redirect_stderr(io.StringIO()) as said:
            found = debian.Lock(self.folder / "lock").unpack(["thing"], self.folder / "root")
        self.assertEqual((self.folder / "root" / "version").read_text(), found["thing"])
        self.assertFalse((self.folder / "ran").exists(), "a script of the package has run")
        return found, said.getvalue()

    def test_the_locked_version_is_taken_although_there_is_a_newer_one(self) -> None:
        digest = self.package("1.0-1+deb12u1")
        self.package("1.0-1+deb12u2")
        self.assertEqual(self.unpack("1.0-1+deb12u1", digest), ({"thing": "1.0-1+deb12u1"}, ""))

    def test_other_bytes_under_the_locked_version_are_refused(self) -> None:
        self.package("1.0-1")
        with self.assertRaisesRegex(SystemExit, "not the one that debian.lock names"):
            self.unpack("1.0-1", "0" * 64)

    def test_a_security_update_replaces_what_the_archive_has_dropped_and_is_told(self) -> None:
        self.package("1.0-1+deb12u3")
        for gone in ("1.0-1+deb12u1", "1.0-1"):
            found, said = self.unpack(gone, "0" * 64)
            self.assertEqual(found, {"thing": "1.0-1+deb12u3"})
            self.assertIn(f"thing {gone} is gone", said)

    def test_another_release_replaces_nothing(self) -> None:
        self.package("1.1-1")
        with self.assertRaisesRegex(SystemExit, "offers thing 1.1-1 and not 1.0-1: renew"):
            self.unpack("1.0-1", "0" * 64)


class Pushes(Scratch):
    """Layouts in a registry."""

    def setUp(self) -> None:
        super().setUp()
        shared = layer.Tree()
        shared.text("/shared", "x" * 10_000)
        packed = layer.pack(shared, self.folder / "shared")
        for name in ("one", "two"):
            tree = layer.Tree()
            tree.text("/own", name)
            own = layer.pack(tree, self.folder / f"{name}.layer")
            layout.write(layout.Image(name, [packed, own], ["/own"], "1:1"), self.folder)

    def push_both(self, address: str) -> list[tuple[str, int]]:
        """The digests and the bytes sent."""
        with Registry(address) as registry:
            return [registry.push(self.folder / name, f"test/{name}", "1") for name in ("one", "two")]

    @unittest.skipIf(
        shutil.which("docker-registry") is None, "there is no docker-registry here (Debian: docker-registry)"
    )
    def test_a_real_registry_has_them_afterwards_and_is_sent_nothing_twice(self) -> None:
        port = free_port()
        settings = {
            "version": 0.1,
            "log": {"level": "error", "accesslog": {"disabled": True}},
            "storage": {"filesystem": {"rootdirectory": str(self.folder / "registry")}},
            "http": {"addr": f"127.0.0.1:{port}"},
        }
        # JSON is YAML.
        (self.folder / "registry.yml").write_text(json.dumps(settings))
        process = subprocess.Popen(
            ["docker-registry", "serve", self.folder / "registry.yml"],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        self.addCleanup(process.wait)
        self.addCleanup(process.terminate)
        address, until = f"http://127.0.0.1:{port}", time.monotonic() + 10
        while True:
            try:
                first = self.push_both(address)
                break
            except ConnectionRefusedError:
                self.assertLess(time.monotonic(), until)
                time.sleep(0.05)
        digests = [layout.manifest_digest(self.folder / name) for name in ("one", "two")]
        self.assertEqual([digest for digest, _ in first], digests)
        whole = sum(path.stat().st_size for path in (self.folder / "one" / "blobs" / "sha256").iterdir())
        self.assertEqual(first[0][1], whole)
        shared = (self.folder / "shared").stat().st_size
        self.assertLess(first[1][1], whole - shared + 100, "the shared layer is mounted")
        self.assertEqual([sent for _, sent in self.push_both(address)], [0, 0])

    def serve(self, answer) -> str:
        """A registry that answers as a test wants; its address."""

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def handle_any(self) -> None:
                self.rfile.read(int(self.headers.get("Content-Length", 0)))
                status, headers = answer(self.command, self.path)
                self.send_response(status)
                for name, value in {"Content-Length": "0", **headers}.items():
                    self.send_header(name, value)
                self.end_headers()

            do_HEAD = do_GET = do_POST = do_PUT = handle_any

            def log_message(self, *_: object) -> None:
                pass

        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        self.addCleanup(server.server_close)
        self.addCleanup(server.shutdown)
        return f"http://127.0.0.1:{server.server_port}"

    def test_an_upload_is_sent_to_no_other_host(self) -> None:
        def answer(method: str, _: str) -> tuple[int, dict]:
            return (202, {"Location": "http://example.invalid/upload"}) if method == "POST" else (404, {})

        with self.assertRaisesRegex(Refused, "another host"):
            self.push_both(self.serve(answer))

    def test_a_refusal_says_what_was_asked_and_answered(self) -> None:
        with self.assertRaisesRegex(Refused, r"POST /v2/test/one/blobs/uploads/ answered 401 .* and not 202"):
            self.push_both(self.serve(lambda method, _: (401 if method == "POST" else 404, {})))

    def test_a_location_may_be_relative_and_have_a_query(self) -> None:
        asked: list[str] = []

        def answer(method: str, path: str) -> tuple[int, dict]:
            if method == "PUT":
                asked.append(path)
                return 201, {}
            return (202, {"Location": "/upload/7?state=a%2Bb"}) if method == "POST" else (404, {})

        self.push_both(self.serve(answer))
        self.assertRegex(asked[0], r"^/upload/7\?state=a%2Bb&digest=sha256%3A[0-9a-f]{64}$")
        self.assertEqual(
            [path for path in asked if "manifests" in path], ["/v2/test/one/manifests/1", "/v2/test/two/manifests/1"]
        )

    def test_only_plain_addresses_of_registries_are_taken(self) -> None:
        for address in ("https://x", "127.0.0.1:5000", "http://", "http://x/path", ""):
            with self.assertRaises(Refused, msg=address):
                Registry(address)


if __name__ == "__main__":
    unittest.main()
