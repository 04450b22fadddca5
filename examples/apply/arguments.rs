//! The command line.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::path::PathBuf;

use chalk_deploy_core::model::{DeploymentTag, IdempotencyKey, Promotion, Strategy};
use chalk_deploy_core::{Error, ErrorCode, Result, text};
use chalk_deploy_examples::data_plane::builder::BuilderArguments;
use chalk_deploy_examples::data_plane::target::TargetArguments;
use clap::{CommandFactory as _, FromArgMatches as _, Parser, ValueEnum};

use super::checks::CheckArguments;

const EXAMPLES: &str = "\
Examples:
  apply examples/projects/fraud                        deploy into the environment `default` and wait for the end
  apply . --environment prod --force                   deploy without the question, as a script does
  apply . --environment prod --resume                  go on with what was interrupted
  apply . --no-promote --deployment-tag green          leave the new version ready, without traffic
  apply . --json --force | jq .event                   one JSON object a line
  apply . --force --serve                              and then ask the gateway who answers

Exit codes:
  0 SUCCESS, or detached with --no-await    1 any other end    2 bad input, nothing created
  3 the answer was no                       130 interrupted: a second Ctrl-C, or one before anything was created

The environment variables CHALK_DEPLOY_LOG and RUST_LOG switch the log on, on stderr (such as `debug`).";

/// Deploys a Chalk project: upload, build, archive, push, rollout.
///
/// Runs on simulated servers (registry, Kubernetes, gateway, bucket) in this process, whose state lies in the state
/// folder and outlives it: kill it at any moment, and `--resume` goes on where it stood. With `--kubeconfig` and its
/// companions, or with `--cloud`, it runs on real ones.
#[derive(Debug, Parser)]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of its own")]
#[command(name = "apply", version, after_help = EXAMPLES, max_term_width = 120)]
pub(super) struct Arguments {
    /// The project: the directory with chalk.yaml, or one below it
    #[arg(value_name = "PROJECT_DIR")]
    pub(super) project: PathBuf,

    /// One of the environments in chalk.yaml [default: default]
    #[arg(long, value_name = "NAME")]
    pub(super) environment: Option<String>,

    /// Where deployments and the embedded cloud are kept; never part of an archive
    #[arg(long, value_name = "DIR", default_value = "./.chalk-deploy")]
    pub(super) state: PathBuf,

    /// Go on with the newest unfinished deployment; repeat the end of a finished one; start one if there is none
    #[arg(long, conflicts_with = "no_await")]
    pub(super) resume: bool,

    /// The export of the feature graph, made by `chalkpy export FILE --proto`, instead of running chalkpy
    #[arg(long, value_name = "FILE")]
    pub(super) graph: Option<PathBuf>,

    /// Do not ask before a changed feature graph is deployed, whatever its changes risk
    #[arg(long, short = 'y', visible_alias = "yes")]
    pub(super) force: bool,

    /// Wait for the end (the default)
    #[arg(long = "await", conflicts_with = "no_await")]
    pub(super) wait: bool,

    /// Record the deployment, upload its source, and leave the rest to `--resume` or to a service on the same state
    #[arg(long)]
    pub(super) no_await: bool,

    /// Leave the traffic where it is: the new version ends ready, at weight 0
    #[arg(long)]
    pub(super) no_promote: bool,

    /// A tag for the deployment; may be given more than once
    #[arg(long = "deployment-tag", value_name = "TAG", value_parser = tag)]
    pub(super) tags: Vec<DeploymentTag>,

    /// How the traffic moves to the new version
    #[arg(long, value_enum, default_value_t = StrategyName::Immediate)]
    pub(super) strategy: StrategyName,

    /// Print one JSON object a line on stdout, and words on stderr
    #[arg(long)]
    pub(super) json: bool,

    /// A key under which the same request may be repeated without starting a second deployment
    #[arg(long, value_name = "KEY", value_parser = key)]
    pub(super) idempotency_key: Option<IdempotencyKey>,

    /// When it has ended, keep the simulated gateway up until Ctrl-C, and print where it answers
    #[arg(long, conflicts_with_all = ["no_await", "place"])]
    pub(super) serve: bool,

