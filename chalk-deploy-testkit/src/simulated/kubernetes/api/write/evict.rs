//! `pods/eviction`: a deletion that budgets of disruption may refuse.

use chalk_deploy_core::cloud::ByteStream;
use http::{Response, StatusCode};
use serde_json::{Value, json};

use super::delete::Options;
use super::{Body, Order};
use crate::simulated::http::json as answer;
use crate::simulated::kubernetes::api::ApiServer;
use crate::simulated::kubernetes::api::read::key_of;
use crate::simulated::kubernetes::objects::Key;
use crate::simulated::kubernetes::resource::POD_DISRUPTION_BUDGET;
use crate::simulated::kubernetes::status::Status;

impl ApiServer {
    pub(super) fn evict(&self, order: &Order<'_>, body: Body) -> Result<Response<ByteStream>, Status> {
        let eviction = body.into_object()?;
        let key = key_of(order.place)?;
        let named = eviction["metadata"]["name"].as_str().unwrap_or_default();
        if !named.is_empty() && named != key.name {
            return Err(Status::bad_request("name in URL does not match name in Eviction object"));
        }
        let mut options = Options::of(&eviction["deleteOptions"])?;
        options.dry_run |= order.dry_run;
        let _alone = self.alone();
        let pod = self
            .objects()
            .get(&key)
            .ok_or_else(|| Status::not_found("pods", &key.name).about(&key.resource, &key.name))?;
        // A pod that does not run or is ending already disrupts nobody.
        let quiet = matches!(pod["status"]["phase"].as_str(), Some("Succeeded" | "Failed" | "Pending"))
            || pod["metadata"]["deletionTimestamp"].is_string();
        let budgets = if quiet { Vec::new() } else { self.budgets_of(&pod, &key.namespace) };
        match budgets.as_slice() {
            [] => {}
            [budget] => self.spend(budget, &key.name, options.dry_run)?,
            _ => {
                return Err(Status::internal(
                    "This pod has more than one PodDisruptionBudget, which the eviction subresource does not support.",
                ));
            }
        }
        self.delete_object(&key, &options)?;
        let done = json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "code": 201});
        Ok(answer(StatusCode::CREATED, &done))
    }

    fn budgets_of(&self, pod: &Value, namespace: &str) -> Vec<Key> {
        let (budgets, _) = self.objects().list(POD_DISRUPTION_BUDGET, Some(namespace));
        budgets
            .iter()
            .filter(|budget| selects(&budget["spec"]["selector"], &pod["metadata"]["labels"]))
            .filter_map(|budget| Some(Key::new(POD_DISRUPTION_BUDGET, namespace, budget["metadata"]["name"].as_str()?)))
            .collect()
    }

    /// Takes one of the disruptions that a budget allows.
    fn spend(&self, budget: &Key, pod: &str, dry_run: bool) -> Result<(), Status> {
        let refused = |why: String| {
            let mut status = Status::new(
                StatusCode::TOO_MANY_REQUESTS,
                "TooManyRequests",
                "Cannot evict pod as it would violate the pod's disruption budget.",
            );
            status.causes.push(("DisruptionBudget".to_owned(), why, String::new()));
            status
        };
        let Some(live) = self.objects().get(budget) else { return Ok(()) };
        let allowed = live["status"]["disruptionsAllowed"].as_u64().unwrap_or_default();
        if allowed == 0 {
            let status = &live["status"];
            return Err(refused(format!(
                "The disruption budget {} needs {} healthy pods and has {} currently",
                budget.name,
                status["desiredHealthy"].as_u64().unwrap_or_default(),
                status["currentHealthy"].as_u64().unwrap_or_default()
            )));
        }
        if dry_run {
            return Ok(());
        }
        let now = crate::simulated::kubernetes::objects::timestamp(&**self.objects().runtime());
        self.objects().update(budget, None, |object| {
            object["status"]["disruptionsAllowed"] = (allowed - 1).into();
            object["status"]["disruptedPods"][pod] = now.into();
            Ok(())
        })?;
        Ok(())
    }
}

/// `LabelSelector` of `meta/v1`. An empty one selects everything, none selects nothing.
fn selects(selector: &Value, labels: &Value) -> bool {
    if !selector.is_object() {
        return false;
    }
    let equal = selector["matchLabels"].as_object().into_iter().flatten().all(|(key, value)| labels[key] == *value);
    let expressions = selector["matchExpressions"].as_array().into_iter().flatten().all(|expression| {
        let value = &labels[expression["key"].as_str().unwrap_or_default()];
        let among = expression["values"].as_array().is_some_and(|values| values.contains(value));
        match expression["operator"].as_str() {
            Some("In") => among,
            Some("NotIn") => !among,
            Some("Exists") => !value.is_null(),
            Some("DoesNotExist") => value.is_null(),
            _ => false,
        }
    });
    equal && expressions
}
