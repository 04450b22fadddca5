//! Where a deployment goes, when it is not the simulated data plane: the flags, checked.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;
use std::sync::Arc;

use chalk_deploy_core::model::{Component, Namespace, Repository};
use chalk_deploy_core::runtime::{Runtime, SystemRuntime};
use chalk_deploy_core::{Error, ErrorCode, Result, text};
use clap::Args;

use super::cloud::{CloudArguments, Wanted};

/// The flags of a real data plane. All or none of those that say where things are.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "A real data plane (without these, simulated servers in this process)")]
pub struct TargetArguments {
    /// How to reach the cluster; its current context, unless --context names another
    #[arg(long, value_name = "FILE", group = "place", requires_all = ["registry", "bucket", "base_images"])]
    pub kubeconfig: Option<PathBuf>,

    /// The registry of the images: `host:port/path`, with or without port and path; https unless it is on loopback
    #[arg(long, value_name = "URL", requires = "place")]
    pub registry: Option<RegistryUrl>,

    /// The bucket of the source: <s3://NAME?endpoint=URL&region=R>, http(s)://HOST/NAME, or <file://DIR>; its name in a cloud
    #[arg(long, value_name = "URL", requires = "place")]
    pub bucket: Option<String>,

    /// The platform image under a component's (default: engine), by tag or digest; may be given more than once
    #[arg(long = "base-image", value_name = "[COMPONENT=]REF", requires = "place")]
    pub base_images: Vec<BaseImageReference>,

    /// A context of the kubeconfig
    #[arg(long, value_name = "NAME", requires = "kubeconfig")]
    pub context: Option<String>,

    /// The environment's namespace [default: ns-ENVIRONMENT]
    #[arg(long, value_name = "NAMESPACE", requires = "place")]
    pub namespace: Option<Namespace>,

    /// The Gateway that carries the environment's route [default: chalk-system/chalk]
    #[arg(long, value_name = "NAMESPACE/NAME", requires = "place")]
    pub gateway: Option<GatewayName>,

    /// Where that Gateway answers, so that the cutover can be verified through it
    #[arg(long, value_name = "URL", requires = "place")]
    pub gateway_address: Option<String>,

    /// A credential plugin that the kubeconfig may run, by its absolute path; may be given more than once
    #[arg(long = "allow-exec", value_name = "PATH", requires = "kubeconfig")]
    pub allowed_plugins: Vec<PathBuf>,

    /// By names, in a cloud.
    #[command(flatten)]
    pub cloud: CloudArguments,
}

/// A registry and the path under which the environment's repositories lie.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RegistryUrl {
    /// `host[:port]`.
    pub host: String,
    /// `host[:port]/path`; the path is `chalk` if none was given.
    pub repository: Repository,
    /// Whether it was asked for by `http://`.
    pub is_plain: bool,
}

impl FromStr for RegistryUrl {
    type Err = String;

    fn from_str(given: &str) -> Result<Self, String> {
        let (is_plain, rest) = match given.split_once("://") {
            Some(("http", rest)) => (true, rest),
            Some(("https", rest)) => (false, rest),
            Some(_) => return Err("a registry is reached by http or https".to_owned()),
            None => (false, given),
        };
        let rest = rest.trim_end_matches('/');
        let (host, path) = rest.split_once('/').unwrap_or((rest, "chalk"));
        if host.contains('@') {
            return Err("credentials do not belong into a URL; give them in the environment".to_owned());
        }
        let repository = Repository::new(format!("{host}/{path}")).map_err(|error| error.message().to_owned())?;
        Ok(Self { host: host.to_owned(), repository, is_plain })
    }
}

/// A base image as a person writes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BaseImageReference {
    /// The component.
    pub component: Component,
    /// The repository.
    pub repository: Repository,
    /// What follows it: `:tag` or `@sha256:…`.
    pub version: ImageVersion,
}

/// Which image of a repository.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ImageVersion {
    /// What a tag points to when the deployment begins.
    Tag(chalk_deploy_core::model::ImageTag),
    /// Exactly this one.
    Digest(chalk_deploy_core::model::Digest),
}

impl FromStr for BaseImageReference {
    type Err = String;

    fn from_str(given: &str) -> Result<Self, String> {
        let (component, reference) = match given.split_once('=') {
            Some((component, reference)) => (component_named(component)?, reference),
            None => (Component::Engine, given),
        };
        let message = |error: Error| error.message().to_owned();
        let (repository, version) = if let Some((repository, digest)) = reference.split_once('@') {
            (repository, ImageVersion::Digest(digest.parse().map_err(message)?))
        } else {
            // The colon of a port stands before a slash.
            let at = reference.rfind(':').filter(|at| !reference[*at..].contains('/'));
            let at = at.ok_or("a base image is named by a tag or a digest: host/path:tag or host/path@sha256:…")?;
            (&reference[..at], ImageVersion::Tag(reference[at + 1..].parse().map_err(message)?))
        };
        Ok(Self { component, repository: Repository::new(repository).map_err(message)?, version })
    }
}

impl BaseImageReference {
    /// The error for one that its registry does not hold.
    pub fn missing(&self) -> Error {
        Error::new(ErrorCode::RequestInvalid, "there is no such base image")
            .on(format!("--base-image {}={}{}", self.component, self.repository, self.version))
            .with_hint("push it, or name another one")
    }
}

