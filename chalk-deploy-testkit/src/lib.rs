//! Fakes, mocks, faults, virtual time and conformance suites.

pub mod conformance;
