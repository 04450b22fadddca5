//! What an image says is in it: the labels of its config.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::strict;
use crate::build::PROVIDES;
use crate::model::{Descriptor, Digest};
use crate::{Error, ErrorCode, Result, text};

/// The label with the Python packages that the dependency layer holds: a JSON array of objects with `name`, `version`
/// and, where it is known, `sha256` (64 hex digits) of the wheel or the archive. An image without a dependency layer has no
/// such label.
pub const PACKAGES: &str = "ai.chalk.packages";

/// The label with the digest of the image that it is layered on (OCI image specification, *annotations*).
pub const BASE_DIGEST: &str = "org.opencontainers.image.base.digest";

/// The longest label that is read.
const LABEL_MOST: usize = 4 << 20;
/// The most packages of an image.
const PACKAGES_MOST: usize = 10_000;
/// The longest name of a distribution that the index takes is far shorter.
const NAME_MOST: usize = 200;

/// A Python package.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Package {
    /// The name, as it was given.
    pub name: String,
    /// The version.
    pub version: String,
    /// Digests of the files that it was installed from: none where they are not known, several where platforms have
    /// wheels of their own.
    pub files: BTreeSet<Digest>,
}

/// What is in an image, as far as it is known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Inventory {
    /// The image: a manifest, or an index of several platforms.
    pub image: Descriptor,
    /// Its platforms, such as `linux/amd64`.
    pub platforms: BTreeSet<String>,
    /// The digests of the images that it is layered on.
    pub bases: BTreeSet<Digest>,
    /// The distributions that the base image says it brings, by name; it does not say their versions. `None` where it
    /// says nothing.
    pub base_provides: Option<BTreeSet<String>>,
    /// The packages of the dependency layer, ordered by name; `None` where nothing is known of any.
    pub packages: Option<Vec<Package>>,
}

impl Inventory {
    /// Reads the configs of an image, one a platform.
    ///
    /// # Errors
    /// `EVIDENCE_INVALID` for a label that breaks its rule: a bill of materials that left it out would be wrong.
    pub fn of_configs(image: Descriptor, configs: &[Value]) -> Result<Self> {
        let mut inventory =
            Self { image, platforms: BTreeSet::new(), bases: BTreeSet::new(), base_provides: None, packages: None };
        let mut packages: BTreeMap<(String, String), BTreeSet<Digest>> = BTreeMap::new();
        let mut known = !configs.is_empty();
        for config in configs {
            inventory.platforms.extend(platform(config));
            if let Some(base) = label(config, BASE_DIGEST) {
                inventory.bases.insert(base.parse().map_err(|_| malformed(BASE_DIGEST, "it is no digest"))?);
            }
            if let Some(names) = label(config, PROVIDES) {
                inventory.base_provides.get_or_insert_default().extend(provided(names));
            }
            match label(config, PACKAGES) {
                // What is known of one platform says nothing of another.
                None => known = false,
                Some(text) => {
                    for package in listed(text)? {
                        packages.entry((package.name, package.version)).or_default().extend(package.files);
                    }
                }
            }
        }
        if known {
            let package = |((name, version), files)| Package { name, version, files };
            inventory.packages = Some(packages.into_iter().map(package).collect());
        }
        Ok(inventory)
    }
}

fn label<'a>(config: &'a Value, name: &str) -> Option<&'a str> {
    config.get("config")?.get("Labels")?.get(name)?.as_str()
}

/// `os/architecture[/variant]`, of the letters that platforms are named with.
fn platform(config: &Value) -> Option<String> {
    let part = |name| {
        let text = config.get(name)?.as_str()?;
        let holds = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
        (!text.is_empty() && text.len() <= 32 && text.bytes().all(holds)).then_some(text)
    };
    let platform = format!("{}/{}", part("os")?, part("architecture")?);
    Some(part("variant").map_or(platform.clone(), |variant| format!("{platform}/{variant}")))
}

/// Names between commas. What is no name of a distribution is left out: it cannot be one.
fn provided(names: &str) -> impl Iterator<Item = String> + '_ {
    let names = if names.len() > LABEL_MOST { "" } else { names };
    names.split(',').map(str::trim).filter(|name| is_name(name)).take(PACKAGES_MOST).map(str::to_owned)
}

fn listed(label: &str) -> Result<Vec<Package>> {
    if label.len() > LABEL_MOST {
        return Err(malformed(PACKAGES, &format!("it is longer than {}", text::bytes(LABEL_MOST as u64))));
    }
    let document = strict::parse(label.as_bytes())
        .map_err(|error| malformed(PACKAGES, "it is no JSON that has one reading only").caused_by(error))?;
    let entries = document.as_array().ok_or_else(|| malformed(PACKAGES, "it is no list"))?;
    if entries.len() > PACKAGES_MOST {
        return Err(malformed(PACKAGES, &format!("it names more than {PACKAGES_MOST} packages")));
    }
    entries.iter().enumerate().map(|(at, entry)| package(entry, at)).collect()
}

fn package(entry: &Value, at: usize) -> Result<Package> {
    let wrong = |what: &str| malformed(PACKAGES, &format!("entry {} {what}", at + 1));
    let member = |name| entry.get(name).and_then(Value::as_str);
    let name = member("name").filter(|name| is_name(name)).ok_or_else(|| wrong("has no name of a distribution"))?;
    let version = member("version").filter(|version| is_version(version)).ok_or_else(|| wrong("has no version"))?;
    let files = match entry.get("sha256") {
        None | Some(Value::Null) => BTreeSet::new(),
        Some(digest) => {
            let hex = digest.as_str().map(|digest| digest.strip_prefix("sha256:").unwrap_or(digest));
            let digest = hex.and_then(|hex| Digest::from_hex(hex).ok());
            [digest.ok_or_else(|| wrong("has a `sha256` that is none"))?].into()
        }
    };
    Ok(Package { name: name.to_owned(), version: version.to_owned(), files })
}

