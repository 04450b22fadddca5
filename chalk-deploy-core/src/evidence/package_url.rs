//! Package URLs (purl specification): names of packages that other tools look up.

use std::fmt::Write as _;

use crate::model::{Digest, Repository};

/// `pkg:pypi/<name>@<version>`: the name in lower case with dashes (purl's rule for `pypi`).
pub(super) fn of_distribution(name: &str, version: Option<&str>) -> String {
    let mut url = format!("pkg:pypi/{}", encoded(&name.to_ascii_lowercase().replace('_', "-")));
    if let Some(version) = version {
        url.push('@');
        url.push_str(&encoded(version));
    }
    url
}

/// `pkg:oci/<name>@sha256%3A…?repository_url=<host>/<path>`: the name is the last part of the repository's path.
pub(super) fn of_image(repository: &Repository, digest: &Digest) -> String {
    let path = repository.as_str();
    let name = path.rsplit('/').next().unwrap_or(path).to_ascii_lowercase();
    format!("pkg:oci/{}@{}?repository_url={}", encoded(&name), encoded(&digest.to_string()), located(path))
}

fn encoded(text: &str) -> String {
    escaped(text, |byte| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte))
}

/// In a qualifier's value slashes and the colon of a port may stand as they are.
fn located(text: &str) -> String {
    escaped(text, |byte| byte.is_ascii_alphanumeric() || b"-._~/:".contains(&byte))
}

fn escaped(text: &str, plain: impl Fn(u8) -> bool) -> String {
    text.bytes().fold(String::with_capacity(text.len()), |mut url, byte| {
        if plain(byte) {
            url.push(char::from(byte));
        } else {
            // Writing into a String cannot fail.
            let _ = write!(url, "%{byte:02X}");
        }
        url
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_written_as_the_specification_asks() {
        assert_eq!(of_distribution("Typing_Extensions", Some("4.15.0")), "pkg:pypi/typing-extensions@4.15.0");
        assert_eq!(of_distribution("torch", Some("2.9.0+cu128")), "pkg:pypi/torch@2.9.0%2Bcu128");
        assert_eq!(of_distribution("pip", None), "pkg:pypi/pip");
        assert_eq!(of_distribution("x", Some("1!2@?#/é")), "pkg:pypi/x@1%212%40%3F%23%2F%C3%A9");
        let repository = Repository::new("127.0.0.1:5000/chalk/engine-base").expect("a repository");
        let digest = Digest::of("base");
        assert_eq!(
            of_image(&repository, &digest),
            format!("pkg:oci/engine-base@sha256%3A{}?repository_url=127.0.0.1:5000/chalk/engine-base", digest.hex())
        );
    }
}
