//! What stands in the nodes of a cluster before anything runs: certificates, configurations, and what the API server is to know
//! of the nodes.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ipnet::IpNet;
use serde_json::{Value, json};

use super::image;
use super::kubeconfig::Access;
use super::names;
use super::pki::{Authority, Identity, Subject, TokenKey};
use super::pods::{self, Pod};
use super::programs::Programs;
use crate::dns::DOMAIN;
use crate::engine::{cni, dns};
use crate::failure::Failure;
use crate::lab::model::{Bind, Cluster as Settings, Content, File, KubernetesNode, Lab, Network, Node};
use crate::lab::own_directories;
use crate::lab::plan::{ClusterStep, NodeStep, Plan};
use crate::lab::pod_cidr::machine;

/// Where Kubernetes' own things are, as kubeadm has them.
pub const DIRECTORY: &str = "/etc/kubernetes";
/// The nodes and the lab's pods as the API server is to know them.
pub const OBJECTS: &str = "/etc/kubernetes/objects.json";
const CNI: &str = "/etc/cni/net.d/10-nslab.conflist";
/// Where the API server listens.
pub const PORT: u16 = 6443;
/// The interface of nodes on the management network.
const MANAGEMENT: &str = "eth0";
const CONTROL_PLANE: &str = "node-role.kubernetes.io/control-plane";
/// Where containerd listens.
pub const RUNTIME: &str = "unix:///run/containerd/containerd.sock";

/// Gives the nodes that kubelets play what those need: files, binds, programs. `etcd` is where etcd keeps what it knows, where the
/// lab file does not say. Returns what is not done as the lab file has it, a sentence each.
///
/// # Errors
/// A program is missing or of another version than the others, the control plane has no address, or pods have no network.
pub fn bootstrap_nodes(plan: &mut Plan, lab: &Settings, etcd: &Path) -> Result<Vec<String>, Failure> {
    let members: Vec<usize> = (0..plan.nodes.len())
        .filter(|at| plan.nodes[*at].is_kubernetes())
        .collect();
    let Some(first) = members.first().copied() else {
        return Ok(Vec::new());
    };
    let programs = Programs::of(lab);
    let found = programs.all()?;
    let all: Vec<KubernetesNode> = plan
        .nodes
        .iter()
        .map(|it| it.kubernetes.clone().unwrap_or_default())
        .collect();
    let masters = control_planes(&members, &all);
    let master = masters.first().copied().unwrap_or(first);
    let name = plan.nodes[master].name.clone();
    let address = all[master].addresses.first().copied().ok_or_else(|| {
        Failure::wrong(format!("{name} has no address for the API server"))
            .help("give it one, or say `node_ips`")
    })?;
    let cluster = Cluster {
        authority: Authority::new()?,
        server: match address {
            IpAddr::V4(address) => format!("https://{address}:{PORT}"),
            IpAddr::V6(address) => format!("https://[{address}]:{PORT}"),
        },
        minor: programs.minor_version()?,
        settings: lab.clone(),
    };
    let pods = pods::take_over(plan, &members);
    pods::check(&pods, lab)?;
    let mut objects = vec![pods::account()];
    objects.extend(names::objects(lab, cluster.minor));
    objects.extend(members.iter().map(|at| node(&plan.nodes[*at].name, &all[*at])));
    objects.extend(pods.iter().map(Pod::object));
    let objects = json!({ "apiVersion": "v1", "kind": "List", "items": objects });
    for at in members {
        let step = &plan.nodes[at];
        let mut files = cluster.node(step, &all[at])?;
        if !lab.leaves_network {
            files.push(public(CNI, plugin(&all[at], &pods, at).to_string()));
        }
        if at == master {
            files.extend(cluster.control_plane(&name, &addresses(plan, step))?);
            files.push(file(OBJECTS, objects.to_string()));
        }
        let step = &mut plan.nodes[at];
        if at == master {
            // What the API server knows outlives the node's processes, as on a disk; and it is in memory, as the lab's directory is,
            // unless a place on a disk was asked for.
            step.binds.push(Bind {
                source: lab.etcd_dir.clone().unwrap_or_else(|| etcd.to_owned()),
                target: "/var/lib/etcd".to_owned(),
                read_only: false,
            });
        }
        step.binds
            .extend(hidden_directories(&found).map(|directory| Bind {
                source: directory.into(),
                target: directory.to_owned(),
                read_only: true,
            }));
        let images = lab.images.iter().enumerate();
        step.binds.extend(images.map(|(number, source)| Bind {
            source: source.clone(),
            target: image_path(number),
            read_only: true,
        }));
        step.cluster = Some(ClusterStep {
            controls: at == master,
            minor: cluster.minor,
            programs: found.clone(),
            settings: lab.clone(),
        });
        files.append(&mut step.files);
        step.files = files;
    }
    let others = masters.iter().skip(1).map(|at| &plan.nodes[*at].name);
    Ok(others
        .map(|other| format!("several control planes are not yet supported: {name} is the one, and {other} runs a kubelet only"))
        .collect())
}

