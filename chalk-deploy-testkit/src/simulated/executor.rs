//! A stand-in for kaniko's executor: it reads what it is given, says it, and leaves a tarball with an image. It runs no
//! command and fetches no base image; `RUN exit N` ends it with that code.

use std::io::Write as _;
use std::path::Path;

use chalk_deploy_core::model::Digest;
use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::{Value, json};

use super::builder_image::place;
use super::seam::{StepEnd, StepInvocation};

/// Builds the Dockerfile that the arguments name.
pub(super) fn run(volumes: &Path, invocation: &StepInvocation, say: &(dyn Fn(String) + Send + Sync)) -> StepEnd {
    match build(volumes, invocation, say) {
        Ok(code) => StepEnd { code, message: String::new() },
        Err(error) => {
            say(format!("error building image: {error}"));
            StepEnd { code: 1, message: String::new() }
        }
    }
}

fn build(
    volumes: &Path,
    invocation: &StepInvocation,
    say: &(dyn Fn(String) + Send + Sync),
) -> Result<u8, std::io::Error> {
    let argument = |name: &str| {
        let found = invocation.arguments.iter().find_map(|word| word.strip_prefix(name)?.strip_prefix('='));
        found.map(str::to_owned).ok_or_else(|| std::io::Error::other(format!("{name} is not given")))
    };
    let context = argument("--context")?;
    let source = place(volumes, context.strip_prefix("dir://").unwrap_or(&context));
    if !source.is_dir() {
        return Err(std::io::Error::other("there is no context"));
    }
    let written = std::fs::read_to_string(place(volumes, &argument("--dockerfile")?))?;
    let mut config = json!({"User": "65532:65532", "WorkingDir": "/", "Entrypoint": ["/chalk/simulated-engine"]});
    for line in written.lines() {
        say(format!("level=info msg={line:?}"));
        let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
        match word {
            "RUN" if rest.starts_with("echo ") => say(rest["echo ".len()..].to_owned()),
            "RUN" if rest.starts_with("exit ") => return Ok(rest["exit ".len()..].trim().parse().unwrap_or(1)),
            "USER" => config["User"] = rest.into(),
            "WORKDIR" => config["WorkingDir"] = rest.into(),
            _ => {}
        }
    }
    let path = place(volumes, &argument("--tar-path")?);
    if let Some(above) = path.parent() {
        std::fs::create_dir_all(above)?;
    }
    std::fs::write(path, tarball(&written, &config)?)?;
    Ok(0)
}

/// An image of one layer, as `docker save` writes it.
fn tarball(written: &str, config: &Value) -> Result<Vec<u8>, std::io::Error> {
    let mut layer = tar::Builder::new(Vec::new());
    append(&mut layer, "app/Dockerfile", written.as_bytes())?;
    let layer = layer.into_inner()?;
    let diff = Digest::of(&layer);
    let mut packed = GzEncoder::new(Vec::new(), Compression::fast());
    packed.write_all(&layer)?;
    let document = json!({
        "os": "linux", "architecture": "amd64", "config": config, "created": "2026-01-01T00:00:00Z",
        "rootfs": {"type": "layers", "diff_ids": [diff]},
    });
    let list = json!([{"Config": "sha256:config", "RepoTags": ["unset"], "Layers": ["layer.tar.gz"]}]);
    let mut image = tar::Builder::new(Vec::new());
    append(&mut image, "sha256:config", document.to_string().as_bytes())?;
    append(&mut image, "layer.tar.gz", &packed.finish()?)?;
    append(&mut image, "manifest.json", list.to_string().as_bytes())?;
    image.into_inner()
}

fn append(archive: &mut tar::Builder<Vec<u8>>, name: &str, bytes: &[u8]) -> Result<(), std::io::Error> {
    let mut header = tar::Header::new_ustar();
    header.set_size(bytes.len() as u64);
    header.set_mode(0o644);
    archive.append_data(&mut header, name, bytes)
}
