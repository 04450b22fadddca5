//! The history, what is not there, and cancellations.

use chalk_deploy_core::ErrorCode;
use chalk_deploy_core::cloud::FencingToken;
use chalk_deploy_core::model::{DeploymentPlan, DeploymentStatus};
use chalk_deploy_core::store::{DeploymentStore, HistoryQuery};

use super::{append, at, created, fresh_environment, fresh_id, graph, history, leased, of, plan, refused};

/// Unknown deployments.
pub async fn what_is_not_there_is_unknown(store: &dyn DeploymentStore) {
    let nobody = fresh_id();
    refused(store.deployment(&nobody).await, ErrorCode::DeploymentUnknown);
    refused(store.events(&nobody, 0).await, ErrorCode::DeploymentUnknown);
    refused(store.request_cancel(&nobody).await, ErrorCode::DeploymentUnknown);
    for token in [None, Some(FencingToken(1))] {
        let result = store.append(&append(&nobody, 1, token, 1, DeploymentStatus::Pending)).await;
        let sentence = refused(result, ErrorCode::DeploymentUnknown);
        assert!(sentence.contains(nobody.as_str()), "{sentence}");
    }
    let query = HistoryQuery { before: Some(nobody), ..HistoryQuery::default() };
    refused(store.history(&query).await, ErrorCode::DeploymentUnknown);
    assert_eq!(history(store, &of(&fresh_environment())).await, []);
}

/// The order is the store's own.
pub async fn history_is_in_the_order_of_creation_whatever_the_clocks_say(store: &dyn DeploymentStore) {
    let environment = fresh_environment();
    let mut expected = Vec::new();
    for millis in [500, 100, 900, 100] {
        let plan = DeploymentPlan { created_at: at(millis), ..plan(&environment) };
        store.create(&plan, &graph()).await.expect("it is created");
        expected.insert(0, plan.id);
    }
    assert_eq!(history(store, &of(&environment)).await, expected);
}

/// The filters, alone and together.
pub async fn history_is_filtered_by_environment_and_status(store: &dyn DeploymentStore) {
    let (environment, other) = (fresh_environment(), fresh_environment());
    let token = Some(leased(store, &environment).await.token);
    let foreign = created(store, &other).await;
    let mut made = Vec::new();
    for status in [DeploymentStatus::Working, DeploymentStatus::Success, DeploymentStatus::Queued] {
        let deployment = created(store, &environment).await;
        store.append(&append(&deployment, 1, token, 1, status)).await.expect("it fits");
        made.push(deployment);
    }
    let waiting = created(store, &environment).await;
    let [working, done, queued] = made.try_into().expect("three were made");
    let query = |statuses: &[DeploymentStatus]| HistoryQuery { statuses: statuses.to_vec(), ..of(&environment) };
    assert_eq!(history(store, &query(&[DeploymentStatus::Success])).await, [done]);
    assert_eq!(history(store, &query(&[DeploymentStatus::Timeout])).await, []);
    let two = [DeploymentStatus::Working, DeploymentStatus::AwaitingSource];
    assert_eq!(history(store, &query(&two)).await, [waiting.clone(), working.clone()]);
    let unfinished = HistoryQuery::unfinished(Some(environment.clone()));
    assert_eq!(history(store, &unfinished).await, [waiting, queued, working]);
    assert_eq!(history(store, &of(&other)).await, std::slice::from_ref(&foreign));
    let everywhere = history(store, &HistoryQuery::unfinished(None)).await;
    assert!(everywhere.contains(&foreign) && everywhere.len() >= 4, "{everywhere:?}");
}

/// Pages.
pub async fn history_is_read_page_by_page_without_gaps_or_repeats(store: &dyn DeploymentStore) {
    let (environment, other) = (fresh_environment(), fresh_environment());
    let mut expected = Vec::new();
    for _ in 0..5 {
        expected.insert(0, created(store, &environment).await);
        created(store, &other).await;
    }
    for most in [1, 2, 5, 7] {
        let mut pages = Vec::new();
        let mut before = None;
        loop {
            let page = history(store, &HistoryQuery { before, most: Some(most), ..of(&environment) }).await;
            assert!(page.len() <= most, "{page:?}");
            let Some(last) = page.last() else { break };
            before = Some(last.clone());
            pages.extend(page);
        }
        assert_eq!(pages, expected, "{most} a page");
    }
    assert_eq!(history(store, &HistoryQuery { most: Some(0), ..of(&environment) }).await, []);
    assert_eq!(history(store, &HistoryQuery { most: Some(usize::MAX), ..of(&environment) }).await, expected);
}

/// Anybody may ask, as often as they like; the journal stays as it is.
pub async fn a_cancellation_is_noted_once_and_for_all(store: &dyn DeploymentStore) {
    let environment = fresh_environment();
    let deployment = created(store, &environment).await;
    let token = Some(leased(store, &environment).await.token);
    for _ in 0..2 {
        store.request_cancel(&deployment).await.expect("it can be cancelled");
        let record = store.deployment(&deployment).await.expect("it is there");
        assert_eq!((record.cancel_requested, record.version), (true, 1));
    }
    store.append(&append(&deployment, 1, token, 1, DeploymentStatus::Working)).await.expect("the owner goes on");
    assert!(store.deployment(&deployment).await.expect("it is there").cancel_requested);
}

/// The end is the end.
pub async fn a_finished_deployment_cannot_be_cancelled(store: &dyn DeploymentStore) {
    let environment = fresh_environment();
    let token = Some(leased(store, &environment).await.token);
    for status in DeploymentStatus::ALL.into_iter().filter(|status| status.is_terminal()) {
        let deployment = created(store, &environment).await;
        store.append(&append(&deployment, 1, token, 1, status)).await.expect("it fits");
        let sentence = refused(store.request_cancel(&deployment).await, ErrorCode::DeploymentFinal);
        assert!(sentence.contains(status.as_str()), "{sentence}");
        assert!(!store.deployment(&deployment).await.expect("it is there").cancel_requested);
    }
}
