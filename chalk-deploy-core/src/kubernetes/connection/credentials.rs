//! Who we are: what stands in the `Authorization` header, and how it is renewed.

use std::fmt::Write as _;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::HeaderValue;
use tokio::sync::Mutex;

use super::exec::{ExecPlugin, Renewal};
use super::{Failure, Secret};
use crate::credentials::{BearerToken, BearerTokenSource};
use crate::runtime::Runtime;
use crate::{Error, ErrorCode, Result};

/// A token's file is read again after this time (the kubelet renews projected tokens well before they expire).
const REREAD: Duration = Duration::from_secs(10);
/// No token is longer.
const TOKEN_MOST: u64 = 64 << 10;

/// Who we are.
#[derive(Debug, Clone, Default)]
pub enum Credentials {
    /// Nobody, or whom the client certificate names.
    #[default]
    None,
    /// The holder of this token.
    Token(Secret),
    /// The holder of the token in this file, which others keep fresh.
    TokenFile(PathBuf),
    /// A user with a password.
    Basic {
        /// The user.
        user: String,
        /// The password.
        password: Secret,
    },
    /// The holder of the token that this source names, which keeps it until shortly before it expires.
    Source(Arc<dyn BearerTokenSource>),
    /// Whom a program says, that the policy has allowed. Only a kubeconfig leads here.
    #[doc(hidden)]
    Exec(Arc<ExecPlugin>),
}

/// The header for the next request.
pub(super) struct CredentialSource {
    credentials: Credentials,
    server: String,
    runtime: Arc<dyn Runtime>,
    cached: Mutex<Option<Cached>>,
}

struct Cached {
    header: HeaderValue,
    renewal: Renewal,
    read_at: Duration,
    /// What a source has named.
    named: Option<BearerToken>,
}

impl CredentialSource {
    pub(super) fn new(credentials: Credentials, server: String, runtime: Arc<dyn Runtime>) -> Self {
        Self { credentials, server, runtime, cached: Mutex::new(None) }
    }

    /// What to show.
    pub(super) async fn header(&self) -> Result<Option<HeaderValue>, Failure> {
        self.obtain().await.map_err(Failure::Credentials)
    }

    /// What was shown was refused: it is not shown again without having been asked for anew.
    pub(super) async fn refused(&self) {
        let cached = self.cached.lock().await.take();
        if let (Credentials::Source(source), Some(token)) = (&self.credentials, cached.and_then(|cached| cached.named))
        {
            source.refused(&token).await;
        }
    }

    async fn obtain(&self) -> Result<Option<HeaderValue>> {
        match &self.credentials {
            Credentials::None => Ok(None),
            Credentials::Token(token) => bearer(token).map(Some),
            Credentials::Basic { user, password } => basic(user, password).map(Some),
            Credentials::Source(source) => {
                let token = source.token().await?;
                let header = token.authorization()?;
                let cached = self.cache(header.clone(), Renewal::Never);
                *self.cached.lock().await = Some(Cached { named: Some(token), ..cached });
                Ok(Some(header))
            }
            Credentials::TokenFile(path) => {
                let mut cached = self.cached.lock().await;
                if let Some(cached) = &*cached
                    && self.runtime.monotonic().saturating_sub(cached.read_at) < REREAD
                {
                    return Ok(Some(cached.header.clone()));
                }
                let header = bearer(&read_token(path)?)?;
                *cached = Some(self.cache(header.clone(), Renewal::Never));
                Ok(Some(header))
            }
            Credentials::Exec(plugin) => {
                // Held over the run, so that the program runs once for all that wait.
                let mut cached = self.cached.lock().await;
                if let Some(cached) = &*cached
                    && !cached.renewal.is_due(self.runtime.now())
                {
                    return Ok(Some(cached.header.clone()));
                }
                let (token, renewal) = plugin.run(&self.server, &*self.runtime).await?;
                let header = bearer(&token)?;
                *cached = Some(self.cache(header.clone(), renewal));
                Ok(Some(header))
            }
        }
    }

    fn cache(&self, header: HeaderValue, renewal: Renewal) -> Cached {
        Cached { header, renewal, read_at: self.runtime.monotonic(), named: None }
    }
}

fn bearer(token: &Secret) -> Result<HeaderValue> {
    sensitive(&format!("Bearer {}", token.expose().trim()))
}

fn basic(user: &str, password: &Secret) -> Result<HeaderValue> {
    let mut text = user.to_owned();
    // Writing to a string cannot fail.
    let _ = write!(text, ":{}", password.expose());
    sensitive(&format!("Basic {}", STANDARD.encode(text)))
}

/// A header that is printed nowhere.
fn sensitive(text: &str) -> Result<HeaderValue> {
    let mut header = HeaderValue::from_str(text).map_err(|_| {
        Error::new(ErrorCode::PermissionDenied, "the credentials hold characters that no header can hold")
            .on("credentials of the cluster")
            .with_hint("check the token or the password for line breaks")
    })?;
    header.set_sensitive(true);
    Ok(header)
}

pub(super) fn read_token(path: &Path) -> Result<Secret> {
    let text = read_file(path, TOKEN_MOST)?;
    if text.trim().is_empty() {
        return Err(Error::new(ErrorCode::PermissionDenied, "the file of the token is empty").on(path.display()));
    }
    Ok(Secret::new(text.trim()))
}

/// A small file of text.
pub(super) fn read_file(path: &Path, most: u64) -> Result<String> {
    let failed = |error: std::io::Error| {
        Error::new(ErrorCode::PermissionDenied, "the file cannot be read")
            .on(path.display())
            .with_hint("check the path and who may read it")
            .caused_by(error)
    };
    let mut text = String::new();
    let file = std::fs::File::open(path).map_err(failed)?;
    if !file.metadata().map_err(failed)?.is_file() {
        return Err(failed(std::io::Error::other("it is no file")));
    }
    file.take(most + 1).read_to_string(&mut text).map_err(failed)?;
    if text.len() as u64 > most {
        return Err(failed(std::io::Error::other(format!("it is longer than {}", crate::text::bytes(most)))));
    }
    Ok(text)
}
