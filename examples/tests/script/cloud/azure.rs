//! `apply --cloud azure`.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chalk_deploy_core::runtime::SystemRuntime;
use chalk_deploy_testkit::World;
use chalk_deploy_testkit::simulated::bucket::{AzureBucketServer, AzureBucketSettings};
use chalk_deploy_testkit::simulated::closure::{Answering, Reply, Seen};
use chalk_deploy_testkit::simulated::registry::{RegistryServer, RegistrySettings};
use serde_json::{Value, json};

use super::{ControlPlane, Front, Loopback, servers};
use crate::http::get;
use crate::program::{Finished, Program, Sandbox};
use crate::servers::Servers;

const TENANT: &str = "f8cdef31-a31e-4b4a-93e4-5f571e91255a";
const CLIENT: &str = "6731de76-14a6-49ae-97bc-6eba6914391e";
const SUBSCRIPTION: &str = "72f988bf-86f1-41af-91ab-2d7cd011db47";
const ACCOUNT: &str = "chalkacme";
const CONTAINER: &str = "chalk-acme-source";
/// What the kubelet would have projected into a pod.
const ASSERTION: &str = "secret-of-the-service-account";
/// What every token of Entra ID begins with here; what it is for follows.
const TOKENS: &str = "secret-token-of-entra-for-";

/// Azure as the program sees it.
struct Azure {
    /// Entra ID, which is asked over TLS alone.
    entra: ControlPlane,
    authority: Front,
    manager: ControlPlane,
    registry: Loopback,
    blobs: Loopback,
    /// The API server of the cluster `chalk`.
    _cluster: Front,
}

impl Azure {
    /// Its registry and its cluster are those of these servers.
    fn start(sandbox: &Sandbox, front: Front) -> Self {
        let entra = ControlPlane::start(Answering::by(token));
        let authority = Front::at(entra.at.address, None);
        let kubeconfig = kubeconfig(&front);
        let manager = ControlPlane::start(Answering::by(move |seen| manage(seen, &kubeconfig)));
        // The nodes pull from the same world, and need no token there.
        let world = World::directory(sandbox.path("servers").join("world")).expect("the world of the servers");
        let settings = RegistrySettings::acr(format!("{TOKENS}containerregistry.azure.net"));
        let registry = Loopback::start(RegistryServer::new(&world, SystemRuntime::new(), settings));
        let settings = AzureBucketSettings::new(CONTAINER).with_account_in_path(ACCOUNT);
        let settings = settings.with_token(format!("{TOKENS}storage.azure.com"));
        let blobs = AzureBucketServer::new(&World::memory(), SystemRuntime::new(), settings).expect("a server");
        Self { entra, authority, manager, registry, blobs: Loopback::start(blobs), _cluster: front }
    }

    /// What each token was asked for.
    fn scopes(&self) -> Vec<String> {
        let mut scopes: Vec<_> = self.entra.answering.seen().iter().map(|seen| seen.form()["scope"].clone()).collect();
        scopes.sort();
        scopes
    }
}

/// Gives tokens to one pod.
fn token(seen: &Seen) -> Reply {
    let form = seen.form();
    let said = |name: &str| form.get(name).map(String::as_str).unwrap_or_default();
    if seen.path() != format!("/{TENANT}/oauth2/v2.0/token")
        || (said("client_id"), said("client_assertion")) != (CLIENT, ASSERTION)
    {
        let why = "AADSTS700016: Application was not found in the directory.";
        let refused = json!({"error": "unauthorized_client", "error_description": why, "error_codes": [700_016]});
        return Reply::json(400, refused);
    }
    let of = said("scope").trim_start_matches("https://").trim_start_matches("http://").trim_end_matches("/.default");
    // Resource Manager is on a free port.
    let of = if of.starts_with("127.0.0.1:") { "manager" } else { of };
    Reply::json(200, json!({"token_type": "Bearer", "expires_in": 3599, "access_token": format!("{TOKENS}{of}")}))
}

/// What Azure gives to users: it wants kubelogin run.
fn kubeconfig(front: &Front) -> String {
    let (server, authority) = (front.address, STANDARD.encode(&front.authority));
    let file = format!(
        "apiVersion: v1\nkind: Config\ncurrent-context: chalk\n\
         clusters: [{{name: chalk, cluster: {{server: 'https://{server}', certificate-authority-data: {authority}}}}}]\n\
         contexts: [{{name: chalk, context: {{cluster: chalk, user: u}}}}]\n\
         users: [{{name: u, user: {{exec: {{apiVersion: client.authentication.k8s.io/v1beta1, command: kubelogin}}}}}}]\n"
    );
    STANDARD.encode(file)
}

