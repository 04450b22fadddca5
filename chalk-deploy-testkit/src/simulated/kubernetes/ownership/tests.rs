use serde_json::{Value, json};

use super::{Conflicts, Manager, apply, update};
use crate::simulated::kubernetes::resource;
use crate::simulated::kubernetes::schema::{Schema, schema_of};

fn manager(name: &str) -> Manager {
    Manager { name: name.to_owned(), api_version: "apps/v1".to_owned(), subresource: None }
}

fn status_manager(name: &str) -> Manager {
    Manager { subresource: Some("status".to_owned()), ..manager(name) }
}

fn schema() -> &'static Schema {
    schema_of(&resource::DEPLOYMENT)
}

fn deployment(spec: Value) -> Value {
    let metadata = json!({"name": "engine", "namespace": "default"});
    let mut object = json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": metadata});
    object["spec"] = spec;
    object
}

fn with_containers(containers: Value) -> Value {
    let mut object = deployment(json!({}));
    object["spec"]["template"]["spec"]["containers"] = containers;
    object
}

fn applied(live: Option<&Value>, document: &Value, name: &str) -> Value {
    apply(schema(), live, document, &manager(name), false, "2026-01-01T00:00:00Z").expect("nothing stands against it")
}

fn refused(live: &Value, document: &Value, name: &str) -> Conflicts {
    apply(schema(), Some(live), document, &manager(name), false, "2026-01-02T00:00:00Z").expect_err("it is refused")
}

fn fields_of<'o>(object: &'o Value, name: &str, operation: &str) -> Option<&'o Value> {
    let entries = object["metadata"]["managedFields"].as_array().expect("an object has managers");
    let entry = entries.iter().find(|entry| entry["manager"] == name && entry["operation"] == operation)?;
    Some(&entry["fieldsV1"])
}

#[test]
fn an_apply_owns_its_leaves_its_items_and_their_keys() {
    let object = applied(
        None,
        &json!({
            "apiVersion": "apps/v1", "kind": "Deployment",
            "metadata": {"name": "engine", "labels": {"app": "engine"}, "finalizers": ["chalk.ai/keep"]},
            "spec": {
                "selector": {"matchLabels": {"app": "engine"}},
                "template": {"spec": {"containers": [
                    {"name": "engine", "args": ["serve"], "ports": [{"containerPort": 80}], "resources": {}}
                ]}},
            },
        }),
        "chalk",
    );
    let expected = json!({
        "f:metadata": {"f:labels": {"f:app": {}}, "f:finalizers": {"v:\"chalk.ai/keep\"": {}}},
        "f:spec": {
            "f:selector": {},
            "f:template": {"f:spec": {"f:containers": {"k:{\"name\":\"engine\"}": {
                ".": {},
                "f:name": {},
                "f:args": {},
                "f:ports": {"k:{\"containerPort\":80,\"protocol\":\"TCP\"}": {".": {}, "f:containerPort": {}}},
                "f:resources": {},
            }}}},
        },
    });
    assert_eq!(fields_of(&object, "chalk", "Apply"), Some(&expected));
}

#[test]
fn a_create_owns_what_kubernetes_says_that_it_owns() {
    let object = update(
        schema(),
        None,
        json!({
            "apiVersion": "apps/v1", "kind": "Deployment",
            "metadata": {"name": "engine", "labels": {"app": "engine"}, "uid": "u", "creationTimestamp": "now"},
            "spec": {"strategy": {"type": "Recreate"}, "template": {"spec": {"containers": [{"name": "engine"}]}}},
            "status": {"replicas": 1},
        }),
        &manager("kubectl-create"),
        "2026-01-01T00:00:00Z",
    );
    let expected = json!({
        "f:metadata": {"f:labels": {".": {}, "f:app": {}}},
        "f:spec": {
            "f:strategy": {"f:type": {}},
            "f:template": {"f:spec": {"f:containers": {
                "k:{\"name\":\"engine\"}": {".": {}, "f:name": {}, "f:resources": {}},
            }}},
        },
    });
    assert_eq!(fields_of(&object, "kubectl-create", "Update"), Some(&expected));
}

