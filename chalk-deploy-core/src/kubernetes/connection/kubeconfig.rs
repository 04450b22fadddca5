//! Kubeconfig files. They come from strangers: a file that would have us run a program, trust anyone or go through a
//! proxy is refused unless the policy allows it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::Uri;
use serde::Deserialize;

use super::access::{address, is_loopback};
use super::credentials::read_file;
use super::exec::{ExecPlugin, ExecSection};
use super::{ClusterAccess, Credentials, ExecPolicy, Secret, Trust};
use crate::model::Namespace;
use crate::{Error, ErrorCode, Result, text};

/// No kubeconfig is longer, and no certificate in a file of its own.
const FILE_MOST: u64 = 1 << 20;

/// What a kubeconfig may ask for.
#[derive(Debug, Clone, Default)]
pub struct KubeconfigPolicy {
    /// The programs that it may have run.
    pub exec: ExecPolicy,
    /// Whether `insecure-skip-tls-verify` is honoured.
    pub insecure: bool,
}

/// A kubeconfig, read and not yet resolved.
#[derive(Debug, Clone)]
pub struct Kubeconfig {
    file: File,
    /// What it is called in errors.
    origin: String,
    /// Where relative paths start.
    folder: Option<PathBuf>,
}

#[derive(Debug, Clone, Deserialize)]
struct File {
    #[serde(default, rename = "current-context")]
    current_context: Option<String>,
    #[serde(default)]
    clusters: Option<Vec<Named<ClusterSlot>>>,
    #[serde(default)]
    contexts: Option<Vec<Named<ContextSlot>>>,
    #[serde(default)]
    users: Option<Vec<Named<UserSlot>>>,
}

#[derive(Debug, Clone, Deserialize)]
struct Named<T> {
    name: String,
    #[serde(flatten)]
    slot: T,
}

#[derive(Debug, Clone, Deserialize)]
struct ClusterSlot {
    #[serde(default)]
    cluster: Option<Cluster>,
}

#[derive(Debug, Clone, Deserialize)]
struct ContextSlot {
    #[serde(default)]
    context: Option<Context>,
}

#[derive(Debug, Clone, Deserialize)]
struct UserSlot {
    #[serde(default)]
    user: Option<User>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, rename_all = "kebab-case")]
struct Cluster {
    server: Option<String>,
    certificate_authority: Option<String>,
    certificate_authority_data: Option<String>,
    insecure_skip_tls_verify: Option<bool>,
    tls_server_name: Option<String>,
    proxy_url: Option<String>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
struct Context {
    cluster: Option<String>,
    user: Option<String>,
    namespace: Option<String>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, rename_all = "kebab-case")]
struct User {
    token: Option<Secret>,
    #[serde(rename = "tokenFile")]
    token_file: Option<String>,
    username: Option<String>,
    password: Option<Secret>,
    client_certificate: Option<String>,
    client_certificate_data: Option<String>,
    client_key: Option<String>,
    client_key_data: Option<Secret>,
    exec: Option<ExecSection>,
    auth_provider: Option<serde::de::IgnoredAny>,
    #[serde(rename = "as")]
    impersonate: Option<serde::de::IgnoredAny>,
}

impl Kubeconfig {
    /// Reads a file. Its relative paths start at its folder.
    ///
    /// # Errors
    /// [`ErrorCode::PermissionDenied`] when it cannot be read, [`ErrorCode::ValueInvalid`] when it is no kubeconfig.
    pub fn read(path: &Path) -> Result<Self> {
        let text = read_file(path, FILE_MOST)?;
        Self::parse(&text, &path.display().to_string(), path.parent().map(Path::to_owned))
    }

