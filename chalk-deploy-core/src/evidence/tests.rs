//! Documents, bundles and keys.

use std::collections::{BTreeMap, BTreeSet};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use futures::FutureExt as _;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::ErrorCode;
use crate::model::{Component, Descriptor, Digest, Repository};

/// Made with `openssl genpkey`; they sign nothing else.
const P256: &str = include_str!("tests/p256.pem");
const P256_PUBLIC: &str = include_str!("tests/p256.pub");
const ED25519: &str = include_str!("tests/ed25519.pem");
const ED25519_PUBLIC: &str = include_str!("tests/ed25519.pub");

fn image() -> Digest {
    Digest::of("image")
}

fn repository() -> Repository {
    Repository::new("registry.example/chalk/engine-default").expect("a repository")
}

fn inventory(packages: Option<Vec<Package>>) -> Inventory {
    Inventory {
        image: Descriptor {
            media_type: "application/vnd.oci.image.manifest.v1+json".to_owned(),
            digest: image(),
            size: 500,
        },
        platforms: ["linux/amd64".to_owned()].into(),
        bases: [Digest::of("base")].into(),
        base_provides: Some(["chalkpy".to_owned(), "pip".to_owned()].into()),
        packages,
    }
}

fn package(name: &str, version: &str, files: &[&str]) -> Package {
    Package {
        name: name.to_owned(),
        version: version.to_owned(),
        files: files.iter().map(Digest::of).collect::<BTreeSet<_>>(),
    }
}

fn origin() -> Origin {
    let base = Repository::new("registry.example/chalk/engine-base").expect("a repository");
    Origin {
        deployment: "caaaaaaaaaaaaaaaaaaaaaaaa".parse().expect("an id"),
        project: "fraud".parse().expect("a project"),
        component: Component::Engine,
        archive: Digest::of("archive"),
        graph: Digest::of("graph"),
        git_commit: Some("0123456789abcdef0123456789abcdef01234567".to_owned()),
        git_dirty: true,
        base_repositories: BTreeMap::from([(Digest::of("base"), base)]),
        builder: "https://builds.example/chalk".to_owned(),
    }
}

fn sign(statement: &Value, pem: &str) -> Bundle {
    let signer = LocalSigner::from_pem(pem).expect("a key");
    Bundle::sign(statement, &signer).now_or_never().expect("at once").expect("signed")
}

fn key() -> VerificationKey {
    VerificationKey::from_pem(P256_PUBLIC).expect("a key")
}

fn good() -> Vec<u8> {
    let predicate = provenance(&inventory(None), &origin());
    sign(&statement(&repository(), &image(), PROVENANCE, &predicate), P256).to_bytes()
}

/// What is done to a bundle.
type Change = Box<dyn FnOnce(&mut Value)>;

/// The good bundle, changed and read as evidence of the image.
fn reason(change: impl FnOnce(&mut Value)) -> &'static str {
    let mut document: Value = serde_json::from_slice(&good()).expect("JSON");
    change(&mut document);
    collect::trust(document.to_string().as_bytes(), &image(), &key()).expect_err("it does not count")
}

#[test]
fn a_bill_of_materials_names_the_project_the_base_and_each_package() {
    let packages = vec![package("anyio", "4.11.0", &[]), package("numpy", "2.3.4", &["wheel-a", "wheel-b"])];
    let bill = bill_of_materials(&inventory(Some(packages)), &origin());
    assert_eq!((&bill["bomFormat"], &bill["specVersion"]), (&json!("CycloneDX"), &json!("1.6")));
    let main = &bill["metadata"]["component"];
    assert_eq!((&main["name"], &main["version"]), (&json!("fraud"), &json!(Digest::of("archive"))));
    let components = bill["components"].as_array().expect("a list");
    let urls: Vec<_> = components.iter().map(|component| component["purl"].as_str().expect("a purl")).collect();
    let base = format!(
        "pkg:oci/engine-base@sha256%3A{}?repository_url=registry.example/chalk/engine-base",
        Digest::of("base").hex()
    );
    assert_eq!(urls, [base.as_str(), "pkg:pypi/anyio@4.11.0", "pkg:pypi/numpy@2.3.4"]);
    assert_eq!(components[2]["hashes"].as_array().map(Vec::len), Some(2));
    assert_eq!(components[1].get("hashes"), None, "no digest is claimed that is not known");
    let brought: Vec<_> = components[0]["components"].as_array().expect("a list").iter().collect();
    assert_eq!((brought.len(), &brought[0]["name"], brought[0].get("version")), (2, &json!("chalkpy"), None));
    assert_eq!(bill["dependencies"][0]["dependsOn"].as_array().map(Vec::len), Some(3));
}

