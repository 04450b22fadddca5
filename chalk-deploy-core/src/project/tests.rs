//! Projects on disk.

use std::os::unix::fs::symlink;

use super::*;

fn project(files: &[(&str, &str)]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a temporary folder");
    for (path, text) in files {
        let path = folder.path().join(path);
        fs::create_dir_all(path.parent().expect("a parent")).expect("writable");
        fs::write(path, text).expect("writable");
    }
    folder
}

fn open(folder: &tempfile::TempDir) -> Result<Project> {
    Project::open(folder.path())
}

#[test]
fn the_configuration_is_found_upward_and_yaml_comes_before_yml() {
    let folder = project(&[("chalk.yml", "project: second"), ("chalk.yaml", "project: first"), ("a/b/c.py", "")]);
    let found = Project::open(&folder.path().join("a/b")).expect("found above");
    assert_eq!(found.config().project.as_str(), "first");
    assert_eq!(found.directory(), folder.path().canonicalize().expect("it exists"));
    assert_eq!(found.config_file(), found.directory().join("chalk.yaml"));

    fs::remove_file(folder.path().join("chalk.yaml")).expect("it was there");
    assert_eq!(open(&folder).expect("the other name").config().project.as_str(), "second");
}

#[test]
fn a_start_that_is_no_directory_is_refused() {
    let folder = project(&[("chalk.yaml", "project: a")]);
    for path in ["chalk.yaml", "absent", "chalk.yaml/x"] {
        let error = Project::open(&folder.path().join(path)).expect_err("no directory");
        assert_eq!(error.code(), ErrorCode::ProjectDirectoryInvalid, "{path}");
        assert!(error.subject().ends_with(path) && error.sentence().contains("name the directory"), "{error}");
    }
}

#[test]
fn without_a_configuration_the_sentence_says_what_to_create() {
    let folder = project(&[("a.py", "")]);
    let error = open(&folder).expect_err("no chalk.yaml");
    assert_eq!(error.code(), ErrorCode::ProjectConfigMissing);
    assert!(error.sentence().contains("chalk.yaml") && error.sentence().contains("`project:`"), "{error}");
}

#[test]
fn a_configuration_that_is_a_link_a_directory_too_large_or_no_text_is_refused() {
    let check = |folder: &tempfile::TempDir, message: &str| {
        let error = open(folder).expect_err(message);
        assert_eq!(error.code(), ErrorCode::ProjectConfigInvalid, "{message}");
        assert!(error.message().contains(message), "{error}");
        assert!(error.subject().ends_with("chalk.yaml"));
    };
    let link = project(&[("real.yaml", "project: a")]);
    symlink("real.yaml", link.path().join("chalk.yaml")).expect("writable");
    check(&link, "symbolic link");
    check(&project(&[("chalk.yaml/x", "")]), "no regular file");
    check(&project(&[("chalk.yaml", &"#".repeat((1 << 20) + 1))]), "larger than 1.0 MiB");
    let binary = project(&[]);
    fs::write(binary.path().join("chalk.yaml"), b"project: \xff").expect("writable");
    check(&binary, "not UTF-8");
    let pipe = project(&[]);
    rustix::fs::mknodat(
        rustix::fs::CWD,
        pipe.path().join("chalk.yaml"),
        rustix::fs::FileType::Fifo,
        rustix::fs::Mode::from_raw_mode(0o600),
        0,
    )
    .expect("a pipe");
    check(&pipe, "no regular file");
}

#[test]
fn a_broken_configuration_names_the_file_and_the_field() {
    let folder = project(&[("chalk.yaml", "project: a\nenvironments: {default: {runtime: python2}}")]);
    let error = open(&folder).expect_err("no such runtime");
    assert!(error.subject().ends_with("chalk.yaml"), "{error}");
    assert!(error.message().contains("`environments.default.runtime`"), "{error}");
}

#[test]
fn default_always_exists_and_fills_what_another_environment_leaves_out() {
    let yaml = "project: a\nenvironments:\n  default: {runtime: python311, platform_version: v1}\n  \
        prod: {platform_version: v2, dockerfile: Dockerfile}";
    let folder = project(&[("chalk.yaml", yaml), ("Dockerfile", "FROM x")]);
    let found = open(&folder).expect("a valid project");
    let prod = found.environment(Some("prod")).expect("known");
    assert_eq!(prod.id.as_str(), "prod");
    let settings = ProjectSettings {
        runtime: Some("python311".into()),
        dockerfile: Some("Dockerfile".into()),
        platform_version: Some("v2".into()),
    };
    assert_eq!(prod.settings, settings);
    assert_eq!(found.environment(None).expect("known").settings.platform_version.as_deref(), Some("v1"));

    let bare = project(&[("chalk.yaml", "project: a")]);
    let default = open(&bare).expect("a valid project").environment(None).expect("it always exists");
    assert_eq!(default.id.as_str(), DEFAULT_ENVIRONMENT);
    assert_eq!(default.settings, ProjectSettings::default());
    assert_eq!(default.requirements, []);
}

#[test]
fn an_unknown_environment_is_answered_with_the_known_ones() {
    let folder = project(&[("chalk.yaml", "project: a\nenvironments: {prod: {}, staging: {}}")]);
    let error = open(&folder).expect("a valid project").environment(Some("pord\u{1b}[31m")).expect_err("unknown");
    assert_eq!(error.code(), ErrorCode::EnvironmentUnknown);
    assert!(error.hint().contains("default, prod, staging"), "{}", error.hint());
    assert!(!error.sentence().contains('\u{1b}'));
}

