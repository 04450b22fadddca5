//! What went wrong on a socket, in words that name the host and the cause, and neither query nor credentials.

use std::error::Error as StdError;
use std::io;

use rustls::{AlertDescription, CertificateError};

use crate::text;
use crate::transport::{Delivery, TransportError};
use crate::{Error, ErrorCode};

/// A payload's own error, which whoever sent it finds in the source.
pub(super) fn of_payload(delivery: Delivery, error: Error) -> TransportError {
    TransportError { delivery, message: "the request's body cannot be read".to_owned(), source: Some(Box::new(error)) }
}

/// A request without an answer.
pub(super) fn of_request(error: &reqwest::Error, host: &str) -> TransportError {
    // Making the connection, its TLS session included, is one step of the client; nothing of the request has left.
    let delivery = if error.is_connect() || error.is_builder() { Delivery::NotSent } else { Delivery::MaybeSent };
    if let Some(error) = tls_error(error).map(|error| of_tls(error, host)) {
        return TransportError { delivery, message: error.message().to_owned(), source: Some(Box::new(error)) };
    }
    TransportError::new(delivery, described(error, host))
}

/// An answer that broke off.
pub(super) fn of_answer(error: &reqwest::Error, host: &str) -> io::Error {
    let kind = io_error(error).map_or(io::ErrorKind::UnexpectedEof, io::Error::kind);
    io::Error::new(kind, format!("the answer of {host} broke off: {}", innermost(error)))
}

/// The text of the cause behind all causes, fit to be shown.
pub(super) fn innermost(error: &(dyn StdError + 'static)) -> String {
    let mut last = error;
    while let Some(source) = last.source() {
        last = source;
    }
    text::line(&last.to_string(), 300)
}

fn described(error: &reqwest::Error, host: &str) -> String {
    if error.is_dns() {
        return format!("the host {host} is not known: {}", innermost(error));
    }
    match io_error(error).map(io::Error::kind) {
        Some(io::ErrorKind::ConnectionRefused) => format!("{host} refused the connection: nothing listens there"),
        Some(io::ErrorKind::HostUnreachable | io::ErrorKind::NetworkUnreachable) => {
            format!("there is no way to {host}")
        }
        _ if error.is_timeout() && error.is_connect() => format!("no connection to {host} could be made in time"),
        _ if error.is_connect() => format!("no connection to {host} could be made: {}", innermost(error)),
        _ => format!("the connection to {host} broke off before an answer: {}", innermost(error)),
    }
}

/// What stays wrong however often it is tried, with what to do about it.
fn of_tls(error: &rustls::Error, host: &str) -> Error {
    let invalid = |message: String, hint: &str| Error::new(ErrorCode::CloudAnswerInvalid, message).with_hint(hint);
    match error {
        // The signature is bad when an authority of that name is trusted and another has signed.
        rustls::Error::InvalidCertificate(CertificateError::UnknownIssuer | CertificateError::BadSignature) => invalid(
            format!("the certificate of {host} is not signed by an authority that is trusted here"),
            "trust its authority, if it is the right server, or correct the address",
        ),
        rustls::Error::InvalidCertificate(
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
        ) => {
            invalid(format!("the certificate of {host} is for another name"), "use the name that the certificate holds")
        }
        rustls::Error::InvalidCertificate(CertificateError::Expired | CertificateError::ExpiredContext { .. }) => {
            invalid(format!("the certificate of {host} has expired"), "renew it, or correct this machine's clock")
        }
        rustls::Error::InvalidCertificate(cause) => {
            let cause = text::line(&cause.to_string(), 300);
            invalid(format!("the certificate of {host} is not valid: {cause}"), "replace it, or correct the address")
        }
        rustls::Error::AlertReceived(AlertDescription::CertificateRequired) => {
            Error::new(ErrorCode::PermissionDenied, format!("{host} asks for a client certificate"))
                .with_hint("set the client's identity")
        }
        rustls::Error::InvalidMessage(_) => {
            invalid(format!("{host} does not speak TLS"), "correct the port, or use http if it is this machine")
        }
        other => {
            let cause = text::line(&other.to_string(), 300);
            invalid(format!("no TLS session with {host}: {cause}"), "check the address and what stands between")
        }
    }
}

fn tls_error<'error>(error: &'error (dyn StdError + 'static)) -> Option<&'error rustls::Error> {
    causes(error).find_map(|cause| cause.downcast_ref())
}

fn io_error<'error>(error: &'error (dyn StdError + 'static)) -> Option<&'error io::Error> {
    causes(error).find_map(|cause| cause.downcast_ref())
}

/// An error and its causes, those that an I/O error wraps and does not call its source included.
fn causes<'error>(error: &'error (dyn StdError + 'static)) -> impl Iterator<Item = &'error (dyn StdError + 'static)> {
    std::iter::successors(Some(error), |error: &&'error (dyn StdError + 'static)| {
        let error: &'error (dyn StdError + 'static) = *error;
        match error.downcast_ref::<io::Error>().and_then(io::Error::get_ref) {
            Some(wrapped) => Some(wrapped),
            None => error.source(),
        }
    })
}
