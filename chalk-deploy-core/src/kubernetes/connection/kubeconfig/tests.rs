use std::os::unix::fs::PermissionsExt as _;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use futures::StreamExt as _;
use http::{Request, Response};

use super::*;
use crate::cloud::ByteStream;
use crate::kubernetes::Connection;
use crate::model::Timestamp;
use crate::runtime::Runtime;
use crate::transport::Transport;

const SECRET: &str = "hunter2-hunter2";

fn file(cluster: &str, user: &str) -> String {
    format!(
        "apiVersion: v1\nkind: Config\ncurrent-context: c\ncontexts: [{{name: c, context: {{cluster: k, user: u}}}}]\n\
         clusters: [{{name: k, cluster: {{server: 'https://k.example:6443', {cluster}}}}}]\n\
         users: [{{name: u, user: {{{user}}}}}]\n"
    )
}

fn access(text: &str) -> Result<ClusterAccess> {
    Kubeconfig::parse(text, "of a test", None)?.access(None, &KubeconfigPolicy::default())
}

fn refusal(text: &str) -> Error {
    let error = access(text).expect_err("a bad kubeconfig");
    assert!(!format!("{error:?} {}", error.sentence()).contains(SECRET), "the secret is shown: {error:?}");
    error
}

#[test]
fn without_its_user_a_kubeconfig_says_where_the_cluster_is_and_runs_nothing() {
    let exec = "exec: {apiVersion: client.authentication.k8s.io/v1, command: kubelogin}";
    let text = file("certificate-authority-data: aHVudGVy", exec);
    refusal(&text);
    let parsed = Kubeconfig::parse(&text, "of a test", None).expect("a kubeconfig");
    let policy = KubeconfigPolicy::default();
    let access = parsed.anonymous_access(None, &policy).expect("no user, no program");
    assert_eq!(
        (access.server().as_str(), access.trust().authority.as_deref()),
        ("https://k.example:6443", Some("hunter"))
    );
    assert!(matches!(access.credentials, Credentials::None));
    for cluster in ["insecure-skip-tls-verify: true", "proxy-url: 'http://p'"] {
        let parsed = Kubeconfig::parse(&file(cluster, exec), "of a test", None).expect("a kubeconfig");
        parsed.anonymous_access(None, &policy).expect_err(cluster);
    }
}

#[test]
fn what_a_kubeconfig_may_not_ask_for_is_refused_with_a_sentence() {
    for (cluster, user, code, words) in [
        ("insecure-skip-tls-verify: true", "", ErrorCode::PermissionDenied, "insecure-skip-tls-verify"),
        ("proxy-url: 'http://p'", "", ErrorCode::ValueInvalid, "proxy-url"),
        ("tls-server-name: other", "", ErrorCode::ValueInvalid, "tls-server-name"),
        ("certificate-authority: ca.pem", "", ErrorCode::ValueInvalid, "relative"),
        ("certificate-authority: /nowhere/ca.pem", "", ErrorCode::PermissionDenied, "/nowhere/ca.pem"),
        ("certificate-authority-data: '???'", "", ErrorCode::ValueInvalid, "no base64"),
        ("", "auth-provider: {name: gcp}", ErrorCode::ValueInvalid, "auth-provider"),
        ("", "as: admin", ErrorCode::ValueInvalid, "acts as"),
        ("", "client-key-data: aHVudGVyMi1odW50ZXIy", ErrorCode::ValueInvalid, "without it"),
        ("", "client-certificate-data: aHVudGVyMi1odW50ZXIy", ErrorCode::ValueInvalid, "without its key"),
        ("", "exec: {apiVersion: client.authentication.k8s.io/v1, command: aws}", ErrorCode::PermissionDenied, "`aws`"),
        (
            "",
            "exec: {apiVersion: client.authentication.k8s.io/v1, command: /bin/sh, args: [-c, hunter2-hunter2]}",
            ErrorCode::PermissionDenied,
            "/bin/sh",
        ),
    ] {
        let error = refusal(&file(cluster, user));
        assert_eq!(error.code(), code, "{}", error.sentence());
        assert!(error.sentence().contains(words), "{}", error.sentence());
    }
}

