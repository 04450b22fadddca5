//! Sequences from seeds.

use chalk_deploy_core::model::Digest;
use serde_json::{Value, json};

use crate::exchange::Ask;
use crate::random::Random;

const IMAGE: &str = "application/vnd.oci.image.manifest.v1+json";
const INDEX: &str = "application/vnd.oci.image.index.v1+json";
const BYTES: &str = "application/octet-stream";
const CONTENTS: [&str; 3] =
    ["layer one", "layer two, which is longer", "{\"os\":\"linux\",\"architecture\":\"amd64\"}"];

/// Blobs first, so that manifests find some of them; then anything.
pub(super) fn sequence(seed: u64) -> Vec<Ask> {
    let random = &mut Random::new(seed ^ 0x5eed);
    let repositories = [format!("sequence-{seed}/app"), format!("sequence-{seed}/other")];
    let mut asks = Vec::new();
    for content in CONTENTS {
        if random.percent(75) {
            upload(random, &repositories[0], content, &mut asks);
        }
    }
    for _ in 0..8 + random.below(6) {
        let repository = &repositories[usize::from(random.percent(20))];
        match random.below(100) {
            0..15 => {
                let content = CONTENTS[random.below(3)];
                upload(random, repository, content, &mut asks);
            }
            15..25 => wrong_upload(random, repository, &mut asks),
            25..45 => put_manifest(random, repository, &mut asks),
            45..60 => asks.push(read_manifest(random, repository)),
            60..73 => asks.push(read_blob(random, repository)),
            73..80 => mount(random, &repositories, &mut asks),
            80..87 => asks.push(tags(random, repository)),
            87..90 => asks.push(Ask::new("GET", format!("/v2/{repository}/referrers/{}", digest(CONTENTS[0])))),
            90..95 => asks.push(Ask::new("DELETE", format!("/v2/{repository}/manifests/{}", reference(random)))),
            95..98 => {
                let content = CONTENTS[random.below(3)];
                asks.push(Ask::new("DELETE", format!("/v2/{repository}/blobs/{}", digest(content))));
            }
            _ => asks.push(odd(random, repository)),
        }
    }
    asks.push(tags(random, &repositories[0]));
    asks
}

fn digest(content: &str) -> String {
    Digest::of(content).to_string()
}

fn begin(repository: &str) -> Ask {
    Ask::new("POST", format!("/v2/{repository}/blobs/uploads/"))
}

fn chunk(content: &str, first: usize, last: usize) -> Ask {
    Ask::new("PATCH", "{{location}}")
        .body(BYTES, &content[first..last])
        .header("content-range", format!("{first}-{}", last - 1))
}

fn finish(digest: &str) -> Ask {
    Ask::new("PUT", format!("{{{{location-and}}}}digest={digest}"))
}

/// In one request, in two, and in many.
fn upload(random: &mut Random, repository: &str, content: &str, asks: &mut Vec<Ask>) {
    let digest = digest(content);
    match random.below(4) {
        0 => {
            asks.push(
                Ask::new("POST", format!("/v2/{repository}/blobs/uploads/?digest={digest}")).body(BYTES, content),
            );
        }
        1 => asks.extend([begin(repository), finish(&digest).body(BYTES, content)]),
        2 => asks.extend([
            begin(repository),
            Ask::new("PATCH", "{{location}}").body(BYTES, content),
            Ask::new("GET", "{{location}}"),
            finish(&digest),
        ]),
        _ => {
            let middle = 3 + random.below(4);
            asks.extend([begin(repository), chunk(content, 0, middle), chunk(content, middle, content.len())]);
            asks.extend([Ask::new("GET", "{{location}}"), finish(&digest)]);
        }
    }
}

/// What must be refused, and what is left of the upload after that.
fn wrong_upload(random: &mut Random, repository: &str, asks: &mut Vec<Ask>) {
    let content = CONTENTS[random.below(3)];
    asks.push(begin(repository));
    match random.below(8) {
        0 => asks.push(finish(&digest("other")).body(BYTES, content)),
        1 => asks.push(finish("sha256:abc").body(BYTES, content)),
        2 => asks.push(Ask::new("PUT", "{{location}}").body(BYTES, content)),
        3 => asks.extend([chunk(content, 0, 4), chunk(content, 5, 8), Ask::new("GET", "{{location}}")]),
        4 => asks.extend([chunk(content, 0, 4), chunk(content, 0, 4), Ask::new("GET", "{{location}}")]),
        5 => asks.extend([Ask::new("DELETE", "{{location}}"), Ask::new("GET", "{{location}}"), chunk(content, 0, 4)]),
        6 => asks.extend([finish(&digest(content)).body(BYTES, content), Ask::new("GET", "{{location}}")]),
        _ => {
            let place = format!("/v2/{repository}/blobs/uploads/00000000-0000-4000-8000-000000000000");
            asks.push(Ask::new("PATCH", place).body(BYTES, content));
        }
    }
}

