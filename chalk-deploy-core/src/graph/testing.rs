//! Exports for tests.
