//! The in-process builder: a source layer on a base image, the same inputs giving the same digest.