impl fmt::Display for ImageVersion {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tag(tag) => write!(formatter, ":{tag}"),
            Self::Digest(digest) => write!(formatter, "@{digest}"),
        }
    }
}

fn component_named(name: &str) -> Result<Component, String> {
    const ALL: [Component; 5] = [
        Component::Engine,
        Component::QueryServer,
        Component::StreamWorker,
        Component::BatchWorker,
        Component::BackgroundPersistence,
    ];
    ALL.into_iter()
        .find(|component| component.as_str() == name)
        .ok_or_else(|| format!("the components are {}", ALL.map(Component::as_str).join(", ")))
}

/// A Gateway by its namespace and name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GatewayName {
    /// Its namespace.
    pub namespace: Namespace,
    /// Its name.
    pub name: String,
}

impl FromStr for GatewayName {
    type Err = String;

    fn from_str(given: &str) -> Result<Self, String> {
        let rule = "a Gateway is NAMESPACE/NAME";
        let (namespace, name) = given.split_once('/').ok_or(rule)?;
        let holds = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-' || byte == b'.';
        if name.is_empty() || name.len() > 253 || !name.bytes().all(holds) {
            return Err(rule.to_owned());
        }
        let namespace = Namespace::new(namespace).map_err(|error| error.message().to_owned())?;
        Ok(Self { namespace, name: name.to_owned() })
    }
}

impl TargetArguments {
    /// Whether it is real servers.
    pub const fn is_real(&self) -> bool {
        self.kubeconfig.is_some() || self.cloud.cloud.is_some()
    }

    /// What of a cloud these flags name.
    pub fn wanted(&self) -> Wanted<'_> {
        Wanted {
            cluster: self.cloud.cluster.as_deref(),
            bucket: self.bucket.as_deref(),
            registry: self.registry.as_ref(),
        }
    }

    /// What clap cannot say: one base image a component, and which flags belong to which cloud.
    ///
    /// # Errors
    /// `REQUEST_INVALID` with the component that has two, or the flag.
    pub fn check(&self) -> Result<()> {
        if let Some(name) = self.cloud.cloud {
            self.cloud.account.check(name)?;
            // What is wrong with a name shows when the cloud is put together, and that asks nobody anything.
            let runtime: Arc<dyn Runtime> = SystemRuntime::new();
            self.cloud.account.open(name, self.wanted(), &runtime)?;
        }
        for (position, base) in self.base_images.iter().enumerate() {
            if self.base_images[..position].iter().any(|earlier| earlier.component == base.component) {
                return Err(Error::new(ErrorCode::RequestInvalid, "the component has two base images")
                    .on(format!("--base-image {}={}", base.component, text::printable(base.repository.as_str())))
                    .with_hint("give one for each component"));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_registry_is_a_host_with_a_path_and_plain_only_when_asked() {
        for (given, host, repository, is_plain) in [
            ("127.0.0.1:5000", "127.0.0.1:5000", "127.0.0.1:5000/chalk", false),
            ("http://registry.local:5000/team/chalk/", "registry.local:5000", "registry.local:5000/team/chalk", true),
            (
                "https://1.dkr.ecr.us-east-1.amazonaws.com",
                "1.dkr.ecr.us-east-1.amazonaws.com",
                "1.dkr.ecr.us-east-1.amazonaws.com/chalk",
                false,
            ),
        ] {
            let url: RegistryUrl = given.parse().expect(given);
            assert_eq!((url.host.as_str(), url.repository.as_str(), url.is_plain), (host, repository, is_plain));
        }
        for given in ["ftp://x/y", "user:secret@host/x", "host/UPPER", "", "http://"] {
            RegistryUrl::from_str(given).expect_err(given);
        }
    }

    #[test]
    fn a_base_image_names_its_component_and_a_tag_or_a_digest() {
        let digest = format!("sha256:{}", "a".repeat(64));
        let by_tag: BaseImageReference = "localhost:5000/base:1.2".parse().expect("a tag after a port");
        assert_eq!((by_tag.component, by_tag.repository.as_str()), (Component::Engine, "localhost:5000/base"));
        assert!(matches!(&by_tag.version, ImageVersion::Tag(tag) if tag.as_str() == "1.2"));
        let by_digest: BaseImageReference = format!("stream-worker=r.example/base@{digest}").parse().expect("a digest");
        assert_eq!(by_digest.component, Component::StreamWorker);
        assert!(matches!(&by_digest.version, ImageVersion::Digest(found) if found.to_string() == digest));
        for given in ["r.example/base", "localhost:5000/base", "nothing=r.example/base:1", "r.example/base@sha256:1"] {
            BaseImageReference::from_str(given).expect_err(given);
        }
    }

    #[test]
    fn a_gateway_has_a_namespace() {
        let gateway: GatewayName = "chalk-system/chalk".parse().expect("both parts");
        assert_eq!((gateway.namespace.as_str(), gateway.name.as_str()), ("chalk-system", "chalk"));
        for given in ["chalk", "a/", "/b", "a/b/c", "a/B"] {
            GatewayName::from_str(given).expect_err(given);
        }
    }
}
