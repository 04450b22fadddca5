//! Argo's workflows. As in the CRD that Argo installs by default, what is inside is not described and has one owner.

use super::super::build::{ANY, STRING, atomic_map};
use super::meta::OBJECT_META;

objects! {
    WORKFLOW "io.argoproj.v1alpha1.Workflow" requires(["metadata", "spec"]) {
        apiVersion: STRING, kind: STRING, metadata: OBJECT_META, spec: atomic_map(&ANY), status: atomic_map(&ANY),
    }
}
