//! `watch`: a line of JSON for every change.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use chalk_deploy_core::cloud::ByteStream;
use futures::StreamExt as _;
use futures::stream;
use http::header::CONTENT_TYPE;
use http::{HeaderValue, Response, StatusCode};
use serde_json::{Value, json};

use super::ApiServer;
use super::accept::Form;
use super::call::Call;
use super::path::Place;
use super::presentation;
use super::query::VersionMatch;
use super::selector::{FieldSelector, LabelSelector};
use crate::simulated::kubernetes::objects::{Change, ChangeKind, Objects, Watch};
use crate::simulated::kubernetes::resource::Resource;
use crate::simulated::kubernetes::status::Status;

/// How long a watch lasts that does not say: kube-apiserver takes between this and its double.
const LONGEST: Duration = Duration::from_mins(30);

/// A watch gets its last bookmark this long before its time is over.
const BEFORE_THE_END: Duration = Duration::from_secs(2);

impl ApiServer {
    /// # Errors
    /// 400, 422. A version that is forgotten is told in the stream.
    pub(super) fn watch(&self, call: &Call, place: &Place) -> Result<Response<ByteStream>, Status> {
        let (labels, fields) = call.query.selectors(place.resource)?;
        let asked = call.query.version()?;
        let initial = call.query.optional_flag("sendInitialEvents");
        let how = call.query.version_match()?;
        if initial.is_some() != how.is_some() || how == Some(VersionMatch::Exact) {
            return Err(Status::new(
                StatusCode::UNPROCESSABLE_ENTITY,
                "Invalid",
                "resourceVersionMatch: Forbidden: sendInitialEvents requires resourceVersionMatch=NotOlderThan, and a watch \
                 takes no other",
            ));
        }
        if initial == Some(true) && !call.query.flag("allowWatchBookmarks") {
            return Err(Status::new(
                StatusCode::UNPROCESSABLE_ENTITY,
                "Invalid",
                "sendInitialEvents: Forbidden: sendInitialEvents is forbidden unless allowWatchBookmarks is set",
            ));
        }
        let settings = self.settings().clone();
        let seconds = call.query.number("timeoutSeconds")?;
        let limit = seconds.filter(|seconds| *seconds > 0).map_or(LONGEST, Duration::from_secs);
        let namespace = place.namespace.as_deref();
        let runtime = self.objects().runtime().clone();
        let mut following = Following {
            objects: self.objects().clone(),
            resource: place.resource,
            labels,
            fields,
            form: call.form,
            include: call.query.get("includeObject").unwrap_or("Metadata").to_owned(),
            columns_told: false,
            bookmarks: call.query.flag("allowWatchBookmarks").then_some(settings.bookmarks),
            next_bookmark: runtime.monotonic() + settings.bookmarks,
            deadline: runtime.monotonic() + limit,
            last_bookmark_told: false,
            told: 0,
            cut_after: settings.watches.cut_after,
            expire_after: settings.watches.expire_after,
            watch: None,
            lines: VecDeque::new(),
            ending: None,
        };
        // From any version, or the newest: first everything that is there.
        let state_first = initial.unwrap_or_else(|| asked.is_none_or(|version| version == 0));
        if state_first {
            let (objects, version) = self.objects().list(*place.resource, namespace);
            if asked.is_some_and(|asked| asked > version) {
                return Err(Status::too_new(asked.unwrap_or_default(), version));
            }
            for object in &objects {
                if following.selects(object) {
                    following.tell("ADDED", object);
                }
            }
            if initial == Some(true) {
                following.bookmark(version, true);
            }
            following.begin(self.objects().watch(*place.resource, namespace, version));
        } else {
            let version = match asked {
                Some(version) if version > 0 => version,
                _ => self.objects().version(),
            };
            if settings.watches.expire_at_start && asked.is_some_and(|asked| asked > 0) {
                following.expire(&Status::expired(version, self.objects().version()));
            } else {
                following.begin(self.objects().watch(*place.resource, namespace, version));
            }
        }
        let lines = stream::unfold(following, |mut following| async {
            let line = following.next().await?;
            Some((line, following))
        });
        let mut response = Response::new(lines.boxed());
        *response.status_mut() = StatusCode::OK;
        let media = match call.form {
            Form::Table => "application/json;as=Table;v=v1;g=meta.k8s.io",
            Form::Metadata => "application/json;as=PartialObjectMetadata;v=v1;g=meta.k8s.io",
            _ => "application/json",
        };
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(media));
        Ok(response)
    }
}

/// A watch that someone reads.
#[derive(Debug)]
struct Following {
    objects: Objects,
    resource: &'static Resource,
    labels: LabelSelector,
    fields: FieldSelector,
    form: Form,
    include: String,
    columns_told: bool,
    bookmarks: Option<Duration>,
    next_bookmark: Duration,
    deadline: Duration,
    last_bookmark_told: bool,
    told: u64,
    cut_after: Option<u64>,
    expire_after: Option<u64>,
    /// `None` after an error: there is nothing more to follow.
    watch: Option<Watch>,
    lines: VecDeque<Bytes>,
    ending: Option<Ending>,
}

/// How a watch ends when its lines are told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ending {
    /// As it should.
    Whole,
    /// In the middle of the body.
    Cut,
}

