//! The chain: who is asked, in which order, and who is not.

mod machine;

use std::collections::VecDeque;
use std::ffi::OsStr;
use std::io;
use std::os::unix::process::ExitStatusExt as _;
use std::process::{ExitStatus, Output};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use azure_identity::Executor;
use chalk_deploy_core::runtime::SystemRuntime;

use super::*;

const TENANT: &str = "f8cdef31-a31e-4b4a-93e4-5f571e91255a";

/// A link that answers from a list, and counts.
#[derive(Debug, Clone)]
struct Scripted {
    name: &'static str,
    answers: Arc<Mutex<VecDeque<Script>>>,
    asked: Arc<AtomicUsize>,
}

#[derive(Debug, Clone, Copy)]
enum Script {
    Token,
    NotHere,
    Refused,
}

impl Scripted {
    fn new(name: &'static str, answers: &[Script]) -> Self {
        Self { name, answers: Arc::new(Mutex::new(answers.iter().copied().collect())), asked: Arc::default() }
    }

    fn asked(&self) -> usize {
        self.asked.load(Ordering::Relaxed)
    }
}

#[async_trait]
impl Link for Scripted {
    fn name(&self) -> &'static str {
        self.name
    }

    async fn issue(&self, _: &str) -> Result<Lent<BearerToken>, LinkError> {
        self.asked.fetch_add(1, Ordering::Relaxed);
        // A network lets others run.
        tokio::task::yield_now().await;
        let answer = self.answers.lock().expect("one test, one thread").pop_front().expect("an answer is left");
        let error = || Error::new(ErrorCode::PermissionDenied, format!("{} said no", self.name)).with_hint("a step");
        match answer {
            Script::Token => Ok(Lent { value: BearerToken::new(self.name), expires: None }),
            Script::NotHere => Err(LinkError::NotHere(error())),
            Script::Refused => Err(LinkError::Refused(error())),
        }
    }
}

fn chain(links: &[&Scripted]) -> Chain {
    Chain::of(links.iter().map(|link| Box::new((*link).clone()) as Box<dyn Link>).collect())
}

#[tokio::test]
async fn the_first_link_that_has_given_a_token_is_the_one_that_is_asked_from_then_on() {
    let (first, second) = (Scripted::new("one", &[Script::NotHere]), Scripted::new("two", &[Script::Token; 3]));
    let third = Scripted::new("three", &[]);
    let chain = chain(&[&first, &second, &third]);
    for _ in 0..3 {
        assert_eq!(chain.issue("s").await.expect("a token").value.expose(), "two");
    }
    assert_eq!((first.asked(), second.asked(), third.asked()), (1, 3, 0));
}

#[tokio::test]
async fn two_who_look_for_the_first_link_at_once_become_the_same() {
    // The first is away for one of them alone: that one would be somebody else for as long as the process lives.
    let first = Scripted::new("one", &[Script::NotHere, Script::Token, Script::Token]);
    let second = Scripted::new("two", &[Script::Token; 4]);
    let chain = chain(&[&first, &second]);
    let (one, other) = futures::join!(chain.issue("s"), chain.issue("t"));
    let given = [one, other].map(|token| token.expect("a token").value.expose().to_owned());
    assert_eq!(given, ["two", "two"]);
    assert_eq!((first.asked(), second.asked()), (1, 2));
}

#[tokio::test]
async fn the_only_link_says_itself_what_is_wrong() {
    #[derive(Debug)]
    struct Away;

    #[async_trait]
    impl Link for Away {
        fn name(&self) -> &'static str {
            "away"
        }

        async fn issue(&self, _: &str) -> Result<Lent<BearerToken>, LinkError> {
            Err(LinkError::NotHere(Error::new(ErrorCode::CloudUnavailable, "away for now")))
        }
    }

    let error = Chain::of(vec![Box::new(Away)]).issue("s").await.expect_err("away");
    assert_eq!((error.code(), error.message()), (ErrorCode::CloudUnavailable, "away for now"), "it may come back");
}

#[tokio::test]
async fn a_link_that_is_refused_ends_the_chain_and_one_that_is_not_here_does_not() {
    let (first, second) = (Scripted::new("one", &[Script::Refused]), Scripted::new("two", &[]));
    let error = chain(&[&first, &second]).issue("s").await.expect_err("refused");
    assert_eq!((error.message(), second.asked()), ("one said no", 0));
    let (first, second) = (Scripted::new("one", &[Script::NotHere]), Scripted::new("two", &[Script::NotHere]));
    let error = chain(&[&first, &second]).issue("s").await.expect_err("nobody");
    assert_eq!(error.code(), ErrorCode::PermissionDenied);
    assert!(error.message().contains("one: one said no; two: two said no"), "{}", error.sentence());
}

/// Programs that answer from a list: how each ended, and what it wrote.
#[derive(Debug)]
struct Programs(Mutex<VecDeque<(i32, String, String)>>, Mutex<Vec<String>>);

#[async_trait]
impl Executor for Programs {
    async fn run(&self, program: &OsStr, arguments: &[&OsStr]) -> io::Result<Output> {
        let line =
            [&[program], arguments].concat().iter().map(|word| word.to_string_lossy()).collect::<Vec<_>>().join(" ");
        self.1.lock().expect("one test").push(line);
        let (code, out, err) = self.0.lock().expect("one test").pop_front().expect("an answer is left");
        Ok(Output { status: ExitStatus::from_raw(code << 8), stdout: out.into_bytes(), stderr: err.into_bytes() })
    }
}