    /// Reads a text. Without a folder, a relative path in it is refused. `origin` is what errors call it.
    ///
    /// # Errors
    /// [`ErrorCode::ValueInvalid`] when it is no kubeconfig.
    pub fn parse(text: &str, origin: &str, folder: Option<PathBuf>) -> Result<Self> {
        let invalid = |why: String| {
            Error::new(ErrorCode::ValueInvalid, why)
                .on(format!("kubeconfig {}", text::line(origin, 300)))
                .with_hint("make the kubeconfig again with the tool of your cloud")
        };
        if text.len() as u64 > FILE_MOST {
            return Err(invalid(format!("it is longer than {}", text::bytes(FILE_MOST))));
        }
        // The parser's words are shown without a snippet: the file holds secrets.
        let file: File = serde_saphyr::from_str_with_options(text, options())
            .map_err(|error| invalid(format!("it is no kubeconfig: {}", text::line(&error.to_string(), 200))))?;
        if file.clusters.is_none() && file.contexts.is_none() {
            return Err(invalid("it is no kubeconfig: there are neither clusters nor contexts".to_owned()));
        }
        Ok(Self { file, origin: text::line(origin, 300), folder })
    }

    /// The names of its contexts, in order.
    pub fn contexts(&self) -> impl Iterator<Item = &str> {
        self.file.contexts.iter().flatten().map(|context| context.name.as_str())
    }

    /// The access of a context, or of the current one.
    ///
    /// # Errors
    /// [`ErrorCode::ValueInvalid`] for what is missing, contradictory or not supported; [`ErrorCode::PermissionDenied`]
    /// for what the policy forbids and for files that cannot be read.
    pub fn access(&self, context: Option<&str>, policy: &KubeconfigPolicy) -> Result<ClusterAccess> {
        let (context, cluster) = self.context(context)?;
        let nobody = User::default();
        let user = match context.user.as_deref().filter(|name| !name.is_empty()) {
            None => &nobody,
            Some(name) => find(self.file.users.as_ref(), name)
                .and_then(|slot| slot.user.as_ref())
                .ok_or_else(|| self.invalid(format!("there is no user `{}`", text::line(name, 100))))?,
        };
        let server = self.server(cluster)?;
        let trust = Trust {
            authority: self.authority(cluster)?,
            identity: self.identity(user)?,
            insecure: self.insecure(cluster, policy)?,
        };
        let credentials = self.credentials(user, policy)?;
        if server.scheme_str() == Some("http") && !is_loopback(&server) && !matches!(credentials, Credentials::None) {
            return Err(self
                .invalid("its `server` is reached without encryption, and the credentials could be read")
                .with_hint("use an `https` address"));
        }
        let namespace = context.namespace.as_deref().filter(|name| !name.is_empty()).map(Namespace::new).transpose()?;
        Ok(ClusterAccess { server, credentials, trust, namespace })
    }

    /// Where the cluster of a context, or of the current one, is and whom to trust there, without its user: for whom the
    /// provider of the cluster knows by other credentials than those that the file names.
    ///
    /// # Errors
    /// Those of [`access`](Self::access), but for what concerns the user.
    pub fn anonymous_access(&self, context: Option<&str>, policy: &KubeconfigPolicy) -> Result<ClusterAccess> {
        let (_, cluster) = self.context(context)?;
        let server = self.server(cluster)?;
        let trust =
            Trust { authority: self.authority(cluster)?, identity: None, insecure: self.insecure(cluster, policy)? };
        Ok(ClusterAccess { server, credentials: Credentials::None, trust, namespace: None })
    }

    /// A context, or the current one, and its cluster.
    fn context(&self, name: Option<&str>) -> Result<(&Context, &Cluster)> {
        let current = self.file.current_context.as_deref().filter(|name| !name.is_empty());
        let name = name.or(current).ok_or_else(|| {
            self.invalid("no context is named, and none is the current one").with_hint(self.known_contexts())
        })?;
        let context =
            find(self.file.contexts.as_ref(), name).and_then(|slot| slot.context.as_ref()).ok_or_else(|| {
                self.invalid(format!("there is no context `{}`", text::line(name, 100)))
                    .with_hint(self.known_contexts())
            })?;
        let cluster_name = context.cluster.as_deref().unwrap_or_default();
        let cluster = find(self.file.clusters.as_ref(), cluster_name)
            .and_then(|slot| slot.cluster.as_ref())
            .ok_or_else(|| self.invalid(format!("there is no cluster `{}`", text::line(cluster_name, 100))))?;
        Ok((context, cluster))
    }

