//! What a request asked for, as an error names it.

use std::fmt;

use kube::api::ApiResource;

use super::kinds::Kind;
use crate::model::{Namespace, ObjectReference};
use crate::text;

/// A verb of Kubernetes' permissions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verb {
    Get,
    List,
    Watch,
    Create,
    Update,
    Patch,
    Delete,
}

impl Verb {
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Get => "get",
            Self::List => "list",
            Self::Watch => "watch",
            Self::Create => "create",
            Self::Update => "update",
            Self::Patch => "patch",
            Self::Delete => "delete",
        }
    }

    pub(crate) const fn reads(self) -> bool {
        matches!(self, Self::Get | Self::List | Self::Watch)
    }
}

/// A verb on a resource.
#[derive(Debug, Clone)]
pub(crate) struct Asked {
    pub(crate) verb: Verb,
    /// `deployments.apps`, `pods/log`.
    pub(crate) resource: String,
    pub(crate) namespace: String,
    /// What an error is about.
    pub(crate) subject: String,
}

impl Asked {
    /// About all objects of a kind in a namespace.
    pub(crate) fn about(verb: Verb, kind: Kind, namespace: &Namespace) -> Self {
        let resource = qualified(kind.group, kind.plural);
        Self {
            verb,
            subject: format!("{resource} in namespace {namespace}"),
            resource,
            namespace: namespace.to_string(),
        }
    }

    /// About one object.
    pub(crate) fn object(verb: Verb, resource: &ApiResource, reference: &ObjectReference) -> Self {
        Self {
            verb,
            resource: qualified(&resource.group, &resource.plural),
            namespace: reference.namespace.to_string(),
            subject: text::line(&reference.to_string(), 400),
        }
    }

    /// The same, on a subresource.
    pub(crate) fn subresource(mut self, name: &str) -> Self {
        self.resource = format!("{}/{name}", self.resource);
        self
    }
}

impl fmt::Display for Asked {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "`{}` on {} in namespace {}", self.verb.as_str(), self.resource, self.namespace)
    }
}

fn qualified(group: &str, plural: &str) -> String {
    let name = if group.is_empty() { plural.to_owned() } else { format!("{plural}.{group}") };
    text::line(&name, 200)
}
