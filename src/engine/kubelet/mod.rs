//! A real Kubernetes: a kubelet with containerd in each node, and in one of them etcd, the API server, the controller manager
//! and the scheduler.

use std::path::Path;

mod bootstrap;
pub mod client;
pub mod image;
pub mod kubeconfig;
mod names;
mod pki;
mod pods;
mod programs;
pub mod wait;

pub use bootstrap::PORT;
pub use programs::Programs;

use programs::PROXY;

use super::{Engine, Finished, ITSELF, Inside, dns};
use crate::failure::Failure;
use crate::lab::Lab;
use crate::lab::model::{Cluster, Probe, Process};
use crate::lab::plan::{ClusterStep, NodeStep, Plan};

/// The administrator's way to the API server, in the node that has one.
pub const ADMIN: &str = "/etc/kubernetes/admin.conf";

/// The first minor version whose kubelet looks for no Docker.
const WITHOUT_DOCKER: u32 = 24;

/// What programs expect of a machine: mounts that pass mounts on, the trees of cgroups below the node's own, and places that are
/// on no overlay.
const PREPARE: &str = r#"
set -e
mount --make-rshared /
mount -t tmpfs -o mode=0755 cgroup /sys/fs/cgroup
if grep -qv '^0:' /proc/self/cgroup; then
    cut -d: -f2 /proc/self/cgroup | grep . | while read -r names; do
        place=/sys/fs/cgroup/${names#name=}
        mkdir -p "$place"
        case $names in
            name=*) mount -t cgroup -o "none,$names" cgroup "$place" ;;
            *) mount -t cgroup -o "$names" cgroup "$place" ;;
        esac
    done
else
    umount /sys/fs/cgroup
    mount -t cgroup2 cgroup /sys/fs/cgroup
fi
for place in /var/lib/containerd /var/lib/kubelet; do
    mkdir -p "$place"
    # As large as the node's own disk.
    mount -t tmpfs -o "mode=0700,size=$(($(stat -f -c '%b * %S' /)))" nslab "$place"
done
"#;

/// What Cilium's own agent expects besides. Its programs are in the kernel, which is everybody's: its maps are this node's.
const PREPARE_FOR_CILIUM: &str = r#"
set -e
mount -t bpf -o mode=0700 bpf /sys/fs/bpf
mkdir -p /run/cilium/cgroupv2
mount -t cgroup2 cgroup /run/cilium/cgroupv2
"#;

/// The engine.
pub struct Kubelet;

impl Engine for Kubelet {
    fn lacks(&self, cluster: &Cluster) -> Option<Failure> {
        Programs::of(cluster).all().err()
    }

    fn manage(&self, lab: &mut Lab) {
        bootstrap::manage(lab);
    }

    fn plan(&self, plan: &mut Plan, cluster: &Cluster, etcd: &Path) -> Result<Vec<String>, Failure> {
        bootstrap::bootstrap_nodes(plan, cluster, etcd)
    }

    fn links(&self, _node: &NodeStep) -> Vec<(&'static str, &'static str)> {
        vec![
            ("/opt/cni/bin/nslab-cni", ITSELF),
            ("/opt/cni/bin/loopback", ITSELF),
        ]
    }

    async fn start(&self, node: &NodeStep, inside: &impl Inside) -> Result<(), Failure> {
        tokio::select! {
            done = bring_up(node, inside) => done,
            failure = inside.hopeless() => Err(failure),
        }
    }
}

async fn bring_up(node: &NodeStep, inside: &impl Inside) -> Result<(), Failure> {
    let cluster = node.cluster.clone().unwrap_or_default();
    must(inside, "prepare", shell(PREPARE)).await?;
    let link = format!("ln -sf {} /usr/local/bin/kubectl", path(&cluster, "kubectl"));
    must(inside, "prepare", shell(&link)).await?;
    if cluster.settings.external_agent {
        must(inside, "prepare", shell(PREPARE_FOR_CILIUM)).await?;
    }
    // The rest gets ready while the control plane does.
    service(inside, "containerd", vec![path(&cluster, "containerd")]);
    let api = async {
        match cluster.controls {
            true => control(node, &cluster, inside).await,
            false => Ok(()),
        }
    };
    tokio::try_join!(api, work(node, &cluster, inside)).map(drop)
}

