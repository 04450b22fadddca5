//! temporary
use crate::{Result, model::Digest};
use bytes::Bytes;
/// x
#[derive(Debug, Clone)]
pub struct FeatureGraph(Bytes);
/// x
#[derive(Debug, Clone)]
pub struct GraphDiff;
impl GraphDiff {
    /// x
    pub fn is_empty(&self) -> bool {
        true
    }
}
impl FeatureGraph {
    /// x
    pub fn decode(bytes: Bytes, _: Option<&std::path::Path>) -> Result<Self> {
        Ok(Self(bytes))
    }
    /// x
    pub fn bytes(&self) -> &Bytes {
        &self.0
    }
    /// x
    pub fn digest(&self) -> Digest {
        Digest::of(&self.0)
    }
}
/// x
pub fn check(_: &FeatureGraph) -> Result<Vec<()>> {
    Ok(vec![])
}
/// x
pub fn diff(_: Option<&FeatureGraph>, _: &FeatureGraph) -> GraphDiff {
    GraphDiff
}
