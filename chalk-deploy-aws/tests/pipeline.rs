//! The whole pipeline over the adapters of AWS: the archive into a bucket of S3, the images into a registry that behaves
//! as ECR does, the rollout into a cluster that EKS names, as the role of a tenant.
//!
//! The servers are the testkit's, in the process; what has no server there (ECR's, EKS's and STS's own APIs) is answered
//! by a few lines. Every request is written down as the action that a policy would name, and the published scoped role of
//! seed 003 is asked for each.

mod common;
mod policy;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use chalk_deploy_aws::{AccessKeys, Cloud, ExternalId, PERMISSIONS, Reach, StoredRoles, TenantRole};
use chalk_deploy_core::ErrorCode;
use chalk_deploy_core::cloud::ByteStream;
use chalk_deploy_core::model::{DeploymentStatus, Repository};
use chalk_deploy_core::runtime::Runtime;
use chalk_deploy_core::transport::{RequestBody, Transport, TransportError};
use chalk_deploy_testkit::simulated::bucket::{AccessKey, BucketSettings};
use chalk_deploy_testkit::simulated::http::full;
use chalk_deploy_testkit::simulated::kubernetes::ClusterSettings;
use chalk_deploy_testkit::simulated::kubernetes::api::{Anonymous, Token};
use chalk_deploy_testkit::simulated::plane::{Plane, PlaneSettings, Ways, host};
use chalk_deploy_testkit::simulated::registry::RegistrySettings;
use chalk_deploy_testkit::simulated::stage::{Names, Stage, make_namespace};
use chalk_deploy_testkit::{VirtualRuntime, World, sample};
use common::{ACCOUNT, HOST};
use http::header::AUTHORIZATION;
use http::{Request, Response, StatusCode};
use policy::Asked;
use serde_json::{Value, json};

/// The repository of the base image, which is there before anything is deployed.
const BASE: &str = "chalk/engine-base";
const BUCKET: &str = "chalk-acme-source";
const PASSWORD: &str = "password-of-ecr";
const SERVER: &str = "A1B2C3.gr7.us-east-1.eks.amazonaws.com";
const ADMINISTRATOR: &str = "token-of-the-simulated-cluster";
const PEM: &str = "-----BEGIN CERTIFICATE-----\nMIIBszCCAVmgAwIBAgIUEXAMPLE\n-----END CERTIFICATE-----\n";

/// All hosts of AWS that the pipeline speaks to.
#[derive(Clone)]
struct Aws {
    plane: Plane,
    ways: Ways,
    runtime: Arc<VirtualRuntime>,
    asked: Arc<Mutex<Vec<Asked>>>,
    /// Whether repositories are made as the published role would have it: not, but for that of the base image.
    published: bool,
}

impl Aws {
    fn transport(&self) -> Transport {
        let aws = self.clone();
        Transport::from_fn(move |request| {
            let aws = aws.clone();
            async move { aws.answer(request).await }
        })
    }

    fn note(&self, asked: Asked) {
        self.asked.lock().expect("not poisoned").push(asked);
    }

    async fn answer(&self, mut request: Request<RequestBody>) -> Result<Response<ByteStream>, TransportError> {
        let host = request.uri().host().unwrap_or_default().to_owned();
        if host == HOST {
            if let Some(asked) = policy::of_registry(request.method(), request.uri()) {
                self.note(asked);
            }
            return self.ways.registry.send(request).await;
        }
        if host == host::BUCKET {
            self.note(policy::of_bucket(request.method(), request.uri()));
            return self.ways.bucket.send(request).await;
        }
        if host == SERVER {
            // What the cluster's authenticator does with a token.
            let shown = request.headers().get(AUTHORIZATION).and_then(|value| value.to_str().ok()).unwrap_or_default();
            if !self.is_good(shown.strip_prefix("Bearer ").unwrap_or_default()) {
                return Ok(status(StatusCode::UNAUTHORIZED));
            }
            let known = format!("Bearer {ADMINISTRATOR}").parse().expect("a header");
            request.headers_mut().insert(AUTHORIZATION, known);
            return self.ways.kubernetes.send(request).await;
        }
        let body = match request.body() {
            RequestBody::Bytes(bytes) => bytes.clone(),
            _ => bytes::Bytes::new(),
        };
        let (status, answer) = match host.split('.').next().unwrap_or_default() {
            "api" => self.ecr(&request, &body),
            "eks" => (StatusCode::OK, self.eks(&request)),
            "sts" => (StatusCode::OK, Self::sts(&body)),
            _ => panic!("nobody is at {host}"),
        };
        let mut response = Response::new(full(answer));
        *response.status_mut() = status;
        Ok(response)
    }

