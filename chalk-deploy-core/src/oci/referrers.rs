//! What points at a manifest (OCI distribution specification 1.1, *Listing Referrers*).

use http::{Method, StatusCode};
use oci_distribution::manifest::OciImageIndex;

use super::Referrer;
use super::client::{Call, Client};
use super::manifest::{self, LARGEST};
use super::token::Access;
use crate::cloud::ManifestLocator;
use crate::model::{Descriptor, Digest, ImageTag, Repository};
use crate::{Error, ErrorCode, Result, text};

pub(super) async fn list(client: &Client, repository: &Repository, subject: &Digest) -> Result<Vec<Referrer>> {
    let endpoint = client.endpoint(repository)?;
    let url = endpoint.at(&format!("referrers/{subject}"))?;
    let mut answer = client.send(&Call::new(&endpoint, Method::GET, url, Access::Pull)).await?;
    let bytes = match answer.status {
        StatusCode::OK => answer.bytes(client, LARGEST).await?,
        // A registry without the list keeps it as an index under this tag.
        StatusCode::NOT_FOUND | StatusCode::BAD_REQUEST | StatusCode::METHOD_NOT_ALLOWED => {
            let tag = ImageTag::new(format!("sha256-{}", subject.hex()))?;
            match manifest::get(client, repository, &ManifestLocator::Tag(tag)).await? {
                Some(index) => index.bytes,
                None => return Ok(Vec::new()),
            }
        }
        _ => {
            return Err(answer
                .error(client, "list what points at a manifest", format!("{repository}@{subject}"))
                .await);
        }
    };
    let invalid =
        |message: &str| Error::new(ErrorCode::CloudAnswerInvalid, message).on(format!("{repository}@{subject}"));
    let index: OciImageIndex = serde_json::from_slice(&bytes)
        .map_err(|error| invalid("the registry's list of referrers is no index").caused_by(error))?;
    index
        .manifests
        .into_iter()
        .map(|entry| {
            let digest = entry.digest.parse().map_err(|_| invalid("a referrer has no sha256 digest"))?;
            let size = u64::try_from(entry.size).map_err(|_| invalid("a referrer has a negative size"))?;
            let manifest = Descriptor { media_type: text::line(&entry.media_type, 200), digest, size };
            Ok(Referrer { manifest, artifact_type: entry.artifact_type.map(|kind| text::line(&kind, 200)) })
        })
        .collect()
}
