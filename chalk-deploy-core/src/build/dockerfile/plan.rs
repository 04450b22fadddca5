//! Which Dockerfiles are taken, and what the executor is given of them. Pure.

use std::collections::{BTreeMap, BTreeSet};

use super::instructions::{self, Instruction};
use super::refused;
use crate::model::{BaseImage, Digest, ImageReference, Repository};
use crate::{Error, Result, text};

/// The argument by which a Dockerfile names the platform image under the component: `FROM ${CHALK_BASE_IMAGE}`.
pub const BASE_ARGUMENT: &str = "CHALK_BASE_IMAGE";

/// Instructions that are handed on as they are.
const TAKEN: [&str; 15] = [
    "RUN",
    "CMD",
    "LABEL",
    "MAINTAINER",
    "EXPOSE",
    "ENV",
    "ADD",
    "COPY",
    "ENTRYPOINT",
    "VOLUME",
    "USER",
    "WORKDIR",
    "STOPSIGNAL",
    "HEALTHCHECK",
    "SHELL",
];

/// Which images a Dockerfile may build on, and copy out of.
///
/// The platform image of the component, images by digest, and its own stages always; by tag only what stands here: a tag
/// can be moved to something else between two builds, and has been (tj-actions, CVE-2025-30066).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct BasePolicy {
    by_tag: BTreeSet<String>,
}

impl BasePolicy {
    /// Digests only.
    pub fn by_digest() -> Self {
        Self::default()
    }

    /// Allows tags of a repository, and of all below it.
    #[must_use]
    pub fn allowing_tags_of(mut self, repository: &Repository) -> Self {
        self.by_tag.insert(repository.to_string());
        self
    }

    /// The repositories whose tags are allowed.
    pub fn tags_allowed(&self) -> impl Iterator<Item = &str> {
        self.by_tag.iter().map(String::as_str)
    }

    fn allows_tags_of(&self, repository: &str) -> bool {
        let holds = |allowed: &String| {
            repository.strip_prefix(allowed.as_str()).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        };
        self.by_tag.iter().any(holds)
    }
}

/// What the executor is given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Plan {
    /// The Dockerfile as it was understood, an instruction a line.
    pub(super) text: String,
    /// The images that it takes from registries.
    pub(super) images: BTreeSet<String>,
}

/// Judges a Dockerfile for the image of one component.
///
/// # Errors
/// [`RequestInvalid`](crate::ErrorCode::RequestInvalid), with the line.
pub(super) fn plan(name: &str, bytes: &[u8], base: &BaseImage, platform: &str, policy: &BasePolicy) -> Result<Plan> {
    let reference = ImageReference { repository: base.repository.clone(), digest: base.digest }.to_string();
    let mut planner = Planner {
        name,
        platform,
        policy,
        arguments: BTreeMap::from([(BASE_ARGUMENT.to_owned(), reference.clone())]),
        base: reference,
        stages: Vec::new(),
        plan: Plan { text: String::new(), images: BTreeSet::new() },
    };
    for instruction in instructions::read(name, bytes)? {
        planner.take(&instruction)?;
    }
    if planner.stages.is_empty() {
        return Err(refused(name, 1, "it has no FROM", &format!("begin it with `FROM ${{{BASE_ARGUMENT}}}`")));
    }
    Ok(planner.plan)
}

struct Planner<'given> {
    name: &'given str,
    platform: &'given str,
    policy: &'given BasePolicy,
    /// The component's platform image.
    base: String,
    /// What was declared above the first stage.
    arguments: BTreeMap<String, String>,
    /// The names of the stages so far, in lower case; empty for one without.
    stages: Vec<String>,
    plan: Plan,
}

