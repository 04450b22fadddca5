//! Where the project lay when it was exported, and paths relative to it.
//!
//! The root is the directory given, where it fits; but an export may come from another machine, so roots are also read
//! off pairs of a module's name and its file: module `a.b` in `/x/y/a/b.py` says `/x/y`.

use std::collections::{HashMap, HashSet};
use std::path::Path;

use super::outline::{Function, Graph, Outline};

/// More roots than a real project has: one, and one for each library that is installed in place.
const MOST_ROOTS: usize = 16;

/// The directories that paths are made relative to, the most likely one first. Separated by `/`, without one at the
/// end, never empty.
#[derive(Debug, Default)]
pub(super) struct Roots(Vec<String>);

impl Roots {
    /// The roots of an export.
    pub(super) fn of(export: &Outline, project_directory: Option<&Path>) -> Self {
        let mut roots = Self(given(project_directory));
        for root in deduced(export) {
            if roots.0.len() < MOST_ROOTS && !roots.0.contains(&root) {
                roots.0.push(root);
            }
        }
        let files: Vec<String> = files(export).into_iter().filter_map(absolute).collect();
        if !files.iter().any(|file| roots.below(file).is_some()) {
            roots.0.extend(common_directory(&files));
        }
        roots
    }

    /// A file's name: relative to the project; for a library, what follows `site-packages/` or `lib/python3.11/`; else
    /// the last part. Nothing when the path is relative already.
    pub(super) fn path(&self, path: &str) -> Option<String> {
        let path = absolute(path)?;
        Some(self.inside_or_library(&path).unwrap_or_else(|| last_part(&path).to_owned()))
    }

    /// A value that the project's code made from its own place (`os.path.dirname(__file__)`). Only what lies below the
    /// project counts; and not below a root such as `/app`, where `/app/login` may as well be meant for a browser.
    pub(super) fn value(&self, value: &str) -> Option<String> {
        if value.chars().any(char::is_control) {
            return None;
        }
        let value = absolute(value)?;
        let mut deep = self.0.iter().filter(|root| root.trim_start_matches('/').contains('/'));
        let below = deep.find_map(|root| strip(root, &value))?;
        Some(if below.is_empty() { ".".to_owned() } else { below.to_owned() })
    }

    /// Relative to the project, or to the library that it is part of.
    pub(super) fn inside_or_library(&self, path: &str) -> Option<String> {
        let Some(below) = self.below(path) else { return after_library(path).map(str::to_owned) };
        // A virtual environment inside the project is still a library's home.
        let rooted = format!("/{below}");
        match (after_library(&rooted), below) {
            (Some(library), _) => Some(library.to_owned()),
            (None, "") => Some(".".to_owned()),
            (None, below) => Some(below.to_owned()),
        }
    }

    /// The root that some text begins with.
    pub(super) fn root_at_start_of(&self, text: &str) -> Option<&str> {
        self.0.iter().map(String::as_str).find(|root| text.starts_with(*root))
    }

    fn below<'p>(&self, path: &'p str) -> Option<&'p str> {
        self.0.iter().find_map(|root| strip(root, path))
    }
}

/// An absolute path of any system or a file URI, separated by `/`, without `.`, `..` and empty parts.
pub(super) fn absolute(path: &str) -> Option<String> {
    let path = path.strip_prefix("file://").unwrap_or(path);
    let bytes = path.as_bytes();
    let path = if path.starts_with('/') {
        path.to_owned()
    } else if has_drive(bytes) || path.starts_with("\\\\") {
        path.replace('\\', "/")
    } else {
        return None;
    };
    if !path.contains("//") && !path.contains("/.") {
        return Some(path);
    }
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()),
            part => parts.push(part),
        }
    }
    let joined = parts.join("/");
    Some(if has_drive(bytes) { joined } else { format!("/{joined}") })
}

/// Whether it begins as `C:\` or `C:/` does.
pub(super) fn has_drive(bytes: &[u8]) -> bool {
    matches!(bytes, [letter, b':', b'/' | b'\\', ..] if letter.is_ascii_alphabetic())
}

/// The last part of a path.
pub(super) fn last_part(path: &str) -> &str {
    path.trim_end_matches('/').rsplit('/').next().unwrap_or_default()
}

