//! Lists of objects, and many deletions in one request.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::StatusCode;

use super::authentication::encoded;
use super::error::S3Error;
use super::object::quoted;
use super::request::Call;
use super::xml::{self, element, elements, text, wrap};
use super::{Answer, BucketServer};

impl BucketServer {
    pub(super) fn list(&self, bucket: &str, call: &Call) -> Answer {
        let prefix = call.query("prefix").unwrap_or_default();
        let delimiter = call.query("delimiter").filter(|delimiter| !delimiter.is_empty());
        let most = match call.query("max-keys") {
            Some(most) => most.parse().map_err(|_| S3Error::invalid("max-keys is a number"))?,
            None => self.settings.list_most,
        };
        let most = most.min(self.settings.list_most);
        let token = call.query("continuation-token");
        let after = match token {
            Some(token) => continued(token)?,
            None => call.query("start-after").unwrap_or_default().to_owned(),
        };
        let now = self.runtime.now();
        let (mut objects, mut folders) = (String::new(), String::new());
        let (mut count, mut last, mut last_folder, mut is_truncated) = (0, String::new(), None, false);
        let name = |name: &str, value: &str| match call.query("encoding-type") {
            Some("url") => text(name, encoded(value, true)),
            _ => text(name, value),
        };
        for key in self.store.keys(bucket, prefix)? {
            let folder = delimiter.and_then(|delimiter| {
                let at = key[prefix.len()..].find(delimiter)?;
                Some(key[..prefix.len() + at + delimiter.len()].to_owned())
            });
            // A folder that ended an earlier page is over, with all that lies in it.
            if key <= after || (token.is_some() && folder.as_ref() == Some(&after)) {
                continue;
            }
            if folder.is_some() && folder == last_folder {
                continue;
            }
            let Some(object) = self.store.object(bucket, &key)? else { continue };
            if object.modified.plus(self.settings.list_lag) > now {
                continue;
            }
            if count == most {
                is_truncated = true;
                break;
            }
            count += 1;
            if let Some(folder) = folder {
                folders += &wrap("CommonPrefixes", &name("Prefix", &folder));
                last.clone_from(&folder);
                last_folder = Some(folder);
            } else {
                let about = name("Key", &key)
                    + &text("LastModified", object.modified.to_string())
                    + &text("ETag", quoted(&object.tag))
                    + &text("Size", object.size.to_string())
                    + &text("StorageClass", "STANDARD");
                objects += &wrap("Contents", &about);
                last = key;
            }
        }
        let mut content = text("Name", bucket)
            + &name("Prefix", prefix)
            + &text("KeyCount", count.to_string())
            + &text("MaxKeys", most.to_string())
            + &text("IsTruncated", if is_truncated { "true" } else { "false" });
        if let Some(delimiter) = delimiter {
            content += &name("Delimiter", delimiter);
        }
        if call.query("encoding-type") == Some("url") {
            content += &text("EncodingType", "url");
        }
        if let Some(token) = token {
            content += &text("ContinuationToken", token);
        }
        if is_truncated && most > 0 {
            content += &text("NextContinuationToken", URL_SAFE_NO_PAD.encode(&last));
        }
        Ok(xml::document("ListBucketResult", &(content + &objects + &folders)))
    }

    pub(super) fn delete_many(&self, bucket: &str, call: &Call) -> Answer {
        let body = call.xml()?;
        let is_quiet = element(body, "Quiet").is_some_and(|quiet| quiet.trim() == "true");
        let named = elements(body, "Object");
        if named.is_empty() || named.len() > 1_000 {
            return Err(S3Error::malformed_xml());
        }
        let mut content = String::new();
        for object in named {
            let key = element(object, "Key").ok_or_else(S3Error::malformed_xml)?;
            self.store.delete(bucket, &key)?;
            if !is_quiet {
                content += &wrap("Deleted", &text("Key", key));
            }
        }
        Ok(xml::document("DeleteResult", &content))
    }
}

fn continued(token: &str) -> Result<String, S3Error> {
    let bytes = URL_SAFE_NO_PAD.decode(token).ok();
    bytes
        .and_then(|bytes| String::from_utf8(bytes).ok())
        .ok_or_else(|| S3Error::new(StatusCode::BAD_REQUEST, "InvalidArgument", "the continuation token is not valid"))
}