#[test]
fn two_appliers_of_different_fields_keep_both() {
    let first = applied(None, &deployment(json!({"replicas": 3})), "one");
    let both = applied(Some(&first), &deployment(json!({"paused": true})), "other");
    assert_eq!((&both["spec"]["replicas"], &both["spec"]["paused"]), (&json!(3), &json!(true)));
    assert_eq!(fields_of(&both, "one", "Apply"), Some(&json!({"f:spec": {"f:replicas": {}}})));
    assert_eq!(fields_of(&both, "other", "Apply"), Some(&json!({"f:spec": {"f:paused": {}}})));
}

#[test]
fn a_conflict_names_the_manager_and_the_field_as_the_api_server_does() {
    let live = update(schema(), None, deployment(json!({"replicas": 1})), &manager("kubectl"), "2026-01-01T00:00:00Z");
    let status = refused(&live, &deployment(json!({"replicas": 2})), "chalk").status();
    assert_eq!(status.code, http::StatusCode::CONFLICT);
    assert_eq!(status.message, "Apply failed with 1 conflict: conflict with \"kubectl\" using apps/v1: .spec.replicas");
    let cause = ("FieldManagerConflict", "conflict with \"kubectl\" using apps/v1", ".spec.replicas");
    assert_eq!(status.causes, [(cause.0.to_owned(), cause.1.to_owned(), cause.2.to_owned())]);
}

#[test]
fn several_conflicts_are_listed_by_manager() {
    let containers = |image: &str| json!([{"name": "engine", "image": image}]);
    let live = applied(None, &with_containers(containers("a")), "one");
    let live = update(
        schema(),
        Some(&live),
        {
            let mut next = live.clone();
            next["spec"]["replicas"] = json!(1);
            next
        },
        &manager("scaler"),
        "2026-01-01T00:00:00Z",
    );
    let mut document = with_containers(containers("b"));
    document["spec"]["replicas"] = json!(2);
    assert_eq!(
        refused(&live, &document, "other").status().message,
        "Apply failed with 2 conflicts: conflicts with \"one\":\n\
         - .spec.template.spec.containers[name=\"engine\"].image\n\
         conflicts with \"scaler\" using apps/v1:\n\
         - .spec.replicas"
    );
}

#[test]
fn equal_values_are_shared_and_force_takes_what_differs() {
    let live = applied(None, &deployment(json!({"replicas": 3, "paused": true})), "one");
    let shared = applied(Some(&live), &deployment(json!({"replicas": 3})), "other");
    assert!(fields_of(&shared, "one", "Apply").is_some() && fields_of(&shared, "other", "Apply").is_some());
    let document = deployment(json!({"replicas": 5}));
    refused(&shared, &document, "other");
    let taken = apply(schema(), Some(&shared), &document, &manager("other"), true, "2026-01-02T00:00:00Z")
        .expect("force is stronger");
    assert_eq!(taken["spec"]["replicas"], 5);
    assert_eq!(fields_of(&taken, "one", "Apply"), Some(&json!({"f:spec": {"f:paused": {}}})));
    let all = apply(schema(), Some(&taken), &deployment(json!({"paused": false})), &manager("other"), true, "now")
        .expect("force is stronger");
    assert_eq!(fields_of(&all, "one", "Apply"), None, "a manager without fields is dropped");
}

#[test]
fn what_is_applied_no_more_goes_unless_another_owns_it() {
    let containers = json!([{"name": "engine", "image": "e"}, {"name": "proxy", "image": "p"}]);
    let live = applied(None, &with_containers(containers), "one");
    let live = applied(Some(&live), &with_containers(json!([{"name": "proxy", "image": "p"}])), "other");
    let next = applied(Some(&live), &with_containers(json!([{"name": "engine"}])), "one");
    let containers = &next["spec"]["template"]["spec"]["containers"];
    assert_eq!(*containers, json!([{"name": "engine"}, {"name": "proxy", "image": "p"}]));
    let gone = applied(Some(&next), &deployment(json!({"replicas": 1})), "other");
    assert_eq!(gone["spec"]["template"]["spec"]["containers"], json!([{"name": "engine"}]));
    let empty = applied(Some(&gone), &deployment(json!({"paused": true})), "one");
    assert_eq!(empty["spec"], json!({"paused": true, "replicas": 1}));
}

