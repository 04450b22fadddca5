//! A past deployment's images, made again by the script.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use crate::program::Sandbox;

/// Installs one package, as uv does.
const UV: &str = r#"#!/bin/sh
PATH=/usr/bin:/bin
wanted="$1 $2"
while [ $# -gt 0 ]; do
  [ "$1" = --output-file ] && output=$2
  [ "$1" = --target ] && target=$2
  shift
done
case "$wanted" in
"--version ") echo "uv 0.0.1" ;;
"pip compile")
  hash=$(printf x | sha256sum | cut -c1-64)
  printf '[[packages]]\nname = "alpha"\nversion = "1.0"\nwheels = [{ url = "a.whl", hashes = { sha256 = "%s" } }]\n' "$hash" > "$output" ;;
"pip install")
  mkdir -p "$target/alpha-1.0.dist-info"
  echo "x = 1" > "$target/alpha.py"
  printf 'Name: alpha\nVersion: 1.0\n' > "$target/alpha-1.0.dist-info/METADATA" ;;
esac
"#;

#[test]
fn the_images_of_a_deployment_are_made_again_when_nothing_can_be_installed_any_more() {
    let sandbox = Sandbox::new();
    let uv = sandbox.path("no-programs/uv");
    fs::write(&uv, UV).expect("written");
    fs::set_permissions(&uv, fs::Permissions::from_mode(0o755)).expect("made a program");
    sandbox.write("project/requirements.txt", "alpha\n");
    let run = sandbox.apply().with(&["--state", "s", "--json"]).run().expect(0);
    let id = sandbox.history("s")[0].plan.id.to_string();
    assert!(run.stdout.contains("1 packages, "), "{}", run.stdout);

    fs::remove_file(&uv).expect("removed");
    fs::remove_dir_all(sandbox.path("s/builds")).expect("the builder's folder is gone, too");
    let rebuilt = sandbox.example("rebuild", &[&id, "--state", "s", "--json"]).run().expect(0);
    let object = rebuilt.last();
    assert_eq!((object["same"].as_bool(), object["deployment"].as_str()), (Some(true), Some(id.as_str())));
    let image = object["images"]["engine"].as_str().expect("a digest");
    assert!(run.stdout.contains(image), "{image} was deployed: {}", run.stdout);
    assert_eq!(object["dependencies"].as_array().map(Vec::len), Some(1));
    let shown = sandbox.example("rebuild", &[&id, "--state", "s"]).run().expect(0);
    assert_eq!(shown.stdout, format!("engine  {image}  the same\n"));
}

#[test]
fn a_deployment_that_is_not_known_and_a_folder_that_is_not_there_end_with_their_codes() {
    let sandbox = Sandbox::new();
    sandbox.apply().with(&["--state", "s"]).run().expect(0);
    let other = format!("c{}", "0".repeat(24));
    let run = sandbox.example("rebuild", &[&other, "--state", "s", "--json"]).run().expect(1);
    assert_eq!(run.last()["code"], "OBJECT_MISSING");
    let run = sandbox.example("rebuild", &[&other, "--state", "nowhere", "--json"]).run().expect(2);
    assert_eq!(run.last()["code"], "REQUEST_INVALID");
    assert!(!sandbox.path("nowhere").exists());
    sandbox.example("rebuild", &["../x", "--state", "s"]).run().expect(2);
}
