//! The [`ClusterApi`](crate::cloud::ClusterApi) adapter on kube.
