//! Lists, page by page.

use http::StatusCode;
use http::header::LINK;
use serde_json::{Value, json};

use super::digest::ContentDigest;
use super::refusal::{self, Answer, Refusal};
use super::storage::lexical;
use super::{Incoming, RegistryServer, set};
use crate::simulated::http::json as json_answer;

/// The media type of an index.
const INDEX: &str = "application/vnd.oci.image.index.v1+json";

impl RegistryServer {
    pub(super) fn catalog(&self, request: &Incoming) -> Answer {
        if !self.settings.catalog {
            return Err(refusal::unsupported("the list of repositories is not served here"));
        }
        let repositories = self.storage.repositories()?;
        let page = self.page(request, repositories, |name, last| name.as_str() > last)?;
        let mut response = json_answer(StatusCode::OK, &json!({"repositories": page.entries}));
        page.link(&mut response, "/v2/_catalog", |name| name);
        Ok(response)
    }

    pub(super) fn list_tags(&self, request: &Incoming, repository: &str) -> Answer {
        if !self.storage.has_repository(repository)? {
            return Err(refusal::name_unknown("there is no such repository"));
        }
        let tags = self.storage.tags(repository)?;
        let page = self.page(request, tags, |tag, last| lexical(tag) > lexical(last))?;
        let mut response = json_answer(StatusCode::OK, &json!({"name": repository, "tags": page.entries}));
        page.link(&mut response, &format!("/v2/{repository}/tags/list"), |tag| tag);
        Ok(response)
    }

    pub(super) fn list_referrers(&self, request: &Incoming, repository: &str, subject: &ContentDigest) -> Answer {
        if !self.settings.referrers {
            return Err(refusal::not_found("the referrers API is not served here"));
        }
        let wanted = request.query.get("artifactType");
        let mut referrers = self.storage.referrers(repository, subject)?;
        referrers.retain(|(_, descriptor)| wanted.is_none_or(|wanted| descriptor["artifactType"] == wanted));
        let page = self.page(request, referrers, |(digest, _), last| digest.as_str() > last)?;
        let descriptors: Vec<&Value> = page.entries.iter().map(|(_, descriptor)| descriptor).collect();
        let index = json!({"schemaVersion": 2, "mediaType": INDEX, "manifests": descriptors});
        let mut response = json_answer(StatusCode::OK, &index);
        set(&mut response, http::header::CONTENT_TYPE, INDEX);
        if wanted.is_some() {
            set(&mut response, "oci-filters-applied", "artifactType");
        }
        let path = format!("/v2/{repository}/referrers/{subject}");
        page.link(&mut response, &path, |(digest, _)| digest.as_str());
        Ok(response)
    }

    /// The page that a request asks for with `n` and `last`.
    fn page<T>(
        &self,
        request: &Incoming,
        mut entries: Vec<T>,
        is_after: impl Fn(&T, &str) -> bool,
    ) -> Result<Page<T>, Refusal> {
        let most = match request.query.get("n") {
            None => self.settings.largest_page,
            Some(text) => {
                let most: usize = text.parse().map_err(|_| refusal::page_invalid("`n` is no number"))?;
                most.min(self.settings.largest_page)
            }
        };
        if let Some(last) = request.query.get("last") {
            entries.retain(|entry| is_after(entry, last));
        }
        let more = entries.len() > most;
        entries.truncate(most);
        let filter = request.query.get("artifactType").map(str::to_owned);
        Ok(Page { entries, most, more, filter })
    }
}

struct Page<T> {
    entries: Vec<T>,
    most: usize,
    more: bool,
    filter: Option<String>,
}

impl<T> Page<T> {
    /// Tells where the next page is, if there is one (RFC 8288). No page follows one of no entries.
    fn link<'a, K: AsRef<str> + ?Sized + 'a>(
        &'a self,
        response: &mut http::Response<chalk_deploy_core::cloud::ByteStream>,
        path: &str,
        key: impl Fn(&'a T) -> &'a K,
    ) {
        let Some(last) = self.entries.last().filter(|_| self.more) else { return };
        let mut query = url::form_urlencoded::Serializer::new(String::new());
        query.append_pair("n", &self.most.to_string()).append_pair("last", key(last).as_ref());
        if let Some(filter) = &self.filter {
            query.append_pair("artifactType", filter);
        }
        set(response, LINK, &format!("<{path}?{}>; rel=\"next\"", query.finish()));
    }
}