/// The rule of names of the Python packaging specifications.
fn is_name(name: &str) -> bool {
    let edge = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_alphanumeric);
    let bytes = name.as_bytes();
    edge(bytes.first())
        && edge(bytes.last())
        && bytes.len() <= NAME_MOST
        && bytes.iter().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(byte))
}

/// The characters of versions, of the specification and older ones.
fn is_version(version: &str) -> bool {
    let holds = |byte: u8| byte.is_ascii_alphanumeric() || b".!+_-~*".contains(&byte);
    !version.is_empty() && version.len() <= NAME_MOST && version.bytes().all(holds)
}

fn malformed(label: &str, reason: &str) -> Error {
    Error::new(ErrorCode::EvidenceInvalid, format!("the image's label `{label}` cannot be read: {reason}"))
        .with_hint("build the image again; nothing is signed of an image that contradicts itself")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn image() -> Descriptor {
        Descriptor {
            media_type: "application/vnd.oci.image.manifest.v1+json".to_owned(),
            digest: Digest::of("i"),
            size: 1,
        }
    }

    fn config(labels: &Value) -> Value {
        json!({"os": "linux", "architecture": "amd64", "config": {"Labels": labels}})
    }

    fn read(packages: &str) -> Result<Option<Vec<Package>>> {
        Inventory::of_configs(image(), &[config(&json!({ PACKAGES: packages }))]).map(|inventory| inventory.packages)
    }

    #[test]
    fn packages_are_read_with_and_without_digests() {
        let digest = Digest::of("wheel");
        let label = json!([
            {"name": "numpy", "version": "2.3.4", "sha256": digest.hex()},
            {"name": "anyio", "version": "4.11.0"},
            {"name": "attrs", "version": "25.4.0", "sha256": digest, "later": true},
        ]);
        let packages = read(&label.to_string()).expect("sound").expect("known");
        let shown: Vec<_> = packages.iter().map(|package| (package.name.as_str(), package.files.len())).collect();
        assert_eq!(shown, [("anyio", 0), ("attrs", 1), ("numpy", 1)]);
        assert_eq!(read("[]").expect("sound"), Some(Vec::new()), "a layer that holds none is known to hold none");
    }

    #[test]
    fn an_image_without_the_label_has_unknown_packages_and_so_has_one_with_it_on_one_platform_only() {
        let silent = config(&json!({}));
        let telling = config(&json!({ PACKAGES: "[]" }));
        for configs in [vec![], vec![silent.clone()], vec![telling.clone(), silent], vec![json!({"config": null})]] {
            assert_eq!(Inventory::of_configs(image(), &configs).expect("sound").packages, None, "{configs:?}");
        }
        assert!(Inventory::of_configs(image(), &[telling]).expect("sound").packages.is_some());
    }

    #[test]
    fn platforms_share_a_package_and_bring_their_own_wheels() {
        let of = |architecture: &str| {
            let packages = json!([{"name": "numpy", "version": "2.3.4", "sha256": Digest::of(architecture).hex()}]);
            json!({"os": "linux", "architecture": architecture, "variant": "v8",
                "config": {"Labels": {PACKAGES: packages.to_string(), PROVIDES: "pip, chalkpy,,<b>", BASE_DIGEST: Digest::of("b")}}})
        };
        let inventory = Inventory::of_configs(image(), &[of("amd64"), of("arm64")]).expect("sound");
        let packages = inventory.packages.expect("known");
        assert_eq!((packages.len(), packages[0].files.len()), (1, 2));
        assert_eq!(inventory.platforms, ["linux/amd64/v8".to_owned(), "linux/arm64/v8".to_owned()].into());
        assert_eq!(inventory.bases, [Digest::of("b")].into());
        assert_eq!(inventory.base_provides, Some(["chalkpy".to_owned(), "pip".to_owned()].into()));
    }

    #[test]
    fn a_label_that_breaks_its_rule_is_an_error_and_not_an_empty_bill() {
        let long = format!("[{}]", vec![r#"{"name":"a","version":"1"}"#; PACKAGES_MOST + 1].join(","));
        for label in [
            "",
            "{}",
            "[1]",
            r#"[{"name":"a"}]"#,
            r#"[{"version":"1"}]"#,
            r#"[{"name":"a b","version":"1"}]"#,
            r#"[{"name":"a","version":"1\u001b[31m"}]"#,
            r#"[{"name":"-a","version":"1"}]"#,
            r#"[{"name":"a","version":"1","sha256":"x"}]"#,
            r#"[{"name":"a","name":"b","version":"1"}]"#,
            &long,
            &" ".repeat(LABEL_MOST + 1),
        ] {
            let error = read(label).expect_err(label);
            assert_eq!(error.code(), ErrorCode::EvidenceInvalid);
            assert!(!error.sentence().contains('\u{1b}'), "{}", error.sentence());
        }
        let configs = [config(&json!({ BASE_DIGEST: "md5:1" }))];
        Inventory::of_configs(image(), &configs).expect_err("no digest");
    }
}
