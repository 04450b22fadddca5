//! The permissions that each call needs, as data: the documentation, the tests and the policy below are made of it.
//!
//! Sources: "Actions, resources, and condition keys" of the service authorization reference, for Amazon ECR, Amazon EKS,
//! Amazon S3 and Amazon SQS; `CreateBucket` of the S3 API reference; the scoped execution role of seed 003.

use chalk_deploy_core::provision::MANAGED_BY;
use serde_json::{Value, json};

use crate::settings::partition;

/// What queues are found by.
const FOUND_BY: &str = "sqs:GetQueueUrl";

/// What a permission is needed for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Purpose {
    /// Every deployment.
    Deploy,
    /// Retention of single archives.
    Retain,
    /// Making and setting up buckets, queues and repositories.
    Provision,
    /// Listing and removing images.
    Sweep,
    /// Remarks for a person; left out where it is not permitted.
    Remark,
}

/// Whether the published scoped role of seed 003 gives a permission.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reach {
    /// Yes.
    Published,
    /// On what has the tag `chalk.ai/managed-by: chalk`.
    PublishedWithTag,
    /// On buckets whose names begin with `chalk-`.
    PublishedByName,
    /// No.
    Beyond,
}

/// A permission of IAM.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Permission {
    /// The action, as policies name it.
    pub action: &'static str,
    /// What it is needed for.
    pub purpose: Purpose,
    /// Whether the published scoped role gives it.
    pub reach: Reach,
}

const fn of(action: &'static str, purpose: Purpose, reach: Reach) -> Permission {
    Permission { action, purpose, reach }
}

/// All permissions that this crate's calls need. `sts:AssumeRole` is missing: our own role needs it, and not the one that is
/// assumed. `sts:GetCallerIdentity` needs no permission.
pub const PERMISSIONS: &[Permission] = &[
    of("eks:DescribeCluster", Purpose::Deploy, Reach::PublishedWithTag),
    of("ecr:GetAuthorizationToken", Purpose::Deploy, Reach::Published),
    of("ecr:BatchCheckLayerAvailability", Purpose::Deploy, Reach::PublishedWithTag),
    of("ecr:GetDownloadUrlForLayer", Purpose::Deploy, Reach::PublishedWithTag),
    of("ecr:BatchGetImage", Purpose::Deploy, Reach::PublishedWithTag),
    of("ecr:ListImageReferrers", Purpose::Deploy, Reach::PublishedWithTag),
    of("ecr:InitiateLayerUpload", Purpose::Deploy, Reach::PublishedWithTag),
    of("ecr:UploadLayerPart", Purpose::Deploy, Reach::PublishedWithTag),
    of("ecr:CompleteLayerUpload", Purpose::Deploy, Reach::PublishedWithTag),
    of("ecr:PutImage", Purpose::Deploy, Reach::PublishedWithTag),
    of("ecr:BatchDeleteImage", Purpose::Deploy, Reach::PublishedWithTag),
    of("s3:ListBucket", Purpose::Deploy, Reach::PublishedByName),
    of("s3:GetObject", Purpose::Deploy, Reach::PublishedByName),
    of("s3:PutObject", Purpose::Deploy, Reach::PublishedByName),
    of("s3:DeleteObject", Purpose::Deploy, Reach::PublishedByName),
    of("s3:AbortMultipartUpload", Purpose::Deploy, Reach::PublishedByName),
    of("s3:GetObjectRetention", Purpose::Retain, Reach::PublishedByName),
    of("s3:PutObjectRetention", Purpose::Retain, Reach::PublishedByName),
    of("s3:GetObjectLegalHold", Purpose::Retain, Reach::PublishedByName),
    of("s3:PutObjectLegalHold", Purpose::Retain, Reach::PublishedByName),
    of("ecr:CreateRepository", Purpose::Provision, Reach::Beyond),
    of("ecr:TagResource", Purpose::Provision, Reach::Beyond),
    of("s3:CreateBucket", Purpose::Provision, Reach::PublishedByName),
    of("s3:PutBucketOwnershipControls", Purpose::Provision, Reach::PublishedByName),
    of("s3:GetBucketPublicAccessBlock", Purpose::Provision, Reach::PublishedByName),
    of("s3:PutBucketPublicAccessBlock", Purpose::Provision, Reach::PublishedByName),
    of("s3:GetEncryptionConfiguration", Purpose::Provision, Reach::PublishedByName),
    of("s3:PutEncryptionConfiguration", Purpose::Provision, Reach::PublishedByName),
    of("s3:GetBucketVersioning", Purpose::Provision, Reach::PublishedByName),
    of("s3:PutBucketVersioning", Purpose::Provision, Reach::PublishedByName),
    of("s3:GetBucketObjectLockConfiguration", Purpose::Provision, Reach::PublishedByName),
    of("s3:PutBucketObjectLockConfiguration", Purpose::Provision, Reach::PublishedByName),
    of("s3:GetBucketPolicy", Purpose::Provision, Reach::PublishedByName),
    of("s3:PutBucketPolicy", Purpose::Provision, Reach::PublishedByName),
    of("s3:GetBucketTagging", Purpose::Provision, Reach::PublishedByName),
    of("s3:PutBucketTagging", Purpose::Provision, Reach::PublishedByName),
    of("s3:GetLifecycleConfiguration", Purpose::Provision, Reach::PublishedByName),
    of("s3:PutLifecycleConfiguration", Purpose::Provision, Reach::PublishedByName),
    of("s3:GetBucketCORS", Purpose::Provision, Reach::PublishedByName),
    of("s3:PutBucketCORS", Purpose::Provision, Reach::PublishedByName),
    of("sqs:CreateQueue", Purpose::Provision, Reach::Beyond),
    of("sqs:TagQueue", Purpose::Provision, Reach::Beyond),
    of("sqs:GetQueueUrl", Purpose::Provision, Reach::PublishedWithTag),
    of("sqs:ListQueueTags", Purpose::Provision, Reach::PublishedWithTag),
    of("sqs:GetQueueAttributes", Purpose::Provision, Reach::PublishedWithTag),
    of("sqs:SetQueueAttributes", Purpose::Provision, Reach::PublishedWithTag),
    of("ecr:DescribeImages", Purpose::Sweep, Reach::PublishedWithTag),
    of("ecr:GetAccountSetting", Purpose::Remark, Reach::Beyond),
];