#[test]
fn a_bill_of_materials_never_claims_to_be_complete() {
    for (packages, aggregate) in [(None, "unknown"), (Some(Vec::new()), "incomplete")] {
        let bill = bill_of_materials(&inventory(packages), &origin());
        assert_eq!(bill["compositions"][0], json!({"aggregate": aggregate, "assemblies": ["project"]}));
        assert!(!bill.to_string().contains("\"complete\""));
    }
    let silent = Inventory { base_provides: None, ..inventory(None) };
    assert_eq!(bill_of_materials(&silent, &origin())["compositions"][1]["aggregate"], "unknown");
}

#[test]
fn the_same_image_gives_the_same_documents_and_another_one_another_serial_number() {
    let bill = || bill_of_materials(&inventory(None), &origin());
    assert_eq!(ordered_bytes(&bill()), ordered_bytes(&bill()));
    let serial = |bill: &Value| bill["serialNumber"].as_str().expect("text").to_owned();
    let first = serial(&bill());
    assert!(first.starts_with("urn:uuid:") && first.len() == 45, "{first}");
    assert_eq!((first.as_bytes()[23], b"89ab".contains(&first.as_bytes()[28])), (b'8', true), "{first}: version 8");
    let mut other = inventory(None);
    other.image.digest = Digest::of("other");
    assert_ne!(serial(&bill_of_materials(&other, &origin())), first);
}

#[test]
fn provenance_has_the_fields_of_the_specification_and_claims_no_level() {
    let packages = vec![package("anyio", "4.11.0", &[]), package("numpy", "2.3.4", &["a", "b"])];
    let document = provenance(&inventory(Some(packages)), &origin());
    let definition = &document["buildDefinition"];
    assert_eq!(
        definition["externalParameters"],
        json!({
            "archive": Digest::of("archive"), "component": "engine", "graph": Digest::of("graph"), "project": "fraud",
            "platforms": ["linux/amd64"], "gitCommit": "0123456789abcdef0123456789abcdef01234567", "gitDirty": true,
        })
    );
    let resolved = definition["resolvedDependencies"].as_array().expect("a list");
    assert_eq!(resolved.len(), 5, "the archive, the base, a package without a file and one with two: {resolved:?}");
    assert_eq!(resolved[1]["digest"]["sha256"], Digest::of("base").hex().as_str());
    assert_eq!(resolved[2], json!({"uri": "pkg:pypi/anyio@4.11.0"}));
    assert_eq!(document["runDetails"]["builder"]["id"], "https://builds.example/chalk");
    assert!(document["runDetails"]["builder"]["version"]["chalk-deploy"].is_string());
    assert_eq!(document["runDetails"]["metadata"], json!({"invocationId": "caaaaaaaaaaaaaaaaaaaaaaaa"}));
    assert!(!document.to_string().to_lowercase().contains("level"));
}

