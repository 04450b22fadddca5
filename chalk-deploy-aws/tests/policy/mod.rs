//! As much of IAM as the published scoped role of seed 003 needs: statements that allow, patterns of actions and
//! resources, and one condition on the tags of a resource ("Policy evaluation logic" of the IAM user guide).
//!
//! The role is typed as the seed prints it, but for actions of services that nothing here speaks to. The seed's
//! `arn:aws:ecr:*` has three parts where an ARN has six; it is taken as the pattern that it looks like. A bucket's tags are
//! no condition for S3, as the seed says itself.

#![allow(dead_code, reason = "each test target uses a part of it")]

use http::{Method, Uri};

/// One permission that a request needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Asked {
    pub(crate) action: String,
    pub(crate) resource: String,
    /// Whether the resource is there and has our tag.
    tagged: bool,
    requested: Option<(String, String)>,
}

impl Asked {
    pub(crate) fn on(action: &str, resource: &str) -> Self {
        Self { action: action.to_owned(), resource: resource.to_owned(), tagged: false, requested: None }
    }

    pub(crate) fn tagged(self) -> Self {
        Self { tagged: true, ..self }
    }

    pub(crate) fn untagged(self) -> Self {
        Self { tagged: false, ..self }
    }

    /// With a tag that the request gives what it makes.
    pub(crate) fn requesting(self, key: &str, value: &str) -> Self {
        assert_eq!((key, value), ("chalk.ai/managed-by", "chalk"), "made without our tag");
        Self { requested: Some((key.to_owned(), value.to_owned())), ..self }
    }
}

/// A statement that allows.
struct Statement {
    actions: &'static [&'static str],
    resources: &'static [&'static str],
    /// Whether `aws:ResourceTag/chalk.ai/managed-by` must be `chalk`.
    tagged: bool,
}

pub(crate) struct Role(Vec<Statement>);

impl Role {
    pub(crate) fn allows(&self, asked: &Asked) -> bool {
        self.0.iter().any(|statement| {
            let any = |patterns: &[&str], text: &str| patterns.iter().any(|pattern| matches(pattern, text));
            any(statement.actions, &asked.action)
                && any(statement.resources, &asked.resource)
                && (asked.tagged || !statement.tagged)
        })
    }
}

/// The scoped execution role of seed 003, with the account and the region filled in.
pub(crate) fn published() -> Role {
    Role(vec![
        Statement {
            actions: &["eks:*", "ecr:*", "kms:*", "sqs:*"],
            resources: &[
                "arn:aws:eks:us-east-1:123456789012:*",
                "arn:aws:ecr:*",
                "arn:aws:kms:us-east-1:123456789012:*",
                "arn:aws:sqs:us-east-1:123456789012:chalk*",
            ],
            tagged: true,
        },
        Statement { actions: &["s3:*"], resources: &["arn:aws:s3:::chalk-*"], tagged: false },
        Statement { actions: &["eks:Describe*"], resources: &["*"], tagged: true },
        Statement { actions: &["ecr:GetAuthorizationToken"], resources: &["*"], tagged: false },
    ])
}

/// `*` stands for any text.
fn matches(pattern: &str, text: &str) -> bool {
    match pattern.split_once('*') {
        None => pattern == text,
        Some((begin, rest)) => text.strip_prefix(begin).is_some_and(|text| {
            rest.is_empty()
                || (0..=text.len()).filter(|at| text.is_char_boundary(*at)).any(|at| matches(rest, &text[at..]))
        }),
    }
}

pub(crate) fn repository(path: &str) -> String {
    format!("arn:aws:ecr:us-east-1:123456789012:repository/{path}")
}

pub(crate) fn queue(name: &str) -> String {
    format!("arn:aws:sqs:us-east-1:123456789012:{name}")
}