/// Puts the control plane on the lab's management network, by which kubectl on this machine reaches it.
pub fn manage(lab: &mut Lab) {
    let is_real = |node: &&mut Node| node.engine.is_kubernetes() && node.kubernetes.is_some();
    let says_so = |node: &Node| {
        let facts = node.kubernetes.iter();
        facts
            .flat_map(|it| it.labels.keys())
            .any(|label| label == CONTROL_PLANE)
    };
    let taken: BTreeSet<usize> = lab
        .links
        .iter()
        .flat_map(|link| link.ports())
        .filter(|port| port.interface == MANAGEMENT)
        .map(|port| port.node)
        .collect();
    let mut members: Vec<(usize, &mut Node)> = lab
        .nodes
        .iter_mut()
        .enumerate()
        .filter(|(_, it)| is_real(it))
        .collect();
    // Among equals the first: a stable sort.
    members.sort_by_key(|(_, node)| !says_so(node));
    let Some((at, node)) = members.into_iter().next() else {
        return;
    };
    if lab.mgmt.is_some() && node.network == Network::Own && !taken.contains(&at) {
        node.mgmt.get_or_insert_default();
    }
}

/// The nodes that are said to be control planes. Only the first is one.
fn control_planes(members: &[usize], all: &[KubernetesNode]) -> Vec<usize> {
    let is_one = |at: &usize| all[*at].labels.contains_key(CONTROL_PLANE);
    members.iter().copied().filter(is_one).collect()
}

/// The directories of programs that nodes do not see by themselves.
fn hidden_directories(programs: &BTreeMap<String, String>) -> impl Iterator<Item = &str> {
    let directories = programs
        .values()
        .filter_map(|path| Some(path.rsplit_once('/')?.0));
    let hidden: BTreeSet<&str> = directories
        .filter(|it| own_directories::hides(Path::new(it)))
        .collect();
    hidden.into_iter()
}

/// Where an archive of images of the lab's is in a node.
pub fn image_path(number: usize) -> String {
    format!("/var/lib/nslab/images/{number}.tar")
}

/// All addresses a node is reached at.
fn addresses(plan: &Plan, step: &NodeStep) -> Vec<IpAddr> {
    let namespace = step.namespace.and_then(|at| plan.namespaces.get(at));
    let given = namespace.into_iter().flat_map(|it| &it.addresses);
    given.map(|(_, net)| net.addr()).collect()
}

/// A node before its kubelet has told of it: what kubelets may not say themselves.
fn node(name: &str, facts: &KubernetesNode) -> Value {
    let taints: Vec<Value> = facts.taints.iter().map(|text| taint(text)).collect();
    let cidrs: Vec<String> = facts.pod_cidrs.iter().map(IpNet::to_string).collect();
    json!({
        "apiVersion": "v1", "kind": "Node",
        "metadata": { "name": name, "labels": facts.labels },
        "spec": { "podCIDR": cidrs.first(), "podCIDRs": cidrs, "taints": taints },
        // A kubelet of 1.20 expects that somebody has counted already.
        "status": { "capacity": { "pods": "110" }, "allocatable": { "pods": "110" } },
    })
}

/// `key=value:effect` or `key:effect`; what makes no sense the API server refuses, and says why.
fn taint(text: &str) -> Value {
    let (what, effect) = text.rsplit_once(':').unwrap_or((text, ""));
    match what.split_once('=') {
        Some((key, value)) => json!({ "key": key, "value": value, "effect": effect }),
        None => json!({ "key": what, "effect": effect }),
    }
}