    /// Sign what is in each image and where it came from with this key (unencrypted PKCS #8 PEM, P-256 or Ed25519), and
    /// attach that to the image; see docs/evidence.md
    #[arg(long, value_name = "FILE")]
    pub(super) signing_key: Option<PathBuf>,

    /// Roll out only images whose evidence this public key verifies
    #[arg(long, value_name = "FILE")]
    pub(super) verification_key: Option<PathBuf>,

    #[command(flatten)]
    pub(super) target: TargetArguments,

    #[command(flatten)]
    pub(super) builder: BuilderArguments,

    #[command(flatten)]
    pub(super) checks: CheckArguments,
}

/// The names of the strategies on the command line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum StrategyName {
    /// All of it in one write
    Immediate,
    /// In steps (not available yet)
    BlueGreen,
}

/// What the command line asks for.
#[derive(Debug)]
pub(super) enum Asked {
    /// A deployment.
    Run(Box<Arguments>),
    /// A text to be shown: the help.
    Show(String),
}

impl Arguments {
    /// Reads the command line, the program's name first.
    ///
    /// # Errors
    /// `REQUEST_INVALID`, on one line.
    pub(super) fn read(command_line: impl IntoIterator<Item = OsString>) -> Result<Asked> {
        let parsed = Self::command().try_get_matches_from(command_line).and_then(|mut found| {
            let arguments = Self::from_arg_matches_mut(&mut found)?;
            Ok(arguments)
        });
        let arguments = match parsed {
            Ok(arguments) => arguments,
            Err(error) if !error.use_stderr() => return Ok(Asked::Show(error.render().to_string())),
            Err(error) => return Err(usage(&error)),
        };
        if arguments.strategy == StrategyName::BlueGreen {
            return Err(Error::new(ErrorCode::RequestInvalid, "the blue-green strategy is not available yet")
                .on("--strategy blue-green")
                .with_hint("use --strategy immediate"));
        }
        let mut seen = BTreeSet::new();
        if let Some(twice) = arguments.tags.iter().find(|tag| !seen.insert(*tag)) {
            return Err(Error::new(ErrorCode::RequestInvalid, "the tag is given twice")
                .on(format!("--deployment-tag {twice}"))
                .with_hint("give each tag once"));
        }
        arguments.target.check()?;
        arguments.builder.check(arguments.target.is_real())?;
        Ok(Asked::Run(Box::new(arguments)))
    }

    pub(super) const fn promotion(&self) -> Promotion {
        if self.no_promote { Promotion::Hold } else { Promotion::Promote }
    }

    pub(super) const fn strategy(&self) -> Strategy {
        match self.strategy {
            StrategyName::Immediate => Strategy::Immediate,
            StrategyName::BlueGreen => Strategy::BlueGreen,
        }
    }
}

fn tag(text: &str) -> Result<DeploymentTag, String> {
    DeploymentTag::new(text).map_err(|error| error.message().to_owned())
}

fn key(text: &str) -> Result<IdempotencyKey, String> {
    IdempotencyKey::new(text).map_err(|error| error.message().to_owned())
}