/// What follows the directory of a library's packages, or of Python's own.
pub(super) fn after_library(path: &str) -> Option<&str> {
    for packages in ["/site-packages/", "/dist-packages/"] {
        if let Some((_, after)) = path.rsplit_once(packages) {
            return Some(after);
        }
    }
    let mut found = None;
    for (at, _) in path.match_indices('/') {
        let rest = path.get(at + 1..).unwrap_or_default();
        let Some((part, after)) = rest.split_once('/') else { break };
        let before = last_part(path.get(..at).unwrap_or_default());
        let versioned = |name: &str, prefix: &str| {
            name.strip_prefix(prefix).is_some_and(|version| version.starts_with(|digit: char| digit.is_ascii_digit()))
        };
        // `lib/python3.11/` everywhere but on Windows, where it is `Python311\Lib\`.
        if (matches!(before, "lib" | "lib64") && versioned(part, "python"))
            || (part == "Lib" && versioned(before, "Python"))
        {
            found = Some(after);
        }
    }
    found
}

fn strip<'p>(root: &str, path: &'p str) -> Option<&'p str> {
    match path.strip_prefix(root)? {
        "" => Some(""),
        below => below.strip_prefix('/'),
    }
}

fn given(project_directory: Option<&Path>) -> Vec<String> {
    let Some(directory) = project_directory else { return Vec::new() };
    let mut roots = Vec::new();
    // As it was given, and as chalkpy sees it: with its links resolved.
    for path in [std::path::absolute(directory).ok(), std::fs::canonicalize(directory).ok()].into_iter().flatten() {
        // Windows' own form of canonical paths, which Python does not write.
        let text = path.to_string_lossy();
        let root = absolute(text.strip_prefix(r"\\?\").unwrap_or(&text)).unwrap_or_default();
        let root = root.trim_end_matches('/').to_owned();
        if !root.is_empty() && !roots.contains(&root) {
            roots.push(root);
        }
    }
    roots
}

/// Roots that modules and their files agree on, the one that most agree on first. That order does not depend on where
/// the project lies.
fn deduced(export: &Outline) -> Vec<String> {
    let functions = functions(export.graph.as_ref());
    let pairs: HashSet<(&str, &str)> = functions
        .iter()
        .map(|function| (function.module.as_str(), function.file_name.as_str()))
        .chain(export.failed.iter().map(|failed| (failed.module.as_str(), failed.file_name.as_str())))
        .collect();
    let mut votes: HashMap<String, usize> = HashMap::new();
    for (module, file) in pairs {
        if let Some(root) = root_of(module, file) {
            *votes.entry(root).or_default() += 1;
        }
    }
    let mut roots: Vec<(String, usize)> = votes.into_iter().collect();
    roots.sort_by(|(left, left_votes), (right, right_votes)| {
        right_votes.cmp(left_votes).then(left.len().cmp(&right.len())).then(left.cmp(right))
    });
    roots.into_iter().map(|(root, _)| root).collect()
}

fn root_of(module: &str, file: &str) -> Option<String> {
    let file = absolute(file)?;
    let stem = file.strip_suffix(".py")?;
    let stem = stem.strip_suffix("/__init__").unwrap_or(stem);
    let root = stem.strip_suffix(&module.replace('.', "/"))?.strip_suffix('/')?;
    let is_library = after_library(&format!("{root}/x")).is_some();
    (!module.is_empty() && !root.is_empty() && !is_library).then(|| root.to_owned())
}

fn functions(graph: Option<&Graph>) -> Vec<&Function> {
    let Some(graph) = graph else { return Vec::new() };
    let mut functions = Vec::new();
    for resolver in &graph.resolvers {
        functions.extend(&resolver.function);
        functions.extend(resolver.cron_filter.iter().filter_map(|filter| filter.filter.as_ref()));
        functions.extend(resolver.schedule.iter().flat_map(|schedule| schedule.filter.iter().chain(&schedule.sample)));
    }
    functions.extend(graph.stream_resolvers.iter().filter_map(|resolver| resolver.function.as_ref()));
    functions.extend(graph.sink_resolvers.iter().filter_map(|resolver| resolver.function.as_ref()));
    functions
}

fn files(export: &Outline) -> Vec<&str> {
    let mut files: Vec<&str> = Vec::new();
    if let Some(graph) = &export.graph {
        for set in &graph.feature_sets {
            files.extend(set.class_path.as_deref());
            files.extend(set.source_file_reference.iter().map(|place| place.file_name.as_str()));
        }
        files.extend(graph.named_queries.iter().map(|query| query.file_name.as_str()));
    }
    files.extend(functions(export.graph.as_ref()).iter().map(|function| function.file_name.as_str()));
    files.extend(export.failed.iter().map(|failed| failed.file_name.as_str()));
    files.extend(export.crons.iter().map(|cron| cron.file_name.as_str()));
    files
}

/// The deepest directory that holds all of the files, when nothing else says where the project lies.
fn common_directory(files: &[String]) -> Option<String> {
    let mut files = files.iter().filter(|file| after_library(file).is_none());
    let (mut common, _) = files.next()?.rsplit_once('/')?;
    for file in files {
        while strip(common, file).is_none() {
            (common, _) = common.rsplit_once('/')?;
        }
    }
    (!common.is_empty()).then(|| common.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn roots(list: &[&str]) -> Roots {
        Roots(list.iter().map(|root| (*root).to_owned()).collect())
    }

    #[test]
    fn a_module_and_its_file_tell_the_root() {
        assert_eq!(root_of("a.b", "/x/y/a/b.py").as_deref(), Some("/x/y"));
        assert_eq!(root_of("a", "/x/y/a/__init__.py").as_deref(), Some("/x/y"));
        assert_eq!(root_of("a.b", r"C:\x\y\a\b.py").as_deref(), Some("C:/x/y"));
        assert_eq!(root_of("a.b", "/x/y/c.py"), None);
        assert_eq!(root_of("b", "/x/y/ab.py"), None, "a part of a name is no module");
        assert_eq!(root_of("", "/x/y/.py"), None);
        assert_eq!(root_of("a", "/a.py"), None, "the file system's root is no project");
        assert_eq!(root_of("lib.a", "/venv/lib/python3.11/site-packages/lib/a.py"), None);
        assert_eq!(root_of("json", "/usr/lib/python3.11/json/__init__.py"), None);
    }

    #[test]
    fn a_path_is_shown_relative_to_the_project_the_library_or_nothing() {
        let roots = roots(&["/home/ada/fraud"]);
        let path = |text: &str| roots.path(text);
        assert_eq!(path("/home/ada/fraud/pkg/models.py").as_deref(), Some("pkg/models.py"));
        assert_eq!(path("file:///home/ada/fraud/models.py").as_deref(), Some("models.py"));
        assert_eq!(path("/home/ada/fraud/./a/../b.py").as_deref(), Some("b.py"));
        assert_eq!(path("/home/ada/fraud").as_deref(), Some("."));
        assert_eq!(path("/home/ada/fraudulent/models.py").as_deref(), Some("models.py"));
        assert_eq!(path("/home/ada/fraud/.venv/lib/python3.11/site-packages/x/y.py").as_deref(), Some("x/y.py"));
        assert_eq!(path("/venv/lib/python3.11/site-packages/x/y.py").as_deref(), Some("x/y.py"));
        assert_eq!(path("/opt/py/lib/python3.13t/json/decoder.py").as_deref(), Some("json/decoder.py"));
        assert_eq!(path(r"C:\Python311\Lib\json\decoder.py").as_deref(), Some("json/decoder.py"));
        assert_eq!(path("/somewhere/else/entirely.py").as_deref(), Some("entirely.py"));
        assert_eq!(path("models.py"), None);
        assert_eq!(path("<frozen importlib._bootstrap>"), None);
        assert_eq!(path(""), None);
    }

    #[test]
    fn a_value_changes_only_below_a_root_that_cannot_be_a_route() {
        assert_eq!(roots(&["/home/ada"]).value("/home/ada/x.db").as_deref(), Some("x.db"));
        assert_eq!(roots(&["/home/ada"]).value("/home/ada").as_deref(), Some("."));
        assert_eq!(roots(&["/home/ada"]).value("/v1/users"), None);
        assert_eq!(roots(&["/app"]).value("/app/login"), None);
    }

    #[test]
    fn the_root_that_most_modules_agree_on_is_the_project_and_a_library_beside_it_is_another() {
        let failed = |module: &str, file: &str| crate::graph::proto::FailedImport {
            module: module.to_owned(),
            file_name: file.to_owned(),
            traceback: String::new(),
        };
        let export = Outline {
            failed: vec![
                failed("fraud.models", "/home/ada/fraud/models.py"),
                failed("shared.names", "/home/ada/lib/shared/names.py"),
                failed("models", "/home/ada/fraud/models.py"),
                failed("pkg.other", "/home/ada/fraud/pkg/other.py"),
            ],
            ..Outline::default()
        };
        let roots = Roots::of(&export, Some(Path::new("/elsewhere")));
        assert_eq!(roots.0, ["/elsewhere", "/home/ada/fraud", "/home/ada", "/home/ada/lib"]);
        assert_eq!(roots.path("/home/ada/fraud/queries.py").as_deref(), Some("queries.py"));
    }

    #[test]
    fn without_modules_the_deepest_common_directory_is_the_root() {
        let files = ["/x/y/a/b.py", "/x/y/c.py", "/v/lib/python3.11/site-packages/z.py"].map(str::to_owned);
        assert_eq!(common_directory(&files).as_deref(), Some("/x/y"));
        assert_eq!(common_directory(&["/x.py".to_owned(), "/y/z.py".to_owned()]), None);
        assert_eq!(common_directory(&[]), None);
    }
}