#[test]
fn dropping_one_label_leaves_the_labels_of_others_and_the_name() {
    let labelled = |labels: Value| json!({"metadata": {"name": "engine", "labels": labels}});
    let live = applied(None, &labelled(json!({"a": "1", "b": "2"})), "one");
    let mut next = live.clone();
    next["metadata"]["labels"]["c"] = json!("3");
    next["metadata"]["uid"] = json!("u");
    let live = update(schema(), Some(&live), next, &manager("kubectl-label"), "2026-01-01T00:00:00Z");
    let next = applied(Some(&live), &labelled(json!({"a": "1"})), "one");
    assert_eq!(next["metadata"]["labels"], json!({"a": "1", "c": "3"}));
    let next = applied(Some(&next), &json!({"metadata": {"name": "engine"}}), "one");
    assert_eq!(next["metadata"]["labels"], json!({"c": "3"}));
    assert_eq!((&next["metadata"]["name"], &next["metadata"]["uid"]), (&json!("engine"), &json!("u")));
}

#[test]
fn applying_the_same_again_changes_nothing_at_all() {
    let document = deployment(json!({"replicas": 3, "template": {"spec": {"containers": [
        {"name": "engine", "resources": {"limits": {"cpu": "1000m"}}}
    ]}}}));
    let first = applied(None, &document, "one");
    let again =
        apply(schema(), Some(&first), &document, &manager("one"), false, "2027-01-01T00:00:00Z").expect("it can");
    assert_eq!(first, again);
    let mut other_words = document;
    other_words["spec"]["template"]["spec"]["containers"][0]["resources"]["limits"]["cpu"] = json!(1);
    let again =
        apply(schema(), Some(&first), &other_words, &manager("one"), false, "2027-01-01T00:00:00Z").expect("it can");
    assert_eq!(first, again, "an amount is what it is, however it is written");
    let written = update(schema(), Some(&first), first.clone(), &manager("kubectl-edit"), "2027-01-01T00:00:00Z");
    assert_eq!(first, written);
}

#[test]
fn an_update_takes_what_it_changes_and_nothing_else() {
    let live = applied(None, &deployment(json!({"replicas": 3, "paused": true})), "one");
    let mut next = live.clone();
    next["spec"]["replicas"] = json!(7);
    let next = update(schema(), Some(&live), next, &manager("scaler"), "2026-01-02T00:00:00Z");
    assert_eq!(fields_of(&next, "scaler", "Update"), Some(&json!({"f:spec": {"f:replicas": {}}})));
    assert_eq!(fields_of(&next, "one", "Apply"), Some(&json!({"f:spec": {"f:paused": {}}})));
    let entries = next["metadata"]["managedFields"].as_array().expect("it has managers");
    assert_eq!(
        entries.iter().map(|entry| &entry["time"]).collect::<Vec<_>>(),
        ["2026-01-01T00:00:00Z", "2026-01-02T00:00:00Z"]
    );
    refused(&next, &deployment(json!({"replicas": 3, "paused": true})), "one");
}

#[test]
fn a_removal_is_forgotten_by_all() {
    let live = applied(None, &deployment(json!({"replicas": 3, "paused": true})), "one");
    let mut next = live.clone();
    next["spec"].as_object_mut().expect("a spec is an object").remove("paused");
    let next = update(schema(), Some(&live), next, &manager("editor"), "2026-01-02T00:00:00Z");
    assert_eq!(fields_of(&next, "one", "Apply"), Some(&json!({"f:spec": {"f:replicas": {}}})));
    assert_eq!(fields_of(&next, "editor", "Update"), None);
}

#[test]
fn status_has_an_owner_of_its_own_and_no_other_way() {
    let mut document = deployment(json!({"replicas": 3}));
    document["status"] = json!({"readyReplicas": 9});
    let live = applied(None, &document, "one");
    assert_eq!(live.get("status"), None, "the main resource does not write the status");
    assert_eq!(fields_of(&live, "one", "Apply"), Some(&json!({"f:spec": {"f:replicas": {}}})));

    let mut next = live.clone();
    next["status"] = json!({"conditions": [{"type": "Available", "status": "True"}]});
    let next = update(schema(), Some(&live), next, &status_manager("controller"), "2026-01-01T00:00:00Z");
    let expected = json!({"f:status": {"f:conditions": {
        ".": {}, "k:{\"type\":\"Available\"}": {".": {}, "f:status": {}, "f:type": {}},
    }}});
    assert_eq!(fields_of(&next, "controller", "Update"), Some(&expected));

    document["spec"]["replicas"] = json!(4);
    document["metadata"]["labels"] = json!({"never": "here"});
    document["status"] = json!({"readyReplicas": 2});
    let next = apply(schema(), Some(&next), &document, &status_manager("reporter"), false, "now").expect("it can");
    assert_eq!((&next["spec"]["replicas"], &next["status"]["readyReplicas"]), (&json!(3), &json!(2)));
    assert_eq!(next["metadata"].get("labels"), None);
    assert_eq!(fields_of(&next, "reporter", "Apply"), Some(&json!({"f:status": {"f:readyReplicas": {}}})));
}