impl Planner<'_> {
    fn refused(&self, line: usize, message: &str, hint: &str) -> Error {
        refused(self.name, line, message, hint)
    }

    fn take(&mut self, instruction: &Instruction) -> Result<()> {
        let Instruction { line, word, rest } = instruction;
        match word.as_str() {
            "FROM" => return self.stage(*line, rest),
            "ARG" if self.stages.is_empty() => return self.declare(*line, rest),
            "ARG" => self.write("ARG", rest),
            _ if self.stages.is_empty() => {
                return Err(self.refused(*line, "an instruction stands above the first FROM", "begin with FROM"));
            }
            "ONBUILD" => {
                let hint = "write the instruction where it is to be run";
                return Err(self.refused(*line, "ONBUILD is not taken", hint));
            }
            "RUN" if rest.starts_with("--") => {
                let hint = "the executor knows no mounts, networks or rights of single commands; remove the flag";
                return Err(self.refused(*line, "a flag of RUN is not taken", hint));
            }
            "COPY" | "ADD" => {
                let rest = self.copied(*line, rest)?;
                self.write(word, &rest);
            }
            taken if TAKEN.contains(&taken) => self.write(word, rest),
            other => {
                let message = format!("`{}` is no instruction of a Dockerfile", text::line(other, 40));
                return Err(self.refused(*line, &message, "correct its spelling"));
            }
        }
        Ok(())
    }

    fn write(&mut self, word: &str, rest: &str) {
        self.plan.text.push_str(format!("{word} {rest}").trim_end());
        self.plan.text.push('\n');
    }

    /// `ARG NAME[=VALUE]…` above the first stage, whose values FROM may use.
    fn declare(&mut self, line: usize, rest: &str) -> Result<()> {
        for word in rest.split_whitespace() {
            let (name, value) = word.split_once('=').unwrap_or((word, ""));
            if !is_variable(name) {
                return Err(self.refused(line, "an argument has no usable name", "write ARG NAME=VALUE"));
            }
            // The platform image is no matter of the project's.
            let value = if name == BASE_ARGUMENT { self.base.clone() } else { self.expanded(line, unquoted(value))? };
            self.write("ARG", &format!("{name}={value}"));
            self.arguments.insert(name.to_owned(), value);
        }
        Ok(())
    }

    /// `FROM [--platform=…] IMAGE [AS NAME]`.
    fn stage(&mut self, line: usize, rest: &str) -> Result<()> {
        let mut words: Vec<_> = rest.split_whitespace().collect();
        if let Some(flag) = words.first().filter(|word| word.starts_with("--")) {
            let asked = flag.strip_prefix("--platform=").map(|asked| asked.trim_matches(['$', '{', '}']));
            if !asked.is_some_and(|asked| asked == self.platform || matches!(asked, "TARGETPLATFORM" | "BUILDPLATFORM"))
            {
                let message = format!("it asks for another platform than {}", self.platform);
                return Err(self.refused(line, &message, "remove the flag of FROM"));
            }
            words.remove(0);
        }
        let (image, stage) = match words[..] {
            [image] => (image, ""),
            [image, word, stage] if word.eq_ignore_ascii_case("as") => (image, stage),
            _ => return Err(self.refused(line, "FROM is not understood", "write FROM IMAGE or FROM IMAGE AS NAME")),
        };
        let stage = stage.to_ascii_lowercase();
        let holds = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
        if !stage.bytes().all(holds) || stage.bytes().next().is_some_and(|byte| !byte.is_ascii_alphabetic()) {
            let hint = "begin with a letter; use letters, digits and -_. only";
            return Err(self.refused(line, "the name of the stage is not usable", hint));
        }
        let named = self.expanded(line, unquoted(image))?;
        let image = if named == "scratch" { named } else { self.image(line, &named)? };
        self.write("FROM", &if stage.is_empty() { image } else { format!("{image} AS {stage}") });
        self.stages.push(stage);
        Ok(())
    }

    /// An image to build on or to copy from: a stage above, the platform image, one by digest, or one that the policy
    /// allows.
    fn image(&mut self, line: usize, named: &str) -> Result<String> {
        let lower = named.to_ascii_lowercase();
        if !lower.is_empty() && self.stages.contains(&lower) {
            return Ok(lower);
        }
        let given = match named.split_once('@') {
            Some((image, digest)) => {
                let digest: Result<Digest> = digest.parse();
                digest.ok().map(|digest| (without_tag(image).0, Some(digest)))
            }
            None => Some((without_tag(named).0, None)),
        };
        let repository = given.and_then(|(image, digest)| {
            // The first part is a host: a bare name would be looked for wherever the executor thinks.
            let host = image.split('/').next().filter(|host| image.contains('/') && host.contains(['.', ':']));
            let is_host = host.is_some() || image.starts_with("localhost/");
            is_host.then(|| Repository::new(image).ok()).flatten().map(|repository| (repository, digest))
        });
        let Some((repository, digest)) = repository else {
            let message = format!("`{}` names no image with its registry", text::line(named, 200));
            let hint = format!("write HOST/PATH@sha256:…, a stage above, or ${{{BASE_ARGUMENT}}}");
            return Err(self.refused(line, &message, &hint));
        };
        let image = match digest {
            Some(digest) => ImageReference { repository, digest }.to_string(),
            None if self.policy.allows_tags_of(repository.as_str()) => named.to_owned(),
            None => {
                let message = format!("`{}` is named by a tag, which can be moved", text::line(named, 200));
                let hint = format!("name it by its digest, or build on ${{{BASE_ARGUMENT}}}");
                return Err(self.refused(line, &message, &hint));
            }
        };
        self.plan.images.insert(image.clone());
        Ok(image)
    }

    /// The flags of COPY and ADD, judged; what follows them stays as it is.
    fn copied(&mut self, line: usize, rest: &str) -> Result<String> {
        let (mut flags, mut rest) = (Vec::new(), rest);
        while rest.starts_with("--") {
            let (flag, after) = rest.split_once([' ', '\t']).unwrap_or((rest, ""));
            rest = after.trim_start();
            let (name, value) = flag.split_once('=').unwrap_or((flag, ""));
            if value.contains(['"', '\'', '\\']) {
                return Err(self.refused(line, "a flag has quotes or backslashes", "write it without"));
            }
            match name {
                "--from" => {
                    let from = self.origin(line, value)?;
                    flags.push(format!("--from={from} "));
                }
                "--chown" | "--chmod" if !value.is_empty() => flags.push(format!("{flag} ")),
                // It only makes layers independent of each other.
                "--link" => {}
                _ => {
                    let message = format!("the flag `{}` is not taken", text::line(name, 40));
                    return Err(self.refused(line, &message, "the executor knows --from, --chown and --chmod"));
                }
            }
        }
        Ok(flags.concat() + rest)
    }

    fn origin(&mut self, line: usize, value: &str) -> Result<String> {
        if value.contains('$') {
            return Err(self.refused(line, "`--from` has a variable", "name the stage or the image itself"));
        }
        match value.parse::<usize>() {
            Ok(stage) if stage + 1 < self.stages.len() => Ok(stage.to_string()),
            Ok(_) => Err(self.refused(line, "`--from` names no stage above", "count the stages from 0")),
            Err(_) => self.image(line, value),
        }
    }

    /// A text with the values of arguments: `$NAME`, `${NAME}` and `${NAME:-OTHERWISE}`.
    fn expanded(&self, line: usize, given: &str) -> Result<String> {
        let odd = || {
            let hint = "use $NAME, ${NAME} or ${NAME:-VALUE} of an ARG above the first FROM";
            self.refused(line, "a variable is not understood", hint)
        };
        let (mut expanded, mut rest) = (String::new(), given);
        while let Some(at) = rest.find('$') {
            expanded.push_str(&rest[..at]);
            let after = &rest[at + 1..];
            let (name, otherwise, end) = if let Some(inner) = after.strip_prefix('{') {
                let end = inner.find('}').ok_or_else(odd)?;
                let (name, otherwise) = inner[..end].split_once(":-").unwrap_or((&inner[..end], ""));
                (name, otherwise, end + 2)
            } else {
                let is_end = |symbol: char| !(symbol.is_ascii_alphanumeric() || symbol == '_');
                let end = after.find(is_end).unwrap_or(after.len());
                (&after[..end], "", end)
            };
            if !is_variable(name) || otherwise.contains(['$', '{']) {
                return Err(odd());
            }
            let value = self.arguments.get(name).map(String::as_str).filter(|value| !value.is_empty());
            expanded.push_str(value.unwrap_or(otherwise));
            rest = &after[end..];
        }
        expanded.push_str(rest);
        // A value becomes part of a line.
        if expanded.contains(['"', '\'', '\\', '`']) { Err(odd()) } else { Ok(expanded) }
    }
}

