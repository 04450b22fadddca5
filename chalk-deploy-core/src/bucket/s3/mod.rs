//! Buckets of S3 and of what speaks like it.
//!
//! object_store makes the requests and reads the answers. Our connector signs them, by the runtime's clock and with
//! credentials that are asked for each time, and sends them through the one transport. object_store's own signing reads
//! the system's clock and is off.

mod connector;
mod credentials;
mod presigner;
mod retention;
mod signature;

use std::sync::Arc;

use http::HeaderValue;
use object_store::RetryConfig;
use object_store::aws::{AmazonS3Builder, Checksum, S3ConditionalPut, S3CopyIfNotExists};

use self::connector::Connector;
use self::presigner::Presigner;
use self::retention::S3Locks;
use self::signature::Signer;
use super::endpoint::{Endpoint, PathOf, is_word};
use super::retention::Keeper;
use super::{Bucket, BucketSettings};
use crate::cloud::ObjectStoreCapabilities;
use crate::runtime::Runtime;
use crate::transport::Transport;
use crate::{Error, ErrorCode, Result};

pub use self::credentials::{S3CredentialSource, S3Credentials};

/// Where a bucket of S3 lies, and what its server can do.
#[derive(Debug, Clone)]
#[non_exhaustive]
#[expect(clippy::struct_excessive_bools, reason = "each is something that a server can do or not")]
pub struct S3Settings {
    /// Its name.
    pub bucket: String,
    /// Its region.
    pub region: String,
    /// The server, such as `https://minio.example`; that of AWS for the region unless set.
    pub endpoint: Option<String>,
    /// The account that must own the bucket, if it is known: a name that was given up may be another's by now.
    pub owner: Option<String>,
    /// Who signs; without them requests are not signed.
    pub credentials: Option<Arc<dyn S3CredentialSource>>,
    /// Whether the bucket stands in the path and not in the host. True with an endpoint of one's own.
    pub path_style: bool,
    /// Whether the server refuses by `If-None-Match: *` to write over an object: put, and completion of an upload in
    /// parts. AWS does; without it a write-once put is a look before the write.
    pub conditional_writes: bool,
    /// Whether it also refuses to copy over one. AWS does. False with an endpoint of one's own: versitygw 1.8 takes the
    /// header and copies all the same; a write-once copy is a look before the write then.
    pub conditional_copies: bool,
    /// Whether the server compares `x-amz-checksum-sha256`. AWS does.
    pub checksums: bool,
}

impl S3Settings {
    /// A bucket of AWS.
    pub fn new(bucket: impl Into<String>, region: impl Into<String>) -> Self {
        Self {
            bucket: bucket.into(),
            region: region.into(),
            endpoint: None,
            owner: None,
            credentials: None,
            path_style: false,
            conditional_writes: true,
            conditional_copies: true,
            checksums: true,
        }
    }

    /// Sets the server; the bucket then stands in the path, and copies are not relied on to be conditional.
    #[must_use]
    pub fn with_endpoint(mut self, endpoint: impl Into<String>) -> Self {
        self.endpoint = Some(endpoint.into());
        self.path_style = true;
        self.conditional_copies = false;
        self
    }

    /// Sets [`owner`](Self::owner).
    #[must_use]
    pub fn with_owner(mut self, account: impl Into<String>) -> Self {
        self.owner = Some(account.into());
        self
    }

    /// Sets who signs.
    #[must_use]
    pub fn with_credentials(mut self, credentials: impl S3CredentialSource) -> Self {
        self.credentials = Some(Arc::new(credentials));
        self
    }

    /// Sets [`path_style`](Self::path_style).
    #[must_use]
    pub const fn with_path_style(mut self, path_style: bool) -> Self {
        self.path_style = path_style;
        self
    }

    /// Sets [`conditional_writes`](Self::conditional_writes).
    #[must_use]
    pub const fn with_conditional_writes(mut self, has: bool) -> Self {
        self.conditional_writes = has;
        self
    }

    /// Sets [`conditional_copies`](Self::conditional_copies).
    #[must_use]
    pub const fn with_conditional_copies(mut self, has: bool) -> Self {
        self.conditional_copies = has;
        self
    }

    /// Sets [`checksums`](Self::checksums).
    #[must_use]
    pub const fn with_checksums(mut self, has: bool) -> Self {
        self.checksums = has;
        self
    }