    fn server(&self, cluster: &Cluster) -> Result<Uri> {
        let server = cluster.server.as_deref().ok_or_else(|| self.invalid("the cluster has no `server`"))?;
        address(server).map_err(|error| error.caused_by(self.invalid("its `server` is refused")))
    }

    fn authority(&self, cluster: &Cluster) -> Result<Option<String>> {
        if cluster.proxy_url.as_deref().is_some_and(|proxy| !proxy.is_empty()) {
            return Err(self
                .invalid("it wants a proxy (`proxy-url`), and requests go to the API server directly")
                .with_hint("remove `proxy-url`, or run where the API server is reached without a proxy"));
        }
        if cluster.tls_server_name.as_deref().is_some_and(|name| !name.is_empty()) {
            return Err(self
                .invalid("it wants the certificate to be of another host (`tls-server-name`)")
                .with_hint("use the name that is in the certificate as the host of `server`"));
        }
        match (&cluster.certificate_authority_data, &cluster.certificate_authority) {
            (Some(data), _) if !data.is_empty() => self.decoded(data, "certificate-authority-data").map(Some),
            (_, Some(path)) if !path.is_empty() => read_file(&self.path(path)?, FILE_MOST).map(Some),
            _ => Ok(None),
        }
    }

    fn insecure(&self, cluster: &Cluster, policy: &KubeconfigPolicy) -> Result<bool> {
        let wanted = cluster.insecure_skip_tls_verify.unwrap_or_default();
        if wanted && !policy.insecure {
            return Err(Error::new(
                ErrorCode::PermissionDenied,
                "it wants any certificate to be trusted (`insecure-skip-tls-verify`), and that is not allowed",
            )
            .on(self.subject())
            .with_hint("name the cluster's certificate authority instead"));
        }
        Ok(wanted)
    }

    fn identity(&self, user: &User) -> Result<Option<Secret>> {
        let certificate = match (&user.client_certificate_data, &user.client_certificate) {
            (Some(data), _) if !data.is_empty() => Some(self.decoded(data, "client-certificate-data")?),
            (_, Some(path)) if !path.is_empty() => Some(read_file(&self.path(path)?, FILE_MOST)?),
            _ => None,
        };
        let key = match (&user.client_key_data, &user.client_key) {
            (Some(data), _) if !data.expose().is_empty() => Some(self.decoded(data.expose(), "client-key-data")?),
            (_, Some(path)) if !path.is_empty() => Some(read_file(&self.path(path)?, FILE_MOST)?),
            _ => None,
        };
        match (certificate, key) {
            (None, None) => Ok(None),
            (Some(certificate), Some(key)) => Ok(Some(Secret::new(format!("{}\n{key}", certificate.trim_end())))),
            (Some(_), None) => Err(self.invalid("the user has a client certificate without its key")),
            (None, Some(_)) => Err(self.invalid("the user has the key of a client certificate without it")),
        }
    }

    fn credentials(&self, user: &User, policy: &KubeconfigPolicy) -> Result<Credentials> {
        if user.auth_provider.is_some() {
            return Err(self
                .invalid("the user has an `auth-provider`, which Kubernetes itself gave up in 1.26")
                .with_hint("make the kubeconfig again with a newer tool; it will name a credential plugin"));
        }
        if user.impersonate.is_some() {
            return Err(self
                .invalid("the user acts as another one (`as`), which is not supported")
                .with_hint("use the credentials of the one who is meant"));
        }
        let full = |secret: &&Secret| !secret.expose().is_empty();
        if let Some(token) = user.token.as_ref().filter(full) {
            return Ok(Credentials::Token(token.clone()));
        }
        if let Some(path) = user.token_file.as_deref().filter(|path| !path.is_empty()) {
            return Ok(Credentials::TokenFile(self.path(path)?));
        }
        if let Some(name) = user.username.as_deref().filter(|name| !name.is_empty()) {
            let password = user.password.clone().unwrap_or_else(|| Secret::new(""));
            return Ok(Credentials::Basic { user: name.to_owned(), password });
        }
        match &user.exec {
            None => Ok(Credentials::None),
            Some(section) => {
                let plugin = ExecPlugin::allowed(section.clone(), &policy.exec)?;
                Ok(Credentials::Exec(Arc::new(plugin)))
            }
        }
    }