struct Cluster {
    authority: Authority,
    server: String,
    minor: u32,
    settings: Settings,
}

impl Cluster {
    /// What every node has.
    fn node(&self, step: &NodeStep, facts: &KubernetesNode) -> Result<Vec<File>, Failure> {
        let name = &step.name;
        let user = format!("system:node:{name}");
        let own = self.authority.issue(&Subject {
            name: &user,
            group: Some("system:nodes"),
            names: vec![name.clone()],
            addresses: facts.addresses.clone(),
        })?;
        let admin = self.client("kubernetes-admin", Some("system:masters"))?;
        let mut files = pair("kubelet", &own);
        files.extend([
            public(
                "/etc/kubernetes/pki/ca.crt",
                self.authority.identity.certificate.clone(),
            ),
            file("/etc/kubernetes/kubelet.conf", self.kubeconfig(&own)),
            file("/etc/kubernetes/kubelet.json", self.kubelet().to_string()),
            file("/root/.kube/config", self.kubeconfig(&admin)),
            public("/etc/containerd/config.toml", containerd()),
            // Whoever waits for notes of the plugin's finds their place from the first moment on.
            file(&format!("{}/lock", cni::DIRECTORY), String::new()),
            file(
                "/etc/kubernetes/kube-proxy.conf",
                self.kubeconfig(&self.client("system:kube-proxy", None)?),
            ),
            file(
                "/etc/kubernetes/kube-proxy.json",
                self.kube_proxy(name).to_string(),
            ),
        ]);
        if step.dns.is_some() {
            let access = self.kubeconfig(&self.client(dns::USER, None)?);
            files.push(file(dns::ACCESS, access));
        }
        files.extend(self.settings.registry_mirror.as_ref().map(|mirror| {
            let text = format!(
                "server = \"{mirror}\"\n[host.\"{mirror}\"]\n  capabilities = [\"pull\", \"resolve\"]\n"
            );
            public(&format!("{REGISTRIES}/_default/hosts.toml"), text)
        }));
        Ok(files)
    }

    /// kube-proxy's configuration. Limits of connection tracking are the whole machine's, which no node may change.
    fn kube_proxy(&self, node: &str) -> Value {
        let subnets: Vec<String> = self.settings.pod_subnets.iter().map(IpNet::to_string).collect();
        json!({
            "apiVersion": "kubeproxy.config.k8s.io/v1alpha1", "kind": "KubeProxyConfiguration",
            "clientConnection": { "kubeconfig": "/etc/kubernetes/kube-proxy.conf" },
            "mode": "iptables", "hostnameOverride": node, "clusterCIDR": subnets.join(","),
            "conntrack": { "maxPerCore": 0, "min": 0, "tcpEstablishedTimeout": "0s", "tcpCloseWaitTimeout": "0s" },
        })
    }

    /// What the control plane has besides.
    fn control_plane(&self, name: &str, addresses: &[IpAddr]) -> Result<Vec<File>, Failure> {
        let names = [
            "kubernetes",
            "kubernetes.default",
            "kubernetes.default.svc",
            "localhost",
            name,
        ];
        // The first address of the services is the API server's.
        let subnets = self.settings.service_subnets().into_iter();
        let mut reached: Vec<IpAddr> = subnets
            .filter_map(|net| machine(&net, 1))
            .map(|net| net.addr())
            .collect();
        reached.push(Ipv4Addr::LOCALHOST.into());
        reached.extend(addresses);
        let server = self.authority.issue(&Subject {
            name: "kube-apiserver",
            group: None,
            names: names.map(str::to_owned).to_vec(),
            addresses: reached,
        })?;
        let token = TokenKey::new()?;
        let mut files = vec![
            file("/etc/kubernetes/pki/ca.key", self.authority.identity.key.clone()),
            file("/etc/kubernetes/pki/sa.key", token.private),
            public("/etc/kubernetes/pki/sa.pub", token.public),
        ];
        files.extend(pair("apiserver", &server));
        let client = self.client("kube-apiserver-kubelet-client", Some("system:masters"))?;
        files.extend(pair("apiserver-kubelet-client", &client));
        for (path, user, group) in [
            ("admin", "kubernetes-admin", Some("system:masters")),
            ("controller-manager", "system:kube-controller-manager", None),
            ("scheduler", "system:kube-scheduler", None),
        ] {
            let identity = self.client(user, group)?;
            files.push(file(
                &format!("{DIRECTORY}/{path}.conf"),
                self.kubeconfig(&identity),
            ));
        }
        Ok(files)
    }

