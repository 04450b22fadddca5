//! What a metadata service says, and which of it ends the chain.

use chalk_deploy_core::error::Retry;
use chalk_deploy_testkit::VirtualRuntime;
use chalk_deploy_testkit::simulated::closure::{Answering, Reply};
use serde_json::json;

use super::super::managed_identity::ManagedIdentity;
use super::*;

const CLIENT: &str = "6731de76-14a6-49ae-97bc-6eba6914391e";

async fn asked(client: Option<&str>, service: &Answering) -> Result<Lent<BearerToken>, LinkError> {
    let identity = ManagedIdentity {
        client: client.map(str::to_owned),
        patience: SHORT,
        transport: service.transport(),
        runtime: VirtualRuntime::new(1),
    };
    identity.issue(scope::STORAGE).await
}

fn refusing(status: u16, error: &'static str, why: &'static str) -> Answering {
    Answering::by(move |_| Reply::json(status, json!({"error": error, "error_description": why})))
}

#[tokio::test(start_paused = true)]
async fn one_of_several_identities_is_asked_for_by_its_client_id() {
    let service = Answering::by(|_| {
        let ends = (SystemRuntime::new().now().as_millis() / 1000 + 3600).to_string();
        Reply::json(200, json!({"access_token": "token", "expires_on": ends, "resource": "r", "token_type": "Bearer"}))
    });
    asked(Some(CLIENT), &service).await.expect("a token");
    asked(None, &service).await.expect("a token");
    let [named, own] = [0, 1].map(|number| service.seen()[number].query().get("client_id").cloned());
    assert_eq!((named.as_deref(), own), (Some(CLIENT), None));
    assert!(service.seen().iter().all(|seen| seen.header("metadata") == "true"));
}

#[tokio::test(start_paused = true)]
async fn a_machine_with_several_identities_and_no_choice_is_refused_and_does_not_become_a_person() {
    let why = "Multiple user assigned identities exist, please specify the clientId / resourceId of the identity in the token request";
    let Err(LinkError::Refused(error)) = asked(None, &refusing(400, "invalid_request", why)).await else {
        panic!("refused")
    };
    assert_eq!(error.code(), ErrorCode::PermissionDenied);
    assert!(error.hint().contains("AZURE_CLIENT_ID"), "{}", error.sentence());
}

#[tokio::test(start_paused = true)]
async fn a_machine_without_the_identity_is_passed_over_and_one_of_another_cloud_is_not() {
    let missing = refusing(400, "invalid_request", "Identity not found");
    let Err(LinkError::NotHere(error)) = asked(Some(CLIENT), &missing).await else { panic!("passed over") };
    assert!(error.subject().contains(CLIENT) && error.hint().contains("assign"), "{}", error.sentence());
    let other = refusing(400, "invalid_resource", "AADSTS500011: The resource principal was not found");
    let Err(LinkError::Refused(error)) = asked(None, &other).await else { panic!("refused") };
    assert!(error.hint().contains("national cloud"), "{}", error.sentence());
}

#[tokio::test(start_paused = true)]
async fn a_metadata_service_that_is_being_updated_or_overloaded_may_be_asked_again() {
    for status in [404, 410, 429, 500, 503] {
        let Err(LinkError::Refused(error)) = asked(None, &refusing(status, "busy", "later")).await else {
            panic!("{status} is an answer")
        };
        assert_eq!((error.code(), error.retry()), (ErrorCode::CloudUnavailable, Retry::Temporary), "{status}");
    }
}

#[tokio::test(start_paused = true)]
async fn the_metadata_service_of_another_cloud_or_a_proxy_is_passed_over() {
    for (status, body) in [
        (404, "<?xml version=\"1.0\"?><html><head><title>404 - Not Found</title></head></html>"),
        (401, ""),
        (403, "A socket operation was attempted to an unreachable network."),
        (200, "<html>log in</html>"),
    ] {
        let service = Answering::by(move |_| Reply::new(status, body));
        let Err(LinkError::NotHere(_)) = asked(None, &service).await else { panic!("{status}: passed over") };
    }
    // Azure Arc wants a file read, whose name is in its challenge.
    let arc = Answering::by(|_| {
        Reply::json(401, json!({"error": "unauthorized"})).with("www-authenticate", "Basic realm=/x")
    });
    let Err(LinkError::NotHere(_)) = asked(None, &arc).await else { panic!("passed over") };
}