/// Resource Manager, which knows one cluster, `chalk`.
fn manage(seen: &Seen, kubeconfig: &str) -> Reply {
    if seen.token() != format!("{TOKENS}manager") {
        return Reply::json(401, json!({"error": {"code": "AuthenticationFailed", "message": "no token"}}));
    }
    let group = format!("/subscriptions/{SUBSCRIPTION}/resourceGroups/chalk-acme/providers/");
    let thing = seen.path().strip_prefix(&group).unwrap_or_default();
    match (seen.method(), thing) {
        ("GET", "Microsoft.ContainerService/managedClusters/chalk") => {
            let properties = json!({
                "provisioningState": "Succeeded", "powerState": {"code": "Running"}, "disableLocalAccounts": true,
                "currentKubernetesVersion": "1.33.2", "privateFQDN": "127.0.0.1",
                "apiServerAccessProfile": {"enablePrivateCluster": true},
                "aadProfile": {"managed": true, "tenantID": TENANT},
            });
            Reply::json(200, json!({"name": "chalk", "properties": properties}))
        }
        ("POST", "Microsoft.ContainerService/managedClusters/chalk/listClusterUserCredential") => {
            Reply::json(200, json!({"kubeconfigs": [{"name": "clusterUser", "value": kubeconfig}]}))
        }
        _ => {
            let message = format!("The Resource '{thing}' under resource group 'chalk-acme' was not found.");
            Reply::json(404, json!({"error": {"code": "ResourceNotFound", "message": message}}))
        }
    }
}

/// The command, with what Azure's own tools would be told.
fn program(sandbox: &Sandbox, servers: &Servers, azure: &Azure, cluster: &str) -> Program {
    sandbox.write("token-of-the-service-account", ASSERTION);
    sandbox.write("authorities", &azure.authority.authority);
    let host = azure.registry.address.to_string();
    // The base image lies in the same registry, and is named as the program reaches it.
    let base = servers.lines["BASE_IMAGE"].replace(&servers.lines["REGISTRY"], &host);
    sandbox
        .apply()
        .with(&["--json", "--cloud", "azure", "--resource-group", "chalk-acme"])
        .with(&["--tenant", TENANT, "--storage-account", ACCOUNT, "--bucket", CONTAINER, "--cluster", cluster])
        .with(&["--registry", &host, "--base-image", &base, "--gateway-address", &servers.lines["GATEWAY"]])
        // One of the names by a variable, as the flag is not given.
        .variable("AZURE_SUBSCRIPTION_ID", SUBSCRIPTION)
        .variable("AZURE_CLIENT_ID", CLIENT)
        .variable("AZURE_FEDERATED_TOKEN_FILE", sandbox.path("token-of-the-service-account"))
        .variable("AZURE_AUTHORITY_HOST", format!("https://{}/", azure.authority.address))
        .variable("AZURE_RESOURCE_MANAGER_ENDPOINT", azure.manager.at.url())
        .variable("AZURE_STORAGE_BLOB_ENDPOINT", format!("{}/{ACCOUNT}", azure.blobs.url()))
        .variable("AZURE_CONTAINER_REGISTRY_ENDPOINT", azure.registry.url())
        .variable("SSL_CERT_FILE", sandbox.path("authorities"))
}

fn assert_keeps_secrets(finished: &Finished) {
    assert!(!finished.stderr.contains("secret-") && !finished.stdout.contains("secret-"), "{finished:?}");
}

#[test]
fn apply_finds_a_cluster_by_its_name_in_azure_deploys_there_and_remarks_on_its_endpoint() {
    let sandbox = Sandbox::new();
    let (servers, front) = servers(&sandbox, TOKENS);
    let azure = Azure::start(&sandbox, front);
    let finished = program(&sandbox, &servers, &azure, "chalk").run().expect(0);
    assert_eq!(finished.last()["status"], "SUCCESS");
    let id = finished.last()["deployment_id"].as_str().expect("an id").to_owned();
    let answer = get(&servers.lines["GATEWAY"]);
    assert!(answer.starts_with("HTTP/1.1 200 ") && answer.contains(&id), "{answer}");
    assert!(finished.stderr.contains("cluster `chalk` has a private endpoint"), "{}", finished.stderr);
    assert_keeps_secrets(&finished);
    // One token for each service, however many asked for it.
    let [aks, manager, registry, storage] = azure.scopes().try_into().expect("four tokens");
    assert!(aks.starts_with("6dae42f8-") && manager.starts_with("http://127.0.0.1:"), "{aks} {manager}");
    assert!(registry.starts_with("https://containerregistry") && storage.starts_with("https://storage"));
    // Once to get there, and once for the remark.
    let asked = azure.manager.answering.lines();
    assert_eq!(asked.iter().filter(|line| line.ends_with("/managedClusters/chalk")).count(), 2, "{asked:?}");
    servers.stop().expect(0);
}