fn is_variable(name: &str) -> bool {
    let holds = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    name.bytes().all(holds) && name.bytes().next().is_some_and(|byte| !byte.is_ascii_digit())
}

fn unquoted(value: &str) -> &str {
    let inner = |quote: char| value.strip_prefix(quote).and_then(|rest| rest.strip_suffix(quote));
    inner('"').or_else(|| inner('\'')).unwrap_or(value)
}

/// An image without its tag, and the tag. The colon of a port stands before a slash.
fn without_tag(image: &str) -> (&str, Option<&str>) {
    match image.rfind(':').filter(|at| !image[*at..].contains('/')) {
        Some(at) => (&image[..at], Some(&image[at + 1..])),
        None => (image, None),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::model::Component;

    fn digest() -> String {
        Digest::of("an image").to_string()
    }

    fn base() -> BaseImage {
        let repository = Repository::new("registry.test:5000/chalk/engine").expect("a repository");
        BaseImage { component: Component::Engine, repository, digest: Digest::of("base") }
    }

    fn under(written: &str, policy: &BasePolicy) -> Result<Plan> {
        plan("docker/Dockerfile", written.as_bytes(), &base(), "linux/amd64", policy)
    }

    fn planned(written: &str) -> Plan {
        under(written, &BasePolicy::by_digest()).unwrap_or_else(|error| panic!("{written}: {}", error.sentence()))
    }

    #[test]
    fn the_executor_is_given_what_was_understood_with_its_images_by_digest() {
        let (base, digest) = (format!("registry.test:5000/chalk/engine@{}", Digest::of("base")), digest());
        let written = format!(
            "ARG CHALK_BASE_IMAGE\nARG VERSION=\"1\" HOST=ghcr.io\nFROM --platform=$TARGETPLATFORM $HOST/a/b:$VERSION@{digest} as Tools\n\
             RUN make \\\n  all\nfrom ${{CHALK_BASE_IMAGE}}\nCOPY --link --chown=1:1 --from=TOOLS /out /app\nCOPY --from=0 a b\n\
             ARG INNER\nUSER 65532\n"
        );
        let plan = planned(&written);
        let expected = format!(
            "ARG CHALK_BASE_IMAGE={base}\nARG VERSION=1\nARG HOST=ghcr.io\nFROM ghcr.io/a/b@{digest} AS tools\nRUN make   all\n\
             FROM {base}\nCOPY --chown=1:1 --from=tools /out /app\nCOPY --from=0 a b\nARG INNER\nUSER 65532\n"
        );
        assert_eq!(plan.text, expected);
        assert_eq!(plan.images, BTreeSet::from([base, format!("ghcr.io/a/b@{digest}")]));
    }

    #[test]
    fn an_image_by_tag_or_without_its_registry_is_refused_wherever_it_is_named() {
        let good = "FROM ${CHALK_BASE_IMAGE}\n";
        for (written, part) in [
            ("FROM registry.test:5000/chalk/engine:1".to_owned(), "is named by a tag"),
            ("FROM registry.test:5000/chalk/engine".to_owned(), "is named by a tag"),
            ("ARG B=registry.test/x:1\nFROM $B".to_owned(), "is named by a tag"),
            ("FROM ${NONE:-registry.test/x:1}".to_owned(), "is named by a tag"),
            ("ARG CHALK_BASE_IMAGE=registry.test/x:1\nFROM python:3.11".to_owned(), "no image with its registry"),
            (format!("FROM python@{}", digest()), "no image with its registry"),
            (format!("FROM library/python@{}", digest()), "no image with its registry"),
            ("FROM registry.test/x@sha256:12".to_owned(), "no image with its registry"),
            ("FROM registry.test/x@md5:12".to_owned(), "no image with its registry"),
            (format!("{good}COPY --from=registry.test/x:1 /a /b"), "is named by a tag"),
            (format!("{good}ADD --from=python /a /b"), "no image with its registry"),
            (format!("{good}COPY --from=$X /a /b"), "has a variable"),
            (format!("{good}COPY --from=0 /a /b"), "names no stage above"),
            (format!("{good}COPY --from=\"x\" /a /b"), "quotes or backslashes"),
            (format!("{good}COPY --exclude=x /a /b"), "`--exclude` is not taken"),
            (format!("{good}ONBUILD COPY --from=python /a /b"), "ONBUILD"),
            (format!("{good}RUN --mount=type=bind,from=python x"), "a flag of RUN"),
            (format!("{good}RUN --network=host x"), "a flag of RUN"),
            (format!("{good}FRMO x"), "`FRMO` is no instruction"),
            ("RUN x\n".to_owned(), "above the first FROM"),
            ("# nothing\n".to_owned(), "no FROM"),
            ("FROM".to_owned(), "not understood"),
            (format!("FROM registry.test/x@{} AS", digest()), "not understood"),
            (format!("FROM registry.test/x@{} AS 0", digest()), "name of the stage"),
            ("FROM --platform=linux/arm64 scratch".to_owned(), "another platform"),
            ("FROM ${X:+y}".to_owned(), "not understood"),
            ("FROM ${X".to_owned(), "not understood"),
            ("ARG X='a\"b'\nFROM $X".to_owned(), "not understood"),
            ("ARG 1X=a\nFROM $X".to_owned(), "no usable name"),
        ] {
            let error = under(&written, &BasePolicy::by_digest()).expect_err(&written);
            assert!(error.message().contains(part), "{written}: {}", error.sentence());
            assert!(error.sentence().starts_with("`docker/Dockerfile`, line "), "{}", error.sentence());
        }
    }

    #[test]
    fn tags_are_taken_of_what_the_policy_names_and_of_nothing_beside_it() {
        let policy = BasePolicy::by_digest().allowing_tags_of(&Repository::new("registry.test/base").expect("valid"));
        for (image, taken) in [
            ("registry.test/base:1", true),
            ("registry.test/base/python:3.11", true),
            ("registry.test/base", true),
            ("registry.test/base-evil:1", false),
            ("registry.test/other:1", false),
            ("registry.test.evil/base:1", false),
        ] {
            assert_eq!(under(&format!("FROM {image}"), &policy).is_ok(), taken, "{image}");
        }
    }

    #[test]
    fn a_stage_hides_an_image_of_its_name_and_only_below_itself() {
        let plan = planned("FROM scratch AS python\nFROM python\nCOPY --from=python a b\n");
        assert_eq!(plan.text, "FROM scratch AS python\nFROM python\nCOPY --from=python a b\n");
        assert!(plan.images.is_empty());
        under("FROM python\nFROM scratch AS python\n", &BasePolicy::by_digest()).expect_err("it is not there yet");
    }

    proptest! {
        /// Whatever is written: what the executor is given reads back to itself, and names no image beyond the policy.
        #[test]
        fn what_the_executor_is_given_is_understood_as_what_it_is(
            lines in prop::collection::vec(
                prop::sample::select(vec![
                    "FROM ${CHALK_BASE_IMAGE}", "FROM scratch AS a", "from a as b", "FROM evil:1", "RUN x \\", "  \\",
                    "# c \\", "RUN y", "COPY --from=a / /", "COPY --from=evil / /", "ENV A=\"b \\", "", "ARG X=1",
                    "RUN ['a'", "LABEL x=\\\"y", "CMD [\"a\"]", "RUN x # \\", "\tUSER 1", "RUN a <<b",
                ]),
                0..12,
            )
        ) {
            if let Ok(plan) = under(&lines.join("\n"), &BasePolicy::by_digest()) {
                prop_assert!(!plan.images.iter().any(|image| image.contains("evil")));
                let again = under(&plan.text, &BasePolicy::by_digest());
                prop_assert_eq!(again.map_err(|error| error.sentence()), Ok(plan));
            }
        }
    }
}
