//! Lists of blobs ("List Blobs").

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::StatusCode;

use super::answer::{Refused, xml};
use super::request::Call;
use super::{Answer, AzureBucketServer};
use crate::simulated::bucket::moment::http_date;
use crate::simulated::bucket::store::Object;
use crate::simulated::bucket::xml::{text, wrap};

impl AzureBucketServer {
    pub(super) fn list(&self, call: &Call) -> Answer {
        let prefix = call.query("prefix").unwrap_or_default();
        let delimiter = call.query("delimiter").filter(|delimiter| !delimiter.is_empty());
        let most = match call.query("maxresults").map(str::parse::<usize>) {
            None => self.settings.list_most,
            Some(Ok(most)) if most > 0 => most.min(self.settings.list_most),
            Some(_) => return Err(Refused::query()),
        };
        let from = match call.query("marker").filter(|marker| !marker.is_empty()) {
            None => String::new(),
            Some(marker) => marked(marker).ok_or(Refused::query())?,
        };
        let (mut entries, mut count, mut folder, mut next) = (String::new(), 0, None, None);
        for name in self.store.keys(&call.container, prefix)? {
            let inside = delimiter.and_then(|delimiter| {
                let at = name[prefix.len()..].find(delimiter)?;
                Some(name[..prefix.len() + at + delimiter.len()].to_owned())
            });
            // A folder stands in the list by its own name, before all that lies in it.
            let shown = inside.clone().unwrap_or_else(|| name.clone());
            if shown < from || (inside.is_some() && inside == folder) {
                continue;
            }
            let Some(object) = self.store.object(&call.container, &name)? else { continue };
            if count == most {
                next = Some(shown);
                break;
            }
            count += 1;
            entries += &match &inside {
                Some(folder) => wrap("BlobPrefix", &text("Name", folder)),
                None => entry(&name, &object),
            };
            folder = inside;
        }
        let next = next.map_or_else(String::new, |next| URL_SAFE_NO_PAD.encode(next));
        let document = text("Prefix", prefix) + &wrap("Blobs", &entries) + &text("NextMarker", next);
        let opened = format!("<EnumerationResults ContainerName=\"{}\">", call.container);
        Ok(xml(StatusCode::OK, &format!("{opened}{document}</EnumerationResults>")))
    }
}

fn entry(name: &str, object: &Object) -> String {
    let kind = object.about.0.get("content-type").map_or("application/octet-stream", String::as_str);
    let properties = text("Last-Modified", http_date(object.modified))
        + &text("Etag", &object.tag)
        + &text("Content-Length", object.size.to_string())
        + &text("Content-Type", kind)
        + &text("BlobType", "BlockBlob");
    wrap("Blob", &(text("Name", name) + &wrap("Properties", &properties)))
}

/// The name that a page begins with.
fn marked(marker: &str) -> Option<String> {
    String::from_utf8(URL_SAFE_NO_PAD.decode(marker).ok()?).ok()
}