#[test]
fn keys_of_both_kinds_sign_what_their_public_halves_verify_and_nothing_else() {
    for (private, public) in [(P256, P256_PUBLIC), (ED25519, ED25519_PUBLIC)] {
        let signer = LocalSigner::from_pem(private).expect("a private key");
        let key = VerificationKey::from_pem(public).expect("a public key");
        assert_eq!(signer.public(), &key);
        assert_eq!(key.to_pem(), public);
        let signature = signer.sign(b"message").now_or_never().expect("at once").expect("signed");
        assert!(key.verifies(b"message", &signature));
        assert!(!key.verifies(b"massage", &signature));
        for other in [P256_PUBLIC, ED25519_PUBLIC].into_iter().filter(|other| *other != public) {
            assert!(!VerificationKey::from_pem(other).expect("a key").verifies(b"message", &signature));
        }
        for at in 0..signature.len() {
            let mut changed = signature.clone();
            changed[at] ^= 1;
            assert!(!key.verifies(b"message", &changed), "byte {at}");
        }
        for cut in [0, 1, signature.len() - 1] {
            assert!(!key.verifies(b"message", &signature[..cut]));
        }
    }
}

#[test]
fn a_private_key_is_printed_by_nothing() {
    for pem in [P256, ED25519] {
        let signer = LocalSigner::from_pem(pem).expect("a key");
        let body: String = pem.lines().filter(|line| !line.starts_with('-')).collect();
        let der = STANDARD.decode(&body).expect("base64");
        let policy = EvidencePolicy::none().signed_by(std::sync::Arc::new(signer.clone()));
        for shown in [format!("{signer:?}"), format!("{policy:#?}")] {
            for piece in body.as_bytes().chunks(20).map(|piece| String::from_utf8_lossy(piece).into_owned()) {
                assert!(!shown.contains(&piece), "{shown}");
            }
            assert!(!shown.contains(&format!("{:?}", &der[8..12])), "{shown}");
        }
    }
}

#[test]
fn what_is_no_key_is_refused_with_what_to_do() {
    let body = |pem: &str| pem.lines().filter(|line| !line.starts_with('-')).collect::<String>();
    let wrapped = |label: &str, body: &str| format!("-----BEGIN {label}-----\n{body}\n-----END {label}-----\n");
    for (pem, part) in [
        (String::new(), "no key in PEM form"),
        ("-----BEGIN PRIVATE KEY-----\n!\n-----END PRIVATE KEY-----".to_owned(), "no key in PEM form"),
        (wrapped("PRIVATE KEY", "AAAA"), "of a kind that is used here"),
        (wrapped("EC PRIVATE KEY", &body(P256)), "openssl pkcs8"),
        (wrapped("ENCRYPTED SIGSTORE PRIVATE KEY", "eyJ9"), "import-key-pair"),
        (wrapped("ENCRYPTED PRIVATE KEY", "AAAA"), "encrypted"),
        (P256_PUBLIC.to_owned(), "what signs is private"),
        (wrapped("CERTIFICATE", "AAAA"), "no private key"),
        ("x".repeat(100_000), "longer than any key"),
    ] {
        let error = LocalSigner::from_pem(&pem).expect_err(part);
        assert_eq!(error.code(), ErrorCode::ValueInvalid);
        assert!(error.sentence().contains(part), "{}", error.sentence());
        assert!(!error.sentence().contains(&body(P256)));
    }
    for (pem, part) in [
        (P256.to_owned(), "what verifies is public"),
        (wrapped("PUBLIC KEY", "AAAA"), "of a kind that is used here"),
        (wrapped("CERTIFICATE", "AAAA"), "no public key"),
    ] {
        let error = VerificationKey::from_pem(&pem).expect_err(part);
        assert!(error.sentence().contains(part), "{}", error.sentence());
        assert!(!error.sentence().contains(&body(P256)));
    }
}

#[test]
fn a_bundle_that_the_key_has_signed_about_the_image_counts() {
    let (kind, predicate) = collect::trust(&good(), &image(), &key()).expect("it counts");
    assert_eq!((kind.as_str(), predicate), (PROVENANCE, provenance(&inventory(None), &origin())));
    assert_eq!(collect::trust(&good(), &Digest::of("other"), &key()), Err("its statement is about another image"));
    let other = VerificationKey::from_pem(ED25519_PUBLIC).expect("a key");
    assert_eq!(collect::trust(&good(), &image(), &other), Err("it is signed with another key"));
}