#[test]
fn an_atomic_list_is_one_leaf() {
    let live = applied(None, &with_containers(json!([{"name": "engine", "args": ["a", "b"]}])), "one");
    let conflicts = refused(&live, &with_containers(json!([{"name": "engine", "args": ["a"]}])), "other");
    let path = ".spec.template.spec.containers[name=\"engine\"].args";
    assert!(
        matches!(conflicts, Conflicts::Owned(conflicts) if conflicts.len() == 1 && conflicts[0].path.to_string() == path)
    );
}

#[test]
fn documents_that_are_not_of_their_type_are_refused_as_the_api_server_does() {
    let reason = |document: Value| {
        apply(schema(), None, &document, &manager("one"), true, "now").expect_err("it is refused").status()
    };
    let status = reason(deployment(json!({"replicaz": 3})));
    assert_eq!(status.code, http::StatusCode::INTERNAL_SERVER_ERROR);
    assert_eq!(
        status.message,
        "failed to create typed patch object (default/engine; apps/v1, Kind=Deployment): .spec.replicaz: field not \
         declared in schema"
    );
    let twice = reason(with_containers(json!([{"name": "engine"}, {"name": "engine"}]))).message;
    assert!(twice.ends_with(".spec.template.spec.containers: duplicate entries for key [name=\"engine\"]"), "{twice}");
    let nameless = reason(with_containers(json!([{"image": "x"}]))).message;
    assert!(
        nameless.contains("element 0: associative list with keys has an element that omits all key fields [\"name\"]"),
        "{nameless}"
    );
    let mistyped = reason(deployment(json!({"replicas": "three", "paused": 1}))).message;
    assert!(mistyped.contains("errors:\n") && mistyped.contains(".spec.replicas: expected numeric"), "{mistyped}");
    let mut knowing = deployment(json!({}));
    knowing["metadata"]["managedFields"] = json!([{"manager": "one"}]);
    let status = reason(knowing);
    assert_eq!((status.code.as_u16(), status.message.as_str()), (400, "metadata.managedFields must be nil"));
}

#[test]
fn ports_of_one_number_and_two_protocols_are_two() {
    let ports = json!([{"name": "engine", "ports": [
        {"containerPort": 53}, {"containerPort": 53, "protocol": "UDP"}
    ]}]);
    let live = applied(None, &with_containers(ports), "one");
    let next = applied(
        Some(&live),
        &with_containers(json!([{"name": "engine", "ports": [
            {"containerPort": 53, "protocol": "UDP"}
        ]}])),
        "one",
    );
    let ports = &next["spec"]["template"]["spec"]["containers"][0]["ports"];
    assert_eq!(*ports, json!([{"containerPort": 53, "protocol": "UDP"}]));
}

#[test]
fn who_applies_first_to_an_object_without_owners_does_not_take_it_all() {
    let live = deployment(json!({"replicas": 1, "paused": true}));
    let conflicts = refused(&live, &deployment(json!({"replicas": 2})), "one");
    let message = conflicts.status().message;
    assert!(message.contains("\"before-first-apply\" using apps/v1: .spec.replicas"), "{message}");
    let next = applied(Some(&live), &deployment(json!({"replicas": 1})), "one");
    assert!(fields_of(&next, "before-first-apply", "Update").is_some());
}

#[test]
fn kubectl_may_take_over_what_it_applied_on_the_client() {
    let mut live = deployment(json!({"replicas": 1, "paused": true}));
    let last = live.to_string();
    live["metadata"]["annotations"] = json!({"kubectl.kubernetes.io/last-applied-configuration": last});
    let live = update(schema(), None, live, &manager("kubectl-client-side-apply"), "2026-01-01T00:00:00Z");
    let next = applied(Some(&live), &deployment(json!({"replicas": 2})), "kubectl");
    assert_eq!(next["spec"]["replicas"], 2);
    refused(&live, &deployment(json!({"replicas": 2})), "chalk");
    let mut changed = live.clone();
    changed["spec"]["replicas"] = json!(7);
    let changed = update(schema(), Some(&live), changed, &manager("scaler"), "2026-01-01T00:00:00Z");
    refused(&changed, &deployment(json!({"replicas": 2})), "kubectl");
}