/// Starts what runs pods, and waits until the API server knows.
async fn work(node: &NodeStep, cluster: &ClusterStep, inside: &impl Inside) -> Result<(), Failure> {
    let archive = "/run/nslab-pause.tar";
    must(
        inside,
        "image",
        vec![ITSELF.into(), image::VERB.into(), archive.into()],
    )
    .await?;
    inside
        .until(&Probe::File("/run/containerd/containerd.sock".into()))
        .await;
    let own = (0..cluster.settings.images.len()).map(bootstrap::image_path);
    for archive in std::iter::once(archive.to_owned()).chain(own) {
        let import = ["ctr", "-n", "k8s.io", "images", "import", &archive];
        must(inside, "image", import.map(str::to_owned).to_vec()).await?;
    }
    // A kubelet that finds no API server asks again after a time that doubles to seconds. One of old looks for Docker first, for
    // five seconds, in which the API server gets ready.
    if cluster.minor >= WITHOUT_DOCKER {
        if !cluster.controls {
            inside.waits("the API server");
        }
        must(inside, "healthy", wait(&["api-server"])).await?;
    }
    // What an earlier life of the node was said to be is no news.
    let before = must(inside, "ready", wait(&["heartbeat", &node.name])).await?;
    let mut kubelet = Process::service("kubelet", kubelet(node, cluster));
    // On a machine that looks like one of Amazon's it would ask for more at an address behind the default route, twice, for five
    // seconds each.
    kubelet
        .env
        .insert("AWS_EC2_METADATA_DISABLED".to_owned(), "true".to_owned());
    inside.service(kubelet);
    if !cluster.controls {
        inside.waits("its kubelet to be registered");
    }
    must(inside, "ready", wait(&["registered", &node.name])).await?;
    if let Some(address) = node.dns {
        inside.service(dns::watching(address, cluster.minor));
        inside.waits("its DNS server");
        inside.until(&dns::ready()).await;
    }
    if cluster.settings.kube_proxy {
        let configuration = "--config /etc/kubernetes/kube-proxy.json";
        service(inside, PROXY, argv(cluster, PROXY, configuration));
        inside.waits("its kube-proxy");
        healthy(inside, "http://127.0.0.1:10256/healthz").await?;
    }
    if cluster.settings.leaves_network {
        // It gets Ready once somebody has installed a network.
        return Ok(());
    }
    inside.waits("its kubelet to be Ready");
    must(inside, "ready", wait(&["ready", &node.name, &before])).await?;
    Ok(())
}