    fn decoded(&self, data: &str, field: &str) -> Result<String> {
        let bytes = STANDARD.decode(data.trim()).map_err(|_| self.invalid(format!("its `{field}` is no base64")))?;
        String::from_utf8(bytes).map_err(|_| self.invalid(format!("its `{field}` is no PEM")))
    }

    fn path(&self, path: &str) -> Result<PathBuf> {
        let path = Path::new(path);
        match &self.folder {
            _ if path.is_absolute() => Ok(path.to_owned()),
            Some(folder) => Ok(folder.join(path)),
            None => Err(self
                .invalid(format!("the path `{}` is relative to a file, and this one is none", path.display()))
                .with_hint("write the path in full, or its content as data")),
        }
    }

    fn known_contexts(&self) -> String {
        let names: Vec<_> = self.contexts().take(20).map(|name| format!("`{}`", text::line(name, 100))).collect();
        if names.is_empty() {
            "it has no contexts".to_owned()
        } else {
            format!("its contexts are {}", names.join(", "))
        }
    }

    fn invalid(&self, why: impl Into<String>) -> Error {
        Error::new(ErrorCode::ValueInvalid, why).on(self.subject())
    }

    fn subject(&self) -> String {
        format!("kubeconfig {}", self.origin)
    }
}

fn find<'file, T>(list: Option<&'file Vec<Named<T>>>, name: &str) -> Option<&'file T> {
    list?.iter().find(|named| named.name == name).map(|named| &named.slot)
}

/// Far more than any real kubeconfig needs, and far less than what an alias bomb wants.
fn options() -> serde_saphyr::Options {
    serde_saphyr::options! {
        budget: serde_saphyr::budget! {
            max_depth: 32,
            max_documents: 1,
            max_nodes: 50_000,
            max_events: 200_000,
            max_aliases: 100,
            max_anchors: 100,
        },
        alias_limits: serde_saphyr::alias_limits! {
            max_total_replayed_events: 50_000,
            max_replay_stack_depth: 16,
        },
        with_snippet: false,
    }
}

impl ClusterAccess {
    /// The access of the pod that we run in: its service account, by the files and variables that the kubelet gives.
    ///
    /// # Errors
    /// [`ErrorCode::ValueInvalid`] when we do not run in a pod, [`ErrorCode::PermissionDenied`] when it has no service
    /// account.
    pub fn in_cluster() -> Result<Self> {
        let variables: BTreeMap<_, _> = ["KUBERNETES_SERVICE_HOST", "KUBERNETES_SERVICE_PORT"]
            .into_iter()
            .filter_map(|name| Some((name, std::env::var(name).ok()?)))
            .collect();
        Self::of_pod(&variables, Path::new("/var/run/secrets/kubernetes.io/serviceaccount"))
    }

    fn of_pod(variables: &BTreeMap<&str, String>, folder: &Path) -> Result<Self> {
        let (Some(host), Some(port)) =
            (variables.get("KUBERNETES_SERVICE_HOST"), variables.get("KUBERNETES_SERVICE_PORT"))
        else {
            return Err(Error::new(ErrorCode::ValueInvalid, "this process does not run in a pod of a cluster")
                .with_hint("name a kubeconfig"));
        };
        let host = if host.contains(':') { format!("[{host}]") } else { host.clone() };
        let mut access = Self::anonymous(&format!("https://{host}:{port}"))?;
        access.trust.authority = Some(read_file(&folder.join("ca.crt"), FILE_MOST)?);
        let token = folder.join("token");
        super::credentials::read_token(&token)?;
        access.credentials = Credentials::TokenFile(token);
        access.namespace = match read_file(&folder.join("namespace"), 1024) {
            // One of Kubernetes' own is no place for an environment; which one to use is said elsewhere.
            Ok(name) => Namespace::new(name.trim()).ok(),
            Err(_) => None,
        };
        Ok(access)
    }
}

#[cfg(test)]
mod tests;
