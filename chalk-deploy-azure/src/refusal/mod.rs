//! What Azure answers when it refuses, and what a person can do about it.
//!
//! Its services speak four dialects: Entra ID (`error`, `error_description`, `error_codes`), Resource Manager and IMDS
//! (`error` as an object, or as a word), Blob Storage (XML) and registries (`errors`).

mod dialects;
mod entra;
#[cfg(test)]
mod tests;

use chalk_deploy_core::error::Retry;
use chalk_deploy_core::model::Timestamp;
use chalk_deploy_core::{Error, ErrorCode, text};
use http::StatusCode;
use http::header::{DATE, RETRY_AFTER};
use serde_json::Value;

use self::dialects::{first_line, in_json, in_xml};
use self::entra::Meaning;
use crate::api::Answer;

pub(crate) use self::dialects::element;
pub(crate) use self::entra::AadCode;

/// No refusal that makes sense is longer.
const REFUSAL_MOST: usize = 64 << 10;

/// A refusal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Refusal {
    status: StatusCode,
    code: String,
    message: String,
    entra: Option<AadCode>,
    retry_after: Option<u32>,
    /// The server's clock.
    date: Option<String>,
}

impl Refusal {
    pub(crate) fn read(answer: &Answer) -> Self {
        let body = String::from_utf8_lossy(answer.body.get(..REFUSAL_MOST).unwrap_or(&answer.body));
        let (code, message, entra) = match serde_json::from_str::<Value>(body.trim_start_matches('\u{feff}')) {
            Ok(json) => in_json(&json),
            Err(_) => (element(&body, "Code"), in_xml(&body), None),
        };
        let code = code.or_else(|| answer.header("x-ms-error-code").map(str::to_owned)).unwrap_or_default();
        let message = message.unwrap_or_default();
        Self {
            status: answer.status,
            entra: entra.or_else(|| AadCode::within(&message)),
            // Neither of the strings is ours.
            code: text::line(&code, 80),
            message: text::line(first_line(&message), 400),
            retry_after: retry_after(answer),
            date: answer.header(DATE.as_str()).map(|date| text::line(date, 40)),
        }
    }

    /// What a program said of a refusal of Entra ID.
    pub(crate) fn of_entra(entra: Option<AadCode>, words: &str) -> Self {
        Self {
            status: StatusCode::UNAUTHORIZED,
            code: String::new(),
            message: text::line(first_line(words), 400),
            entra,
            retry_after: None,
            date: None,
        }
    }

    pub(crate) fn code(&self) -> &str {
        &self.code
    }

    /// What it says, for a person.
    pub(crate) fn words(&self) -> String {
        match (self.code.as_str(), self.message.as_str()) {
            ("", "") => self.status.to_string(),
            ("", message) => message.to_owned(),
            (code, "") => code.to_owned(),
            (code, message) => format!("{code}: {message}"),
        }
    }

    /// The error for a person and for the driver. `needs` is the permission that the call takes.
    pub(crate) fn into_error(self, subject: &str, needs: Option<&str>, now: Timestamp) -> Error {
        let error = |code| Error::new(code, format!("Azure refused it: {}", self.words())).on(subject);
        let denied = |hint: &str| error(ErrorCode::PermissionDenied).with_hint(hint);
        if let Some(meaning) = self.entra.and_then(AadCode::meaning) {
            return match meaning {
                Meaning::WrongTenant => denied(
                    "check the tenant (AZURE_TENANT_ID) and the client id (AZURE_CLIENT_ID); what was named is not in it",
                ),
                Meaning::WrongSecret => denied("correct the credential of the application, then resume"),
                Meaning::Expired => denied("renew the credential, or log in again (`az login`), then resume"),
                Meaning::Clock => self.clocks(denied(""), now),
                Meaning::NoFederation => denied(
                    "add a federated credential to the identity for this cluster's issuer and this service account",
                ),
                Meaning::SwitchedOff => {
                    denied("the identity is switched off or not assigned; ask who administers the tenant")
                }
                Meaning::NeedsPerson => {
                    denied("log in again where a person can answer (`az login`), or use another identity")
                }
                Meaning::Later => self.unavailable(error(ErrorCode::CloudUnavailable)),
            };
        }
        let says = |words: &str| self.message.contains(words);
        match self.code.as_str() {
            "ExpiredAuthenticationToken" | "ExpiredToken" | "invalid_grant" => {
                denied("renew the credentials, then resume").with_retry(Retry::Temporary)
            }
            "InvalidAuthenticationTokenTenant" | "invalid_tenant" => {
                denied("the token is of another tenant than the subscription; correct AZURE_TENANT_ID, or log in to it")
            }
            "InvalidAuthenticationInfo" if says("Issuer") => {
                denied("the token is of another tenant than the storage account; correct AZURE_TENANT_ID")
            }
            "AuthenticationFailed" | "InvalidAuthenticationInfo" | "RequestTimeTooSkewed" => {
                self.clocks(denied(""), now)
            }
            "AuthorizationFailed"
            | "LinkedAuthorizationFailed"
            | "AuthorizationPermissionMismatch"
            | "InsufficientAccountPermissions" => {
                denied(&self.missing(needs).unwrap_or_else(|| "grant what the message names".to_owned()))
            }
            // A registry says the same word of a permission and of its firewall.
            "DENIED" if says("aka.ms/acr/firewall") || says("is not allowed access") => {
                denied("let this network through the firewall of the registry (`az acr network-rule add`)")
            }
            "DENIED" => denied(&self.missing(needs).unwrap_or_else(|| "grant what the message names".to_owned())),
            "AuthorizationFailure" | "PublicNetworkAccessDisabled" | "IpAuthorizationSourceIPMismatch" => {
                denied(&self.missing(needs).map_or_else(
                    || "let this network through the firewall of the resource".to_owned(),
                    |hint| format!("let this network through the firewall of the resource, or {hint}"),
                ))
            }
            "KeyBasedAuthenticationNotPermitted" => denied("the account takes no keys; use tokens of Entra ID"),
            "RequestDisallowedByPolicy" | "PublicAccessNotPermitted" => {
                denied("an Azure Policy or a setting of the account forbids it; ask who administers the subscription")
            }
            "ScopeLocked"
            | "ReadOnlyDisabledSubscription"
            | "SubscriptionNotRegistered"
            | "AccountIsDisabled"
            | "MissingSubscriptionRegistration" => {
                denied("the subscription, or a lock on the resource, needs attention at Azure")
            }
            "FeatureNotSupportedForAccount" => error(ErrorCode::RequestInvalid)
                .with_hint("use a general-purpose storage account without a hierarchical namespace"),
            "SubscriptionNotFound" | "InvalidSubscriptionId" => error(ErrorCode::ObjectMissing)
                .with_hint("correct AZURE_SUBSCRIPTION_ID; a subscription of another tenant is not found either"),
            "ResourceGroupNotFound" => error(ErrorCode::ObjectMissing).with_hint("correct AZURE_RESOURCE_GROUP"),
            "ResourceNotFound" | "NotFound" | "ParentResourceNotFound" | "NAME_UNKNOWN" | "MANIFEST_UNKNOWN" => {
                error(ErrorCode::ObjectMissing).with_hint("correct the name, the resource group or the subscription")
            }
            "InvalidResourceName" | "OutOfRangeInput" | "InvalidMetadata" | "InvalidHeaderValue" => {
                error(ErrorCode::ValueInvalid)
            }
            "UNAUTHORIZED" => {
                denied("the registry takes no token of this identity; assign it AcrPull and AcrPush there")
            }
            "ContainerBeingDeleted"
            | "ServerBusy"
            | "OperationTimedOut"
            | "InternalError"
            | "InternalServerError"
            | "AnotherOperationInProgress"
            | "StorageAccountOperationInProgress"
            | "TooManyRequests"
            | "Conflict" => self.unavailable(error(ErrorCode::CloudUnavailable)),
            _ => self.by_status(error, needs),
        }
    }