/// Starts what the cluster is made of, and tells it of its nodes and the lab's pods.
async fn control(node: &NodeStep, cluster: &ClusterStep, inside: &impl Inside) -> Result<(), Failure> {
    let argv = |program: &str, arguments: &str| argv(cluster, program, arguments);
    // What is in memory is as safe there as it ever gets.
    let in_memory = cluster.settings.etcd_dir.is_none();
    let etcd = format!(
        "--data-dir /var/lib/etcd {} --listen-client-urls http://127.0.0.1:2379 \
         --advertise-client-urls http://127.0.0.1:2379 --listen-peer-urls http://127.0.0.1:2380 --log-level warn",
        if in_memory { "--unsafe-no-fsync" } else { "" }
    );
    service(inside, "etcd", argv("etcd", &etcd));
    inside.waits("etcd");
    healthy(inside, "http://127.0.0.1:2379/health").await?;
    let address = node.kubernetes.as_ref().and_then(|it| it.addresses.first());
    let address = address.map(ToString::to_string).unwrap_or_default();
    let pki = "/etc/kubernetes/pki";
    let api = format!(
        "--etcd-servers http://127.0.0.1:2379 --service-cluster-ip-range {} --advertise-address {address} --secure-port {PORT} \
         --tls-cert-file {pki}/apiserver.crt --tls-private-key-file {pki}/apiserver.key --client-ca-file {pki}/ca.crt \
         --kubelet-client-certificate {pki}/apiserver-kubelet-client.crt \
         --kubelet-client-key {pki}/apiserver-kubelet-client.key --kubelet-certificate-authority {pki}/ca.crt \
         --service-account-issuer https://kubernetes.default.svc --service-account-key-file {pki}/sa.pub \
         --service-account-signing-key-file {pki}/sa.key --authorization-mode Node,RBAC \
         --enable-admission-plugins NodeRestriction --allow-privileged",
        list(&cluster.settings.service_subnets())
    );
    service(inside, "kube-apiserver", argv("kube-apiserver", &api));
    inside.waits("its API server");
    // Who asks without a certificate may ask for that (RBAC's system:public-info-viewer).
    let ready = format!("https://127.0.0.1:{PORT}/readyz");
    healthy(inside, &ready).await?;
    // What is there is not all there will be: it is not to be remembered for later calls.
    let first = [
        &path(cluster, "kubectl"),
        "--cache-dir",
        "/run/kubectl",
        "--kubeconfig",
        ADMIN,
    ];
    let apply = first.into_iter().chain(["apply", "-f", bootstrap::OBJECTS]);
    must(inside, "objects", apply.map(str::to_owned).collect()).await?;
    // Until 1.23 they would answer without a password as well, on all addresses.
    let insecure = if cluster.minor < 24 { "--port 0" } else { "" };
    let common = |name: &str| {
        let file = format!("/etc/kubernetes/{name}.conf");
        format!(
            "--kubeconfig {file} --authentication-kubeconfig {file} --authorization-kubeconfig {file} --bind-address 127.0.0.1 \
             --leader-elect=false {insecure}"
        )
    };
    let manager = format!(
        "{} --root-ca-file {pki}/ca.crt --service-account-private-key-file {pki}/sa.key --use-service-account-credentials \
         --node-monitor-period 1s --node-monitor-grace-period 10s",
        common("controller-manager")
    );
    service(
        inside,
        "kube-controller-manager",
        argv("kube-controller-manager", &manager),
    );
    service(
        inside,
        "kube-scheduler",
        argv("kube-scheduler", &common("scheduler")),
    );
    inside.waits("its controller manager and its scheduler");
    for port in [10257, 10259] {
        healthy(inside, &format!("https://127.0.0.1:{port}/healthz")).await?;
    }
    inside.waits("its kubelet to be Ready");
    Ok(())
}

/// Waits for a health endpoint on the node's own loopback.
async fn healthy(inside: &impl Inside, url: &str) -> Result<(), Failure> {
    must(inside, "healthy", wait(&["healthy", url])).await.map(drop)
}

fn wait(words: &[&str]) -> Vec<String> {
    let all = [ITSELF, wait::VERB].into_iter().chain(words.iter().copied());
    all.map(str::to_owned).collect()
}

fn kubelet(node: &NodeStep, cluster: &ClusterStep) -> Vec<String> {
    let facts = node.kubernetes.as_ref();
    let addresses: Vec<String> = facts
        .into_iter()
        .flat_map(|it| &it.addresses)
        .map(ToString::to_string)
        .collect();
    let mut text = format!(
        "--kubeconfig /etc/kubernetes/kubelet.conf --config /etc/kubernetes/kubelet.json --hostname-override {} --node-ip {}",
        node.name,
        addresses.join(",")
    );
    if cluster.minor < 27 {
        text += &format!(" --container-runtime-endpoint {}", bootstrap::RUNTIME);
    }
    if cluster.minor < 24 {
        text += " --container-runtime remote";
    }
    argv(cluster, "kubelet", &text)
}

fn list(all: &[impl ToString]) -> String {
    all.iter().map(ToString::to_string).collect::<Vec<_>>().join(",")
}

fn path(cluster: &ClusterStep, program: &str) -> String {
    cluster
        .programs
        .get(program)
        .cloned()
        .unwrap_or_else(|| program.to_owned())
}

fn argv(cluster: &ClusterStep, program: &str, arguments: &str) -> Vec<String> {
    let first = std::iter::once(path(cluster, program));
    first
        .chain(arguments.split_whitespace().map(str::to_owned))
        .collect()
}

fn shell(line: &str) -> Vec<String> {
    ["/bin/sh", "-c", line].map(str::to_owned).to_vec()
}

fn service(inside: &impl Inside, name: &str, argv: Vec<String>) {
    inside.service(Process::service(name, argv));
}

/// Runs a command that has to succeed. Returns what it printed.
async fn must(inside: &impl Inside, name: &str, argv: Vec<String>) -> Result<String, Failure> {
    let Finished { status, output } = inside.command(name, &argv).await?;
    if status == 0 {
        return Ok(output);
    }
    let message = format!("{name} of {} failed with status {status}", inside.node());
    Err(Failure::not_ready(message).detail(output))
}
