//! What the core generates, held to the schemas: the golden files of its manifests.

use std::path::Path;

use serde_json::Value;

use crate::simulated::kubernetes::resource::Resource;
use crate::simulated::kubernetes::schema::validate;

#[test]
fn the_manifests_of_a_deployment_are_valid() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../chalk-deploy-core/src/manifests/golden");
    let mut checked = 0;
    for entry in std::fs::read_dir(folder).expect("the core's golden files") {
        let path = entry.expect("a readable folder").path();
        let document: Value =
            serde_json::from_slice(&std::fs::read(&path).expect("a readable file")).expect("a file of JSON");
        let text = |field: &str| document[field].as_str().expect("a text");
        let resource = Resource::of_kind(text("apiVersion"), text("kind")).expect("a kind that is served");
        // The namespace is added when a manifest is applied.
        let mut stored = document.clone();
        stored["metadata"]["namespace"] = "prod".into();
        assert_eq!(validate(resource, &stored), [], "{}", path.display());
        checked += 1;
    }
    assert!(checked >= 9, "{checked}");
}
