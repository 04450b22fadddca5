//! Questions about who may do what. They are answered and not stored.

use chalk_deploy_core::cloud::ByteStream;
use http::{Response, StatusCode};
use serde_json::{Value, json};

use super::ApiServer;
use super::authorization::Action;
use super::call::Call;
use super::path::REVIEWS;
use super::settings::User;
use crate::simulated::http::json as answer;
use crate::simulated::kubernetes::status::Status;

impl ApiServer {
    /// # Errors
    /// 400 for a question of another kind.
    pub(super) fn review(
        &self,
        call: &Call,
        namespace: Option<&str>,
        plural: &str,
        body: super::write::Body,
    ) -> Result<Response<ByteStream>, Status> {
        let mut question = body.into_object()?;
        let Some((group, _, kind, _)) = REVIEWS.iter().find(|(_, known, _, _)| *known == plural) else {
            return Err(super::not_found());
        };
        let said = question["kind"].as_str().unwrap_or_default();
        if !said.is_empty() && said != *kind {
            return Err(Status::bad_request(format!(
                "{said} in version {} cannot be handled as a {kind}",
                question["apiVersion"]
            )));
        }
        let spec = question["spec"].take();
        let status = match plural {
            "selfsubjectreviews" => json!({"userInfo": {"username": call.user.name, "groups": call.user.groups}}),
            "selfsubjectrulesreviews" => self.rules_review(&call.user, spec["namespace"].as_str().unwrap_or_default()),
            "selfsubjectaccessreviews" => self.access_review(&call.user, &spec)?,
            _ => {
                if namespace.is_some() && spec["resourceAttributes"]["namespace"].as_str() != namespace {
                    return Err(Status::bad_request(
                        "spec.resourceAttributes.namespace: must match the request's namespace",
                    ));
                }
                let name = spec["user"].as_str().unwrap_or_default();
                let groups = spec["groups"].as_array().into_iter().flatten().filter_map(Value::as_str);
                self.access_review(&User { name: name.to_owned(), groups: groups.map(str::to_owned).collect() }, &spec)?
            }
        };
        let document = json!({
            "kind": kind,
            "apiVersion": format!("{group}/v1"),
            "metadata": {"creationTimestamp": null},
            "spec": if spec.is_null() { json!({}) } else { spec },
            "status": status,
        });
        Ok(answer(StatusCode::CREATED, &document))
    }

    fn access_review(&self, user: &User, spec: &Value) -> Result<Value, Status> {
        let allowed = match (&spec["resourceAttributes"], &spec["nonResourceAttributes"]) {
            (Value::Object(asked), Value::Null) => {
                let text = |field: &str| asked.get(field).and_then(Value::as_str).unwrap_or_default();
                let resource = match text("subresource") {
                    "" => text("resource").to_owned(),
                    subresource => format!("{}/{subresource}", text("resource")),
                };
                self.allows(
                    user,
                    &Action {
                        verb: text("verb"),
                        group: text("group"),
                        resource: &resource,
                        namespace: text("namespace"),
                        name: text("name"),
                    },
                )
            }
            (Value::Null, Value::Object(asked)) => {
                let text = |field: &str| asked.get(field).and_then(Value::as_str).unwrap_or_default();
                self.allows_path(user, text("verb"), text("path"))
            }
            _ => {
                return Err(Status::bad_request(
                    "spec: exactly one of nonResourceAttributes or resourceAttributes must be specified",
                ));
            }
        };
        Ok(if allowed { json!({"allowed": true}) } else { json!({"allowed": false}) })
    }

    fn rules_review(&self, user: &User, namespace: &str) -> Value {
        let rules = if self.is_almighty(user) {
            vec![
                json!({"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"]}),
                json!({"verbs": ["*"], "nonResourceURLs": ["*"]}),
            ]
        } else {
            self.rules(user, namespace)
        };
        let (paths, resources): (Vec<_>, Vec<_>) =
            rules.into_iter().partition(|rule| rule["nonResourceURLs"].is_array());
        json!({"resourceRules": resources, "nonResourceRules": paths, "incomplete": false})
    }
}
