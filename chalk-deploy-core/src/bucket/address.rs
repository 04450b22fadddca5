//! Buckets by URL, for flags and settings.

use std::path::PathBuf;

#[cfg(feature = "azure")]
use super::AzureSettings;
#[cfg(feature = "gcs")]
use super::GcsSettings;
use super::S3Settings;
use super::encoding::decoded as percent_decoded;
use crate::{Error, ErrorCode, Result};

/// Where a bucket lies.
#[derive(Debug)]
pub(super) enum Address {
    /// In a directory.
    Directory(PathBuf),
    /// In the process.
    Memory,
    /// On a server that speaks S3.
    S3(S3Settings),
    /// At Google.
    #[cfg(feature = "gcs")]
    Gcs(GcsSettings),
    /// At Azure.
    #[cfg(feature = "azure")]
    Azure(AzureSettings),
}

const HINT: &str = "write file:///directory, memory:, s3://bucket?region=…, https://host/bucket, gs://bucket or \
                    azure://account/container";

pub(super) fn parse(url: &str) -> Result<Address> {
    let invalid = |rule: &str| {
        // Userinfo and query may hold what is nobody's business.
        let shown = url.split(['?', '@']).next().unwrap_or_default();
        Error::new(ErrorCode::ValueInvalid, rule)
            .on(format!("bucket address `{}`", crate::text::line(shown, 200)))
            .with_hint(HINT)
    };
    let (scheme, rest) = url.split_once(':').ok_or_else(|| invalid("the address has no scheme"))?;
    let decoded = |text: &str| percent_decoded(text).ok_or_else(|| invalid("the address is not encoded well"));
    let (place, query) = rest.split_once('?').unwrap_or((rest, ""));
    let mut region = None;
    let mut endpoint = None;
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        match (scheme, name) {
            ("s3" | "http" | "https", "region") => region = Some(decoded(value)?),
            ("s3" | "gs" | "azure", "endpoint") => endpoint = Some(decoded(value)?),
            _ => return Err(invalid("the address has a parameter that is not known")),
        }
    }
    let region = region.unwrap_or_else(|| "us-east-1".to_owned());
    match scheme {
        "memory" if matches!(place, "" | "//" | "///") => Ok(Address::Memory),
        "memory" => Err(invalid("a bucket in memory has no name")),
        "file" => {
            let path = place.strip_prefix("//").unwrap_or(place);
            let path = path.strip_prefix("localhost").unwrap_or(path);
            if path.starts_with('/') {
                Ok(Address::Directory(PathBuf::from(decoded(path)?)))
            } else {
                Err(invalid("the directory of a bucket is an absolute path"))
            }
        }
        "s3" => {
            let bucket = place.strip_prefix("//").ok_or_else(|| invalid("the address names no bucket"))?;
            let bucket = bucket.strip_suffix('/').unwrap_or(bucket);
            let settings = S3Settings::new(bucket, region);
            Ok(Address::S3(match endpoint {
                Some(endpoint) => settings.with_endpoint(endpoint),
                None => settings,
            }))
        }
        "http" | "https" => {
            let place = place.strip_prefix("//").ok_or_else(|| invalid("the address names no host"))?;
            let place = place.strip_suffix('/').unwrap_or(place);
            let (host, bucket) = place.split_once('/').ok_or_else(|| invalid("the address names no bucket"))?;
            Ok(Address::S3(S3Settings::new(bucket, region).with_endpoint(format!("{scheme}://{host}"))))
        }
        #[cfg(feature = "gcs")]
        "gs" => {
            let bucket = place.strip_prefix("//").ok_or_else(|| invalid("the address names no bucket"))?;
            let settings = GcsSettings::new(bucket.strip_suffix('/').unwrap_or(bucket));
            Ok(Address::Gcs(match endpoint {
                Some(endpoint) => settings.with_endpoint(endpoint),
                None => settings,
            }))
        }
        #[cfg(feature = "azure")]
        "azure" => {
            let place = place.strip_prefix("//").ok_or_else(|| invalid("the address names no account"))?;
            let place = place.strip_suffix('/').unwrap_or(place);
            let (account, container) =
                place.split_once('/').ok_or_else(|| invalid("the address names no container"))?;
            let settings = AzureSettings::new(account, container);
            Ok(Address::Azure(match endpoint {
                Some(endpoint) => settings.with_endpoint(endpoint),
                None => settings,
            }))
        }
        #[cfg(not(feature = "gcs"))]
        "gs" => Err(invalid("this program is built without Google Cloud Storage")),
        #[cfg(not(feature = "azure"))]
        "azure" => Err(invalid("this program is built without Azure Blob Storage")),
        _ => Err(invalid("no bucket has such an address")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_names_its_bucket() {
        assert!(matches!(parse("memory:").expect("valid"), Address::Memory));
        let Address::Directory(path) = parse("file:///var/a%20b").expect("valid") else { panic!("no directory") };
        assert_eq!(path, PathBuf::from("/var/a b"));
        for (url, endpoint, bucket, region) in [
            ("s3://archives?region=eu-west-1", None, "archives", "eu-west-1"),
            (
                "s3://archives?endpoint=http%3A%2F%2F127.0.0.1%3A9000",
                Some("http://127.0.0.1:9000"),
                "archives",
                "us-east-1",
            ),
            ("http://127.0.0.1:9000/archives", Some("http://127.0.0.1:9000"), "archives", "us-east-1"),
            ("https://minio.example/archives/?region=here", Some("https://minio.example"), "archives", "here"),
        ] {
            let Address::S3(settings) = parse(url).expect(url) else { panic!("no S3: {url}") };
            assert_eq!(settings.endpoint.as_deref(), endpoint, "{url}");
            assert_eq!((settings.bucket.as_str(), settings.region.as_str()), (bucket, region), "{url}");
        }
    }

    #[cfg(all(feature = "gcs", feature = "azure"))]
    #[test]
    fn the_other_clouds_have_schemes_of_their_own() {
        for (url, endpoint) in
            [("gs://archives/", None), ("gs://archives?endpoint=http%3A%2F%2Fh%3A1", Some("http://h:1"))]
        {
            let Address::Gcs(settings) = parse(url).expect(url) else { panic!("not Google: {url}") };
            assert_eq!((settings.bucket.as_str(), settings.endpoint.as_deref()), ("archives", endpoint), "{url}");
        }
        for (url, endpoint) in [
            ("azure://chalk/archives", None),
            ("azure://chalk/archives/?endpoint=http://h/chalk", Some("http://h/chalk")),
        ] {
            let Address::Azure(settings) = parse(url).expect(url) else { panic!("not Azure: {url}") };
            assert_eq!((settings.account.as_str(), settings.container.as_str()), ("chalk", "archives"), "{url}");
            assert_eq!(settings.endpoint.as_deref(), endpoint, "{url}");
        }
        for url in ["gs:archives", "gs://archives?region=r", "azure://archives", "azure:x", "azure://a/b?hidden=1"] {
            assert_eq!(parse(url).expect_err(url).code(), ErrorCode::ValueInvalid, "{url}");
        }
    }

    #[test]
    fn another_form_is_refused_and_shows_no_credentials() {
        for url in ["", "bucket", "ftp://x/y", "file:relative", "memory:x", "http://host", "s3:x", "s3://b?x=hidden"] {
            let error = parse(url).expect_err(url);
            assert_eq!(error.code(), ErrorCode::ValueInvalid, "{url}");
            assert!(!error.sentence().contains("hidden"), "{}", error.sentence());
        }
    }
}
