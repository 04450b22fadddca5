//! What the tests of Google Cloud share: recorded cases, a bucket, and tokens that are counted.

#![allow(dead_code, reason = "each test uses its part")]

pub(crate) mod policy;

use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use chalk_deploy_core::credentials::{BearerToken, Lender, Lent};
use chalk_deploy_core::runtime::Runtime;
use chalk_deploy_core::{Error, ErrorCode, Result};
use chalk_deploy_testkit::World;
use chalk_deploy_testkit::recorded::Case;
use chalk_deploy_testkit::simulated::bucket::{GoogleBucketServer, GoogleBucketSettings};

/// The bucket of the tests.
pub(crate) const BUCKET: &str = "chalk-acme-source";

/// A server with the bucket, which lets in the holders of the first tokens of a [`Bank`].
pub(crate) fn storage(runtime: &Arc<dyn Runtime>) -> Arc<GoogleBucketServer> {
    let settings = GoogleBucketSettings::new(BUCKET).with_token("token-1").with_token("token-2");
    Arc::new(GoogleBucketServer::new(&World::memory(), runtime.clone(), settings).expect("a server"))
}

/// Holds an error to its code, and to what a person is told.
#[track_caller]
pub(crate) fn assert_error(error: &Error, code: ErrorCode, words: &[&str]) {
    assert_eq!(error.code(), code, "{}", error.sentence());
    for word in words {
        assert!(error.sentence().contains(word), "`{word}` is not in: {}", error.sentence());
    }
}

/// The folder of the recorded cases of an API.
pub(crate) fn folder(api: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests").join("recorded").join(api)
}

/// A recorded case.
pub(crate) fn case(api: &str, name: &str) -> Case {
    Case::read(&folder(api).join(format!("{name}.json"))).expect("a case")
}

/// Lends tokens `token-1`, `token-2`, … that live for a while, and counts them.
#[derive(Debug, Clone)]
pub(crate) struct Bank {
    pub(crate) lent: Arc<Mutex<u32>>,
    life: Option<std::time::Duration>,
    runtime: Arc<dyn Runtime>,
}

impl Bank {
    pub(crate) fn new(runtime: Arc<dyn Runtime>, life: Option<std::time::Duration>) -> Self {
        Self { lent: Arc::default(), life, runtime }
    }

    pub(crate) fn count(&self) -> u32 {
        *self.lent.lock().expect("not poisoned")
    }
}

#[async_trait]
impl Lender<BearerToken> for Bank {
    async fn lend(&self) -> Result<Lent<BearerToken>> {
        tokio::task::yield_now().await;
        let mut lent = self.lent.lock().expect("not poisoned");
        *lent += 1;
        let expires = self.life.map(|life| self.runtime.now().plus(life));
        Ok(Lent { value: BearerToken::new(format!("token-{lent}")), expires })
    }
}