fn tools(answers: &[(i32, &str, &str)]) -> (DeveloperTools, Arc<Programs>) {
    let answers = answers.iter().map(|(code, out, err)| (*code, (*out).to_owned(), (*err).to_owned())).collect();
    let programs = Arc::new(Programs(Mutex::new(answers), Mutex::default()));
    let tenant = Some(Tenant::new(TENANT).expect("a tenant"));
    let tools = DeveloperTools {
        tools: &[Tool::Az, Tool::Azd],
        tenant,
        runtime: SystemRuntime::new(),
        executor: programs.clone(),
    };
    (tools, programs)
}

#[tokio::test]
async fn the_azure_cli_is_asked_for_the_pinned_tenant_and_its_token_lasts_as_long_as_it_says() {
    let ends = SystemRuntime::new().now().plus(std::time::Duration::from_hours(1));
    let seconds = ends.as_millis() / 1000;
    let answer = format!(r#"{{"accessToken":"hidden-token","expires_on":{seconds},"tokenType":"Bearer"}}"#);
    let (tools, programs) = tools(&[(0, &answer, "")]);
    let given = tools.issue(scope::STORAGE).await.expect("a token");
    assert_eq!(given.value.expose(), "hidden-token");
    let remaining = given.expires.expect("it ends").since(SystemRuntime::new().now());
    assert!((3590..=3600).contains(&remaining.as_secs()), "{remaining:?}");
    let lines = programs.1.lock().expect("one test").clone();
    assert!(
        lines[0].contains("az account get-access-token") && lines[0].contains(&format!("--tenant {TENANT}")),
        "{lines:?}"
    );
}

#[tokio::test]
async fn tools_that_are_not_there_are_not_here_and_a_refusal_of_entra_id_is_one() {
    let (absent, _) = tools(&[(127, "", "az: command not found"), (127, "", "azd: command not found")]);
    let Err(LinkError::NotHere(error)) = absent.issue("s").await else { panic!("not here") };
    assert!(error.hint().contains(&format!("az login --tenant {TENANT}")), "{}", error.sentence());
    let words = "ERROR: AADSTS50020: User account does not exist in tenant. Trace ID: x";
    let (refused, programs) = tools(&[(1, "hidden-output", words)]);
    let Err(LinkError::Refused(error)) = refused.issue("s").await else { panic!("refused") };
    assert!(error.hint().contains("AZURE_TENANT_ID"), "{}", error.sentence());
    assert!(!error.sentence().contains("hidden"), "{}", error.sentence());
    assert_eq!(programs.1.lock().expect("one test").len(), 1);
    // What is no token is not shown, whatever it is.
    let (odd, _) = tools(&[(0, r#"{"accessToken":["hidden"]}"#, ""), (0, "hidden", "")]);
    let Err(LinkError::NotHere(error)) = odd.issue("s").await else { panic!("not here") };
    assert!(!error.sentence().contains("hidden"), "{}", error.sentence());
}

#[tokio::test]
async fn a_tool_that_is_named_is_the_only_one_that_is_asked() {
    for (name, tools) in [
        ("AzureCliCredential", &[Tool::Az] as &[Tool]),
        ("azuredeveloperclicredential", &[Tool::Azd]),
        ("dev", &[Tool::Az, Tool::Azd]),
    ] {
        let choice = CredentialChoice::named(name).expect("known");
        assert_eq!(tools_of(&choice), tools, "{name}");
    }
    let programs = Arc::new(Programs(Mutex::new([(127, String::new(), String::new())].into()), Mutex::default()));
    let tools = DeveloperTools {
        tools: &[Tool::Azd],
        tenant: Tenant::new(TENANT).ok(),
        runtime: SystemRuntime::new(),
        executor: programs.clone(),
    };
    let Err(LinkError::NotHere(error)) = tools.issue("s").await else { panic!("not here") };
    assert!(error.hint().contains(&format!("azd auth login --tenant-id {TENANT}")), "{}", error.sentence());
    let lines = programs.1.lock().expect("one test").clone();
    assert!(lines.len() == 1 && lines[0].contains("azd auth token"), "{lines:?}");
}

#[tokio::test]
async fn a_program_reads_nothing_and_is_not_read_without_an_end() {
    let run = async |script: &str| {
        let arguments: [&OsStr; 2] = ["-c".as_ref(), script.as_ref()];
        super::developer_tools::Programs.run("/bin/sh".as_ref(), &arguments).await
    };
    let output = run("cat; echo out; echo err >&2; exit 3").await.expect("it ends");
    assert_eq!(
        (output.status.code(), output.stdout.as_slice(), output.stderr.as_slice()),
        (Some(3), &b"out\n"[..], &b"err\n"[..])
    );
    let error = run("while :; do echo xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx; done").await;
    assert!(error.expect_err("too much").to_string().contains("without an end"));
}

/// Gives a token of a tenant.
#[derive(Debug)]
struct Of(&'static str);

#[async_trait]
impl TokenIssuer for Of {
    async fn issue(&self, _: &str) -> Result<Lent<BearerToken>> {
        use base64::Engine as _;
        let payload = base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(format!(r#"{{"tid":"{}"}}"#, self.0));
        Ok(Lent { value: BearerToken::new(format!("e30.{payload}.x")), expires: None })
    }
}

#[tokio::test]
async fn a_token_of_another_tenant_is_never_given_out() {
    let tokens = |of| Tokens::new(Arc::new(Of(of)), Tenant::new(TENANT).ok(), SystemRuntime::new()).of(scope::AKS);
    tokens(TENANT).token().await.expect("the pinned tenant");
    let error = tokens("72f988bf-86f1-41af-91ab-2d7cd011db47").token().await.expect_err("another tenant");
    assert_eq!(error.code(), ErrorCode::PermissionDenied);
    assert!(error.sentence().contains("72f988bf"), "{}", error.sentence());
}
