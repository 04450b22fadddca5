//! The suites.

use std::sync::Arc;

use chalk_deploy_core::kubernetes::{Connection, Kubeconfig, KubeconfigPolicy, KubernetesCluster};
use chalk_deploy_core::transport::NetworkTransport;
use chalk_deploy_testkit::conformance::{cluster, traffic};
use chalk_deploy_testkit::simulated::fault::ProtocolFaults;
use chalk_deploy_testkit::simulated::http::serve;

use super::harness::{Harness, Plane};

#[tokio::test(start_paused = true)]
async fn the_cluster_adapter_passes_the_suite_in_the_process_in_virtual_time() {
    cluster::suite(&Plane::new(ProtocolFaults::new()).harness(), "run").await.assert_passed();
}

#[tokio::test(start_paused = true)]
async fn the_traffic_adapter_passes_the_suite_in_the_process_in_virtual_time() {
    traffic::suite(&Plane::new(ProtocolFaults::new()).harness(), "run").await.assert_passed();
}

#[tokio::test]
async fn both_adapters_pass_the_suites_over_loopback_with_a_kubeconfig() {
    let plane = Plane::real();
    let api = serve(plane.api(), 0).await.expect("a free port");
    let gateway = serve(Arc::new(plane.gateway.clone()), 0).await.expect("a free port");
    let kubeconfig = format!(
        "apiVersion: v1\nkind: Config\ncurrent-context: here\n\
         clusters: [{{name: here, cluster: {{server: 'http://{}'}}}}]\n\
         contexts: [{{name: here, context: {{cluster: here, user: ''}}}}]\n",
        api.address()
    );
    let kubeconfig = Kubeconfig::parse(&kubeconfig, "of a test", None).expect("a kubeconfig");
    let access = kubeconfig.access(None, &KubeconfigPolicy::default()).expect("an access");
    let connection = Connection::open(access, plane.runtime.clone()).expect("a connection");
    let transport = NetworkTransport::builder().build().expect("a transport");
    let shifter = plane.traffic(connection.clone(), transport, &format!("http://{}", gateway.address()));
    let harness = Harness::new(plane, KubernetesCluster::new(connection), shifter);
    cluster::suite(&harness, "run").await.assert_passed();
    traffic::suite(&harness, "run").await.assert_passed();
}
