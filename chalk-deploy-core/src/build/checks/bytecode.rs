//! Python files compiled for the Python that they will run on, so that no pod has to do it when it starts.
//!
//! The files are of the form *unchecked hash-based* (PEP 552): Python takes them without a look at the source's time or
//! content. A layer carries no times, and never changes, so this is the one form that is both reproducible and always
//! taken. The bytes depend on the source, on the path in the image and on the interpreter, and on nothing else: strings
//! are hashed with a fixed seed, all files are compiled in one process in the order of their paths, and whose machine it
//! was is not in them.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fmt;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Deserialize;
use tempfile::TempDir;

use super::super::SOURCE_DIRECTORY;
use super::Checks;
use super::finding::Finding;
use super::scratch::Scratch;
use super::target::Target;
use super::tool::{Run, shown};
use crate::runtime::Runtime;
use crate::text;

const DRIVER: &str = include_str!("compile.py");
const PROBE: &str = "import importlib.util as u, json, platform, sys
print(json.dumps({'version': '%d.%d.%d' % sys.version_info[:3], 'tag': sys.implementation.cache_tag, \
'magic': u.MAGIC_NUMBER.hex(), 'release': sys.version_info[3], 'program': sys.executable}))";
const PROBE_LIMIT: Duration = Duration::from_secs(20);
/// A longer name is none on the file systems that layers are unpacked onto.
const NAME_MOST: usize = 255;
/// No compiled file is longer.
const COMPILED_MOST: u64 = 64 << 20;

/// What decides compiled bytes besides their source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::build) struct Interpreter {
    tag: String,
    magic: String,
    version: String,
}

/// As an image's label names it, and as its content digest counts it.
impl fmt::Display for Interpreter {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}, magic {}, made by Python {}", self.tag, self.magic, self.version)
    }
}

/// Compiled files, on the disk until they are in a layer.
#[derive(Debug)]
pub(in crate::build) struct Compiled {
    pub(in crate::build) interpreter: Interpreter,
    /// Their paths in the project, sorted by bytes.
    paths: Vec<String>,
    root: PathBuf,
    _folder: TempDir,
}

impl Compiled {
    pub(in crate::build) fn paths(&self) -> &[String] {
        &self.paths
    }

    /// One of them, with its length.
    pub(in crate::build) fn open(&self, path: &str) -> std::io::Result<(File, u64)> {
        let file = File::open(self.root.join(path))?;
        let metadata = file.metadata()?;
        if !metadata.is_file() || metadata.len() > COMPILED_MOST {
            return Err(std::io::Error::other("what was compiled is no file of reasonable length"));
        }
        Ok((file, metadata.len()))
    }
}

/// What came of compiling.
#[derive(Debug, Default)]
pub(super) struct Outcome {
    pub(super) interpreter: Option<Interpreter>,
    pub(super) compiled: Vec<String>,
    /// What no Python of that version runs.
    pub(super) wrong: Vec<Finding>,
    /// What is left to Python, and why.
    pub(super) skipped: Vec<(String, String)>,
}

impl Outcome {
    pub(super) fn keep(self, scratch: Scratch) -> Option<Compiled> {
        let interpreter = self.interpreter.filter(|_| !self.compiled.is_empty())?;
        let root = scratch.bytecode();
        Some(Compiled { interpreter, paths: self.compiled, root, _folder: scratch.into_folder() })
    }
}

#[derive(Deserialize)]
struct Answer {
    version: String,
    tag: Option<String>,
    magic: String,
    release: String,
    program: PathBuf,
}

#[derive(Deserialize)]
struct Said {
    #[serde(default)]
    compiled: Option<String>,
    #[serde(default)]
    path: String,
    #[serde(default)]
    line: Option<i64>,
    #[serde(default)]
    column: Option<i64>,
    #[serde(default)]
    message: Option<String>,
    #[serde(default)]
    skipped: Option<String>,
}

