//! Autoscalers, KEDA's scaled objects and Kubernetes' own: they hold their target between its least and its most.
//! Nothing here measures load, so that inside those bounds a target stays as it is.

use std::sync::Arc;

use serde_json::{Value, json};

use super::event::Tone;
use super::pass::Pass;
use super::view;
use super::write::Writer;
use crate::simulated::kubernetes::objects::Key;
use crate::simulated::kubernetes::resource::{
    DEPLOYMENT, HORIZONTAL_POD_AUTOSCALER, REPLICA_SET, Resource, SCALED_OBJECT,
};

/// Looks at every scaled object and every autoscaler.
pub(super) fn reconcile(pass: &Pass<'_>) {
    for scaled in pass.list(SCALED_OBJECT, None) {
        if !view::is_deleting(&scaled) {
            scaled_object(pass, &scaled);
        }
    }
    for autoscaler in pass.list(HORIZONTAL_POD_AUTOSCALER, None) {
        if !view::is_deleting(&autoscaler) {
            horizontal(pass, &autoscaler);
        }
    }
}

/// The bounds of a scaled object, with KEDA's defaults: 0 and 100. An annotation pauses it, at a number or as it is.
fn scaled_object(pass: &Pass<'_>, scaled: &Value) {
    let least = view::number(scaled, "/spec/minReplicaCount").unwrap_or(0);
    let most = view::number(scaled, "/spec/maxReplicaCount").unwrap_or(100).max(least);
    let fixed: Option<u32> = view::annotation(scaled, "autoscaling.keda.sh/paused-replicas").parse().ok();
    let paused = fixed.is_some() || view::annotation(scaled, "autoscaling.keda.sh/paused") == "true";
    let target = Target::of(pass, scaled, "apps/v1", "Deployment");
    let mut conditions = view::items(scaled, "/status/conditions").to_vec();
    let mut set = |kind: &str, status: &str, reason: &str, message: &str| {
        let condition = json!({"type": kind, "status": status, "reason": reason, "message": message});
        // KEDA's conditions carry no times.
        match conditions.iter_mut().find(|old| old["type"] == kind) {
            Some(old) => *old = condition,
            None => conditions.push(condition),
        }
    };
    let triggers = view::items(scaled, "/spec/triggers").len();
    match &target {
        None => {
            let name = view::text(scaled, "/spec/scaleTargetRef/name");
            let message =
                format!("ScaledObject doesn't have correct scaleTargetRef specification: \"{name}\" not found");
            set("Ready", "False", "ScaledObjectCheckFailed", &message);
            set("Active", "Unknown", "ScaledObjectCheckFailed", "ScaledObject check failed");
        }
        Some(_) if triggers == 0 => {
            let message = "no triggers defined in the ScaledObject/ScaledJob";
            set("Ready", "False", "ScaledObjectCheckFailed", message);
            set("Active", "Unknown", "ScaledObjectCheckFailed", "ScaledObject check failed");
        }
        Some(target) => {
            set("Ready", "True", "ScaledObjectReady", "ScaledObject is defined correctly and is ready for scaling");
            let active = target.replicas() > 0;
            let (status, reason, message) = if active {
                ("True", "ScalerActive", "Scaling is performed because triggers are active")
            } else {
                ("False", "ScalerNotActive", "Scaling is not performed because triggers are not active")
            };
            set("Active", status, reason, message);
        }
    }
    set("Fallback", "False", "NoFallbackFound", "No fallbacks are active on this scaled object");
    if paused {
        set("Paused", "True", "ScaledObjectPaused", "ScaledObject is paused");
    } else {
        set("Paused", "Unknown", "", "");
    }
    let kind = target.as_ref().map(|target| format!("{}.{}", target.resource.api_version(), target.resource.kind));
    let mut status = match &scaled["status"] {
        Value::Object(status) => status.clone(),
        _ => serde_json::Map::new(),
    };
    status.insert("conditions".to_owned(), conditions.into());
    if let (Some(kind), Some(target)) = (kind, &target) {
        status.insert("scaleTargetKind".to_owned(), kind.into());
        status.entry("originalReplicaCount").or_insert_with(|| target.replicas().into());
    }
    pass.set_status(Writer::Keda, SCALED_OBJECT, scaled, status.into());
    let Some(target) = target.filter(|_| triggers > 0) else { return };
    match fixed {
        Some(fixed) => target.scale(pass, Writer::Keda, fixed),
        None if paused => {}
        None => target.scale(pass, Writer::Keda, target.replicas().clamp(least, most)),
    }
}

