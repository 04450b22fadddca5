//! The fourth link: the credentials that a container is given, by ECS or by EKS Pod Identity ("Container credential
//! provider" of the SDKs and tools reference).

use std::io::Read as _;
use std::net::IpAddr;

use chalk_deploy_core::credentials::{Lent, Secret};
use chalk_deploy_core::model::Timestamp;
use chalk_deploy_core::transport::RequestBody;
use chalk_deploy_core::{Error, ErrorCode, Result, text};
use http::header::{ACCEPT, AUTHORIZATION};
use http::{HeaderValue, Request, Uri};
use serde::Deserialize;

use super::{AccessKeys, Variables, Ways};
use crate::api::read_bounded;
use crate::moment;
use crate::refusal::Refusal;

/// Where the agent of ECS is.
const ECS: &str = "http://169.254.170.2";
/// Hosts that may be asked over plain HTTP, beside loopback: the agents of ECS and of EKS.
pub(crate) const AGENTS: [&str; 3] = ["169.254.170.2", "169.254.170.23", "fd00:ec2::23"];
const ANSWER_MOST: usize = 64 << 10;
const TOKEN_MOST: u64 = 64 << 10;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Answer {
    access_key_id: String,
    secret_access_key: Secret,
    #[serde(default)]
    token: Option<Secret>,
    #[serde(default)]
    expiration: Option<String>,
}

pub(super) async fn lend(variables: &Variables, ways: &Ways) -> Result<Option<Lent<AccessKeys>>> {
    let Some(address) = address(variables)? else { return Ok(None) };
    let mut request = Request::get(address.clone())
        .header(ACCEPT, HeaderValue::from_static("application/json"))
        .body(RequestBody::Empty)
        .map_err(|error| invalid("the address of the container's credentials is none").caused_by(error))?;
    if let Some(token) = token(variables)? {
        let mut value = HeaderValue::from_str(token.expose())
            .map_err(|_| invalid("the token for the container's credentials holds what no header can"))?;
        value.set_sensitive(true);
        request.headers_mut().insert(AUTHORIZATION, value);
    }
    let subject = || format!("container credentials at {}", address.host().unwrap_or_default());
    let sent = ways.transport.send_with_retry(request, ways.retry, &*ways.runtime).await;
    let response = sent.map_err(|error| Error::from(error).on(subject()))?;
    let (parts, body) = response.into_parts();
    let body = read_bounded(body, ANSWER_MOST, ways).await.map_err(|error| error.on(subject()))?;
    if !parts.status.is_success() {
        let refusal = Refusal::read(parts.status, &parts.headers, &body, ways.runtime.now());
        return Err(refusal.error("lend the container's credentials", &subject()));
    }
    let answer: Answer = serde_json::from_slice(&body)
        .map_err(|_| Error::new(ErrorCode::CloudAnswerInvalid, "what was answered are no credentials").on(subject()))?;
    let mut keys = AccessKeys::new(answer.access_key_id, answer.secret_access_key.expose());
    if let Some(token) = &answer.token {
        keys = keys.with_session_token(token.expose());
    }
    let expires: Option<Timestamp> = match answer.expiration.as_deref() {
        None => None,
        Some(written) => Some(moment::read(written).ok_or_else(|| {
            Error::new(ErrorCode::CloudAnswerInvalid, "the credentials end at a time that is none").on(subject())
        })?),
    };
    if let Some(expires) = expires {
        keys = keys.with_expiry(expires);
    }
    Ok(Some(Lent { value: keys.checked()?, expires }))
}

