//! A real Kubernetes: a kubelet with containerd in each node, and in one of them etcd, the API server, the controller manager
//! and the scheduler.

mod furniture;
pub mod image;
mod pki;
mod programs;

pub use furniture::{PORT, furnish};
pub use programs::{check, minor_version};

use super::{Engine, Finished, Inside};
use crate::failure::Failure;
use crate::lab::model::{Command, File, Probe, Process};
use crate::lab::plan::{ClusterStep, NodeStep};

/// nslab itself, as every node's first process.
const ITSELF: &str = "/proc/1/exe";
/// The administrator's way to the API server, in the node that has one.
pub const ADMIN: &str = "/etc/kubernetes/admin.conf";

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
for place in /var/lib/containerd /var/lib/kubelet /var/lib/etcd; do
    mkdir -p "$place"
    mount -t tmpfs -o mode=0700 nslab "$place"
done
"#;

/// The engine.
pub struct Kubelet;

impl Engine for Kubelet {
    fn preflight(&self, _node: &NodeStep) -> Result<(), Failure> {
        programs::check()
    }

    fn files(&self, _node: &NodeStep) -> Vec<File> {
        Vec::new()
    }

    fn links(&self, _node: &NodeStep) -> Vec<(&'static str, &'static str)> {
        vec![
            ("/opt/cni/bin/nslab-cni", ITSELF),
            ("/opt/cni/bin/loopback", ITSELF),
        ]
    }

    async fn start(&self, node: &NodeStep, inside: &impl Inside) -> Result<(), Failure> {
        let cluster = node.cluster.clone().unwrap_or_default();
        let kubectl = path(&cluster, "kubectl");
        must(inside, "prepare", shell(PREPARE)).await?;
        must(
            inside,
            "prepare",
            shell(&format!("ln -sf {kubectl} /usr/local/bin/kubectl")),
        )
        .await?;
        must(
            inside,
            "image",
            vec![ITSELF.into(), image::VERB.into(), "/run/nslab-pause.tar".into()],
        )
        .await?;
        if cluster.controls {
            control(node, &cluster, inside).await?;
        }
        service(inside, "containerd", vec![path(&cluster, "containerd")]);
        inside
            .until(&Probe::File("/run/containerd/containerd.sock".into()))
            .await;
        let import = ["ctr", "-n", "k8s.io", "images", "import", "/run/nslab-pause.tar"];
        must(inside, "image", import.map(str::to_owned).to_vec()).await?;
        service(inside, "kubelet", kubelet(node, &cluster));
        let ready = format!(
            "test \"$({kubectl} --kubeconfig /etc/kubernetes/kubelet.conf --request-timeout 2s get node {} -o \
             jsonpath='{{.status.conditions[?(@.type==\"Ready\")].status}}')\" = True",
            node.name
        );
        inside.until(&Probe::Exec(Command::Shell(ready))).await;
        Ok(())
    }
}

/// Starts what the cluster is made of, and tells it of its nodes.
async fn control(node: &NodeStep, cluster: &ClusterStep, inside: &impl Inside) -> Result<(), Failure> {
    let kubectl = path(cluster, "kubectl");
    let argv = |program: &str, arguments: &str| argv(cluster, program, arguments);
    let etcd = "--data-dir /var/lib/etcd --unsafe-no-fsync --listen-client-urls http://127.0.0.1:2379 \
                --advertise-client-urls http://127.0.0.1:2379 --listen-peer-urls http://127.0.0.1:2380 --log-level warn";
    service(inside, "etcd", argv("etcd", etcd));
    let address = node.kubernetes.as_ref().and_then(|it| it.addresses.first());
    let address = address.map(ToString::to_string).unwrap_or_default();
    let pki = "/etc/kubernetes/pki";
    let api = format!(
        "--etcd-servers http://127.0.0.1:2379 --service-cluster-ip-range {} --advertise-address {address} --secure-port 6443 \
         --tls-cert-file {pki}/apiserver.crt --tls-private-key-file {pki}/apiserver.key --client-ca-file {pki}/ca.crt \
         --kubelet-client-certificate {pki}/apiserver-kubelet-client.crt \
         --kubelet-client-key {pki}/apiserver-kubelet-client.key --kubelet-certificate-authority {pki}/ca.crt \
         --service-account-issuer https://kubernetes.default.svc --service-account-key-file {pki}/sa.pub \
         --service-account-signing-key-file {pki}/sa.key --authorization-mode Node,RBAC \
         --enable-admission-plugins NodeRestriction --allow-privileged",
        furniture::SERVICE_SUBNET
    );
    service(inside, "kube-apiserver", argv("kube-apiserver", &api));
    let ask = format!("{kubectl} --kubeconfig {ADMIN} --request-timeout 2s get --raw /readyz");
    inside.until(&Probe::Exec(Command::Shell(ask))).await;
    let apply = format!("{kubectl} --kubeconfig {ADMIN} apply -f {}", furniture::NODES);
    must(inside, "nodes", shell(&apply)).await?;
    let common = |name: &str| {
        let file = format!("/etc/kubernetes/{name}.conf");
        format!(
            "--kubeconfig {file} --authentication-kubeconfig {file} --authorization-kubeconfig {file} --bind-address 127.0.0.1 \
             --leader-elect=false"
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
    Ok(())
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
        text += &format!(" --container-runtime-endpoint {}", furniture::RUNTIME);
    }
    if cluster.minor < 24 {
        text += " --container-runtime remote";
    }
    argv(cluster, "kubelet", &text)
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

/// Runs a command that has to succeed.
async fn must(inside: &impl Inside, name: &str, argv: Vec<String>) -> Result<(), Failure> {
    let Finished { status, output } = inside.command(name, &argv).await?;
    if status == 0 {
        return Ok(());
    }
    let message = format!("{name} of {} failed with status {status}", inside.node());
    Err(Failure::not_ready(message).detail(output))
}