fn horizontal(pass: &Pass<'_>, autoscaler: &Value) {
    let least = view::number(autoscaler, "/spec/minReplicas").unwrap_or(1);
    let most = view::count(autoscaler, "/spec/maxReplicas").max(least);
    let mut conditions = view::items(autoscaler, "/status/conditions").to_vec();
    let mut set = |kind: &str, status: &str, reason: &str, message: &str| {
        let condition = json!({"type": kind, "status": status, "reason": reason, "message": message});
        view::set_condition(&mut conditions, condition, &pass.stamp());
    };
    let target = Target::of(pass, autoscaler, "", "");
    let mut status = json!({"observedGeneration": autoscaler["metadata"]["generation"], "desiredReplicas": 0});
    match &target {
        None => {
            set("AbleToScale", "False", "FailedGetScale", "the HPA controller was unable to get the target's scale");
        }
        Some(target) => {
            let now = target.replicas();
            // At zero it is switched off.
            let wanted = if now == 0 { 0 } else { now.clamp(least, most) };
            set("AbleToScale", "True", "ReadyForNewScale", "recommended size matches current size");
            let (active, reason) = if now == 0 { ("False", "ScalingDisabled") } else { ("True", "ValidMetricFound") };
            set("ScalingActive", active, reason, "");
            let limited = if wanted == now { "False" } else { "True" };
            set("ScalingLimited", limited, "DesiredWithinRange", "the desired count is within the acceptable range");
            status["currentReplicas"] = view::count(&target.object, "/status/replicas").into();
            status["desiredReplicas"] = wanted.into();
        }
    }
    status["conditions"] = conditions.into();
    pass.set_status(Writer::ControllerManager, HORIZONTAL_POD_AUTOSCALER, autoscaler, status);
    if let Some(target) = target
        && target.replicas() > 0
    {
        let wanted = target.replicas().clamp(least, most);
        if wanted != target.replicas() {
            let message = format!("New size: {wanted}; reason: Current number of replicas outside of the bounds");
            let of = (HORIZONTAL_POD_AUTOSCALER, autoscaler);
            pass.tell(Writer::ControllerManager, Tone::Normal, of, "SuccessfulRescale", &message);
        }
        target.scale(pass, Writer::ControllerManager, wanted);
    }
}

/// What is scaled.
#[derive(Debug)]
struct Target {
    resource: Resource,
    object: Arc<Value>,
}

impl Target {
    fn of(pass: &Pass<'_>, scaler: &Value, api_version: &str, kind: &str) -> Option<Self> {
        let reference = scaler.pointer("/spec/scaleTargetRef")?;
        let said = |pointer: &str, default: &str| match view::text(reference, pointer) {
            "" => default.to_owned(),
            text => text.to_owned(),
        };
        let resource = *Resource::of_kind(&said("/apiVersion", api_version), &said("/kind", kind))
            .filter(|resource| [DEPLOYMENT, REPLICA_SET].contains(resource))?;
        let object = pass.objects.get(&Key::new(resource, view::namespace(scaler), view::text(reference, "/name")))?;
        (!view::is_deleting(&object)).then_some(Self { resource, object })
    }

    fn replicas(&self) -> u32 {
        view::number(&self.object, "/spec/replicas").unwrap_or(1)
    }

    fn scale(&self, pass: &Pass<'_>, writer: Writer, wanted: u32) {
        if wanted != self.replicas() {
            pass.update(writer, self.resource, &self.object, |object| {
                view::map(object, "spec").insert("replicas".to_owned(), wanted.into());
            });
        }
    }
}
