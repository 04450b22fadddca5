//! Nodes: as many as the settings say, always ready.

use serde_json::json;

use super::identifier::address;
use super::pass::Pass;
use super::write::{Writer, document};
use crate::simulated::kubernetes::objects::Key;
use crate::simulated::kubernetes::resource::NODE;

/// Makes the nodes that are missing. Those that are there stay as they are: a test may have cordoned one.
pub(super) fn reconcile(pass: &Pass<'_>) {
    for number in 1..=pass.settings.nodes {
        let name = format!("node-{number}");
        let key = Key::new(NODE, "", &*name);
        if pass.objects.get(&key).is_some() {
            continue;
        }
        let (cpu, memory) = &pass.settings.node_size;
        let capacity = json!({"cpu": cpu, "memory": memory, "pods": pass.settings.pods_per_node.to_string()});
        let condition = |kind: &str, status: &str, reason: &str, message: &str| {
            let now = pass.stamp();
            json!({
                "type": kind, "status": status, "reason": reason, "message": message,
                "lastHeartbeatTime": now, "lastTransitionTime": now,
            })
        };
        let labels = json!({
            "kubernetes.io/hostname": name, "kubernetes.io/os": "linux", "kubernetes.io/arch": "amd64",
            "topology.kubernetes.io/zone": format!("zone-{}", (number - 1) % 3 + 1),
        });
        let status = json!({
            "capacity": capacity,
            "allocatable": capacity,
            "addresses": [
                {"type": "InternalIP", "address": node_address(number)},
                {"type": "Hostname", "address": name},
            ],
            "conditions": [
                condition("MemoryPressure", "False", "KubeletHasSufficientMemory", "kubelet has sufficient memory available"),
                condition("DiskPressure", "False", "KubeletHasNoDiskPressure", "kubelet has no disk pressure"),
                condition("PIDPressure", "False", "KubeletHasSufficientPID", "kubelet has sufficient PID available"),
                condition("Ready", "True", "KubeletReady", "kubelet is posting ready status"),
            ],
            "nodeInfo": {
                "architecture": "amd64", "operatingSystem": "linux", "kubeletVersion": "v1.33.0",
                "kubeProxyVersion": "", "kernelVersion": "simulated", "osImage": "simulated", "bootID": "", "machineID": "",
                "systemUUID": "", "containerRuntimeVersion": "simulated://1.0.0",
            },
        });
        // A node that came in between is as good.
        let _ = pass.create(
            Writer::Kubelet,
            &key,
            document(json!({"labels": labels}), json!({"spec": {}, "status": status})),
        );
    }
}

fn node_address(number: u32) -> String {
    address(64, 16, u64::from(number))
}
