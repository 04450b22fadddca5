//! The identity of the machine that this runs on: a virtual machine (IMDS), or App Service.
//!
//! `azure_identity` reads by itself which of the two it is, from the variables of the process (`IDENTITY_ENDPOINT` and its
//! siblings), which therefore cannot be handed in.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use azure_core::credentials::TokenCredential as _;
use azure_identity::{ManagedIdentityCredential, ManagedIdentityCredentialOptions, UserAssignedId};
use chalk_deploy_core::credentials::{BearerToken, Lent};
use chalk_deploy_core::runtime::{Runtime, RuntimeExt as _};
use chalk_deploy_core::transport::Transport;
use chalk_deploy_core::{Error, ErrorCode, Result};
use http::StatusCode;

use super::wire::{Seen, Wire, lent};
use super::{Link, LinkError, failed};

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
        let fetched = async {
            match ManagedIdentityCredential::new(Some(options)) {
                Ok(credential) => credential.get_token(&[scope], None).await,
                Err(error) => Err(error),
            }
        };
        let subject = match &self.client {
            Some(client) => format!("managed identity `{client}`"),
            None => "managed identity of this machine".to_owned(),
        };
        let error = match self.runtime.within(self.patience, fetched).await {
            Some(Ok(token)) => return Ok(lent(&token, &*self.runtime)),
            Some(Err(error)) => error,
            None => return Err(LinkError::NotHere(absent("the metadata service does not answer").on(subject))),
        };
        match wire.seen() {
            Some(Seen::Unreached(error)) => Err(LinkError::NotHere(absent(error.message()).on(subject))),
            Some(Seen::Refused(answer)) if answer.status == StatusCode::BAD_REQUEST => {
                // "How to use managed identities … to acquire an access token": 400 is `invalid_resource`, a bad
                // request, or an identity that the machine does not have.
                let said = answer.words();
                let message = format!("this machine has no such identity: {said}");
                let hint = "assign the identity to this machine, and name it by AZURE_CLIENT_ID if there are several";
                Err(LinkError::NotHere(Error::new(ErrorCode::PermissionDenied, message).on(subject).with_hint(hint)))
            }
            Some(Seen::Refused(answer)) => Err(LinkError::Refused(super::refused(&answer, &subject, &*self.runtime))),
            None => Err(LinkError::Refused(failed(&wire, &error, subject, &*self.runtime))),
        }
    }
}

fn absent(why: &str) -> Error {
    Error::new(ErrorCode::CloudUnavailable, why).with_hint("run on a machine of Azure that has an identity")
}
