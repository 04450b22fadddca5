//! uv and pip, told the same: which requirements, for which Python and platform, wheels only.
//!
//! Both are run in two steps. What was asked is resolved to a [`Lock`], and the lock is installed into a folder without
//! asking for anything more, each file compared with its digest. So nothing of a package runs: a wheel is unpacked, and
//! a source distribution, whose build would be a stranger's program, is never taken.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::fs;
use std::io::Read as _;
use std::path::Path;

use serde::Deserialize;

use super::child::{Ended, Invocation, shown};
use super::lock::{Lock, Pin};
use super::requirement::Requirement;
use super::settings::{DependencySettings, InstallTool, PackageOrigin, candidates};
use super::target::Target;
use crate::error::Retry;
use crate::model::Digest;
use crate::runtime::Runtime;
use crate::{Error, ErrorCode, Result, text};

/// The longest answer that is read.
const ANSWER_MOST: u64 = 64 << 20;

/// Where it runs. Its own folder may lie below the project's, and there are programs (uv, and what pyenv puts in Python's
/// place) that look for settings in all folders above the one that they are started in.
const NOWHERE: &str = "/";

const ASKED: &str = "asked.txt";
const LOCK: &str = "lock.txt";

/// What uv and pip say when an index cannot be reached, in small letters.
const UNREACHABLE: &[&str] = &[
    "error sending request",
    "failed to fetch",
    "connection refused",
    "connection reset",
    "connection error",
    "dns error",
    "name resolution",
    "name or service not known",
    "newconnectionerror",
    "max retries exceeded",
    "timed out",
    "timeouterror",
    "network is unreachable",
    "502 bad gateway",
    "503 service",
    "504 gateway",
];

/// What they say when there are only sources, or nothing at all, in small letters.
const NO_WHEEL: &[&str] = &[
    "no usable wheels",
    "no wheels",
    "no matching distribution",
    "building source distributions is disabled",
    "building from source is disabled",
];

/// A program that installs, at work.
pub(super) struct Installer<'a> {
    pub(super) settings: &'a DependencySettings,
    pub(super) target: &'a Target,
    pub(super) runtime: &'a dyn Runtime,
    /// Where it works.
    pub(super) scratch: &'a Path,
    /// What it keeps of what it has fetched.
    pub(super) cache: &'a Path,
    pub(super) tool: InstallTool,
    /// Its name and version.
    pub(super) version: String,
}

/// What requirements were resolved to.
#[derive(Debug)]
pub(super) struct Resolved {
    pub(super) lock: Lock,
    /// The files that each name may be installed from, with their digests.
    pub(super) files: BTreeMap<String, Vec<(String, Digest)>>,
}

type Say<'a> = &'a mut (dyn FnMut(&str) + Send);

impl<'a> Installer<'a> {
    /// The program of the settings, else the first one that can be run.
    pub(super) async fn find(
        settings: &'a DependencySettings,
        target: &'a Target,
        runtime: &'a dyn Runtime,
        scratch: &'a Path,
        cache: &'a Path,
    ) -> Result<Self> {
        let tools = settings.tool.clone().map_or_else(
            || {
                let own = format!("python{}", target.python);
                let pythons = candidates(&settings.search_path, &own)
                    .chain(candidates(&settings.search_path, "python3"))
                    .map(InstallTool::Pip);
                candidates(&settings.search_path, "uv").map(InstallTool::Uv).chain(pythons).collect::<Vec<_>>()
            },
            |tool| vec![tool],
        );
        for tool in tools {
            let mut installer = Self { settings, target, runtime, scratch, cache, tool, version: String::new() };
            let mut said = None;
            let mut hear = |line: &str| {
                said.get_or_insert_with(|| line.to_owned());
            };
            match installer.run(words("--version"), &mut hear).await {
                Ok(ended) if ended.success => {
                    let words: Vec<_> =
                        said.unwrap_or_default().split_whitespace().take(2).map(str::to_owned).collect();
                    installer.version = text::line(&words.join(" "), 60);
                    return Ok(installer);
                }
                Ok(_) => {}
                Err(error) => tracing::debug!(%error, "a program that installs cannot be run"),
            }
        }
        Err(Error::new(
            ErrorCode::BuildFailed,
            "there is neither uv nor a Python with pip to install requirements with",
        )
        .on("dependencies")
        .with_hint("install uv where the builder looks for programs, or name one in its settings"))
    }

