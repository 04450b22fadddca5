//! What builds the images: this process, or workflows in the cluster. The flags, checked, and the builder that they ask
//! for.

use std::sync::Arc;

use chalk_deploy_core::build::argo::{ArgoBuilder, ArgoSettings, DockerfileSettings};
use chalk_deploy_core::build::dockerfile::BasePolicy;
use chalk_deploy_core::build::{InProcessBuilder, RoutedBuilder, Routing};
use chalk_deploy_core::cloud::{Builder, ObjectStore, Registry};
use chalk_deploy_core::kubernetes::Connection;
use chalk_deploy_core::model::{ImageReference, Namespace, ProjectSettings, Repository};
use chalk_deploy_core::{Error, ErrorCode, Result, text};
use clap::{Args, ValueEnum};

/// The flags of the builder.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "What builds the images")]
pub struct BuilderArguments {
    /// Where images are built. `argo`: workflows build what brings a Dockerfile, this process everything else
    #[arg(long = "builder", value_enum, default_value_t = BuilderName::InProcess)]
    pub name: BuilderName,

    /// The image of chalk-deploy's builder (`examples/build_image`), by digest
    #[arg(long, value_name = "REF@DIGEST", value_parser = image)]
    pub builder_image: Option<ImageReference>,

    /// The image of kaniko's executor, by digest, for projects that bring a Dockerfile
    #[arg(long, value_name = "REF@DIGEST", value_parser = image)]
    pub dockerfile_image: Option<ImageReference>,

    /// A repository whose tags a Dockerfile may name; digests it may always name. May be given more than once
    #[arg(long, value_name = "REPOSITORY", value_parser = repository)]
    pub dockerfile_tags_of: Vec<Repository>,

    /// The namespace of the workflows [default: that of --namespace, or of the kubeconfig]
    #[arg(long, value_name = "NAMESPACE")]
    pub builder_namespace: Option<Namespace>,

    /// The service account of the workflows' pods [default: default]
    #[arg(long, value_name = "NAME")]
    pub builder_service_account: Option<String>,

    /// A Secret whose entries become the environment of what reads the bucket
    #[arg(long, value_name = "NAME")]
    pub builder_bucket_secret: Option<String>,

    /// A Secret of type kubernetes.io/dockerconfigjson for what pushes the images
    #[arg(long, value_name = "NAME")]
    pub builder_registry_secret: Option<String>,

    /// Lets workflows build every project
    #[arg(long)]
    pub build_all_in_workflows: bool,
}

/// The names of the builders on the command line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum BuilderName {
    /// This process
    #[default]
    InProcess,
    /// Argo Workflows
    Argo,
}

fn image(given: &str) -> Result<ImageReference, String> {
    let (repository, digest) = given.split_once('@').ok_or("an image is named by its digest: host/path@sha256:…")?;
    let message = |error: Error| error.message().to_owned();
    Ok(ImageReference { repository: repository_of(repository)?, digest: digest.parse().map_err(message)? })
}

fn repository(given: &str) -> Result<Repository, String> {
    repository_of(given)
}

fn repository_of(given: &str) -> Result<Repository, String> {
    Repository::new(given).map_err(|error| error.message().to_owned())
}

impl BuilderArguments {
    /// What clap cannot say: which flags belong together.
    ///
    /// # Errors
    /// `REQUEST_INVALID` with the flag.
    pub fn check(&self, has_cluster: bool) -> Result<()> {
        let refused = |subject: &str, message: &str, hint: &str| {
            Err(Error::new(ErrorCode::RequestInvalid, message).on(subject).with_hint(hint))
        };
        if self.name == BuilderName::Argo {
            if !has_cluster {
                let hint = "give --kubeconfig and its companions; simulated servers run no workflows";
                return refused("--builder argo", "workflows need a cluster", hint);
            }
            if self.builder_image.is_none() {
                let hint = "give --builder-image, made of examples/build_image";
                return refused("--builder argo", "the image of the builder is not named", hint);
            }
            return Ok(());
        }
        let stray = [
            ("--builder-image", self.builder_image.is_some()),
            ("--dockerfile-image", self.dockerfile_image.is_some()),
            ("--dockerfile-tags-of", !self.dockerfile_tags_of.is_empty()),
            ("--builder-namespace", self.builder_namespace.is_some()),
            ("--builder-service-account", self.builder_service_account.is_some()),
            ("--builder-bucket-secret", self.builder_bucket_secret.is_some()),
            ("--builder-registry-secret", self.builder_registry_secret.is_some()),
            ("--build-all-in-workflows", self.build_all_in_workflows),
        ];
        match stray.iter().find(|(_, is_given)| *is_given) {
            Some((flag, _)) => refused(flag, "it is for workflows, and this process builds", "add --builder argo"),
            None => Ok(()),
        }
    }

