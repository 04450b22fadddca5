//! One suite per trait, which every implementation passes.
