//! A distribution registry.
