//! uv and pip themselves, on wheels made here and on the public index. What is not installed on the machine is said to be skipped.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use chalk_deploy_core::build::dependencies::{InstallTool, PackageOrigin};
use chalk_deploy_core::build::{BuildFolder, DependencySettings};

use super::builds::temporary;
use super::dependencies::{Yard, build, program, search_path, skipped};

/// The uv and the pip of this machine.
fn tools() -> Vec<InstallTool> {
    let uv = program("uv").map(InstallTool::Uv);
    let pip = program("python3").filter(|python| {
        let asked = std::process::Command::new(python).args(["-I", "-m", "pip", "--version"]).output();
        asked.is_ok_and(|asked| asked.status.success())
    });
    uv.into_iter().chain(pip.map(InstallTool::Pip)).collect()
}

/// A wheel: a zip of stored files, each with a mode (PEP 427; the format of PKWARE's APPNOTE, 4.3).
fn wheel(folder: &Path, name: &str, version: &str, tag: &str, requires: &[&str], files: &[(&str, &str)]) {
    let information = format!("{name}-{version}.dist-info");
    let metadata = requires.iter().map(|name| format!("Requires-Dist: {name}\n")).collect::<Vec<_>>().concat();
    let metadata = format!("Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n{metadata}");
    let mut all: Vec<(String, String)> =
        files.iter().map(|(path, text)| ((*path).to_owned(), (*text).to_owned())).collect();
    all.push((format!("{information}/METADATA"), metadata));
    all.push((
        format!("{information}/WHEEL"),
        format!("Wheel-Version: 1.0\nGenerator: hand\nRoot-Is-Purelib: true\nTag: {tag}\n"),
    ));
    let record = all.iter().map(|(path, _)| format!("{path},,\n")).collect::<Vec<_>>().concat();
    all.push((format!("{information}/RECORD"), format!("{record}{information}/RECORD,,\n")));
    let (mut bytes, mut directory) = (Vec::new(), Vec::new());
    for (path, text) in &all {
        let mut crc = flate2::Crc::new();
        crc.update(text.as_bytes());
        let size = u32::try_from(text.len()).expect("small");
        let offset = u32::try_from(bytes.len()).expect("small");
        let mut common = Vec::new();
        // Version 2.0, no flags, stored, the first day there is.
        common.extend([20, 0, 0, 0, 0, 0, 0, 0, 0x21, 0]);
        for number in [crc.sum(), size, size] {
            common.extend(number.to_le_bytes());
        }
        common.extend(u16::try_from(path.len()).expect("short").to_le_bytes());
        common.extend([0, 0]);
        bytes.extend(b"PK\x03\x04");
        bytes.extend(&common);
        bytes.extend(path.as_bytes());
        bytes.extend(text.as_bytes());
        // Made on Unix, so that the mode counts.
        directory.extend(b"PK\x01\x02\x14\x03");
        directory.extend(&common);
        directory.extend([0; 6]);
        directory.extend((0o100_644_u32 << 16).to_le_bytes());
        directory.extend(offset.to_le_bytes());
        directory.extend(path.as_bytes());
    }
    let count = u16::try_from(all.len()).expect("few").to_le_bytes();
    let (begins, long) = (u32::try_from(bytes.len()).expect("small"), u32::try_from(directory.len()).expect("small"));
    bytes.extend(&directory);
    bytes.extend(b"PK\x05\x06\0\0\0\0");
    bytes.extend([count, count].concat());
    bytes.extend(long.to_le_bytes());
    bytes.extend(begins.to_le_bytes());
    bytes.extend([0, 0]);
    std::fs::write(folder.join(format!("{name}-{version}-{tag}.whl")), bytes).expect("written");
}