    /// Finds versions and files for what was asked, and for what that needs itself.
    pub(super) async fn resolve(&self, asked: &BTreeSet<Requirement>, say: Say<'_>) -> Result<Resolved> {
        let lines: Vec<_> = asked.iter().map(ToString::to_string).collect();
        self.write(ASKED, &format!("{}\n", lines.join("\n")))?;
        // `pylock.toml`: uv wants its lock to be called so (PEP 751).
        let answer = if matches!(self.tool, InstallTool::Uv(_)) { "pylock.toml" } else { "report.json" };
        let arguments = match &self.tool {
            InstallTool::Uv(_) => [
                words("pip compile --format pylock.toml --no-header --no-annotate --color never --output-file"),
                vec![self.scratch.join(answer).into()],
                self.for_uv(),
                vec![self.scratch.join(ASKED).into()],
            ]
            .concat(),
            InstallTool::Pip(_) => [
                words("install --dry-run --ignore-installed --report"),
                vec![self.scratch.join(answer).into(), "--target".into(), self.scratch.join("nothing").into()],
                self.for_pip(),
                vec!["--requirement".into(), self.scratch.join(ASKED).into()],
            ]
            .concat(),
        };
        let ended = self.run(arguments, say).await?;
        if !ended.success {
            return Err(self.failure("the requirements cannot be resolved", &ended));
        }
        let read = match &self.tool {
            InstallTool::Uv(_) => of_uv(&self.read(answer)?),
            InstallTool::Pip(_) => of_pip(&self.read(answer)?),
        };
        let mut resolved = read.map_err(|why| {
            Error::new(ErrorCode::BuildFailed, format!("what {} resolved cannot be read: {why}", self.version))
                .on("dependencies")
                .with_hint("use a newer uv, or pip 23.0 or newer")
        })?;
        resolved.keep_hashes(asked)?;
        Ok(resolved)
    }

    /// Installs exactly what a lock names into a folder.
    pub(super) async fn install(&self, lock: &Lock, folder: &Path, say: Say<'_>) -> Result<()> {
        self.write(LOCK, &lock.to_requirements())?;
        let arguments = match &self.tool {
            InstallTool::Uv(_) => [
                words("pip install --no-deps --require-hashes --color never --target"),
                vec![folder.into()],
                self.for_uv(),
                vec!["--requirement".into(), self.scratch.join(LOCK).into()],
            ]
            .concat(),
            InstallTool::Pip(_) => [
                words("install --no-deps --require-hashes --ignore-installed --no-compile --target"),
                vec![folder.into()],
                self.for_pip(),
                vec!["--requirement".into(), self.scratch.join(LOCK).into()],
            ]
            .concat(),
        };
        let ended = self.run(arguments, say).await?;
        if ended.success { Ok(()) } else { Err(self.failure("the requirements cannot be installed", &ended)) }
    }

    fn for_uv(&self) -> Vec<OsString> {
        // `--system`: uv else runs the Python of a `.venv` in a folder above, which may be the project's.
        let mut arguments = words("--system --only-binary :all: --python-platform");
        arguments.extend([
            self.target.for_uv().into(),
            "--python-version".into(),
            self.target.python.to_string().into(),
        ]);
        arguments.extend(self.from());
        arguments
    }

    fn for_pip(&self) -> Vec<OsString> {
        let mut arguments =
            words("--only-binary=:all: --implementation cp --progress-bar off --no-color --python-version");
        arguments.push(self.target.python.to_string().into());
        for platform in self.target.for_pip() {
            arguments.extend(["--platform".into(), platform.into()]);
        }
        arguments.extend(self.from());
        arguments
    }

    fn from(&self) -> Vec<OsString> {
        match &self.settings.origin {
            PackageOrigin::Folder(folder) => vec!["--no-index".into(), "--find-links".into(), folder.into()],
            PackageOrigin::Public | PackageOrigin::Index(_) => Vec::new(),
        }
    }

    async fn run(&self, arguments: Vec<OsString>, say: Say<'_>) -> Result<Ended> {
        let (program, arguments) = match &self.tool {
            InstallTool::Uv(program) => (program, arguments),
            // Isolated: neither the folder nor the user's packages are looked into for modules.
            InstallTool::Pip(python) => (python, [words("-I -m pip"), arguments].concat()),
        };
        // uv writes its lock there, too.
        let hears_stdout = !arguments.iter().any(|argument| argument == "compile");
        let invocation = Invocation {
            program,
            arguments,
            hears_stdout,
            variables: self.variables(),
            folder: Path::new(NOWHERE),
            limit: self.settings.limit,
            secrets: self.settings.origin.secrets(),
        };
        invocation.run(self.runtime, say).await
    }

