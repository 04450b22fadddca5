//! Who asks.

use http::header::AUTHORIZATION;
use http::{HeaderMap, StatusCode};

use super::ApiServer;
use super::settings::{Anonymous, User};
use crate::simulated::kubernetes::status::Status;

impl ApiServer {
    /// # Errors
    /// 401 for a token that is unknown or has expired, and for none where one is needed.
    pub(super) fn authenticate(&self, headers: &HeaderMap) -> Result<User, Status> {
        let now = self.objects().runtime().now();
        let settings = self.settings();
        let Some(value) = headers.get(AUTHORIZATION) else {
            return match settings.anonymous {
                Anonymous::Administrator => Ok(User::administrator()),
                Anonymous::Anonymous => Ok(User::anonymous()),
                Anonymous::Refused => Err(unauthorized()),
            };
        };
        let value = value.to_str().map_err(|_| unauthorized())?;
        let (scheme, secret) = value.split_once(' ').ok_or_else(unauthorized)?;
        if !scheme.eq_ignore_ascii_case("bearer") {
            return Err(unauthorized());
        }
        settings
            .tokens
            .iter()
            .find(|token| token.is(secret.trim(), now))
            .map(|token| token.user.clone())
            .ok_or_else(unauthorized)
    }
}

fn unauthorized() -> Status {
    Status::new(StatusCode::UNAUTHORIZED, "Unauthorized", "Unauthorized")
}