    /// Refuses a project with a Dockerfile where nothing is set up that runs one, in the words of this command line.
    ///
    /// # Errors
    /// `REQUEST_INVALID` with the Dockerfile.
    pub fn admit(&self, settings: &ProjectSettings) -> Result<()> {
        let Some(file) = &settings.dockerfile else { return Ok(()) };
        let (why, hint) = match (self.name, &self.dockerfile_image) {
            (BuilderName::Argo, Some(_)) => return Ok(()),
            (BuilderName::Argo, None) => {
                ("no image that runs Dockerfiles is named", "give --dockerfile-image, the image of kaniko's executor")
            }
            (BuilderName::InProcess, _) => (
                "this process runs none",
                "give --builder argo with --builder-image and --dockerfile-image on a real cluster",
            ),
        };
        let message = format!("the project brings its own Dockerfile, and {why}");
        Err(Error::new(ErrorCode::RequestInvalid, message)
            .on(format!("`{}`", text::line(file, 100)))
            .with_hint(format!("{hint}, or remove `dockerfile` from chalk.yaml")))
    }

    /// The builder on a real data plane; `here` is the one in this process.
    ///
    /// # Errors
    /// What is wrong with the flags.
    pub fn open(&self, here: &InProcessBuilder, place: &Place<'_>) -> Result<Arc<dyn Builder>> {
        let here: Arc<dyn Builder> = Arc::new(here.clone());
        let (BuilderName::Argo, Some(image)) = (self.name, &self.builder_image) else { return Ok(here) };
        let namespace = self.builder_namespace.clone().or_else(|| place.namespace.cloned()).ok_or_else(|| {
            Error::new(ErrorCode::RequestInvalid, "the namespace of the workflows is not named")
                .on("--builder argo")
                .with_hint("give --builder-namespace or --namespace")
        })?;
        let mut settings = ArgoSettings::new(namespace, image.clone(), place.bucket_url);
        if let Some(account) = &self.builder_service_account {
            settings.service_account.clone_from(account);
        }
        settings.bucket_secret.clone_from(&self.builder_bucket_secret);
        settings.registry_secret.clone_from(&self.builder_registry_secret);
        settings.plain_http = place.plain_http.iter().cloned().collect();
        settings.dockerfiles = self.dockerfile_image.clone().map(|image| {
            let tags = self.dockerfile_tags_of.iter();
            let bases = tags.fold(BasePolicy::by_digest(), BasePolicy::allowing_tags_of);
            DockerfileSettings { bases, ..DockerfileSettings::new(image) }
        });
        let (bucket, registry) = (place.bucket.clone(), place.registry.clone());
        let workflows = ArgoBuilder::new(place.connection.clone(), settings, bucket, registry);
        let routing = if self.build_all_in_workflows { Routing::Everything } else { Routing::Dockerfiles };
        Ok(Arc::new(RoutedBuilder::new(here, Arc::new(workflows)).with_routing(routing)))
    }
}

/// What a builder works with.
#[derive(Debug)]
pub struct Place<'given> {
    /// Where the source is, and what past builds have left.
    pub bucket: Arc<dyn ObjectStore>,
    /// That bucket, as a container is told of it.
    pub bucket_url: &'given str,
    /// Where images go.
    pub registry: Arc<dyn Registry>,
    /// The cluster of the workflows.
    pub connection: &'given Connection,
    /// The namespace that the other flags name.
    pub namespace: Option<&'given Namespace>,
    /// Hosts without TLS.
    pub plain_http: Vec<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn argo() -> BuilderArguments {
        let image = image(&format!("registry.test/builder@sha256:{}", "a".repeat(64))).expect("an image");
        BuilderArguments { name: BuilderName::Argo, builder_image: Some(image), ..BuilderArguments::default() }
    }

    #[test]
    fn flags_of_workflows_want_workflows_and_workflows_want_a_cluster_and_an_image() {
        BuilderArguments::default().check(false).expect("nothing is asked for");
        argo().check(true).expect("all is there");
        let without = BuilderArguments { builder_image: None, ..argo() };
        for (arguments, has_cluster, part) in [
            (argo(), false, "--builder argo: workflows need a cluster"),
            (without, true, "--builder argo: the image of the builder is not named"),
            (
                BuilderArguments { name: BuilderName::InProcess, ..argo() },
                true,
                "--builder-image: it is for workflows, and this process builds; add --builder argo",
            ),
        ] {
            let sentence = arguments.check(has_cluster).expect_err(part).sentence();
            assert!(sentence.starts_with(part), "{sentence}");
        }
    }

    #[test]
    fn a_dockerfile_is_admitted_only_where_something_runs_it() {
        let own = ProjectSettings { dockerfile: Some("docker/Dockerfile".to_owned()), ..ProjectSettings::default() };
        let with_executor = BuilderArguments { dockerfile_image: argo().builder_image, ..argo() };
        with_executor.admit(&own).expect("the executor runs it");
        for arguments in [BuilderArguments::default(), argo(), with_executor.clone()] {
            arguments.admit(&ProjectSettings::default()).expect("there is none");
        }
        for (arguments, part) in [(BuilderArguments::default(), "--builder argo"), (argo(), "--dockerfile-image")] {
            let sentence = arguments.admit(&own).expect_err(part).sentence();
            assert!(
                sentence.starts_with("`docker/Dockerfile`: the project brings its own Dockerfile, and "),
                "{sentence}"
            );
            assert!(sentence.contains(part), "{sentence}");
        }
    }

    #[test]
    fn images_of_builders_are_named_by_digest() {
        for given in ["registry.test/builder:1", "registry.test/builder", "registry.test/builder@sha256:1", "@sha256:1"]
        {
            image(given).expect_err(given);
        }
    }
}