    fn variables(&self) -> Vec<(OsString, OsString)> {
        let mut variables: Vec<(OsString, OsString)> = vec![
            ("HOME".into(), self.scratch.into()),
            ("TMPDIR".into(), self.scratch.into()),
            ("LANG".into(), "C.UTF-8".into()),
            ("NO_COLOR".into(), "1".into()),
            // uv needs some Python to ask for what it must know.
            ("PATH".into(), std::env::join_paths(&self.settings.search_path).unwrap_or_default()),
            ("UV_NO_CONFIG".into(), "1".into()),
            ("UV_NO_PROGRESS".into(), "1".into()),
            ("UV_PYTHON_DOWNLOADS".into(), "never".into()),
            ("UV_CACHE_DIR".into(), self.cache.join("uv").into()),
            ("PIP_CONFIG_FILE".into(), "/dev/null".into()),
            ("PIP_NO_INPUT".into(), "1".into()),
            ("PIP_DISABLE_PIP_VERSION_CHECK".into(), "1".into()),
            ("PIP_ROOT_USER_ACTION".into(), "ignore".into()),
            ("PIP_CACHE_DIR".into(), self.cache.join("pip").into()),
        ];
        if let PackageOrigin::Index(index) = &self.settings.origin {
            // Not as arguments, which every process of the machine can read.
            variables.push(("UV_DEFAULT_INDEX".into(), index.with_authority().into()));
            variables.push(("PIP_INDEX_URL".into(), index.with_authority().into()));
        }
        variables.extend(self.settings.variables.iter().cloned());
        variables
    }

    fn failure(&self, what: &str, ended: &Ended) -> Error {
        let said = ended.said.join("\n").to_lowercase();
        let speaks_of = |words: &[&str]| words.iter().any(|word| said.contains(word));
        let message = format!("{what} with {}{}", self.version, shown(&ended.said));
        if speaks_of(UNREACHABLE) {
            return Error::new(ErrorCode::CloudUnavailable, message)
                .on("dependencies")
                .with_hint("check that the index of packages can be reached from where the builder runs");
        }
        let error = Error::new(ErrorCode::BuildFailed, message).on("dependencies").with_retry(Retry::Permanent);
        if speaks_of(NO_WHEEL) {
            return error.with_hint(format!(
                "only wheels are installed: name versions that have one for Python {} on {}, or bring the package in the \
                 base image",
                self.target.python,
                self.target.for_uv()
            ));
        }
        error.with_hint("correct the requirements; the lines above are the installer's own")
    }

    fn write(&self, name: &str, contents: &str) -> Result<()> {
        let path = self.scratch.join(name);
        fs::write(&path, contents).map_err(|error| super::super::folder::failed("write", &path)(error))
    }

    fn read(&self, name: &str) -> Result<String> {
        let path = self.scratch.join(name);
        let mut contents = String::new();
        fs::File::open(&path)
            .and_then(|file| file.take(ANSWER_MOST).read_to_string(&mut contents))
            .map_err(|error| super::super::folder::failed("read", &path)(error))?;
        Ok(contents)
    }
}

impl Resolved {
    /// Of the files that were found, only those that the project allows.
    fn keep_hashes(&mut self, asked: &BTreeSet<Requirement>) -> Result<()> {
        for pin in &mut self.lock.0 {
            let allowed: BTreeSet<Digest> =
                asked.iter().filter(|asked| asked.name == pin.name).flat_map(|asked| asked.hashes.clone()).collect();
            if allowed.is_empty() {
                continue;
            }
            let had = pin.hashes.len();
            pin.hashes.retain(|hash| allowed.contains(hash));
            if pin.hashes.is_empty() {
                let message = format!("none of the {had} files on the index has a hash that the project allows");
                return Err(Error::new(ErrorCode::BuildFailed, message)
                    .on(format!("requirement {}=={}", pin.name, pin.version))
                    .with_hint("lock the requirements anew, or find out why the index has other files"));
            }
        }
        Ok(())
    }