#[test]
fn what_is_no_kubeconfig_or_leads_nowhere_is_refused_with_a_sentence() {
    let plain = file("", &format!("token: {SECRET}"));
    for (text, words) in [
        (String::new(), "no kubeconfig"),
        ("\u{0}\u{1}[".to_owned(), "no kubeconfig"),
        (format!("users: [{{name: u, user: {{token: [{SECRET}]}}}}]"), "no kubeconfig"),
        ("a: &a [x, x]\nb: &b [*a, *a]\nclusters: *b".to_owned(), "no kubeconfig"),
        (format!("clusters: []\n#{}", "x".repeat(1 << 20)), "longer than"),
        (plain.replace("current-context: c", "current-context: ''"), "no context"),
        (plain.replace("current-context: c", "current-context: other"), "no context `other`"),
        (plain.replace("cluster: k, user", "cluster: z, user"), "no cluster `z`"),
        (plain.replace("user: u}", "user: z}"), "no user `z`"),
        (plain.replace("https://k.example:6443", "ftp://k"), "https://"),
        (plain.replace("https://k.example:6443", "https://me:pw@k"), "no password"),
        (plain.replace("https://k.example:6443", "http://k.example"), "without encryption"),
        (plain.replace("https://k.example:6443", "not an address"), "no address"),
    ] {
        let error = refusal(&text);
        assert_eq!(error.code(), ErrorCode::ValueInvalid, "{}", error.sentence());
        assert!(error.sentence().contains(words), "`{words}` is not in {}", error.sentence());
    }
}

#[test]
fn the_contexts_that_there_are_stand_in_the_hint_and_no_secret_is_ever_printed() {
    let kubeconfig = Kubeconfig::parse(&file("", &format!("token: {SECRET}")), "x", None).expect("a kubeconfig");
    let error = kubeconfig.access(Some("other"), &KubeconfigPolicy::default()).expect_err("no such context");
    assert!(error.hint().contains("`c`"), "{}", error.hint());
    let access = kubeconfig.access(Some("c"), &KubeconfigPolicy::default()).expect("an access");
    assert_eq!(access.server(), "https://k.example:6443");
    assert!(!format!("{kubeconfig:?} {access:?}").contains(SECRET));
}

#[test]
fn data_comes_before_files_and_relative_files_lie_beside_the_kubeconfig() {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("ca.pem"), "the authority").expect("writable");
    std::fs::write(folder.path().join("id.pem"), "the certificate\n").expect("writable");
    let text = file("certificate-authority: ca.pem", "client-certificate: id.pem, client-key-data: dGhlIGtleQ==");
    std::fs::write(folder.path().join("config"), text).expect("writable");
    let kubeconfig = Kubeconfig::read(&folder.path().join("config")).expect("a kubeconfig");
    let access = kubeconfig.access(None, &KubeconfigPolicy::default()).expect("an access");
    assert_eq!(access.trust().authority.as_deref(), Some("the authority"));
    assert_eq!(access.trust().identity, Some(Secret::new("the certificate\nthe key")));
    assert!(Kubeconfig::read(folder.path()).is_err(), "a folder is no kubeconfig");
}

#[test]
fn a_pod_reaches_its_own_cluster_by_what_the_kubelet_gives_it() {
    let folder = tempfile::tempdir().expect("a folder");
    let variables = BTreeMap::from([
        ("KUBERNETES_SERVICE_HOST", "fd00::1".to_owned()),
        ("KUBERNETES_SERVICE_PORT", "443".to_owned()),
    ]);
    assert_eq!(
        ClusterAccess::of_pod(&BTreeMap::new(), folder.path()).expect_err("no pod").code(),
        ErrorCode::ValueInvalid
    );
    let error = ClusterAccess::of_pod(&variables, folder.path()).expect_err("no service account");
    assert_eq!(error.code(), ErrorCode::PermissionDenied);
    for (name, content) in [("ca.crt", "the authority"), ("token", SECRET), ("namespace", "prod\n")] {
        std::fs::write(folder.path().join(name), content).expect("writable");
    }
    let access = ClusterAccess::of_pod(&variables, folder.path()).expect("an access");
    assert_eq!(
        (access.server().as_str(), access.namespace().map(Namespace::as_str)),
        ("https://[fd00::1]:443", Some("prod"))
    );
}

/// Real sleeps, and a clock that a test moves.
#[derive(Debug, Default)]
struct Clock(Mutex<Duration>);

#[async_trait]
impl Runtime for Clock {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(1_735_689_600_000).plus(self.monotonic())
    }

    fn monotonic(&self) -> Duration {
        *self.0.lock().expect("no panic before")
    }

    #[expect(clippy::disallowed_methods, reason = "a process of the operating system ends in real time")]
    async fn sleep(&self, duration: Duration) {
        tokio::time::sleep(duration).await;
    }

    fn fill_random(&self, bytes: &mut [u8]) {
        bytes.fill(0);
    }
}

