//! The [`Registry`](crate::cloud::Registry) adapter on the OCI distribution protocol.