/// A policy with exactly what these purposes need, as narrow as AWS can say it.
///
/// The published role cannot make repositories and queues: its condition asks for a tag of a resource that is not there yet.
/// Here the condition is on the tag that the request brings along. A queue is looked for before it has a tag, so that alone is
/// allowed without one.
pub fn policy(account: &str, region: &str, purposes: &[Purpose]) -> Value {
    let wanted = |service: &'static str, keep: fn(&Permission) -> bool| -> Vec<&'static str> {
        let all = PERMISSIONS.iter().filter(|permission| purposes.contains(&permission.purpose) && keep(permission));
        all.map(|permission| permission.action).filter(|action| action.starts_with(service)).collect()
    };
    let (key, value) = MANAGED_BY;
    let tagged = |kind: &str| json!({"StringEquals": {format!("aws:{kind}/{key}"): value}});
    let made = |permission: &Permission| permission.purpose == Purpose::Provision && permission.reach == Reach::Beyond;
    let arn = |service: &str, rest: &str| json!(format!("arn:{}:{service}:{rest}", partition(region)));
    let own = |service: &str, rest: &str| arn(service, &format!("{region}:{account}:{rest}"));
    let statements = [
        ("ChalkBuckets", wanted("s3:", |_| true), arn("s3", "::chalk-*"), None),
        (
            "ChalkImages",
            wanted("ecr:", |permission| permission.reach == Reach::PublishedWithTag),
            own("ecr", "repository/*"),
            Some(tagged("ResourceTag")),
        ),
        ("ChalkNewRepositories", wanted("ecr:", made), own("ecr", "repository/*"), Some(tagged("RequestTag"))),
        (
            "ChalkRegistry",
            wanted("ecr:", |permission| {
                matches!(permission.action, "ecr:GetAuthorizationToken" | "ecr:GetAccountSetting")
            }),
            json!("*"),
            None,
        ),
        ("ChalkCluster", wanted("eks:", |_| true), own("eks", "cluster/*"), Some(tagged("ResourceTag"))),
        ("ChalkQueueNames", wanted("sqs:", |permission| permission.action == FOUND_BY), own("sqs", "chalk-*"), None),
        (
            "ChalkQueues",
            wanted("sqs:", |permission| permission.reach == Reach::PublishedWithTag && permission.action != FOUND_BY),
            own("sqs", "chalk-*"),
            Some(tagged("ResourceTag")),
        ),
        ("ChalkNewQueues", wanted("sqs:", made), own("sqs", "chalk-*"), Some(tagged("RequestTag"))),
    ];
    let statements = statements.into_iter().filter(|(_, actions, ..)| !actions.is_empty());
    let statements: Vec<_> = statements
        .map(|(sid, actions, resource, condition)| {
            let mut statement = json!({"Sid": sid, "Effect": "Allow", "Action": actions, "Resource": resource});
            if let (Some(condition), Some(statement)) = (condition, statement.as_object_mut()) {
                statement.insert("Condition".to_owned(), condition);
            }
            statement
        })
        .collect();
    json!({"Version": "2012-10-17", "Statement": statements})
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_permission_stands_once_and_in_the_policy_of_its_purpose() {
        let names: BTreeSet<_> = PERMISSIONS.iter().map(|permission| permission.action).collect();
        assert_eq!(names.len(), PERMISSIONS.len());
        for permission in PERMISSIONS {
            let policy = policy("123456789012", "us-east-1", &[permission.purpose]).to_string();
            assert!(policy.contains(&format!("\"{}\"", permission.action)), "{}", permission.action);
        }
    }

    #[test]
    fn what_only_deploys_makes_and_sets_up_nothing() {
        let policy = policy("123456789012", "us-east-1", &[Purpose::Deploy]).to_string();
        for action in ["CreateRepository", "CreateBucket", "PutBucketPolicy", "DescribeImages", "RequestTag"] {
            assert!(!policy.contains(action), "{action}: {policy}");
        }
        assert!(!policy.contains(":*\""), "{policy}");
    }

    #[test]
    fn names_of_resources_are_those_of_the_regions_partition() {
        for (region, partition) in
            [("us-east-1", "arn:aws:"), ("cn-north-1", "arn:aws-cn:"), ("us-gov-west-1", "arn:aws-us-gov:")]
        {
            let policy = policy("123456789012", region, &[Purpose::Deploy, Purpose::Provision]);
            let statements = policy["Statement"].as_array().expect("statements");
            let resources: Vec<_> = statements.iter().filter_map(|statement| statement["Resource"].as_str()).collect();
            assert!(resources.len() >= 7, "{policy}");
            let named = |resource: &&str| resource.starts_with(partition) && resource.matches(':').count() == 5;
            assert!(resources.iter().all(|resource| *resource == "*" || named(resource)), "{resources:?}");
        }
    }

    #[test]
    fn what_is_made_needs_our_tag_in_the_request_and_what_is_there_needs_it_on_itself() {
        let policy = policy("123456789012", "us-east-1", &[Purpose::Provision]);
        let condition = |action: &str| {
            let statements = policy["Statement"].as_array().expect("statements");
            let of =
                |statement: &&Value| statement["Action"].as_array().is_some_and(|all| all.contains(&json!(action)));
            statements.iter().find(of).expect(action)["Condition"].to_string()
        };
        for action in ["ecr:CreateRepository", "ecr:TagResource", "sqs:CreateQueue", "sqs:TagQueue"] {
            assert!(condition(action).contains("aws:RequestTag/chalk.ai/managed-by"), "{action}");
        }
        for action in ["sqs:SetQueueAttributes", "sqs:GetQueueAttributes", "sqs:ListQueueTags"] {
            assert!(condition(action).contains("aws:ResourceTag/chalk.ai/managed-by"), "{action}");
        }
        assert_eq!(condition("sqs:GetQueueUrl"), "null");
    }
}