/// Compiles these files of the unpacked project. Without a Python of the target's version, or where it fails, the reason.
pub(super) async fn run(
    checks: &Checks,
    scratch: &Scratch,
    files: &BTreeSet<String>,
    target: Option<Target>,
    runtime: &dyn Runtime,
) -> Result<Outcome, String> {
    if checks.bytecode == super::Tool::Off {
        return Err("it is not set up".to_owned());
    }
    let Some(target) = target else {
        return Err("neither chalk.yaml nor the base image says which version of Python it is for".to_owned());
    };
    let names = [format!("python{target}"), "python3".to_owned()];
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let candidates = checks.bytecode.candidates(&format!("Python {target}"), &names)?;
    let (program, interpreter) = interpreter(&candidates, target, scratch, runtime).await?;
    let (fitting, too_long): (Vec<_>, Vec<_>) =
        files.iter().partition(|path| name_of(path).len() + interpreter.tag.len() + ".pyc".len() <= NAME_MOST);
    let driver = scratch.driver().join("compile.py");
    std::fs::write(&driver, DRIVER).map_err(|error| format!("its program cannot be written: {error}"))?;
    let mut arguments: Vec<OsString> = ["-S", "-s", "-B"].map(Into::into).to_vec();
    arguments.extend([driver.into(), scratch.source().into(), scratch.bytecode().into(), SOURCE_DIRECTORY.into()]);
    let (directory, home) = (scratch.driver(), scratch.home());
    let input = fitting.iter().flat_map(|path| path.bytes().chain([0])).collect();
    let limit = checks.time_limit;
    let run = Run { program: &program, arguments, directory: &directory, home: &home, input, limit };
    let ran = run.ended("the compiler", runtime).await?;
    if ran.code != Some(0) {
        return Err(ran.failure("the compiler"));
    }
    let mut outcome = Outcome::default();
    let asked: BTreeSet<_> = fitting.iter().map(|path| compiled_path(path, &interpreter.tag)).collect();
    let mut answers = 0;
    for line in ran.output.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
        let said: Said =
            serde_json::from_slice(line).map_err(|_| "the compiler gave an answer that is none".to_owned())?;
        answers += 1;
        match said {
            // Its word is taken only for what it was asked for.
            Said { compiled: Some(path), .. } if asked.contains(&path) => outcome.compiled.push(path),
            Said { message: Some(message), path, line, column, .. } if files.contains(&path) => {
                let number = |number: Option<i64>| number.and_then(|number| u32::try_from(number).ok()).unwrap_or(1);
                outcome.wrong.push(Finding::new(&path, (number(line), number(column)), &message));
            }
            Said { skipped: Some(reason), path, .. } if files.contains(&path) => {
                outcome.skipped.push((path, text::line(&reason, 200)));
            }
            _ => return Err("the compiler gave an answer to something else".to_owned()),
        }
    }
    if answers != fitting.len() {
        return Err(format!("the compiler gave {answers} answers for {} files", fitting.len()));
    }
    let reason = || "its compiled file would have too long a name".to_owned();
    outcome.skipped.extend(too_long.into_iter().map(|path| (path.clone(), reason())));
    outcome.compiled.sort();
    outcome.interpreter = Some(interpreter);
    Ok(outcome)
}

/// The first of the programs that is the Python it should be.
async fn interpreter(
    candidates: &[PathBuf],
    target: Target,
    scratch: &Scratch,
    runtime: &dyn Runtime,
) -> Result<(PathBuf, Interpreter), String> {
    let mut reason = String::new();
    for candidate in candidates {
        match probe(candidate, target, scratch, runtime).await {
            Ok(found) => return Ok(found),
            Err(why) if reason.is_empty() => reason = why,
            Err(_) => {}
        }
    }
    Err(reason)
}

async fn probe(
    program: &Path,
    target: Target,
    scratch: &Scratch,
    runtime: &dyn Runtime,
) -> Result<(PathBuf, Interpreter), String> {
    let (directory, home) = (scratch.driver(), scratch.home());
    let arguments = ["-I", "-S", "-c", PROBE].map(Into::into).to_vec();
    let run = Run { program, arguments, directory: &directory, home: &home, input: Vec::new(), limit: PROBE_LIMIT };
    let name = shown(program);
    let ran = run.ended(&name, runtime).await?;
    let answer = (ran.code == Some(0)).then(|| serde_json::from_slice::<Answer>(&ran.output).ok()).flatten();
    let Some(Answer { version, tag: Some(tag), magic, release, program }) = answer else {
        return Err(format!("{name} is no Python that tells its version"));
    };
    let is_fitting = version.strip_prefix(&format!("{target}.")).is_some_and(|patch| patch.parse::<u16>().is_ok());
    if !is_fitting || tag != format!("cpython-3{}", target.minor) {
        return Err(format!("{name} is Python {} and not {target}", text::line(&version, 20)));
    }
    // Between two alphas of one version, the magic number may stay and the code change.
    if release != "final" || magic.len() != 8 || !magic.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return Err(format!("{name} is no released version of Python"));
    }
    if !program.is_absolute() {
        return Err(format!("{name} does not know where it lies"));
    }
    Ok((program, Interpreter { tag, magic, version }))
}

fn name_of(path: &str) -> &str {
    let name = path.rsplit('/').next().unwrap_or(path);
    name.strip_suffix("py").unwrap_or(name)
}

/// Where Python looks for the compiled form of a file (PEP 3147).
fn compiled_path(path: &str, tag: &str) -> String {
    let above = path.rsplit_once('/').map(|(above, _)| format!("{above}/")).unwrap_or_default();
    format!("{above}__pycache__/{}{tag}.pyc", name_of(path))
}