#[test]
fn a_bundle_that_is_bent_in_any_way_does_not_count() {
    let sign_other = |statement: &Value| {
        let bundle: Value = serde_json::from_slice(&sign(statement, P256).to_bytes()).expect("JSON");
        bundle["dsseEnvelope"].clone()
    };
    let cases: [(&str, Change); 12] = [
        (
            "names the key, and its signature",
            Box::new(|bundle| {
                let payload = bundle["dsseEnvelope"]["payload"].as_str().expect("text");
                let text = String::from_utf8(STANDARD.decode(payload).expect("base64")).expect("text");
                bundle["dsseEnvelope"]["payload"] = STANDARD.encode(text.replace("fraud", "froud")).into();
            }),
        ),
        ("list of signatures is empty", Box::new(|bundle| bundle["dsseEnvelope"]["signatures"] = json!([]))),
        ("no signatures", Box::new(|bundle| bundle["dsseEnvelope"]["signatures"] = Value::Null)),
        (
            "more signatures than are tried",
            Box::new(|bundle| {
                bundle["dsseEnvelope"]["signatures"] = vec![json!({"sig": "AAAA"}); 100].into();
            }),
        ),
        ("no base64", Box::new(|bundle| bundle["dsseEnvelope"]["signatures"][0]["sig"] = "!".into())),
        ("another type", Box::new(|bundle| bundle["dsseEnvelope"]["payloadType"] = "text/plain".into())),
        ("no Sigstore bundle", Box::new(|bundle| bundle["mediaType"] = "application/json".into())),
        ("no DSSE envelope", Box::new(|bundle| bundle["dsseEnvelope"] = Value::Null)),
        (
            "no subject",
            Box::new(move |bundle| {
                let none = json!({"_type": STATEMENT, "subject": [], "predicateType": PROVENANCE, "predicate": {}});
                bundle["dsseEnvelope"] = sign_other(&none);
            }),
        ),
        (
            "no in-toto statement",
            Box::new(move |bundle| {
                let mut old = statement(&repository(), &image(), PROVENANCE, &json!({}));
                old["_type"] = "https://in-toto.io/Statement/v0.1".into();
                bundle["dsseEnvelope"] = sign_other(&old);
            }),
        ),
        (
            "no predicate",
            Box::new(move |bundle| {
                bundle["dsseEnvelope"] = sign_other(&statement(&repository(), &image(), PROVENANCE, &Value::Null));
            }),
        ),
        (
            "another image",
            Box::new(move |bundle| {
                let mut upper = statement(&repository(), &image(), PROVENANCE, &json!({}));
                upper["subject"][0]["digest"] = json!({"sha512": image().hex()});
                bundle["dsseEnvelope"] = sign_other(&upper);
            }),
        ),
    ];
    for (part, change) in cases {
        let reason = reason(change);
        assert!(reason.contains(part), "{part}: {reason}");
    }
}

#[test]
fn a_bundle_with_a_name_twice_does_not_count_even_where_the_signature_holds() {
    let text = String::from_utf8(good()).expect("text");
    let twice = text.replacen("\"mediaType\"", "\"mediaType\":\"x\",\"mediaType\"", 1);
    assert!(collect::trust(twice.as_bytes(), &image(), &key()).expect_err("twice").contains("one reading"));
    // The payload is what is signed, and has a subject twice.
    let subject = |digest: Digest| json!([{"name": "x", "digest": {"sha256": digest.hex()}}]).to_string();
    let payload = format!(
        r#"{{"_type":"{STATEMENT}","subject":{},"subject":{},"predicateType":"{PROVENANCE}","predicate":{{}}}}"#,
        subject(Digest::of("other")),
        subject(image())
    );
    let signer = LocalSigner::from_pem(P256).expect("a key");
    let message = pre_authentication_encoding(STATEMENT_PAYLOAD, payload.as_bytes());
    let bytes = signer.sign(&message).now_or_never().expect("at once").expect("signed");
    let signatures = vec![BundleSignature { key_id: String::new(), bytes }];
    let bundle = Bundle { payload: payload.into_bytes(), signatures, hint: String::new() };
    assert!(bundle.is_signed_by(&key()));
    assert!(collect::trust(&bundle.to_bytes(), &image(), &key()).expect_err("twice").contains("its payload"));
}