#[test]
fn a_cluster_that_azure_does_not_know_is_told_before_a_deployment_begins() {
    let sandbox = Sandbox::new();
    let (servers, front) = servers(&sandbox, TOKENS);
    let azure = Azure::start(&sandbox, front);
    let finished = program(&sandbox, &servers, &azure, "other").run().expect(1);
    assert!(finished.stderr.contains("OBJECT_MISSING") && finished.stderr.contains("other"), "{}", finished.stderr);
    assert!(
        finished.stderr.contains("correct the name, the resource group or the subscription"),
        "{}",
        finished.stderr
    );
    assert!(sandbox.history(".chalk-deploy").is_empty());
    assert_keeps_secrets(&finished);
    servers.stop().expect(0);
}

/// An Azure CLI that gives tokens as it does, and notes what it was asked.
const AZ: &str = "#!/bin/sh
echo \"$*\" >> \"$ASKED\"
of=${6%/.default}; of=${of#https://}; of=${of#http://}
case \"$of\" in 127.0.0.1:*) of=manager ;; esac
echo '{\"accessToken\":\"secret-token-of-entra-for-'\"$of\"'\",\"expires_on\":4102444800,\"tokenType\":\"Bearer\"}'
";

#[test]
fn in_cloud_shell_whoever_is_logged_in_with_az_on_the_path_is_who_asks() {
    use std::os::unix::fs::PermissionsExt as _;
    let sandbox = Sandbox::new();
    let (servers, front) = servers(&sandbox, TOKENS);
    let azure = Azure::start(&sandbox, front);
    let tools = sandbox.path("tools");
    std::fs::create_dir(&tools).expect("a new folder");
    sandbox.write("tools/az", AZ);
    let mode = std::fs::Permissions::from_mode(0o755);
    std::fs::set_permissions(tools.join("az"), mode).expect("it may be run");
    let finished = program(&sandbox, &servers, &azure, "other")
        .variable("AZURE_CLIENT_ID", "")
        .variable("AZURE_FEDERATED_TOKEN_FILE", "")
        // How Cloud Shell shows that it is one.
        .variable("MSI_ENDPOINT", "http://127.0.0.1:1/token")
        .variable("PATH", &tools)
        .variable("ASKED", sandbox.path("asked"))
        .run()
        .expect(1);
    // Resource Manager has taken the token, and knows no such cluster.
    assert!(finished.stderr.contains("OBJECT_MISSING"), "{}", finished.stderr);
    assert_keeps_secrets(&finished);
    let asked = std::fs::read_to_string(sandbox.path("asked")).expect("it was asked");
    assert!(asked.lines().all(|line| line.ends_with(&format!("--tenant {TENANT}"))), "{asked}");
    assert!(azure.scopes().is_empty(), "Entra ID was asked by the tool alone");
    servers.stop().expect(0);
}

#[test]
fn an_endpoint_that_a_token_would_go_to_in_the_clear_is_refused_before_anything_is_asked() {
    let sandbox = Sandbox::new();
    let (servers, front) = servers(&sandbox, TOKENS);
    let azure = Azure::start(&sandbox, front);
    for (variable, value) in [
        ("AZURE_RESOURCE_MANAGER_ENDPOINT", "http://manager.example"),
        ("AZURE_STORAGE_BLOB_ENDPOINT", "http://blobs.example/chalkacme"),
        ("AZURE_CONTAINER_REGISTRY_ENDPOINT", "http://registry.example"),
        ("AZURE_AUTHORITY_HOST", "http://login.example"),
    ] {
        let refused = program(&sandbox, &servers, &azure, "chalk").variable(variable, value).run().expect(2);
        assert!(refused.stderr.contains(variable) && refused.stderr.contains("https"), "{}", refused.stderr);
    }
    assert!(azure.scopes().is_empty() && sandbox.history(".chalk-deploy").is_empty());
    servers.stop().expect(0);
}

/// Resource Manager and the Blob service of one storage account, which keep what they are told as Azure does.
#[derive(Default)]
struct Account {
    /// What Resource Manager was told, by what stands behind the account's name.
    managed: BTreeMap<String, Value>,
    containers: BTreeSet<String>,
    /// The properties of the Blob service.
    service: String,
}

impl Account {
    fn manage(&mut self, seen: &Seen) -> Reply {
        let account = format!(
            "/subscriptions/{SUBSCRIPTION}/resourceGroups/chalk-acme/providers/Microsoft.Storage/storageAccounts/{ACCOUNT}"
        );
        let thing = seen.path().strip_prefix(&account).expect("one account").to_owned();
        if seen.method() == "PUT" {
            let mut told: Value = serde_json::from_slice(&seen.body).expect("JSON");
            told["etag"] = json!("\"1\"");
            let container = thing.strip_prefix("/blobServices/default/containers/").filter(|rest| !rest.contains('/'));
            self.containers.extend(container.map(str::to_owned));
            self.managed.insert(thing, told.clone());
            return Reply::json(200, told);
        }
        let code = match thing.rsplit('/').nth(1) {
            _ if self.managed.contains_key(&thing) => return Reply::json(200, &self.managed[&thing]),
            None => {
                let safe = json!({"supportsHttpsTrafficOnly": true, "allowBlobPublicAccess": false});
                return Reply::json(200, json!({"properties": safe}));
            }
            Some("blobServices") => return Reply::json(200, json!({"properties": {}})),
            Some("containers") => "ContainerNotFound",
            Some("immutabilityPolicies") => "ImmutabilityPolicyNotFound",
            _ => "ManagementPolicyNotFound",
        };
        Reply::json(404, json!({"error": {"code": code, "message": "not found"}}))
    }

    fn serve(&mut self, seen: &Seen) -> Reply {
        let container = seen.path().trim_start_matches(&format!("/{ACCOUNT}/")).to_owned();
        match (seen.method(), container.as_str()) {
            ("GET", "") => {
                Reply::new(200, format!("<StorageServiceProperties>{}</StorageServiceProperties>", self.service))
            }
            ("PUT", "") => {
                self.service = seen.text();
                Reply::new(202, "")
            }
            ("PUT", _) if self.containers.insert(container.clone()) => Reply::new(201, ""),
            ("PUT", _) => Reply::new(409, "").with("x-ms-error-code", "ContainerAlreadyExists"),
            _ => Reply::new(200, "").with("x-ms-meta-chalk_ai_managed_by", "chalk"),
        }
    }
}

/// What App Service answers on each of its machines.
fn identity(seen: &Seen) -> Reply {
    if (seen.path(), seen.header("x-identity-header")) != ("/msi/token", "secret-of-the-machine") {
        return Reply::json(400, json!({"error": "invalid_request", "error_description": "no such identity"}));
    }
    let of = seen.query()["resource"].trim_start_matches("https://").to_owned();
    let token = format!("{TOKENS}{}", if of.starts_with("http://") { "manager" } else { &of });
    Reply::json(200, json!({"access_token": token, "expires_on": "4102444800", "resource": of, "token_type": "Bearer"}))
}

#[test]
fn the_five_buckets_are_made_in_azure_by_the_identity_of_app_service_and_then_left_alone() {
    let sandbox = Sandbox::new();
    let account: Arc<Mutex<Account>> = Arc::default();
    let manager = account.clone();
    let manager = ControlPlane::start(Answering::by(move |seen| {
        assert_eq!(seen.token(), format!("{TOKENS}manager"));
        manager.lock().expect("not poisoned").manage(seen)
    }));
    let blobs = ControlPlane::start(Answering::by(move |seen| {
        assert_eq!(seen.token(), format!("{TOKENS}storage.azure.com"));
        account.lock().expect("not poisoned").serve(seen)
    }));
    let machine = ControlPlane::start(Answering::by(identity));
    let provision = || {
        let finished = sandbox
            .example("provision", &["acme", "--cloud", "azure", "--json", "--source-retention", "30"])
            .with(&["--subscription", SUBSCRIPTION, "--resource-group", "chalk-acme", "--storage-account", ACCOUNT])
            .variable("IDENTITY_ENDPOINT", format!("{}/msi/token", machine.at.url()))
            .variable("IDENTITY_HEADER", "secret-of-the-machine")
            .variable("AZURE_RESOURCE_MANAGER_ENDPOINT", manager.at.url())
            .variable("AZURE_STORAGE_BLOB_ENDPOINT", format!("{}/{ACCOUNT}", blobs.at.url()))
            .run()
            .expect(0);
        assert_keeps_secrets(&finished);
        finished.events()
    };
    let made = provision();
    assert!(made.len() == 5 && made.iter().all(|bucket| bucket["created"] == true), "{made:?}");
    assert!(made.iter().all(|bucket| bucket["cannot"] == json!([])), "{made:?}");
    assert_eq!(made[1]["changed"], json!(["versioning", "retention", "lifecycle"]), "{made:?}");
    let again = provision();
    assert!(again.iter().all(|bucket| bucket["created"] == false && bucket["changed"] == json!([])), "{again:?}");
    assert_eq!(machine.answering.seen().len(), 4, "two tokens a run");
}
