"""Every image as a document, and the programs of the cluster's images."""

import gzip
import hashlib
import os
import subprocess
import time
import unittest
from collections.abc import Callable
from pathlib import Path

from .image import LAYOUTS, blob, documents, root, sha256

CLUSTER = ("pause", "envoy", "envoy-gateway", "argo-executor")
COMPONENTS = ("engine", "query-server", "stream-worker", "batch-worker", "background-persistence")
ALL = (*CLUSTER, *COMPONENTS, "static")


class Documents(unittest.TestCase):
    """What a registry and a node read."""

    def test_all_images_are_there(self) -> None:
        self.assertEqual({path.parent.name for path in LAYOUTS.glob("[!.]*/oci-layout")}, set(ALL))

    def test_every_blob_has_the_digest_and_the_size_that_it_is_named_by(self) -> None:
        for name in ALL:
            manifest, config = documents(name)
            blobs = [manifest["config"], *manifest["layers"]]
            for descriptor in blobs:
                path = blob(name, descriptor["digest"])
                self.assertEqual(path.stat().st_size, descriptor["size"], name)
                self.assertEqual(sha256(path), descriptor["digest"], name)
            held = {path.name for path in (LAYOUTS / name / "blobs" / "sha256").iterdir()}
            self.assertEqual(len(held), len(blobs) + 1, f"{name} holds its manifest, and nothing that it does not name")
            self.assertEqual(len(config["rootfs"]["diff_ids"]), len(manifest["layers"]))

    def test_a_config_lists_the_digests_of_the_unpacked_layers(self) -> None:
        for name in ("pause", "static", "engine"):
            manifest, config = documents(name)
            for descriptor, diff in zip(manifest["layers"], config["rootfs"]["diff_ids"], strict=True):
                digest = hashlib.sha256()
                with gzip.open(blob(name, descriptor["digest"])) as layer:
                    while piece := layer.read(1 << 20):
                        digest.update(piece)
                self.assertEqual(f"sha256:{digest.hexdigest()}", diff, name)

    def test_components_share_their_layers_and_differ_in_their_name(self) -> None:
        layers = {str(documents(name)[0]["layers"]) for name in COMPONENTS}
        self.assertEqual(len(layers), 1)
        for name in COMPONENTS:
            self.assertIn(f"CHALK_COMPONENT={name}", documents(name)[1]["config"]["Env"])

    def test_stand_ins_are_marked_and_say_what_they_bring(self) -> None:
        for name in (*COMPONENTS, "static"):
            config = documents(name)[1]["config"]
            self.assertEqual(config["Labels"]["ai.chalk.stand-in"], "true")
            self.assertEqual(config["User"], "65532:65532", "the user that the manifests of chalk-deploy set")
        brought = documents("engine")[1]["config"]["Labels"]["ai.chalk.provides"].split(",")
        self.assertIn("chalkpy", brought)
        self.assertEqual(documents("static")[1]["config"]["Labels"]["ai.chalk.provides"], "")
        for name in CLUSTER:
            self.assertNotIn("ai.chalk.stand-in", documents(name)[1]["config"]["Labels"])

    def test_nothing_but_tmp_can_be_written_by_anyone_but_root(self) -> None:
        for name in ALL:
            folder = root(name)
            for parent, directories, files in os.walk(folder):
                if Path(parent) == folder / "tmp":
                    directories.clear()
                    continue
                for path in (Path(parent, one) for one in [*directories, *files]):
                    status = path.lstat()
                    self.assertEqual((status.st_uid, status.st_gid, int(status.st_mtime)), (0, 0, 0), path)
                    if not path.is_symlink() and path != folder / "tmp":
                        self.assertEqual(status.st_mode & 0o6022, 0, path)


def within(seconds: float, is_it: Callable[[], bool]) -> bool:
    """Whether something becomes so in time."""
    until = time.monotonic() + seconds
    while not is_it():
        if time.monotonic() > until:
            return False
        time.sleep(0.01)
    return True


class Programs(unittest.TestCase):
    """What the cluster's images run."""

    def test_each_runs_with_what_its_image_has(self) -> None:
        for name, argument in (("envoy", "--version"), ("envoy-gateway", "version"), ("argo-executor", "version")):
            config = documents(name)[1]["config"]
            command = ["/usr/sbin/chroot", f"--userspec={config['User']}", root(name), *config["Entrypoint"], argument]
            ran = subprocess.run(command, capture_output=True, text=True, check=False, env={"PATH": "/bin"}, timeout=30)
            self.assertEqual(ran.returncode, 0, f"{name}: {ran.stderr}")
            self.assertRegex(ran.stdout + ran.stderr, r"(?i)version", name)

    def test_programs_that_pods_start_by_name_lie_on_the_path(self) -> None:
        for name, program in (("envoy", "envoy"), ("envoy-gateway", "envoy-gateway"), ("argo-executor", "argoexec")):
            path = next(line for line in documents(name)[1]["config"]["Env"] if line.startswith("PATH=")).removeprefix(
                "PATH="
            )
            found = [folder for folder in path.split(":") if (root(name) / folder[1:] / program).is_file()]
            self.assertEqual(len(found), 1, name)

    def test_pause_collects_processes_and_ends_when_it_is_told_to(self) -> None:
        # The shell starts a process that outlives it, and becomes `pause`, which inherits that process as its parent.
        command = 'sleep 0.2 & exec chroot --userspec=65535:65535 "$1" /pause'
        with subprocess.Popen(["sh", "-c", command, "sh", root("pause")]) as process:
            children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
            try:
                self.assertTrue(within(5, lambda: bool(children.read_text())), "it has a child")
                self.assertTrue(within(5, lambda: not children.read_text()), "the child that has ended is collected")
                process.terminate()
                self.assertEqual(process.wait(5), 0)
            finally:
                process.kill()


if __name__ == "__main__":
    unittest.main()