    fn by_status(&self, error: impl Fn(ErrorCode) -> Error, needs: Option<&str>) -> Error {
        match self.status {
            StatusCode::UNAUTHORIZED => error(ErrorCode::PermissionDenied)
                .with_hint("renew or correct the credentials, then resume")
                .with_retry(Retry::Temporary),
            StatusCode::FORBIDDEN => {
                let error = error(ErrorCode::PermissionDenied);
                match self.missing(needs) {
                    Some(hint) => error.with_hint(hint),
                    None => error,
                }
            }
            StatusCode::NOT_FOUND => {
                error(ErrorCode::ObjectMissing).with_hint("correct the name, the resource group or the subscription")
            }
            StatusCode::METHOD_NOT_ALLOWED => error(ErrorCode::PermissionDenied)
                .with_hint("it is locked (`writeEnabled` or `deleteEnabled` is false); unlock it first"),
            // 412: somebody else has changed it since it was read.
            StatusCode::TOO_MANY_REQUESTS
            | StatusCode::REQUEST_TIMEOUT
            | StatusCode::GONE
            | StatusCode::CONFLICT
            | StatusCode::PRECONDITION_FAILED => self.unavailable(error(ErrorCode::CloudUnavailable)),
            status if status.is_server_error() => self.unavailable(error(ErrorCode::CloudUnavailable)),
            StatusCode::BAD_REQUEST => error(ErrorCode::RequestInvalid),
            _ => error(ErrorCode::CloudAnswerInvalid),
        }
    }

    fn unavailable(&self, error: Error) -> Error {
        match self.retry_after {
            Some(seconds) => error.with_hint(format!("resume in {seconds} s")),
            None => error,
        }
    }

    /// The hint for a missing permission: the one that the message names, else the one that the call takes.
    fn missing(&self, needs: Option<&str>) -> Option<String> {
        // "… does not have authorization to perform action 'Microsoft.…/read' over scope '/subscriptions/…' or …"
        let named = |word: &str| self.message.split_once(word)?.1.split_once('\'').map(|(name, _)| name);
        let (action, scope) = (named("perform action '"), named("over scope '"));
        let action = action.or(needs)?;
        Some(match scope {
            Some(scope) => format!("grant `{action}` at `{scope}`"),
            None => format!("grant `{action}`"),
        })
    }

    /// A refusal that a wrong clock explains names both clocks.
    fn clocks(&self, error: Error, now: Timestamp) -> Error {
        let theirs = self.date.as_deref().unwrap_or("what it did not say");
        error.with_hint(format!(
            "renew or correct the credentials, and compare the clocks: this machine says {now}, Azure {theirs}"
        ))
    }
}

/// In how many seconds it may be tried again: as every server says it, or as some of Azure's do, in milliseconds.
fn retry_after(answer: &Answer) -> Option<u32> {
    let number = |name: &str| answer.header(name).and_then(|text| text.trim().parse::<u32>().ok());
    let milliseconds = || number("retry-after-ms").or_else(|| number("x-ms-retry-after-ms"));
    number(RETRY_AFTER.as_str()).or_else(|| milliseconds().map(|milliseconds| milliseconds.div_ceil(1000)))
}