/// Notes what is shown to it.
#[derive(Clone, Default)]
struct Server(Arc<Mutex<Vec<String>>>);

impl Server {
    fn transport(&self) -> Transport {
        let Self(seen) = self.clone();
        Transport::from_fn(move |request| {
            let shown =
                request.headers().get("authorization").map(|value| value.to_str().unwrap_or_default().to_owned());
            seen.lock().expect("no panic before").push(shown.unwrap_or_default());
            let body: ByteStream = futures::stream::iter([Ok(bytes::Bytes::from_static(b"{}"))]).boxed();
            std::future::ready(Ok(Response::new(body)))
        })
    }
}

struct Plugin {
    folder: tempfile::TempDir,
    clock: Arc<Clock>,
    server: Server,
}

impl Plugin {
    fn new(script: &str) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("plugin");
        let script = format!("#!/bin/sh\necho run >> '{}'\n{script}\n", folder.path().join("runs").display());
        std::fs::write(&path, script).expect("writable");
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).expect("ours");
        Self { folder, clock: Arc::default(), server: Server::default() }
    }

    fn connection(&self) -> Connection {
        let exec =
            "exec: {apiVersion: client.authentication.k8s.io/v1, command: plugin, env: [{name: GIVEN, value: given}]}";
        let policy = ExecPolicy::none().allow(self.folder.path().join("plugin")).expect("an absolute path");
        let policy = KubeconfigPolicy { exec: policy.with_limit(Duration::from_secs(2)), insecure: false };
        let kubeconfig = Kubeconfig::parse(&file("", exec), "x", None).expect("a kubeconfig");
        let access = kubeconfig.access(None, &policy).expect("it is allowed");
        Connection::new(self.server.transport(), access, self.clock.clone())
    }

    fn runs(&self) -> usize {
        std::fs::read_to_string(self.folder.path().join("runs")).map_or(0, |text| text.lines().count())
    }
}

#[expect(clippy::unnecessary_wraps, reason = "the type that a connection is asked with")]
fn get() -> Result<Request<Vec<u8>>, kube::core::request::Error> {
    Ok(Request::get("/api").body(Vec::new()).expect("a request"))
}

#[tokio::test]
async fn an_allowed_plugin_runs_once_until_its_credential_expires_and_sees_only_what_it_is_given() {
    let plugin = Plugin::new(
        r#"[ -z "$CARGO_MANIFEST_DIR" ] || exit 1
        echo "{\"apiVersion\":\"client.authentication.k8s.io/v1\",\"kind\":\"ExecCredential\",
        \"status\":{\"token\":\"hunter2-$GIVEN\",\"expirationTimestamp\":\"2025-01-01T00:10:00Z\"}}""#,
    );
    let connection = plugin.connection();
    for _ in 0..3 {
        connection.ask(get()).await.expect("an answer");
    }
    assert_eq!(
        (plugin.runs(), plugin.server.0.lock().expect("no panic before")[2].as_str()),
        (1, "Bearer hunter2-given")
    );
    *plugin.clock.0.lock().expect("no panic before") = Duration::from_secs(9 * 60 + 1);
    connection.ask(get()).await.expect("an answer");
    assert_eq!(plugin.runs(), 2);
}

#[tokio::test]
async fn a_plugin_that_fails_hangs_or_says_something_else_is_an_error_without_its_output() {
    for (script, words) in [
        ("echo hunter2-hunter2; echo no such profile >&2; exit 3", "no such profile"),
        ("echo hunter2-hunter2; sleep 20", "did not end within 2 s"),
        ("echo hunter2-hunter2", "no ExecCredential"),
        ("yes hunter2-hunter2", "wrote more than"),
        (r#"echo '{"apiVersion":"client.authentication.k8s.io/v1","kind":"ExecCredential","status":{}}'"#, "no token"),
    ] {
        let plugin = Plugin::new(script);
        let error = match plugin.connection().ask(get()).await {
            Err(crate::kubernetes::Failure::Credentials(error)) => error,
            other => panic!("{script}: {other:?}"),
        };
        let sentence = error.sentence();
        assert!(sentence.contains(words) && !sentence.contains(SECRET), "{script}: {sentence}");
        assert!(plugin.server.0.lock().expect("no panic before").is_empty(), "{script}: a request was sent");
    }
}

proptest::proptest! {
    #[test]
    fn no_text_makes_it_panic(text in "(?s).{0,200}") {
        let _ = access(&text);
    }
}
