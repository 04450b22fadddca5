//! `apply --signing-key` and `verify_image` against the simulated servers on loopback.

use std::collections::BTreeMap;

use rustix::process::Signal;
use serde_json::Value;

use crate::program::{Finished, Running, Sandbox};

/// Made for tests with `openssl genpkey`; they sign nothing else.
const PRIVATE: &str = include_str!("../../../chalk-deploy-core/src/evidence/tests/p256.pem");
const PUBLIC: &str = include_str!("../../../chalk-deploy-core/src/evidence/tests/p256.pub");
const OTHER_PUBLIC: &str = include_str!("../../../chalk-deploy-core/src/evidence/tests/ed25519.pub");

struct Place {
    sandbox: Sandbox,
    servers: Running,
    lines: BTreeMap<String, String>,
}

impl Place {
    fn new() -> Self {
        let sandbox = Sandbox::new();
        for (name, pem) in [("key.pem", PRIVATE), ("key.pub", PUBLIC), ("other.pub", OTHER_PUBLIC)] {
            sandbox.write(name, pem);
        }
        let mut servers = sandbox.example("servers", &["--state", "servers"]).start();
        let read = |line: String| {
            let (name, value) = line.trim_end().split_once('=').expect("NAME=value");
            (name.to_owned(), value.to_owned())
        };
        let lines = (0..5).map(|_| read(servers.line().expect("a line for a shell"))).collect();
        Self { sandbox, servers, lines }
    }

    fn apply(&self, more: &[&str]) -> Finished {
        let flags = [
            ("--kubeconfig", "KUBECONFIG"),
            ("--registry", "REGISTRY"),
            ("--bucket", "BUCKET"),
            ("--base-image", "BASE_IMAGE"),
            ("--gateway-address", "GATEWAY"),
        ];
        let flags: Vec<_> = flags.iter().flat_map(|(flag, name)| [*flag, self.lines[*name].as_str()]).collect();
        self.sandbox.apply().with(&["--json"]).with(&flags).with(more).run()
    }

    fn verify(&self, image: &str, key: &str) -> Finished {
        self.sandbox.example("verify_image", &[image, "--key", key, "--json"]).run()
    }

    fn end(self) {
        self.servers.signal(Signal::TERM);
        self.servers.end().expect(0);
    }
}

fn image(finished: &Finished) -> String {
    finished.last()["images"]["engine"].as_str().expect("a reference").to_owned()
}

fn refused(finished: Finished, status: i32, code: &str) -> Value {
    let finished = finished.expect(status);
    assert_eq!(finished.stderr.lines().count(), 1, "{}", finished.stderr);
    let told = finished.last();
    assert_eq!((&told["verified"], &told["code"]), (&false.into(), &code.into()), "{told}");
    assert!(told["next_step"].as_str().is_some_and(|step| !step.is_empty()), "{told}");
    told
}

#[test]
fn what_apply_has_signed_is_verified_by_tag_and_digest_and_by_no_other_key() {
    let place = Place::new();
    let applied = place.apply(&["--signing-key", "key.pem", "--verification-key", "key.pub"]).expect(0);
    let by_digest = image(&applied);
    let id = applied.last()["deployment_id"].as_str().expect("an id").to_owned();
    let by_tag = format!("{}:{id}", by_digest.split_once('@').expect("a digest").0);
    for reference in [&by_digest, &by_tag] {
        let told = place.verify(reference, "key.pub").expect(0).last();
        assert_eq!((&told["verified"], &told["image"]), (&true.into(), &by_digest.as_str().into()), "{told}");
        let provenance = &told["provenance"][0];
        assert_eq!((&provenance["deployment"], &provenance["project"]), (&id.as_str().into(), &"fraud".into()));
        refused(place.verify(reference, "other.pub"), 1, "EVIDENCE_INVALID");
    }
    let words = place.sandbox.example("verify_image", &[&by_tag, "--key", "key.pub"]).run().expect(0);
    assert!(words.stdout.starts_with(&format!("{by_digest} is verified\n")) && words.stderr.is_empty(), "{words:?}");

    // Another project's image, without evidence.
    place.sandbox.write("project/more.py", "x = 1\n");
    let unsigned = image(&place.apply(&[]).expect(0));
    refused(place.verify(&unsigned, "key.pub"), 1, "EVIDENCE_MISSING");
    // The policy refuses what nobody has signed.
    place.sandbox.write("project/more.py", "x = 2\n");
    let refused_by_policy = place.apply(&["--verification-key", "key.pub"]).expect(1);
    assert_eq!(refused_by_policy.last()["status"], "FAILURE");
    assert!(refused_by_policy.stderr.contains("EVIDENCE_MISSING"), "{}", refused_by_policy.stderr);

    refused(place.verify(&by_digest.replace("engine", "engine-none"), "key.pub"), 1, "IMAGE_MISMATCH");
    for (reference, key) in
        [(by_digest.as_str(), "key.pem"), (&by_digest, "nowhere"), (&by_digest, "project/chalk.yaml")]
    {
        let told = refused(place.verify(reference, key), 2, "VALUE_INVALID");
        assert!(!told.to_string().contains("MIGH"), "nothing of a private key is told: {told}");
    }
    let no_name = place.verify("engine", "key.pub").expect(2);
    assert!(no_name.stderr.contains("not named with its registry"), "{}", no_name.stderr);
    let bad_key = place.apply(&["--signing-key", "key.pub"]).expect(2);
    assert!(bad_key.stderr.contains("what signs is private"), "{}", bad_key.stderr);
    place.end();
}