    fn client(&self, name: &str, group: Option<&str>) -> Result<Identity, Failure> {
        self.authority.issue(&Subject {
            name,
            group,
            ..Subject::default()
        })
    }

    /// A way to the API server for somebody. JSON is YAML.
    fn kubeconfig(&self, identity: &Identity) -> String {
        let text = |text: &str| STANDARD.encode(text);
        let access = Access {
            authority: text(&self.authority.identity.certificate),
            certificate: text(&identity.certificate),
            key: text(&identity.key),
        };
        access.kubeconfig(&self.server).to_string()
    }

    /// The kubelet's configuration. A node's cgroups are its own, and small: it need not keep any for itself.
    fn kubelet(&self) -> Value {
        let mut configuration = json!({
            "apiVersion": "kubelet.config.k8s.io/v1beta1", "kind": "KubeletConfiguration",
            "authentication": {
                "anonymous": { "enabled": false }, "webhook": { "enabled": true },
                "x509": { "clientCAFile": "/etc/kubernetes/pki/ca.crt" },
            },
            "authorization": { "mode": "Webhook" },
            "tlsCertFile": "/etc/kubernetes/pki/kubelet.crt", "tlsPrivateKeyFile": "/etc/kubernetes/pki/kubelet.key",
            "cgroupDriver": "cgroupfs", "cgroupsPerQOS": false, "enforceNodeAllocatable": [], "failSwapOn": false,
            "resolvConf": "/etc/resolv.conf", "clusterDomain": DOMAIN, "nodeStatusUpdateFrequency": "1s", "registerNode": true,
        });
        if let Some(address) = self.settings.dns_address() {
            configuration["clusterDNS"] = json!([address]);
        }
        // The last version whose flags say where the runtime is, and the first that asks about old cgroups.
        if self.minor >= 27 {
            configuration["containerRuntimeEndpoint"] = json!(RUNTIME);
        }
        if self.minor >= 31 {
            configuration["failCgroupV1"] = json!(false);
        }
        configuration
    }
}

/// Where containerd looks for what stands for registries.
const REGISTRIES: &str = "/etc/containerd/certs.d";

/// Its state is where no overlay is; a sandbox's score stays as it is, which runc may not lower here.
fn containerd() -> String {
    format!(
        "version = 2\n[plugins.\"io.containerd.grpc.v1.cri\"]\n  sandbox_image = \"{}\"\n  restrict_oom_score_adj = true\n  \
         [plugins.\"io.containerd.grpc.v1.cri\".cni]\n    bin_dir = \"/opt/cni/bin\"\n    conf_dir = \"/etc/cni/net.d\"\n  \
         [plugins.\"io.containerd.grpc.v1.cri\".registry]\n    config_path = \"{REGISTRIES}\"\n",
        image::NAME
    )
}

/// The network of pods: nslab's own plugin. The lab's pods have the first addresses.
fn plugin(facts: &KubernetesNode, pods: &[Pod], node: usize) -> Value {
    json!({
        "cniVersion": "0.4.0", "name": "nslab",
        "plugins": [{ "type": "nslab-cni", "podCIDRs": facts.pod_cidrs, "reserved": pods::reserved(pods, node) }],
    })
}

fn pair(name: &str, identity: &Identity) -> Vec<File> {
    let path = |ending: &str| format!("{DIRECTORY}/pki/{name}.{ending}");
    vec![
        public(&path("crt"), identity.certificate.clone()),
        file(&path("key"), identity.key.clone()),
    ]
}

/// A file that is for its owner alone.
fn file(path: &str, text: String) -> File {
    File {
        path: path.to_owned(),
        content: Content::Text(text),
        mode: Some(0o600),
        owner: None,
    }
}

fn public(path: &str, text: String) -> File {
    File {
        mode: Some(0o644),
        ..file(path, text)
    }
}