fn descriptor(content: &str, media_type: &str) -> Value {
    json!({"mediaType": media_type, "digest": digest(content), "size": content.len()})
}

/// A manifest of a few: one with one layer, one with two, and one with a subject.
fn manifest(variant: usize) -> String {
    let layer = "application/vnd.oci.image.layer.v1.tar+gzip";
    let mut manifest = json!({
        "schemaVersion": 2,
        "mediaType": IMAGE,
        "config": descriptor(CONTENTS[2], "application/vnd.oci.image.config.v1+json"),
        "layers": [descriptor(CONTENTS[0], layer)],
    });
    if variant == 1 {
        manifest["layers"] = json!([descriptor(CONTENTS[0], layer), descriptor(CONTENTS[1], layer)]);
    }
    if variant == 2 {
        manifest["subject"] = descriptor(&self::manifest(0), IMAGE);
    }
    manifest.to_string()
}

fn index(variant: usize) -> String {
    let mut child = descriptor(&manifest(variant), IMAGE);
    child["platform"] = json!({"os": "linux", "architecture": "amd64"});
    json!({"schemaVersion": 2, "mediaType": INDEX, "manifests": [child]}).to_string()
}

fn put_manifest(random: &mut Random, repository: &str, asks: &mut Vec<Ask>) {
    let variant = random.below(3);
    let (media_type, document) = if random.percent(20) { (INDEX, index(variant)) } else { (IMAGE, manifest(variant)) };
    let name = if random.percent(60) { random.of(&["v1", "v2", "latest"]).to_owned() } else { digest(&document) };
    let put = |name: &str, media_type: &str, document: &str| {
        Ask::new("PUT", format!("/v2/{repository}/manifests/{name}")).body(media_type, document)
    };
    asks.push(match random.below(12) {
        0 => put(&digest("other"), media_type, &document),
        1 => put(&name, media_type, "{not json"),
        2 => put("not*a*tag", media_type, &document),
        3 => put(&name, "application/json", &document),
        4 => put(&name, if media_type == IMAGE { INDEX } else { IMAGE }, &document),
        _ => put(&name, media_type, &document),
    });
}

fn reference(random: &mut Random) -> String {
    match random.below(5) {
        0..2 => random.of(&["v1", "v2", "latest"]).to_owned(),
        2..4 => digest(&manifest(random.below(3))),
        _ => digest(&index(random.below(3))),
    }
}

fn read_manifest(random: &mut Random, repository: &str) -> Ask {
    let method = random.of(&["GET", "HEAD"]);
    let name = reference(random);
    let ask = Ask::new(method, format!("/v2/{repository}/manifests/{name}"));
    match random.below(8) {
        0 => ask.header("accept", IMAGE),
        1 => ask.header("accept", INDEX),
        2 => ask,
        _ => ask.header("accept", format!("{IMAGE}, {INDEX}")),
    }
}

fn read_blob(random: &mut Random, repository: &str) -> Ask {
    let content = CONTENTS[random.below(3)];
    let method = random.of(&["GET", "HEAD", "GET"]);
    let ask = Ask::new(method, format!("/v2/{repository}/blobs/{}", digest(content)));
    match random.below(8) {
        0 => ask.header("range", "bytes=2-5"),
        1 => ask.header("range", "bytes=4-"),
        2 => ask.header("range", "bytes=-3"),
        3 => ask.header("range", "bytes=900-"),
        _ => ask,
    }
}

fn mount(random: &mut Random, repositories: &[String; 2], asks: &mut Vec<Ask>) {
    let digest = digest(CONTENTS[random.below(3)]);
    let from = match random.below(4) {
        0 => String::new(),
        1 => "&from=nowhere/at-all".to_owned(),
        _ => format!("&from={}", repositories[0]),
    };
    asks.push(Ask::new("POST", format!("/v2/{}/blobs/uploads/?mount={digest}{from}", repositories[1])));
    asks.push(Ask::new("HEAD", format!("/v2/{}/blobs/{digest}", repositories[1])));
}

fn tags(random: &mut Random, repository: &str) -> Ask {
    let query = random.of(&["", "", "?n=1", "?n=2&last=latest", "?n=0", "?n=many"]);
    Ask::new("GET", format!("/v2/{repository}/tags/list{query}"))
}

fn odd(random: &mut Random, repository: &str) -> Ask {
    match random.below(5) {
        0 => Ask::new("GET", "/v2/"),
        1 => Ask::new("GET", format!("/v2/{repository}/blobs/sha256:abc")),
        2 => Ask::new("PUT", format!("/v2/{repository}/tags/list")),
        3 => Ask::new("GET", "/v2/UPPER/tags/list"),
        _ => Ask::new("GET", format!("/v2/{repository}/manifests/sha256:abc")),
    }
}