/// What a request to the registry needs ("Registry authentication" and "Pushing an image" of the ECR user guide). The
/// repositories are those that we have made, so they have our tag.
pub(crate) fn of_registry(method: &Method, uri: &Uri) -> Option<Asked> {
    let path = uri.path().trim_start_matches("/v2/");
    let (name, action) = if let Some((name, _)) = path.split_once("/blobs/uploads/") {
        match *method {
            Method::POST => (name, "ecr:InitiateLayerUpload"),
            Method::PATCH => (name, "ecr:UploadLayerPart"),
            _ => (name, "ecr:CompleteLayerUpload"),
        }
    } else if let Some((name, _)) = path.split_once("/blobs/") {
        let reads = *method == Method::GET;
        (name, if reads { "ecr:GetDownloadUrlForLayer" } else { "ecr:BatchCheckLayerAvailability" })
    } else if let Some((name, _)) = path.split_once("/manifests/") {
        match *method {
            Method::PUT => (name, "ecr:PutImage"),
            Method::DELETE => (name, "ecr:BatchDeleteImage"),
            _ => (name, "ecr:BatchGetImage"),
        }
    } else if let Some((name, _)) = path.split_once("/referrers/") {
        (name, "ecr:ListImageReferrers")
    } else {
        // The store that a download is redirected to: the address is signed, and no policy of ours is asked.
        assert!(uri.path().starts_with("/storage/") || uri.path() == "/v2/", "{uri}");
        return None;
    };
    Some(Asked::on(action, &repository(name)).tagged())
}

/// What a request to the bucket server needs ("Required permissions for S3 API operations").
pub(crate) fn of_bucket(method: &Method, uri: &Uri) -> Asked {
    let path = uri.path().trim_start_matches('/');
    let (bucket, key) = path.split_once('/').unwrap_or((path, ""));
    let query = uri.query().unwrap_or_default();
    let has = |name: &str| query.split('&').any(|part| part.split('=').next() == Some(name));
    let resource =
        if key.is_empty() { format!("arn:aws:s3:::{bucket}") } else { format!("arn:aws:s3:::{bucket}/{key}") };
    let action = match (method.as_str(), key.is_empty()) {
        (_, true) => "s3:ListBucket",
        ("GET", _) if has("retention") => "s3:GetObjectRetention",
        ("PUT", _) if has("retention") => "s3:PutObjectRetention",
        ("GET", _) if has("legal-hold") => "s3:GetObjectLegalHold",
        ("GET" | "HEAD", _) => "s3:GetObject",
        ("DELETE", _) if has("uploadId") => "s3:AbortMultipartUpload",
        ("DELETE", _) => "s3:DeleteObject",
        _ => "s3:PutObject",
    };
    Asked::on(action, &resource)
}

#[test]
fn patterns_match_as_those_of_policies_do() {
    for (pattern, text, expected) in [
        ("*", "", true),
        ("s3:*", "s3:GetObject", true),
        ("arn:aws:s3:::chalk-*", "arn:aws:s3:::chalk-a/b/c", true),
        ("arn:aws:s3:::chalk-*", "arn:aws:s3:::other", false),
        ("eks:Describe*", "eks:DescribeCluster", true),
        ("eks:Describe*", "eks:ListClusters", false),
        ("a*c", "abcbc", true),
        ("a*c", "abcb", false),
    ] {
        assert_eq!(matches(pattern, text), expected, "{pattern} {text}");
    }
}

#[test]
fn the_settings_of_buckets_are_covered_by_their_names_and_account_settings_are_not() {
    let role = published();
    for action in ["s3:CreateBucket", "s3:PutBucketPolicy", "s3:PutLifecycleConfiguration"] {
        assert!(role.allows(&Asked::on(action, "arn:aws:s3:::chalk-acme-source")), "{action}");
        assert!(!role.allows(&Asked::on(action, "arn:aws:s3:::acme-source")), "{action}");
    }
    assert!(!role.allows(&Asked::on("ecr:GetAccountSetting", "*")));
    let images = Asked::on("ecr:BatchDeleteImage", &repository("chalk/a"));
    assert!(role.allows(&images.clone().tagged()) && !role.allows(&images));
    assert!(!role.allows(&Asked::on("ecr:CreateRepository", &repository("chalk/a"))));
}