#[test]
fn a_lock_beside_a_pyproject_is_taken_with_it_and_may_be_no_link() {
    let yaml = "project: a\nenvironments: {default: {requirements: deps/pyproject.toml}}";
    let folder = project(&[("chalk.yaml", yaml), ("deps/pyproject.toml", "[project]\n"), ("poetry.lock", "other")]);
    let files = |folder: &tempfile::TempDir| {
        let environment = open(folder).expect("a valid project").environment(None)?;
        Ok::<_, Error>(environment.requirements.into_iter().map(|file| file.filename).collect::<Vec<_>>())
    };
    assert_eq!(files(&folder).expect("known"), ["deps/pyproject.toml"]);
    let lock = folder.path().join("deps/poetry.lock");
    fs::write(&lock, "package = []\n").expect("written");
    assert_eq!(files(&folder).expect("known"), ["deps/pyproject.toml", "deps/poetry.lock"]);
    fs::remove_file(&lock).expect("removed");
    symlink("/etc/passwd", &lock).expect("linked");
    assert_eq!(files(&folder).expect_err("a link").code(), ErrorCode::ArchiveLinkEscape);
}

#[test]
fn requirements_txt_is_taken_where_none_is_named() {
    let yaml = "project: a\nenvironments: {prod: {}, own: {requirements: deps/own.txt}}";
    let files = [("chalk.yaml", yaml), ("requirements.txt", "numpy\n"), ("deps/own.txt", "pandas\n")];
    let found = open(&project(&files)).map(|found| found.config().clone()).expect("a valid project");
    assert_eq!(found.environments["prod"].requirements.as_deref(), Some("requirements.txt"));
    assert_eq!(found.environments["own"].requirements.as_deref(), Some("deps/own.txt"));

    let folder = project(&files);
    let found = open(&folder).expect("a valid project");
    for (name, filename, contents) in [(None, "requirements.txt", "numpy\n"), (Some("own"), "deps/own.txt", "pandas\n")]
    {
        let environment = found.environment(name).expect("known");
        let expected = RequirementsFile { filename: filename.to_owned(), contents: contents.to_owned() };
        assert_eq!(environment.requirements, [expected]);
        assert!(environment.collect_options().required.contains(filename));
    }

    let yaml = "project: a\nenvironments: {default: {requirements: base.txt}, prod: {}}";
    let folder = project(&[("chalk.yaml", yaml), ("requirements.txt", "numpy"), ("base.txt", "scipy")]);
    let prod = open(&folder).expect("a valid project").environment(Some("prod")).expect("known");
    assert_eq!(prod.requirements[0].filename, "base.txt", "what default says comes before what merely lies there");
}

#[test]
fn files_that_are_named_must_be_there_inside_and_no_links() {
    let cases = [
        ("requirements: absent.txt", ErrorCode::ProjectFileMissing, "is missing"),
        ("dockerfile: docker/Dockerfile", ErrorCode::ProjectFileMissing, "is missing"),
        ("chalkignore: absent", ErrorCode::ProjectFileMissing, "is missing"),
        ("requirements: ../outside.txt", ErrorCode::ProjectConfigInvalid, "leaves the project"),
        ("requirements: /etc/hostname", ErrorCode::ProjectConfigInvalid, "leaves the project"),
        ("requirements: sub/../../outside.txt", ErrorCode::ProjectConfigInvalid, "leaves the project"),
        ("requirements: link.txt", ErrorCode::ArchiveLinkEscape, "symbolic link"),
        ("requirements: linked/a.txt", ErrorCode::ArchiveLinkEscape, "symbolic link"),
        ("requirements: sub", ErrorCode::ProjectConfigInvalid, "no regular file"),
        ("requirements: binary", ErrorCode::ProjectConfigInvalid, "not UTF-8"),
        ("requirements: large", ErrorCode::ProjectConfigInvalid, "larger than"),
        ("dockerfile: link.txt", ErrorCode::ArchiveLinkEscape, "symbolic link"),
    ];
    for (line, code, message) in cases {
        let yaml = format!("project: a\nenvironments:\n  prod:\n    {line}");
        let large = "x".repeat((1 << 20) + 1);
        let folder = project(&[("chalk.yaml", &yaml), ("sub/a.txt", "x"), ("large", &large)]);
        fs::write(folder.path().join("binary"), [0xff]).expect("writable");
        symlink("sub/a.txt", folder.path().join("link.txt")).expect("writable");
        symlink("sub", folder.path().join("linked")).expect("writable");
        let found = open(&folder).expect("a valid configuration");
        let error = found.environment(Some("prod")).expect_err(line);
        assert_eq!(error.code(), code, "{line}: {error}");
        let field = line.split_once(':').map(|(key, _)| format!("environments.prod.{key}")).expect("a key");
        assert!(error.message().contains(message) && error.message().contains(&field), "{line}: {error}");
        assert!(error.subject().ends_with("chalk.yaml") && !error.hint().is_empty(), "{line}: {error}");
    }
}

#[test]
fn the_environment_whose_line_is_wrong_is_the_one_that_is_named() {
    let yaml = "project: a\nenvironments: {default: {dockerfile: absent}, prod: {}}";
    let error = open(&project(&[("chalk.yaml", yaml)]))
        .expect("a valid configuration")
        .environment(Some("prod"))
        .expect_err("missing");
    assert!(error.message().contains("`environments.default.dockerfile`"), "{error}");
}