    /// Which file of several it was, once it is known for which tags an installed wheel says it was made.
    pub(super) fn narrow(&mut self, name: &str, tags: &BTreeSet<String>) {
        let Some(files) = self.files.get(name) else { return };
        let Some(pin) = self.lock.0.iter_mut().find(|pin| pin.name == name) else { return };
        let mut fitting = files.iter().filter(|(file, hash)| pin.hashes.contains(hash) && tags_of(file) == *tags);
        if let (Some((_, hash)), None) = (fitting.next(), fitting.next()) {
            pin.hashes = [*hash].into();
        }
    }
}

/// The tags in a wheel's name, written out (PEP 425, *Compressed Tag Sets*).
fn tags_of(file: &str) -> BTreeSet<String> {
    let mut parts = file.strip_suffix(".whl").unwrap_or_default().rsplit('-');
    let (Some(platforms), Some(abis), Some(pythons)) = (parts.next(), parts.next(), parts.next()) else {
        return BTreeSet::new();
    };
    let mut tags = BTreeSet::new();
    for python in pythons.split('.').take(20) {
        for abi in abis.split('.').take(20) {
            tags.extend(platforms.split('.').take(50).map(|platform| format!("{python}-{abi}-{platform}")));
        }
    }
    tags
}

fn words(text: &str) -> Vec<OsString> {
    text.split(' ').map(OsString::from).collect()
}

#[derive(Deserialize)]
struct UvLock {
    #[serde(default)]
    packages: Vec<UvPackage>,
}

#[derive(Deserialize)]
struct UvPackage {
    name: String,
    version: Option<String>,
    #[serde(default)]
    wheels: Vec<UvWheel>,
}

#[derive(Deserialize)]
struct UvWheel {
    name: Option<String>,
    url: Option<String>,
    path: Option<String>,
    #[serde(default)]
    hashes: BTreeMap<String, String>,
}

/// A lock of PEP 751.
fn of_uv(text: &str) -> Result<Resolved, String> {
    let read: UvLock = toml::from_str(text).map_err(|error| text::line(error.message(), 200))?;
    let (mut pins, mut files) = (Vec::new(), BTreeMap::new());
    for package in read.packages {
        let shown = text::line(&package.name, 60);
        let mut wheels = Vec::new();
        for wheel in package.wheels {
            let place = wheel.name.or(wheel.url).or(wheel.path).unwrap_or_default();
            let name = place.rsplit('/').next().unwrap_or_default().to_owned();
            let hash = wheel.hashes.get("sha256").and_then(|hash| format!("sha256:{hash}").parse::<Digest>().ok());
            wheels.push((name, hash.ok_or_else(|| format!("a file of `{shown}` has no sha256"))?));
        }
        let pin = Pin::new(
            &package.name,
            &package.version.unwrap_or_default(),
            wheels.iter().map(|(_, hash)| *hash).collect(),
        );
        let pin =
            pin.filter(|pin| !pin.hashes.is_empty()).ok_or_else(|| format!("`{shown}` has no version or no wheel"))?;
        files.insert(pin.name.clone(), wheels);
        pins.push(pin);
    }
    Ok(Resolved { lock: Lock::new(pins), files })
}

#[derive(Deserialize)]
struct PipReport {
    #[serde(default)]
    install: Vec<PipInstall>,
}

#[derive(Deserialize)]
struct PipInstall {
    metadata: PipMetadata,
    download_info: PipDownload,
}

#[derive(Deserialize)]
struct PipMetadata {
    name: String,
    version: String,
}

#[derive(Deserialize)]
struct PipDownload {
    archive_info: Option<PipArchive>,
}

#[derive(Deserialize)]
struct PipArchive {
    /// `sha256=…`: all that pip 23.0 says.
    hash: Option<String>,
    #[serde(default)]
    hashes: BTreeMap<String, String>,
}