#[test]
fn the_manifest_of_a_bundle_is_laid_out_as_cosigns_specification_says() {
    let described = inventory(None).image;
    let artifact = artifact::Artifact::of_bundle(&described, good(), PROVENANCE);
    let document: Value = serde_json::from_slice(&artifact.manifest.bytes).expect("JSON");
    assert_eq!(document["artifactType"], "application/vnd.dev.sigstore.bundle.v0.3+json");
    assert_eq!(document["config"]["mediaType"], "application/vnd.oci.empty.v1+json");
    // The digest that the OCI image specification gives for the empty descriptor.
    assert_eq!(document["config"]["digest"], "sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a");
    assert_eq!(document["subject"], json!({"mediaType": described.media_type, "digest": image(), "size": 500}));
    assert_eq!(document["annotations"]["dev.sigstore.bundle.content"], "dsse-envelope");
    assert_eq!(document["annotations"]["dev.sigstore.bundle.predicateType"], PROVENANCE);
    let layer = artifact::bundle_of(&artifact.manifest, &image()).expect("a bundle");
    assert_eq!((layer.digest, layer.size), (Digest::of(good_of(&artifact)), good_of(&artifact).len() as u64));

    let refused = |change: fn(&mut Value)| {
        let mut document = document.clone();
        change(&mut document);
        let manifest = crate::cloud::ImageManifest {
            media_type: artifact.manifest.media_type.clone(),
            bytes: document.to_string().into(),
        };
        artifact::bundle_of(&manifest, &image()).expect_err("refused")
    };
    assert!(refused(|document| document["subject"]["digest"] = json!(Digest::of("other"))).contains("another image"));
    assert!(refused(|document| document["subject"] = Value::Null).contains("another image"));
    assert!(refused(|document| document["artifactType"] = "text/plain".into()).contains("no Sigstore bundle"));
    assert!(refused(|document| document["layers"] = json!([])).contains("exactly one layer"));
    assert!(refused(|document| document["layers"][0]["size"] = json!(1_u64 << 40)).contains("larger"));
    assert!(refused(|document| document["layers"][0]["size"] = json!(-1)).contains("describes no"));
    assert!(refused(|document| document["mediaType"] = "a/b".into()).contains("none of an artifact"));
}

fn good_of(artifact: &artifact::Artifact) -> Vec<u8> {
    let bytes = artifact.blobs[1].bytes().now_or_never().expect("in memory").expect("whole");
    bytes.to_vec()
}

proptest! {
    #[test]
    fn no_changed_byte_of_a_payload_or_a_signature_counts(at in 0_usize..10_000, bit in 0_u8..8, in_payload in any::<bool>()) {
        let mut document: Value = serde_json::from_slice(&good()).expect("JSON");
        let place = if in_payload { "/dsseEnvelope/payload" } else { "/dsseEnvelope/signatures/0/sig" };
        let field = document.pointer_mut(place).expect("there");
        let mut bytes = STANDARD.decode(field.as_str().expect("text")).expect("base64");
        let length = bytes.len();
        bytes[at % length] ^= 1 << bit;
        *field = STANDARD.encode(bytes).into();
        prop_assert!(collect::trust(document.to_string().as_bytes(), &image(), &key()).is_err());
    }

    #[test]
    fn bytes_of_any_kind_are_no_evidence_and_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        prop_assert!(collect::trust(&bytes, &image(), &key()).is_err());
        let manifest = crate::cloud::ImageManifest { media_type: "application/vnd.oci.image.manifest.v1+json".to_owned(), bytes: bytes.into() };
        prop_assert!(artifact::bundle_of(&manifest, &image()).is_err());
    }
}
