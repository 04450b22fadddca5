use super::super::FeatureGraph;
use super::super::catalog::Catalog;
use super::super::testing::{attribute, call, column, identifier, own, subscript};
use super::super::wire::put_bytes;
use super::*;

/// The test project with windows, joins, versions and a singleton.
fn shop() -> FeatureGraph {
    let file = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/projects/shop/export.pb");
    FeatureGraph::decode(std::fs::read(file).expect("an export").into(), None).expect("an export")
}

/// What an expression of `user` reads, what it names in vain, and its type.
fn read(expression: &[u8]) -> (Vec<String>, Vec<String>, Option<String>) {
    let graph = shop();
    let catalog = Catalog::of(&graph);
    let user = catalog.namespace("user").expect("the set");
    let parsed = Expression::parse(expression).expect("an expression");
    let reading = Reader::new(&catalog).read(&parsed, Scope::of(user));
    (
        reading.reads.iter().map(|feature| catalog.full_name(*feature)).collect(),
        reading.unknown.iter().map(|named| named.name.to_owned()).collect(),
        reading.value_type.map(|of| of.to_string()),
    )
}

fn reads(expression: &[u8]) -> Vec<String> {
    read(expression).0
}

fn operation(operator: &str, left: &[u8], right: &[u8]) -> Vec<u8> {
    call(&identifier(operator), &[left, right])
}

fn text(value: &str) -> Vec<u8> {
    let (mut scalar, mut literal, mut node) = (Vec::new(), Vec::new(), Vec::new());
    put_bytes(&mut scalar, 20, value.as_bytes());
    put_bytes(&mut literal, 1, &scalar);
    put_bytes(&mut node, 39, &literal);
    node
}

#[test]
fn a_name_is_one_of_the_own_class_or_behind_a_join() {
    assert_eq!(reads(&own("name")), ["user.name"]);
    assert_eq!(reads(&attribute(&own("home"), "rooms")), ["user.home", "home.rooms"]);
    assert_eq!(reads(&column("transaction", "amount")), ["transaction.amount"]);
    assert_eq!(read(&own("height")), (vec![], vec!["height".to_owned()], None));
    assert_eq!(read(&attribute(&own("home"), "doors")).1, ["doors"]);
    assert_eq!(read(&own("chalk_now")).1, Vec::<String>::new());
    assert_eq!(read(&attribute(&own("name"), "length")).1, Vec::<String>::new(), "a field of a value");
}

#[test]
fn within_rows_names_are_those_of_the_rows_and_two_underscores_lead_out() {
    let older = operation(">", &own("amount"), &attribute(&identifier("__"), "age"));
    let sum = call(&attribute(&subscript(&own("transactions"), &[&own("amount"), &older]), "sum"), &[]);
    let (reads, unknown, value_type) = read(&sum);
    assert_eq!(reads, ["user.transactions", "transaction.amount", "user.age"]);
    assert_eq!(unknown, Vec::<String>::new());
    assert_eq!(value_type.as_deref(), Some("float64"));
    assert_eq!(read(&subscript(&own("transactions"), &[&own("name")])).1, ["name"], "it is the user's");
}

#[test]
fn a_method_of_rows_takes_its_arguments_for_each_row_and_so_does_a_function_of_rows() {
    let large = operation(">", &own("amount"), &text("3"));
    let chosen = call(&attribute(&own("transactions"), "where"), &[&large]);
    let count = call(&attribute(&chosen, "count"), &[]);
    assert_eq!(
        read(&count),
        (vec!["user.transactions".to_owned(), "transaction.amount".to_owned()], vec![], Some("int64".to_owned()))
    );
    let last = call(&identifier("max_by"), &[&subscript(&own("transactions"), &[&own("amount")]), &own("at")]);
    assert_eq!(reads(&last), ["user.transactions", "transaction.amount", "transaction.at"]);
    let outside = call(&identifier("f"), &[&own("transactions"), &own("birthday")]);
    assert_eq!(reads(&outside), ["user.transactions", "user.birthday"], "rows do not have it, the user does");
}

#[test]
fn a_window_is_read_alone() {
    assert_eq!(reads(&subscript(&own("spend"), &[&text("7d")])), ["user.spend__604800__"]);
    assert_eq!(reads(&subscript(&own("spend"), &[&text("3d")])), ["user.spend"], "there is no such window");
}

#[test]
fn a_version_is_a_feature_of_its_own() {
    assert_eq!(reads(&own("v@2")), ["user.v@2"]);
    assert_eq!(reads(&own("v")), ["user.v"]);
}

#[test]
fn types_follow_from_operators_and_stay_unknown_where_there_is_doubt() {
    let type_of = |expression: &[u8]| read(expression).2;
    assert_eq!(type_of(&operation("+", &own("n"), &own("age"))).as_deref(), Some("int64"));
    assert_eq!(type_of(&operation("/", &own("n"), &own("age"))).as_deref(), Some("float64"));
    assert_eq!(type_of(&operation("*", &own("n"), &own("total"))).as_deref(), Some("float64"));
    assert_eq!(type_of(&operation("==", &own("n"), &own("name"))).as_deref(), Some("bool"));
    assert_eq!(type_of(&operation("+", &own("name"), &own("upper"))).as_deref(), Some("large_string"));
    assert_eq!(type_of(&operation("+", &own("name"), &own("age"))), None);
    assert_eq!(type_of(&call(&identifier("upper"), &[&own("name")])), None, "a function is the platform's");
    assert_eq!(type_of(&own("transactions")), None);
}

#[test]
fn a_hundred_thousand_levels_are_read_without_overflowing() {
    // From the inside out, in one piece: a copy for each level would take as long as the square of them.
    let mut layers: Vec<Vec<u8>> = vec![own("name")];
    let mut length = layers[0].len();
    for _ in 0..100_000 {
        let mut inner = Vec::new();
        put_length(&mut inner, 38, length + 1 + bytes_of(length));
        put_length(&mut inner, 2, length);
        length += inner.len();
        layers.push(inner);
    }
    let bytes: Vec<u8> = layers.into_iter().rev().flatten().collect();
    let parsed = Expression::parse(&bytes).expect("an expression");
    assert_eq!(parsed.len(), 100_002);
    assert_eq!(reads(&bytes), ["user.name"]);
}

/// The tag and the length of a field.
fn put_length(to: &mut Vec<u8>, number: u32, mut length: usize) {
    let mut tag = Vec::new();
    put_bytes(&mut tag, number, &[]);
    tag.pop();
    to.append(&mut tag);
    while length >= 0x80 {
        to.push(u8::try_from(length & 0x7f).expect("seven bits") | 0x80);
        length >>= 7;
    }
    to.push(u8::try_from(length).expect("seven bits"));
}

fn bytes_of(mut length: usize) -> usize {
    let mut bytes = 1;
    while length >= 0x80 {
        length >>= 7;
        bytes += 1;
    }
    bytes
}