#[test]
fn managed_fields_can_be_forgotten_and_nonsense_is_not_believed() {
    let live = applied(None, &deployment(json!({"replicas": 1})), "one");
    let mut reset = live.clone();
    reset["metadata"]["managedFields"] = json!([{}]);
    let next = update(schema(), Some(&live), reset, &manager("editor"), "now");
    assert_eq!(next["metadata"].get("managedFields"), None);
    for nonsense in [json!("x"), json!([{"manager": "x"}]), json!([]), json!([1]), Value::Null] {
        let mut damaged = live.clone();
        damaged["metadata"]["managedFields"] = nonsense;
        assert_eq!(update(schema(), Some(&live), damaged, &manager("editor"), "now"), live);
    }
}

#[test]
fn the_oldest_of_too_many_updaters_are_thrown_together() {
    let mut live =
        update(schema(), None, deployment(json!({"replicas": 1})), &manager("creator"), "2025-01-01T00:00:00Z");
    for turn in 0..30 {
        let mut next = live.clone();
        next["metadata"]["labels"][format!("label-{turn}")] = json!("x");
        live = update(
            schema(),
            Some(&live),
            next,
            &manager(&format!("updater-{turn:02}")),
            &format!("2026-01-01T00:00:{turn:02}Z"),
        );
    }
    let entries = live["metadata"]["managedFields"].as_array().expect("it has managers");
    assert_eq!(entries.len(), 10);
    let ancient = fields_of(&live, "ancient-changes", "Update").expect("the oldest are together");
    assert!(ancient["f:metadata"]["f:labels"].get("f:label-0").is_some());
    assert!(fields_of(&live, "updater-29", "Update").is_some());
}

#[test]
fn an_applied_null_is_a_wish_for_nothing() {
    let live = applied(None, &deployment(json!({"replicas": 1, "paused": true})), "one");
    refused(&live, &deployment(json!({"paused": null})), "other");
    let next = applied(Some(&live), &deployment(json!({"replicas": 1, "paused": null})), "one");
    assert_eq!(next["spec"], json!({"replicas": 1}));
    assert_eq!(fields_of(&next, "one", "Apply"), Some(&json!({"f:spec": {"f:replicas": {}}})));
}

#[test]
fn items_that_only_the_live_list_has_keep_their_place() {
    let items = |names: &[&str]| with_containers(names.iter().map(|name| json!({"name": name})).collect());
    let live = applied(None, &items(&["a", "x", "b"]), "one");
    let order = |document: &Value| {
        let next = applied(Some(&live), document, "other");
        let containers = next["spec"]["template"]["spec"]["containers"].as_array().cloned().unwrap_or_default();
        containers.iter().map(|item| item["name"].as_str().unwrap_or_default().to_owned()).collect::<String>()
    };
    assert_eq!(order(&items(&["a", "b"])), "axb");
    assert_eq!(order(&items(&["b", "a"])), "xba");
    assert_eq!(order(&items(&["n", "a"])), "naxb");
    assert_eq!(order(&items(&["a", "n"])), "axbn");
}

#[test]
fn owners_are_tracked_from_the_creation_or_from_the_first_apply_on() {
    let live = deployment(json!({"replicas": 1}));
    let next = update(schema(), Some(&live), deployment(json!({"replicas": 2})), &manager("editor"), "now");
    assert_eq!(next["metadata"].get("managedFields"), None);
    let next = applied(Some(&next), &deployment(json!({"paused": true})), "one");
    assert!(fields_of(&next, "before-first-apply", "Update").is_some());
}

#[test]
fn who_applies_what_is_there_already_has_no_time() {
    let live = applied(None, &deployment(json!({"replicas": 1})), "one");
    let next = applied(Some(&live), &deployment(json!({"replicas": 1})), "other");
    let time = |name: &str| {
        let entries = next["metadata"]["managedFields"].as_array().expect("it has managers");
        entries.iter().find(|entry| entry["manager"] == name).expect("it is one of them")["time"].clone()
    };
    assert!(time("one").is_string());
    assert_eq!(time("other"), Value::Null);
}
