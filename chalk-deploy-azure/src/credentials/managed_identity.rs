//! The identity of the machine that this runs on: a virtual machine (IMDS), or App Service.
//!
//! `azure_identity` reads by itself which of the two it is, from the variables of the process (`IDENTITY_ENDPOINT` and its
//! siblings), which therefore cannot be handed in. Where it finds another kind (Cloud Shell, Azure ML, Service Fabric,
//! Azure Arc), this link counts as not set up.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use azure_core::credentials::TokenCredential as _;
use azure_identity::{ManagedIdentityCredential, ManagedIdentityCredentialOptions, UserAssignedId};
use chalk_deploy_core::credentials::{BearerToken, Lent};
use chalk_deploy_core::runtime::{Runtime, RuntimeExt as _};
use chalk_deploy_core::transport::Transport;
use chalk_deploy_core::{Error, ErrorCode, Result, text};
use http::StatusCode;
use http::header::WWW_AUTHENTICATE;

use super::wire::{Seen, Wire, lent};
use super::{Link, LinkError, failed};
use crate::api::Answer;
use crate::refusal::Refusal;

/// The identity that was assigned to this machine.
#[derive(Debug)]
pub(super) struct ManagedIdentity {
    /// The client id of one of several; the machine's own unless set.
    pub(super) client: Option<String>,
    /// Where there is no metadata service, nobody answers. Where there is one it answers within a second as a rule.
    pub(super) patience: Duration,
    pub(super) transport: Transport,
    pub(super) runtime: Arc<dyn Runtime>,
}

#[async_trait]
impl Link for ManagedIdentity {
    fn name(&self) -> &'static str {
        "managed identity"
    }

    async fn issue(&self, scope: &str) -> Result<Lent<BearerToken>, LinkError> {
        let wire = Wire::new(self.transport.clone(), self.runtime.clone());
        let options = ManagedIdentityCredentialOptions {
            user_assigned_id: self.client.clone().map(UserAssignedId::ClientId),
            client_options: wire.options(),
        };
        let subject = match &self.client {
            Some(client) => format!("managed identity `{client}`"),
            None => "managed identity of this machine".to_owned(),
        };
        let credential = match ManagedIdentityCredential::new(Some(options)) {
            Ok(credential) => credential,
            // A kind of machine that is not understood, such as Cloud Shell, where a person is logged in otherwise.
            Err(error) => return Err(LinkError::NotHere(absent(&text::line(&error.to_string(), 200)).on(subject))),
        };
        let error = match self.runtime.within(self.patience, credential.get_token(&[scope], None)).await {
            Some(Ok(token)) => return Ok(lent(&token, &*self.runtime)),
            Some(Err(error)) => error,
            None => return Err(LinkError::NotHere(absent("the metadata service does not answer").on(subject))),
        };
        Err(match wire.seen() {
            Some(Seen::Unreached(error)) => LinkError::NotHere(absent(error.message()).on(subject)),
            Some(Seen::Refused(answer)) => judged(&answer, &subject, &*self.runtime),
            None => LinkError::Refused(failed(&wire, &error, subject, &*self.runtime)),
        })
    }
}

/// What a refusal means ("How to use managed identities for Azure resources on an Azure VM to acquire an access token",
/// error handling).
fn judged(answer: &Answer, subject: &str, runtime: &dyn Runtime) -> LinkError {
    let refusal = Refusal::read(answer);
    let (said, status) = (refusal.words(), answer.status);
    let denied =
        |message: String, hint: &str| Error::new(ErrorCode::PermissionDenied, message).on(subject).with_hint(hint);
    // Azure says why in JSON. Another cloud's metadata service has this address too, and so has a proxy on the way.
    let is_azures = !refusal.code().is_empty() || status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS;
    if !is_azures || answer.headers.contains_key(WWW_AUTHENTICATE) {
        let why = format!("what answers at the metadata service's address is not one of Azure's machines ({status})");
        return LinkError::NotHere(absent(&why).on(subject));
    }
    match status {
        StatusCode::BAD_REQUEST if said.to_ascii_lowercase().contains("multiple user assigned") => {
            let message = format!("this machine has several identities: {said}");
            LinkError::Refused(denied(message, "name the client id of one of them, in AZURE_CLIENT_ID"))
        }
        StatusCode::BAD_REQUEST if refusal.code() == "invalid_resource" => {
            let message = format!("there are no tokens for this service here: {said}");
            LinkError::Refused(denied(
                message,
                "check AZURE_AUTHORITY_HOST; the machine may be of another national cloud",
            ))
        }
        StatusCode::BAD_REQUEST => {
            let message = format!("this machine has no such identity: {said}");
            let hint = "assign the identity to this machine, and name it by AZURE_CLIENT_ID if there are several";
            LinkError::NotHere(denied(message, hint))
        }
        // Both are said while it is being updated, which takes 70 seconds at most.
        StatusCode::NOT_FOUND | StatusCode::GONE => LinkError::Refused(
            Error::new(ErrorCode::CloudUnavailable, format!("the metadata service is being updated: {said}"))
                .on(subject)
                .with_hint("resume in 70 s"),
        ),
        _ => LinkError::Refused(super::refused(answer, subject, runtime)),
    }
}

fn absent(why: &str) -> Error {
    Error::new(ErrorCode::CloudUnavailable, why).with_hint("run on a machine of Azure that has an identity")
}
