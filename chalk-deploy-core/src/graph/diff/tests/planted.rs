//! Edits that are planted are found, all of them and nothing else.

use std::collections::{BTreeMap, BTreeSet};

use super::*;

/// What is done to a feature.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Edit {
    Keep,
    Remove,
    Add,
    Retype,
    Rename,
}

fn edit() -> impl Strategy<Value = Edit> {
    prop_oneof![Just(Edit::Keep), Just(Edit::Remove), Just(Edit::Add), Just(Edit::Retype), Just(Edit::Rename)]
}

/// A feature whose description says what no other one does.
fn feature(name: &str, arrow_type: &'static [u8], only: &str) -> crate::graph::proto::FeatureType {
    let mut feature = scalar(name, false);
    if let Some(feature_type::Kind::Scalar(feature)) = &mut feature.kind {
        feature.arrow_type = Some(bytes::Bytes::from_static(arrow_type));
        feature.description = Some(only.to_owned());
    }
    feature
}

fn project(features: Vec<crate::graph::proto::FeatureType>, resolvers: &BTreeSet<String>) -> FeatureGraph {
    let mut export = small();
    let graph = export.graph.get_or_insert_default();
    graph.feature_sets[0].features.extend(features);
    for name in resolvers {
        let mut resolver = resolver(&format!("module.{name}"));
        resolver.doc = Some(name.clone());
        graph.resolvers.push(resolver);
    }
    graph_of(&export)
}

type Named = BTreeSet<(Entity, String)>;

fn named(diff: &GraphDiff, kind: ChangeKind) -> Named {
    diff.of(kind).map(|change| (change.entity, change.name.clone())).collect()
}

proptest! {
    #[test]
    fn planted_edits_are_named_exactly(
        edits in prop::collection::btree_map("[a-z]{1,5}", edit(), 0..12),
        resolvers in prop::collection::btree_set("[a-z]{1,5}", 0..4),
        further in prop::collection::btree_set("[a-z]{1,5}", 0..4),
    ) {
        let (mut before, mut after) = (Vec::new(), Vec::new());
        let mut expected: BTreeMap<ChangeKind, Named> = BTreeMap::new();
        let mut expect = |kind, name: &str| {
            expected.entry(kind).or_default().insert((Entity::Feature, format!("user.{name}")));
        };
        for (name, edit) in &edits {
            let name = format!("x_{name}");
            if *edit != Edit::Add {
                before.push(feature(&name, &[0x22, 0], &name));
            }
            match edit {
                Edit::Keep => after.push(feature(&name, &[0x22, 0], &name)),
                Edit::Remove => expect(ChangeKind::Removed, &name),
                Edit::Add => {
                    after.push(feature(&name, &[0x22, 0], &name));
                    expect(ChangeKind::Added, &name);
                }
                Edit::Retype => {
                    after.push(feature(&name, &[0x1a, 0], &name));
                    expect(ChangeKind::Modified, &name);
                }
                Edit::Rename => {
                    after.push(feature(&format!("y{name}"), &[0x22, 0], &name));
                    expect(ChangeKind::Renamed, &format!("y{name}"));
                }
            }
        }
        after.reverse();
        for (kind, names) in [
            (ChangeKind::Removed, resolvers.difference(&further)), (ChangeKind::Added, further.difference(&resolvers)),
        ] {
            let names = names.map(|name| (Entity::Resolver, format!("module.{name}")));
            expected.entry(kind).or_default().extend(names);
        }
        let (before, after) = (project(before, &resolvers), project(after, &further));
        let forth = diff(Some(&before), &after);
        for kind in [ChangeKind::Added, ChangeKind::Removed, ChangeKind::Modified, ChangeKind::Renamed] {
            prop_assert_eq!(named(&forth, kind), expected.remove(&kind).unwrap_or_default(), "{:?}", kind);
        }
        for change in forth.of(ChangeKind::Modified) {
            prop_assert!(change.is_risky());
            prop_assert_eq!(change.fields.len(), 1);
            let field = &change.fields[0];
            let told = (field.field.as_str(), field.before.as_deref(), field.after.as_deref());
            prop_assert_eq!(told, ("type", Some("int64"), Some("float64")));
        }

        let back = diff(Some(&after), &before);
        prop_assert_eq!(named(&forth, ChangeKind::Added), named(&back, ChangeKind::Removed));
        prop_assert_eq!(named(&forth, ChangeKind::Removed), named(&back, ChangeKind::Added));
        prop_assert_eq!(named(&forth, ChangeKind::Modified), named(&back, ChangeKind::Modified));
        for (one, other) in [(&forth, &back), (&back, &forth)] {
            let former: BTreeSet<_> = one.changes.iter().filter_map(|change| change.former_name.clone()).collect();
            let names: BTreeSet<_> = other.of(ChangeKind::Renamed).map(|change| change.name.clone()).collect();
            prop_assert_eq!(former, names);
        }
        for graph in [&before, &after] {
            prop_assert!(diff(Some(graph), graph).is_empty());
        }
    }

    #[test]
    fn an_export_with_any_byte_flipped_is_compared_without_a_panic(place in any::<prop::sample::Index>(), bit in 0..8) {
        let mut bytes = FRAUD.to_vec();
        let place = place.index(bytes.len());
        bytes[place] ^= 1_u8 << bit;
        if let Ok(flipped) = FeatureGraph::decode(bytes.into(), None) {
            let whole = decoded(FRAUD);
            let _ = (diff(Some(&whole), &flipped).to_string(), diff(Some(&flipped), &whole).to_string());
        }
    }
}