    /// Scheme and host with the bucket, without a slash at the end, and the host that errors name.
    fn base(&self) -> Result<(String, String)> {
        let invalid = |what: &str, text: &str, rule: &str| {
            Error::new(ErrorCode::ValueInvalid, rule).on(format!("{what} `{}`", crate::text::line(text, 100)))
        };
        let word = |text: &str| is_word(text, 63);
        if !word(&self.bucket) {
            let rule = "the name of a bucket is 1 to 63 letters, digits or inner `-`, `.` or `_`";
            return Err(invalid("bucket", &self.bucket, rule));
        }
        if !word(&self.region) {
            return Err(invalid("region", &self.region, "a region is 1 to 63 letters, digits or inner `-`"));
        }
        let aws = || format!("https://s3.{}.amazonaws.com", self.region);
        let endpoint = self.endpoint.clone().unwrap_or_else(aws);
        let Endpoint { scheme, authority, .. } = Endpoint::parse(&endpoint, PathOf::None)?;
        let base = if self.path_style {
            format!("{scheme}://{authority}/{}", self.bucket)
        } else {
            format!("{scheme}://{}.{authority}", self.bucket)
        };
        Ok((base, authority))
    }
}

pub(super) fn open(transport: Transport, settings: S3Settings, runtime: Arc<dyn Runtime>) -> Result<Bucket> {
    let (base, host) = settings.base()?;
    let S3Settings {
        bucket,
        region,
        owner,
        credentials,
        path_style,
        conditional_writes,
        conditional_copies,
        checksums,
        ..
    } = settings;
    let owner = owner.map(|account| {
        HeaderValue::from_str(&account).map_err(|_| {
            Error::new(ErrorCode::ValueInvalid, "the account that owns the bucket is none")
                .on(format!("bucket `{bucket}`"))
        })
    });
    let signer = Arc::new(Signer::new(region.clone(), credentials, runtime.clone()));
    let endpoint = if path_style { base.rsplit_once('/').map_or(base.as_str(), |(end, _)| end) } else { &base };
    let connector = Connector::new(transport, signer.clone(), owner.transpose()?, runtime);
    let mut builder = AmazonS3Builder::new()
        .with_endpoint(endpoint)
        .with_bucket_name(&bucket)
        .with_region(&region)
        .with_virtual_hosted_style_request(!path_style)
        // Which hosts may be asked over plain HTTP is the transport's to say.
        .with_allow_http(true)
        .with_skip_signature(true)
        .with_retry(RetryConfig { max_retries: 0, ..RetryConfig::default() })
        .with_disable_tagging(true)
        .with_disable_bulk_delete(true)
        .with_http_connector(connector.clone());
    if checksums {
        builder = builder.with_checksum_algorithm(Checksum::SHA256);
    }
    builder = if conditional_writes {
        builder
            .with_conditional_put(S3ConditionalPut::ETagMatch)
            .with_copy_if_not_exists(S3CopyIfNotExists::Header("if-none-match".to_owned(), "*".to_owned()))
    } else {
        builder.with_conditional_put(S3ConditionalPut::Disabled)
    };
    let store = Arc::new(builder.build().map_err(|error| {
        Error::new(ErrorCode::ValueInvalid, "the settings of the bucket are not usable")
            .on(format!("bucket `{bucket}`"))
            .caused_by(crate::text::line(&error.to_string(), 300))
    })?);
    let capabilities =
        ObjectStoreCapabilities::none().with_conditional_put(conditional_writes).with_stored_digest(true);
    let name = format!("bucket `{bucket}` at {host}");
    Ok(Bucket {
        pages: Some(store.clone()),
        presigned: Some(Arc::new(Presigner::new(base.clone(), signer))),
        retention: Some(Arc::new(Keeper::new(S3Locks::new(connector, base), name.clone()))),
        conditional_parts: conditional_writes,
        conditional_copies: conditional_writes && conditional_copies,
        streams: true,
        ..Bucket::new(&name, store, BucketSettings::new(capabilities))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_stands_in_the_host_of_aws_and_in_the_path_of_others() {
        let aws = S3Settings::new("archives", "eu-west-1");
        assert_eq!(aws.base().expect("valid").0, "https://archives.s3.eu-west-1.amazonaws.com");
        let other = aws.with_endpoint("http://127.0.0.1:9000");
        assert_eq!(other.base().expect("valid").0, "http://127.0.0.1:9000/archives");
    }

    #[test]
    fn what_would_lead_requests_elsewhere_is_refused_without_being_shown() {
        for (bucket, region, endpoint) in [
            ("a/b", "r", None),
            ("evil.example#", "r", None),
            ("..", "r", None),
            ("a", "r@evil.example", None),
            ("a", "r", Some("https://user:hidden@host")),
            ("a", "r", Some("ftp://host/hidden")),
            ("a", "r", Some("https://host/hidden")),
            ("a", "r", Some("host")),
        ] {
            let mut settings = S3Settings::new(bucket, region);
            settings.endpoint = endpoint.map(str::to_owned);
            let error = settings.base().expect_err("not valid");
            assert_eq!(error.code(), ErrorCode::ValueInvalid);
            assert!(!error.sentence().contains("hidden"), "{}", error.sentence());
        }
    }
}