impl Following {
    fn begin(&mut self, watch: Result<Watch, Status>) {
        match watch {
            Ok(watch) => self.watch = Some(watch),
            Err(status) => self.expire(&status),
        }
    }

    fn selects(&self, object: &Value) -> bool {
        self.labels.matches(object) && self.fields.matches(object)
    }

    async fn next(&mut self) -> Option<std::io::Result<Bytes>> {
        loop {
            if let Some(line) = self.lines.pop_front() {
                return Some(Ok(line));
            }
            match self.ending {
                Some(Ending::Whole) => return None,
                Some(Ending::Cut) => {
                    self.ending = Some(Ending::Whole);
                    return Some(Err(std::io::Error::from(std::io::ErrorKind::ConnectionReset)));
                }
                None => self.advance().await,
            }
        }
    }

    /// Waits for something to tell: changes, a bookmark, the end.
    async fn advance(&mut self) {
        let objects = self.objects.clone();
        // Made before the look: it hears what happens from here on, before it is waited for.
        let changed = objects.changed();
        let Some(watch) = &mut self.watch else {
            self.ending = Some(Ending::Whole);
            return;
        };
        match watch.now() {
            Ok(found) => found.iter().for_each(|change| self.tell_change(change)),
            Err(status) => self.expire(&status),
        }
        if !self.lines.is_empty() || self.ending.is_some() {
            return;
        }
        let runtime = objects.runtime().clone();
        let now = runtime.monotonic();
        if now >= self.deadline {
            self.ending = Some(Ending::Whole);
            return;
        }
        let mut until = self.deadline;
        if let Some(every) = self.bookmarks {
            let version = self.watch.as_ref().map_or(0, Watch::version);
            let last = self.deadline.saturating_sub(BEFORE_THE_END);
            if now >= last && !self.last_bookmark_told {
                self.last_bookmark_told = true;
                self.bookmark(version, false);
                return;
            }
            if now >= self.next_bookmark {
                self.next_bookmark = now + every;
                self.bookmark(version, false);
                return;
            }
            until = until.min(self.next_bookmark);
            if !self.last_bookmark_told {
                until = until.min(last);
            }
        }
        tokio::select! {
            biased;
            () = changed => {}
            () = runtime.sleep(until.saturating_sub(now)) => {}
        }
    }

    /// A change, as the selectors make it look: what begins to match is added, what no longer does is removed.
    fn tell_change(&mut self, change: &Change) {
        if self.ending.is_some() {
            return;
        }
        let after = change.kind != ChangeKind::Deleted && self.selects(&change.object);
        let before = change.before.as_ref().is_some_and(|before| self.selects(before));
        match (before, after) {
            (false, true) => self.tell("ADDED", &change.object),
            (true, true) => self.tell("MODIFIED", &change.object),
            (true, false) if change.kind == ChangeKind::Deleted => self.tell("DELETED", &change.object),
            (true, false) => {
                // It is told as it last matched, with the version of the change.
                let mut last = change.before.as_deref().cloned().unwrap_or_default();
                last["metadata"]["resourceVersion"] = change.version.to_string().into();
                self.tell("DELETED", &last);
            }
            (false, false) => {}
        }
    }

    fn tell(&mut self, kind: &str, object: &Value) {
        if self.ending.is_some() {
            return;
        }
        let now = self.objects.runtime().now();
        let shown = match self.form {
            Form::Table => {
                let rows = [Arc::new(object.clone())];
                let metadata = json!({"resourceVersion": object["metadata"]["resourceVersion"]});
                let table =
                    presentation::table(self.resource, &rows, &metadata, &self.include, !self.columns_told, now);
                self.columns_told = true;
                table
            }
            Form::Metadata => presentation::metadata(object),
            _ => object.clone(),
        };
        self.line(kind, &shown);
        self.told += 1;
        if self.expire_after.is_some_and(|most| self.told >= most) {
            let version = self.objects.version();
            self.expire(&Status::expired(version.saturating_sub(1), version));
        } else if self.cut_after.is_some_and(|most| self.told >= most) {
            self.ending = Some(Ending::Cut);
        }
    }

    fn bookmark(&mut self, version: u64, end_of_initial: bool) {
        let mut metadata = json!({"resourceVersion": version.to_string(), "creationTimestamp": null});
        if end_of_initial {
            metadata["annotations"] = json!({"k8s.io/initial-events-end": "true"});
        }
        let shown = match self.form {
            Form::Table => {
                let columns = !std::mem::replace(&mut self.columns_told, true);
                let now = self.objects.runtime().now();
                let mut table = presentation::table(self.resource, &[], &metadata, &self.include, columns, now);
                // What a table says of the object as a whole stands in a row of its own.
                table["rows"] = json!([{
                    "cells": [],
                    "object": {"kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1", "metadata": metadata},
                }]);
                table
            }
            Form::Metadata => {
                json!({"kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1", "metadata": metadata})
            }
            _ => json!({"kind": self.resource.kind, "apiVersion": self.resource.api_version(), "metadata": metadata}),
        };
        self.line("BOOKMARK", &shown);
    }

    fn expire(&mut self, status: &Status) {
        self.line("ERROR", &status.document());
        self.watch = None;
        self.ending = Some(Ending::Whole);
    }

    fn line(&mut self, kind: &str, object: &Value) {
        self.lines.push_back(format!("{}\n", json!({"type": kind, "object": object})).into());
    }
}