    fn ecr(&self, request: &Request<RequestBody>, body: &[u8]) -> (StatusCode, String) {
        let target = request.headers()["x-amz-target"].to_str().expect("text");
        let body: Value = serde_json::from_slice(body).expect("JSON");
        let repository = body["repositoryName"].as_str().unwrap_or_default();
        match target.rsplit('.').next().unwrap_or_default() {
            "GetAuthorizationToken" => {
                self.note(Asked::on("ecr:GetAuthorizationToken", "*"));
                let token = STANDARD.encode(format!("AWS:{PASSWORD}"));
                let end = self.runtime.now().as_millis() / 1000 + 12 * 3600;
                let given = json!({"authorizationData": [{"authorizationToken": token, "expiresAt": end}]});
                (StatusCode::OK, given.to_string())
            }
            "CreateRepository" if self.published && repository != BASE => {
                let who = "arn:aws:sts::123456789012:assumed-role/chalk-scoped/chalk-deploy-acme";
                let why = format!(
                    "User: {who} is not authorized to perform: ecr:CreateRepository on resource: {} because no \
                     identity-based policy allows the ecr:CreateRepository action",
                    policy::repository(repository)
                );
                let denied = json!({"__type": "AccessDeniedException", "message": why});
                (StatusCode::BAD_REQUEST, denied.to_string())
            }
            "CreateRepository" => {
                let tag = &body["tags"][0];
                let asked = Asked::on("ecr:CreateRepository", &policy::repository(repository));
                self.note(
                    asked.requesting(tag["Key"].as_str().expect("a key"), tag["Value"].as_str().expect("a value")),
                );
                self.plane.registry().create_repository(repository).expect("made");
                (StatusCode::OK, json!({"repository": {"repositoryName": repository}}).to_string())
            }
            other => panic!("nobody should ask for {other}"),
        }
    }

    fn eks(&self, request: &Request<RequestBody>) -> String {
        assert_eq!(request.uri().path(), "/clusters/chalk");
        self.note(Asked::on("eks:DescribeCluster", "arn:aws:eks:us-east-1:123456789012:cluster/chalk").tagged());
        json!({"cluster": {
            "name": "chalk", "status": "ACTIVE", "version": "1.33", "endpoint": format!("https://{SERVER}"),
            "certificateAuthority": {"data": STANDARD.encode(PEM)},
            "resourcesVpcConfig": {"endpointPublicAccess": true, "publicAccessCidrs": ["192.0.2.0/24"]},
        }})
        .to_string()
    }

    fn sts(body: &[u8]) -> String {
        let form: BTreeMap<_, _> = url::form_urlencoded::parse(body).into_owned().collect();
        assert_eq!(form["Action"], "AssumeRole");
        assert_eq!(form["ExternalId"], "chalk-0123456789abcdef");
        "<AssumeRoleResponse><AssumeRoleResult><Credentials><AccessKeyId>ASIATENANT</AccessKeyId>\
         <SecretAccessKey>secret</SecretAccessKey><SessionToken>session</SessionToken>\
         <Expiration>2025-01-01T01:00:00Z</Expiration></Credentials></AssumeRoleResult></AssumeRoleResponse>"
            .to_owned()
    }

    /// A token is an address of STS that the tenant's session has signed for this cluster, in the last 15 minutes.
    fn is_good(&self, token: &str) -> bool {
        let address = token.strip_prefix("k8s-aws-v1.").and_then(|token| URL_SAFE_NO_PAD.decode(token).ok());
        let address = address.and_then(|address| url::Url::parse(std::str::from_utf8(&address).ok()?).ok());
        let Some(address) = address else { return false };
        let query: BTreeMap<_, _> = address.query_pairs().into_owned().collect();
        let now = self.runtime.now().to_string();
        let minute = |text: &str| text.chars().filter(char::is_ascii_digit).collect::<String>()[..12].to_owned();
        address.host_str() == Some("sts.us-east-1.amazonaws.com")
            && query.get("X-Amz-SignedHeaders").is_some_and(|names| names == "host;x-k8s-aws-id")
            && query.get("X-Amz-Credential").is_some_and(|who| who.starts_with("ASIATENANT/"))
            && query.get("X-Amz-Security-Token").is_some_and(|token| token == "session")
            && query.get("X-Amz-Date").is_some_and(|date| minute(date) <= minute(&now))
    }
}

fn status(status: StatusCode) -> Response<ByteStream> {
    let mut response = Response::new(full("{}"));
    *response.status_mut() = status;
    response
}

/// Deploys twice; what was asked of AWS for it.
async fn deployed() -> (Aws, Vec<Asked>) {
    let (aws, stage) = stage(false).await;
    stage.assert_deploys_and_replaces().await;
    let asked = aws.asked.lock().expect("not poisoned").clone();
    (aws, asked)
}

