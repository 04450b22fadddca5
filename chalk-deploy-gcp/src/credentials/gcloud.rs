//! Credentials of the `gcloud` program, by `gcp_auth`. Their scopes are the login's own.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use chalk_deploy_core::credentials::{BearerToken, Lent};
use chalk_deploy_core::model::Timestamp;
use chalk_deploy_core::runtime::{Runtime, RuntimeExt as _};
use chalk_deploy_core::{Error, ErrorCode, Result};
use gcp_auth::{Error as AuthError, GCloudAuthorizedUser, Token, TokenProvider};

use super::chain::Link;

/// `gcloud` is a slow program.
const PATIENCE: Duration = Duration::from_mins(1);

/// Whoever has logged in with `gcloud auth login`.
pub(crate) struct GcloudProgram(pub(crate) Arc<dyn Runtime>);

#[async_trait]
impl Link for GcloudProgram {
    fn name(&self) -> String {
        "the gcloud program".to_owned()
    }

    async fn lend(&self) -> Result<Option<Lent<BearerToken>>> {
        // It waits for the program on the thread that it is called on.
        let handle = tokio::runtime::Handle::current();
        let program = tokio::task::spawn_blocking(move || {
            handle.block_on(async { GCloudAuthorizedUser::new().await?.token(&[]).await })
        });
        match self.0.within(PATIENCE, program).await {
            Some(Ok(Ok(token))) => Ok(Some(lent(&token))),
            Some(Ok(Err(AuthError::Io(..)))) => Ok(None),
            Some(Ok(Err(error))) => Err(refused(&self.name(), error)),
            Some(Err(_)) | None => Err(Error::new(ErrorCode::CloudUnavailable, "it did not end").on(self.name())),
        }
    }
}

fn lent(token: &Token) -> Lent<BearerToken> {
    let expires = u64::try_from(token.expires_at().timestamp_millis()).unwrap_or_default();
    Lent { value: BearerToken::new(token.as_str()), expires: Some(Timestamp::from_millis(expires)) }
}

fn refused(place: &str, error: AuthError) -> Error {
    Error::new(ErrorCode::PermissionDenied, "it gives no token")
        .on(place)
        .with_hint("log in with `gcloud auth login`, or name a file in GOOGLE_APPLICATION_CREDENTIALS")
        .caused_by(error)
}

impl fmt::Debug for GcloudProgram {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.name())
    }
}

#[cfg(all(test, unix))]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use chalk_deploy_core::runtime::SystemRuntime;

    use super::*;

    /// In the process that the test below starts: what the program is to give.
    const EXPECTED: &str = "CHALK_DEPLOY_TEST_GCLOUD";

    /// The program is found by the variable PATH, so each case is a process of its own.
    #[tokio::test]
    async fn the_gcloud_program_gives_a_token_gives_none_or_is_not_there() {
        if let Ok(expected) = std::env::var(EXPECTED) {
            let lent = GcloudProgram(SystemRuntime::new()).lend().await;
            match expected.as_str() {
                "absent" => assert!(lent.expect("no error").is_none()),
                "refuses" => assert_eq!(lent.expect_err("refused").code(), ErrorCode::PermissionDenied),
                token => {
                    let lent = lent.expect("no error").expect("a token");
                    assert_eq!(lent.value.expose(), token);
                    assert!(lent.expires.is_some());
                }
            }
            return;
        }
        for (expected, script) in [
            ("ya29.of-gcloud", Some("#!/bin/sh\n[ \"$1 $2\" = 'auth print-access-token' ] && echo ya29.of-gcloud\n")),
            ("refuses", Some("#!/bin/sh\nexit 1\n")),
            ("absent", None),
        ] {
            let folder = tempfile::tempdir().expect("a folder");
            if let Some(script) = script {
                let program = folder.path().join("gcloud");
                std::fs::write(&program, script).expect("written");
                std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).expect("set");
            }
            let own = std::env::current_exe().expect("this program");
            let name = "credentials::gcloud::tests::the_gcloud_program_gives_a_token_gives_none_or_is_not_there";
            let child = tokio::process::Command::new(own)
                .args(["--exact", name])
                .env("PATH", folder.path())
                .env(EXPECTED, expected)
                .output();
            let output = child.await.expect("started");
            let said = String::from_utf8_lossy(&output.stdout).into_owned();
            assert!(output.status.success() && said.contains("1 passed"), "{expected}: {said}");
        }
    }
}