/// Where to ask. The relative variable goes first, as the reference has it.
fn address(variables: &Variables) -> Result<Option<Uri>> {
    let address = match (
        variables.get("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI"),
        variables.get("AWS_CONTAINER_CREDENTIALS_FULL_URI"),
    ) {
        (Some(relative), _) if relative.starts_with('/') => format!("{ECS}{relative}"),
        (Some(_), _) => return Err(invalid("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI does not begin with `/`")),
        (None, Some(full)) => full.to_owned(),
        (None, None) => return Ok(None),
    };
    let uri: Uri = address.parse().map_err(|_| invalid("the address of the container's credentials is none"))?;
    let host = uri.host().unwrap_or_default().trim_matches(['[', ']']);
    let is_near = AGENTS.contains(&host) || is_this_machine(host);
    match uri.scheme_str() {
        Some("https") if !host.is_empty() => Ok(Some(uri)),
        Some("http") if is_near => Ok(Some(uri)),
        // Whoever can set a variable could else have the credentials sent by a host of their own.
        _ => Err(invalid(&format!(
            "the container's credentials may not be asked for at `{}` over plain HTTP",
            text::line(host, 80)
        ))
        .with_hint("use https, loopback, 169.254.170.2, 169.254.170.23 or fd00:ec2::23")),
    }
}

/// `localhost` never leaves the machine (RFC 6761, section 6.3), and is what the reference itself gives as an example.
pub(super) fn is_this_machine(host: &str) -> bool {
    host.eq_ignore_ascii_case("localhost") || host.parse().is_ok_and(|address: IpAddr| address.is_loopback())
}

/// What to show there: a token in a variable, or one in a file that others keep fresh, which goes first.
fn token(variables: &Variables) -> Result<Option<Secret>> {
    let Some(path) = variables.get("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE") else {
        return Ok(variables.get("AWS_CONTAINER_AUTHORIZATION_TOKEN").map(Secret::new));
    };
    let failed = |error: std::io::Error| {
        Error::new(ErrorCode::PermissionDenied, "the token for the container's credentials cannot be read")
            .on(format!("file `{}`", text::line(path, 200)))
            .with_hint("check AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE and who may read the file")
            .caused_by(error)
    };
    let mut token = String::new();
    let file = std::fs::File::open(path).map_err(failed)?;
    file.take(TOKEN_MOST).read_to_string(&mut token).map_err(failed)?;
    Ok(Some(Secret::new(token.trim())))
}

fn invalid(why: &str) -> Error {
    Error::new(ErrorCode::ValueInvalid, why)
        .on("credentials of AWS")
        .with_hint("correct the variables AWS_CONTAINER_CREDENTIALS_…, which ECS and EKS set by themselves")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address_of(name: &'static str, value: &'static str) -> Result<Option<String>> {
        let variables = Variables::read(|asked| (asked == name).then(|| value.to_owned()));
        Ok(address(&variables)?.map(|uri| uri.to_string()))
    }

    #[test]
    fn credentials_are_asked_for_near_by_or_over_tls_alone() {
        const FULL: &str = "AWS_CONTAINER_CREDENTIALS_FULL_URI";
        const RELATIVE: &str = "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI";
        for (name, value, expected) in [
            (RELATIVE, "/v2/credentials/x", "http://169.254.170.2/v2/credentials/x"),
            (FULL, "http://169.254.170.23/v1/credentials", "http://169.254.170.23/v1/credentials"),
            (FULL, "http://[fd00:ec2::23]/v1/credentials", "http://[fd00:ec2::23]/v1/credentials"),
            (FULL, "http://127.0.0.1:8080/x", "http://127.0.0.1:8080/x"),
            (FULL, "http://localhost:8080/x", "http://localhost:8080/x"),
            (FULL, "https://vault.example/x", "https://vault.example/x"),
        ] {
            assert_eq!(address_of(name, value).expect(value).as_deref(), Some(expected));
        }
        for (name, value) in [
            (FULL, "http://evil.example/"),
            (FULL, "http://169.254.170.2.evil.example/"),
            (FULL, "http://localhost.evil.example/"),
            (FULL, "ftp://127.0.0.1/"),
            (FULL, "/relative"),
            (RELATIVE, "@evil.example/"),
        ] {
            assert_eq!(address_of(name, value).expect_err(value).code(), ErrorCode::ValueInvalid);
        }
        assert_eq!(address_of("HOME", "/").expect("nothing is set"), None);
    }
}