/// A deployer on this cloud. Under the `published` role no repository is made but that of the base image.
async fn stage(published: bool) -> (Aws, Stage) {
    let runtime = VirtualRuntime::new(1);
    let clock: Arc<dyn Runtime> = runtime.clone();
    let session =
        AccessKey::new("ASIATENANT", "secret").in_session("session", clock.now().plus(Duration::from_hours(1)));
    let mut settings = PlaneSettings {
        cluster: ClusterSettings::realistic(),
        registry: RegistrySettings::ecr(PASSWORD),
        // It verifies what the tenant's session has signed.
        bucket: BucketSettings::new(BUCKET).with_key(session),
        ..PlaneSettings::default()
    };
    settings.api.tokens = vec![Token::administrator(ADMINISTRATOR)];
    settings.api.anonymous = Anonymous::Refused;
    let plane = Plane::start(&World::memory(), &clock, settings).expect("the servers");
    let ways = plane.ways();
    let aws = Aws { plane, ways: ways.clone(), runtime, asked: Arc::default(), published };
    let id = ExternalId::stored("chalk-0123456789abcdef").expect("an id");
    let role = TenantRole::new("arn:aws:iam::123456789012:role/chalk-scoped", id).expect("a role");
    let cloud = Cloud::builder()
        .with_region("us-east-1")
        .with_account(ACCOUNT)
        .with_transport(aws.transport())
        .with_cluster_transports(aws.transport())
        .with_runtime(clock.clone())
        .with_credentials(AccessKeys::new("AKIAOURS", "secret"))
        .with_tenant(Arc::new(StoredRoles::new().with("acme", role)), "acme")
        .with_bucket(BUCKET)
        .with_bucket_endpoint(format!("http://{}", host::BUCKET))
        .with_registry(HOST)
        .with_cluster("chalk")
        .build()
        .expect("a cloud");
    let environment = sample::environment().expect("an environment");
    make_namespace(&ways.kubernetes, ADMINISTRATOR, &environment).await;
    let names = Names {
        bucket: BUCKET.to_owned(),
        repositories: Repository::new(format!("{HOST}/chalk")).expect("a repository"),
        gateway: ways.gateway,
    };
    let stage = Stage::open(&cloud, names, &clock).await;
    (aws, stage.expect("a stage"))
}

#[tokio::test(start_paused = true)]
async fn a_deployment_under_the_published_role_says_which_permission_it_lacks_for_a_new_repository() {
    let (aws, stage) = stage(true).await;
    let (_, outcome) = stage.deploy("one = 1\n").await;
    assert_eq!(outcome.status, DeploymentStatus::Failure, "{:?}", outcome.error);
    let error = outcome.error.expect("why");
    assert_eq!(error.code, ErrorCode::PermissionDenied, "{error:?}");
    for words in [
        "`ecr:CreateRepository` and `ecr:TagResource`",
        "`aws:RequestTag/chalk.ai/managed-by` is `chalk`",
        "or create the repository with that tag",
    ] {
        assert!(error.hint.contains(words), "{error:?}");
    }
    assert!(error.message.contains("not authorized to perform: ecr:CreateRepository"), "{error:?}");
    assert_eq!(aws.plane.registry().repositories().expect("listed"), [BASE], "nothing was pushed elsewhere");
    assert!(outcome.residue.is_empty(), "{:?}", outcome.residue);
}

#[tokio::test(start_paused = true)]
async fn the_whole_pipeline_ends_in_success_over_the_adapters_of_aws_and_replaces_a_version() {
    let (aws, asked) = deployed().await;
    let count = |action: &str| asked.iter().filter(|asked| asked.action == action).count();
    assert_eq!(count("ecr:GetAuthorizationToken"), 1, "one password for two deployments");
    assert_eq!(count("eks:DescribeCluster"), 1, "one look for the cluster");
    let repositories = aws.plane.registry().repositories().expect("listed");
    assert_eq!(count("ecr:CreateRepository"), repositories.len(), "{repositories:?}");
    let lost = aws.plane.gateway().outcomes().iter().filter(|outcome| outcome.status >= 500).count();
    assert_eq!(lost, 0);
}

#[tokio::test(start_paused = true)]
async fn the_published_scoped_role_covers_the_pipeline_but_for_what_is_listed() {
    let (_, asked) = deployed().await;
    let actions: std::collections::BTreeSet<_> = asked.iter().map(|asked| asked.action.as_str()).collect();
    for expected in ["s3:PutObject", "s3:GetObject", "ecr:PutImage", "ecr:InitiateLayerUpload", "eks:DescribeCluster"] {
        assert!(actions.contains(expected), "{actions:?}");
    }
    let role = policy::published();
    let uncovered: std::collections::BTreeSet<_> =
        asked.iter().filter(|asked| !role.allows(asked)).map(|asked| asked.action.as_str()).collect();
    // The tag stands on the request there, and on no resource yet.
    assert_eq!(uncovered, ["ecr:CreateRepository"].into());
    for action in actions {
        let known = PERMISSIONS.iter().find(|permission| permission.action == action);
        let known = known.unwrap_or_else(|| panic!("{action} is not listed"));
        assert_eq!(known.reach == Reach::Beyond, uncovered.contains(action), "{action}");
    }
    // Without our tag the role reaches none of it.
    let untagged = asked.iter().filter(|asked| asked.action.starts_with("ecr:") && asked.resource != "*");
    for asked in untagged {
        assert!(!role.allows(&asked.clone().untagged()), "{asked:?}");
    }
}
