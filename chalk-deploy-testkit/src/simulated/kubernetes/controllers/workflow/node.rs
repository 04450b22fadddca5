//! The nodes of a workflow: a tree that is walked from its entry at every pass.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use chalk_deploy_core::model::Timestamp;
use serde_json::{Map, Value, json};

use super::Steps;
use super::outcome::Outcome;
use crate::simulated::kubernetes::controllers::identifier::word;
use crate::simulated::kubernetes::controllers::pass::Pass;
use crate::simulated::kubernetes::controllers::{time, view};

/// The nodes of one workflow, and what decides about them.
#[derive(Debug)]
pub(super) struct Tree<'pass> {
    pub(super) pass: &'pass Pass<'pass>,
    pub(super) steps: &'pass Arc<Steps>,
    began: &'pass mut BTreeMap<(String, String), Timestamp>,
    pub(super) workflow: &'pass Value,
    pub(super) nodes: Map<String, Value>,
    pub(super) stopped: Option<String>,
}

impl<'pass> Tree<'pass> {
    pub(super) const fn new(
        pass: &'pass Pass<'pass>,
        steps: &'pass Arc<Steps>,
        began: &'pass mut BTreeMap<(String, String), Timestamp>,
        workflow: &'pass Value,
        nodes: Map<String, Value>,
    ) -> Self {
        Self { pass, steps, began, workflow, nodes, stopped: None }
    }

    /// Everything that runs is to end for this reason; nothing new begins.
    pub(super) fn stop(&mut self, why: Option<&str>) {
        self.stopped = why.map(str::to_owned);
    }

    /// How many steps have succeeded, of how many.
    pub(super) fn progress(&self) -> (usize, usize) {
        let steps = || self.nodes.values().filter(|node| node["type"] == "Pod");
        (steps().filter(|node| node["phase"] == "Succeeded").count(), steps().count())
    }

    /// What a node says.
    pub(super) fn message(&self, name: &str) -> Option<String> {
        let message = self.nodes.get(&self.id(name))?.get("message")?.as_str()?;
        Some(message.to_owned())
    }

    pub(super) fn into_nodes(self) -> Map<String, Value> {
        self.nodes
    }

    pub(super) fn id(&self, name: &str) -> String {
        let workflow = view::name(self.workflow);
        if name == workflow { name.to_owned() } else { format!("{workflow}-{}", word(name, 10)) }
    }

    pub(super) fn template(&self, name: &str) -> Option<&'pass Value> {
        let workflow = self.workflow;
        view::items(workflow, "/spec/templates").iter().find(|template| template["name"] == name)
    }

    /// Whether so much time has passed since a node began.
    pub(super) fn has_passed(&mut self, id: &str, wait: Duration) -> bool {
        let key = (view::uid(self.workflow).to_owned(), id.to_owned());
        let stored = self.nodes.get(id).map(|node| view::text(node, "/startedAt")).and_then(time::parse);
        let began = *self.began.entry(key).or_insert_with(|| stored.unwrap_or(self.pass.now));
        self.pass.has_passed(wait, began)
    }

    pub(super) fn stored(&self, id: &str) -> Option<Outcome> {
        self.nodes.get(id).map(|node| Outcome::of(view::text(node, "/phase")))
    }

    /// Begins a node that is not there.
    pub(super) fn node(&mut self, name: &str, display: &str, kind: &str, template: &str, boundary: Option<&str>) {
        let id = self.id(name);
        if self.nodes.contains_key(&id) {
            return;
        }
        let phase = if kind == "Pod" { "Pending" } else { "Running" };
        let mut node = json!({
            "id": id, "name": name, "displayName": display, "type": kind, "phase": phase,
            "startedAt": self.pass.stamp(), "finishedAt": null,
        });
        if kind == "Pod" {
            node["progress"] = "0/1".into();
            let key = (view::uid(self.workflow).to_owned(), id.clone());
            self.began.insert(key, self.pass.now);
        }
        if !template.is_empty() {
            node["templateName"] = template.into();
            node["templateScope"] = format!("local/{}", view::name(self.workflow)).into();
        }
        if let Some(boundary) = boundary {
            node["boundaryID"] = boundary.into();
        }
        self.nodes.insert(id, node);
    }

    /// Makes a node the child of another.
    pub(super) fn attach(&mut self, parent: &str, child: &str) {
        let child = Value::from(self.id(child));
        if let Some(parent) = self.nodes.get_mut(parent) {
            let mut children = view::items(parent, "/children").to_vec();
            if !children.contains(&child) {
                children.push(child);
                parent["children"] = children.into();
            }
        }
    }

    pub(super) fn set(&mut self, id: &str, outcome: Outcome, message: Option<&str>) -> Outcome {
        if let Some(node) = self.nodes.get_mut(id)
            && node["phase"] != outcome.phase()
        {
            node["phase"] = outcome.phase().into();
            if outcome.is_over() {
                node["finishedAt"] = self.pass.stamp().into();
            }
        }
        if let (Some(node), Some(message)) = (self.nodes.get_mut(id), message) {
            node["message"] = message.into();
        }
        outcome
    }
}
