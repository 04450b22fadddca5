//! `POST`.

use std::sync::Arc;

use chalk_deploy_core::cloud::ByteStream;
use http::{Response, StatusCode};
use serde_json::Value;

use super::{Body, Order};
use crate::simulated::kubernetes::api::{ApiServer, defaults};
use crate::simulated::kubernetes::objects::Key;
use crate::simulated::kubernetes::resource::Resource;
use crate::simulated::kubernetes::status::{Cause, Status};

/// What names are generated from: no vowels, so that they make no words.
const ALPHABET: &[u8] = b"bcdfghjklmnpqrstvwxz2456789";

/// How many names are tried.
const ATTEMPTS: usize = 8;

impl ApiServer {
    pub(super) fn create(&self, order: &Order<'_>, body: Body) -> Result<Response<ByteStream>, Status> {
        let mut warnings = Vec::new();
        let mut object = order.decode(body, &mut warnings)?;
        super::identity::hold_to(order.place, &mut object)?;
        if object["metadata"]["resourceVersion"].as_str().is_some_and(|version| !version.is_empty()) {
            return Err(Status::bad_request("resourceVersion should not be set on objects to be created"));
        }
        let _alone = self.alone();
        let generated = generated_from(&object).map(str::to_owned);
        for attempt in 1.. {
            let mut object = object.clone();
            if let Some(beginning) = &generated {
                object["metadata"]["name"] = self.name_from(beginning).into();
            }
            match self.create_object(order, object, false) {
                Err(status) if generated.is_some() && attempt < ATTEMPTS && status.reason == "AlreadyExists" => {}
                outcome => return Ok(self.written(order, StatusCode::CREATED, &outcome?, &warnings)),
            }
        }
        Err(Status::internal("no name could be generated"))
    }

    /// Stores a new object, whose managed fields are known already when it was `applied`.
    pub(super) fn create_object(
        &self,
        order: &Order<'_>,
        mut object: Value,
        applied: bool,
    ) -> Result<Arc<Value>, Status> {
        let resource = order.place.resource;
        let name = object["metadata"]["name"].as_str().unwrap_or_default().to_owned();
        if name.is_empty() {
            let why = "name or generateName is required";
            return Err(Status::invalid(resource, "", vec![Cause::required("metadata.name", why)]));
        }
        let key = Key::new(*resource, order.place.namespace.clone().unwrap_or_default(), name);
        self.admit_into_namespace(&key)?;
        let version = object["metadata"]["resourceVersion"].clone();
        forget_what_the_server_sets(resource, &mut object);
        defaults::complete(resource, &mut object);
        // Nobody owns what is given out.
        if !applied {
            object = order.owned(None, object);
        }
        defaults::allocate(self.objects(), &key, &mut object)?;
        super::fields::check_new(&key, &object)?;
        self.hold_to_own_power(&order.call.user, &key, &object)?;
        self.admit(&key, &object, None)?;
        if order.dry_run {
            if self.objects().get(&key).is_some() {
                return Err(Status::already_exists(&resource.qualified(), &key.name).about(resource, &key.name));
            }
            // What is not stored is at no version, so it keeps the one that it came with.
            if version.is_string() {
                object["metadata"]["resourceVersion"] = version;
            }
            return self.objects().preview(&key, object);
        }
        let made = self.objects().create(&key, object)?;
        self.count_quotas(&key.namespace);
        Ok(made)
    }

    fn name_from(&self, beginning: &str) -> String {
        let mut random = [0; 5];
        self.objects().runtime().fill_random(&mut random);
        let mut name: String = beginning.chars().take(58).collect();
        name.extend(random.map(|byte| char::from(ALPHABET[usize::from(byte) % ALPHABET.len()])));
        name
    }
}

/// The beginning of a name that the server completes.
fn generated_from(object: &Value) -> Option<&str> {
    let named = object["metadata"]["name"].as_str().is_some_and(|name| !name.is_empty());
    object["metadata"]["generateName"].as_str().filter(|beginning| !named && !beginning.is_empty())
}

fn forget_what_the_server_sets(resource: &Resource, object: &mut Value) {
    if let Some(metadata) = object["metadata"].as_object_mut() {
        for field in [
            "uid",
            "creationTimestamp",
            "deletionTimestamp",
            "deletionGracePeriodSeconds",
            "generation",
            "selfLink",
            "resourceVersion",
        ] {
            metadata.remove(field);
        }
    }
    if resource.has("status")
        && let Some(fields) = object.as_object_mut()
    {
        fields.remove("status");
    }
}