/// What clap says over several lines, as one sentence.
fn usage(error: &clap::Error) -> Error {
    let rendered = error.render().to_string();
    let said = rendered.split("\n\nUsage:").next().unwrap_or_default();
    let said = said.split("\n\nFor more information").next().unwrap_or_default();
    let mut sentence = String::new();
    for part in said.trim_start_matches("error: ").lines().map(str::trim).filter(|part| !part.is_empty()) {
        if !sentence.is_empty() {
            sentence.push_str(if sentence.ends_with(':') { " " } else { "; " });
        }
        sentence.push_str(part);
    }
    Error::new(ErrorCode::RequestInvalid, text::line(&sentence, 500)).with_hint("see --help")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(arguments: &[&str]) -> Result<Asked> {
        Arguments::read(["apply"].iter().chain(arguments).map(OsString::from))
    }

    fn refusal(arguments: &[&str]) -> String {
        let error = read(arguments).expect_err("a refusal");
        assert_eq!(error.code(), ErrorCode::RequestInvalid);
        let sentence = error.sentence();
        assert!(!sentence.contains('\n'), "{sentence:?}");
        sentence
    }

    #[test]
    fn every_flag_has_its_place() {
        let line = [
            "dir",
            "--environment",
            "prod",
            "--state",
            "s",
            "--resume",
            "--graph",
            "g.bin",
            "--force",
            "--await",
            "--no-promote",
            "--deployment-tag",
            "a",
            "--deployment-tag",
            "b",
            "--strategy",
            "immediate",
            "--json",
            "--idempotency-key",
            "k",
        ];
        let Ok(Asked::Run(arguments)) = read(&line) else { panic!("all of it is valid") };
        assert_eq!(arguments.project, PathBuf::from("dir"));
        assert_eq!(arguments.environment.as_deref(), Some("prod"));
        assert_eq!(arguments.state, PathBuf::from("s"));
        assert_eq!(arguments.graph, Some(PathBuf::from("g.bin")));
        assert!(arguments.resume && arguments.force && arguments.wait && arguments.json && !arguments.no_await);
        assert_eq!(arguments.promotion(), Promotion::Hold);
        assert_eq!(arguments.strategy(), Strategy::Immediate);
        assert_eq!(arguments.tags.iter().map(DeploymentTag::as_str).collect::<Vec<_>>(), ["a", "b"]);
        assert_eq!(arguments.idempotency_key.as_ref().map(IdempotencyKey::as_str), Some("k"));
    }

    #[test]
    fn the_question_can_be_answered_on_the_command_line_in_the_words_that_people_try() {
        for flag in ["--force", "--yes", "-y"] {
            let Ok(Asked::Run(arguments)) = read(&["dir", flag]) else { panic!("{flag} is a flag") };
            assert!(arguments.force, "{flag}");
        }
    }

    #[test]
    fn the_defaults_are_to_wait_and_to_promote_with_the_state_beside_the_caller() {
        let Ok(Asked::Run(arguments)) = read(&["dir"]) else { panic!("a directory is all that is needed") };
        assert_eq!(arguments.state, PathBuf::from("./.chalk-deploy"));
        assert_eq!(arguments.promotion(), Promotion::Promote);
        assert!(!arguments.no_await && !arguments.resume && !arguments.force && !arguments.json);
    }

    #[test]
    fn contradictions_and_slips_are_one_sentence_that_names_the_flag() {
        let cases: [(&[&str], &str); 9] = [
            (&["d", "--await", "--no-await"], "'--await' cannot be used with '--no-await'"),
            (&["d", "--resume", "--no-await"], "'--resume' cannot be used with '--no-await'"),
            (&["d", "--strategy", "blue-green"], "--strategy blue-green: the blue-green strategy is not available yet"),
            (&["d", "--strategy", "canary"], "[possible values: immediate, blue-green]"),
            (&["d", "--forse"], "tip: a similar argument exists: '--force'"),
            (&["d", "--deployment-tag", "a/b"], "'a/b' for '--deployment-tag <TAG>': a tag is 1 to 128 letters"),
            (&["d", "--deployment-tag", "a", "--deployment-tag", "a"], "--deployment-tag a: the tag is given twice"),
            (&["d", "--idempotency-key", ""], "--idempotency-key <KEY>"),
            (&[], "not provided: <PROJECT_DIR>; see --help"),
        ];
        for (arguments, part) in cases {
            let sentence = refusal(arguments);
            assert!(sentence.contains(part), "{arguments:?}: {sentence}");
        }
    }

    #[test]
    fn an_argument_cannot_drive_the_terminal() {
        let sentence = refusal(&["d", "--strategy", "\u{1b}[31m\nred"]);
        assert!(!sentence.contains('\u{1b}'), "{sentence:?}");
    }

    #[test]
    fn the_help_names_every_flag_the_exit_codes_and_examples() {
        let Ok(Asked::Show(help)) = read(&["--help"]) else { panic!("the help") };
        let flags = Arguments::command();
        for flag in flags.get_arguments().filter_map(|argument| argument.get_long()) {
            assert!(help.contains(&format!("--{flag}")), "{flag}");
        }
        assert!(help.contains("Examples:") && help.contains("130 interrupted"), "{help}");
    }

    #[test]
    fn the_definition_of_the_command_line_holds() {
        Arguments::command().debug_assert();
    }
}