#[tokio::test]
async fn uv_and_pip_come_to_the_same_image_on_wheels_for_another_machine() {
    let tools = tools();
    if tools.len() < 2 {
        skipped("it takes uv and a python3 with pip on the PATH");
        if tools.is_empty() {
            return;
        }
    }
    let wheels = tempfile::tempdir().expect("a folder");
    wheel(
        wheels.path(),
        "alpha_one",
        "1.0",
        "py3-none-any",
        &["beta>=1", "nothing ; sys_platform == 'win32'"],
        &[
            ("alpha_one/__init__.py", "x = 1\n"),
            ("alpha_one-1.0.data/scripts/own", "#!python\nprint(1)\n"),
            ("alpha_one-1.0.data/data/share/a.txt", "text\n"),
            ("alpha_one-1.0.dist-info/entry_points.txt", "[console_scripts]\nalpha = alpha_one:main\n"),
        ],
    );
    wheel(wheels.path(), "beta", "1.0", "py3-none-any", &[], &[("beta.py", "y = 1\n")]);
    wheel(wheels.path(), "beta", "1.5", "py3-none-any", &[], &[("beta.py", "y = 2\n")]);
    wheel(
        wheels.path(),
        "beta",
        "2.0",
        "cp310-cp310-manylinux_2_28_x86_64",
        &[],
        &[("beta.py", "for another Python\n")],
    );
    wheel(wheels.path(), "native", "2.0", "cp311-cp311-manylinux_2_28_x86_64", &[], &[("native.py", "z = 1\n")]);
    wheel(wheels.path(), "native", "2.0", "cp311-cp311-manylinux_2_28_aarch64", &[], &[("native.py", "other\n")]);
    let mut found = Vec::new();
    for tool in tools {
        // No builder knows of the other's layer.
        let yard = Yard::new().await;
        let settings = DependencySettings::new(search_path())
            .with_tool(tool.clone())
            .with_origin(PackageOrigin::Folder(wheels.path().to_owned()));
        let builder = yard.builder(temporary(), settings);
        let request = yard.request('a', "x", "alpha_one\nnative==2.0\n").await;
        let (events, images) = build(&builder, &request).await;
        let images = images.unwrap_or_else(|error| panic!("{tool:?}: {} {events:#?}", error.sentence()));
        found.push((tool, images.iter().map(|image| image.blobs.clone()).collect::<Vec<_>>()));
        // Its wheel is for another Python only.
        let request = yard.request('b', "x", "beta==2.0\n").await;
        let error = build(&builder, &request).await.1.expect_err("no wheel fits");
        assert!(error.sentence().contains("only wheels are installed"), "{error:?}");
    }
    for (tool, blobs) in &found[1..] {
        assert_eq!(*blobs, found[0].1, "{tool:?} comes to the same config and layers");
    }
}

#[tokio::test]
async fn nothing_of_the_project_is_run_although_the_builders_folder_lies_in_it() {
    let wheels = tempfile::tempdir().expect("a folder");
    wheel(wheels.path(), "beta", "1.0", "py3-none-any", &[], &[("beta.py", "y = 1\n")]);
    for tool in tools() {
        let project = tempfile::tempdir().expect("a folder");
        let write = |path: &str, text: &str| {
            let path = project.path().join(path);
            std::fs::create_dir_all(path.parent().expect("a parent")).expect("made");
            std::fs::write(&path, text).expect("written");
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).expect("made a program");
        };
        let ran = project.path().join("ran");
        write(".venv/bin/python", &format!("#!/bin/sh\ntouch '{}'\nexit 1\n", ran.display()));
        write(".venv/pyvenv.cfg", "home = /usr/bin\nversion_info = 3.11.0\n");
        write(".python-version", &project.path().join(".venv/bin/python").to_string_lossy());
        write("pyproject.toml", "[tool.uv]\nindex-url = \"http://127.0.0.1:1/\"\n");
        write("pip.py", "raise SystemExit(1)\n");
        let folder = BuildFolder::open(project.path().join(".chalk-deploy/builds")).expect("opened");
        let yard = Yard::new().await;
        let settings = DependencySettings::new(search_path())
            .with_tool(tool.clone())
            .with_origin(PackageOrigin::Folder(wheels.path().to_owned()));
        let request = yard.request('a', "x", "beta\n").await;
        let (events, images) = build(&yard.builder(folder, settings), &request).await;
        images.unwrap_or_else(|error| panic!("{tool:?}: {} {events:#?}", error.sentence()));
        assert!(!ran.exists(), "{tool:?} runs what lies in the project");
    }
}

/// Needs the network: the end-to-end suite runs it, and whoever asks for ignored tests.
#[tokio::test]
#[ignore = "asks the public index of packages"]
async fn a_native_package_is_installed_from_the_public_index() {
    let tools = tools();
    if tools.is_empty() {
        skipped("there is neither uv nor a python3 with pip on the PATH");
    }
    let mut found = Vec::new();
    for tool in tools {
        let yard = Yard::new().await;
        let mut settings = DependencySettings::new(search_path()).with_tool(tool.clone());
        for name in ["SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "HTTPS_PROXY", "https_proxy"] {
            if let Some(value) = std::env::var_os(name) {
                settings = settings.with_variable(name, value);
            }
        }
        let request = yard.request('a', "x", "orjson==3.13.0\npython-dateutil==4.0.0\n").await;
        let (events, images) = build(&yard.builder(temporary(), settings), &request).await;
        match images {
            Ok(images) => found.push(images.iter().map(|image| image.blobs.clone()).collect::<Vec<_>>()),
            Err(error) if error.code() == chalk_deploy_core::ErrorCode::CloudUnavailable => {
                skipped(&format!("the index cannot be reached: {}", error.sentence()));
            }
            Err(error) => panic!("{tool:?}: {} {events:#?}", error.sentence()),
        }
    }
    assert!(found.windows(2).all(|pair| pair[0] == pair[1]), "uv and pip come to the same layer");
}
