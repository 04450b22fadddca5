//! The [`ObjectStore`](crate::cloud::ObjectStore) adapter on object_store: one implementation for every store that it
//! knows.