/// A report of pip's (version 1 of its form).
fn of_pip(text: &str) -> Result<Resolved, String> {
    let read: PipReport = serde_json::from_str(text).map_err(|error| text::line(&error.to_string(), 200))?;
    let mut pins = Vec::new();
    for PipInstall { metadata, download_info } in read.install {
        let hash = download_info.archive_info.and_then(|archive| {
            let one = archive.hash.as_deref().and_then(|hash| hash.strip_prefix("sha256="));
            let hash = archive.hashes.get("sha256").map(String::as_str).or(one)?;
            format!("sha256:{hash}").parse::<Digest>().ok()
        });
        let pin = hash.and_then(|hash| Pin::new(&metadata.name, &metadata.version, [hash].into()));
        pins.push(pin.ok_or_else(|| format!("`{}` has no version or no sha256", text::line(&metadata.name, 60)))?);
    }
    Ok(Resolved { lock: Lock::new(pins), files: BTreeMap::new() })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hash(text: &str) -> String {
        Digest::of(text).hex()
    }

    #[test]
    fn both_tools_answers_give_the_same_lock_once_it_is_seen_which_wheel_was_taken() {
        let (wheel, other) = (hash("wheel"), hash("other"));
        let uv = format!(
            "lock-version = \"1.0\"\n[[packages]]\nname = \"A.b\"\nversion = \"1.0\"\nwheels = [\n\
             {{ url = \"https://x.example/a_b-1.0-cp311-cp311-manylinux2014_x86_64.manylinux_2_17_x86_64.whl\", \
             upload-time = 2026-10-18T16:21:06Z, hashes = {{ sha256 = \"{wheel}\" }} }},\n\
             {{ url = \"https://x.example/a_b-1.0-py3-none-any.whl\", hashes = {{ sha256 = \"{other}\" }} }},\n]\n"
        );
        let pip = format!(
            "{{\"version\": \"1\", \"install\": [{{\"metadata\": {{\"name\": \"a_b\", \"version\": \"1.0\"}}, \
             \"download_info\": {{\"archive_info\": {{\"hashes\": {{\"sha256\": \"{wheel}\"}}}}}}}}]}}"
        );
        let mut resolved = of_uv(&uv).expect("a lock");
        assert_eq!(resolved.lock.pins()[0].hashes.len(), 2);
        let tags = ["cp311-cp311-manylinux2014_x86_64", "cp311-cp311-manylinux_2_17_x86_64"];
        resolved.narrow("a-b", &tags.map(str::to_owned).into());
        assert_eq!(resolved.lock, of_pip(&pip).expect("a report").lock);
        let older =
            pip.replace(&format!("\"hashes\": {{\"sha256\": \"{wheel}\"}}"), &format!("\"hash\": \"sha256={wheel}\""));
        assert!(older.contains("sha256="));
        assert_eq!(resolved.lock, of_pip(&older).expect("a report of pip 23.0").lock);
        assert_eq!(resolved.lock.to_requirements(), format!("a-b==1.0 --hash=sha256:{wheel}\n"));
    }

    #[test]
    fn an_answer_without_hashes_or_with_a_hostile_name_is_none() {
        let uv = |name: &str, version: &str, wheels: &str| {
            of_uv(&format!("[[packages]]\nname = \"{name}\"\nversion = \"{version}\"\nwheels = [{wheels}]\n"))
        };
        let good = format!("{{ url = \"a.whl\", hashes = {{ sha256 = \"{}\" }} }}", hash("a"));
        uv("a", "1", &good).expect("good");
        uv("a", "1", "").expect_err("no wheel");
        uv("a", "1", "{ url = \"a.whl\" }").expect_err("no hash");
        uv("-e .", "1", &good).expect_err("no name");
        uv("a", "1 --hash", &good).expect_err("no version");
        of_pip("{\"install\": [{\"metadata\": {\"name\": \"a\", \"version\": \"1\"}, \"download_info\": {}}]}")
            .expect_err("no hash");
        of_pip("[").expect_err("no JSON");
    }

    #[test]
    fn hashes_that_the_project_gives_rule() {
        let wheels = format!(
            "{{ url = \"a.whl\", hashes = {{ sha256 = \"{}\" }} }}, {{ url = \"b.whl\", hashes = {{ sha256 = \"{}\" }} }}",
            hash("a"),
            hash("b")
        );
        let text = format!("[[packages]]\nname = \"a\"\nversion = \"1\"\nwheels = [{wheels}]\n");
        let asked =
            |given: &str| [Requirement::parse(&format!("a==1 --hash=sha256:{}", hash(given))).expect("one")].into();
        let mut resolved = of_uv(&text).expect("a lock");
        resolved.keep_hashes(&asked("b")).expect("it is there");
        assert_eq!(resolved.lock.pins()[0].hashes, [Digest::of("b")].into());
        let error = of_uv(&text).expect("a lock").keep_hashes(&asked("c")).expect_err("none of them");
        assert!(error.sentence().contains("has a hash that the project allows"), "{error:?}");
    }
}
