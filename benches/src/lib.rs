//! The benchmarks of chalk-deploy. Each one's own page, in `benches/`, states its goal, its peer and its command.

pub mod floor;
