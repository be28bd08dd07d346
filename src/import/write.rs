//! A lab file that says what imported files say.

use std::fmt::Write as _;

use super::Imported;
use crate::image::config::Test;
use crate::lab::file::command::RESTARTS;
use crate::lab::file::image::{self, ImageSpec};
use crate::lab::file::kubernetes as names;
use crate::lab::file::{
    BindSpec, CiliumSpec, ConfigSpec, ContentSpec, Dns, EndpointSpec, FileSpec, KubernetesSpec, LimitsSpec,
    LinkSpec, MgmtPortSpec, MgmtSpec, NodeSpec, Spanned, WaitSpec, mounts,
};
use crate::lab::impair::{Impairment, Impairments};
use crate::lab::links::{Device, macvlan, vxlan};
use crate::lab::model::{Command, Exec, Kind, Limit, Probe, Process, PublishedPort, Restart, Stage};

/// The text of the lab file: what was not said is left out, and every node knows where it came from.
pub fn lab_file(imported: &Imported) -> String {
    let spec = &imported.spec;
    let mut out = String::new();
    for note in &imported.notes {
        line(&mut out, format!("# {}", note.replace(['\n', '\r'], " ")));
    }
    if let Some(name) = &spec.name {
        line(&mut out, format!("name = {}", quoted(&name.value)));
    }
    if let Some(mgmt) = &spec.mgmt {
        self::mgmt(&mut out, mgmt);
    }
    if let Some(kubernetes) = &spec.kubernetes {
        self::kubernetes(&mut out, kubernetes);
    }
    if let Some(cilium) = &spec.cilium {
        self::cilium(&mut out, cilium);
    }
    for (name, node) in &spec.nodes {
        let (file, at) = imported.files.line(name.span.start);
        line(
            &mut out,
            format!("\n# {}, line {at}", file.replace(['\n', '\r'], " ")),
        );
        line(&mut out, format!("[nodes.{}]", key(&name.value)));
        self::node(&mut out, node);
    }
    for link in &spec.links {
        line(&mut out, "\n[[links]]".into());
        self::link(&mut out, link);
    }
    out
}

fn line(out: &mut String, text: String) {
    out.push_str(&text);
    out.push('\n');
}

/// `key = value`, where there is a value.
fn put<T>(out: &mut String, key: &str, value: Option<T>, form: impl FnOnce(T) -> String) {
    if let Some(value) = value {
        // Writing to a String cannot fail.
        let _ = writeln!(out, "{key} = {}", form(value));
    }
}

/// A string as TOML writes it.
fn quoted(text: &str) -> String {
    toml::Value::String(text.to_owned()).to_string()
}

/// A key, in quotes where it needs them.
fn key(text: &str) -> String {
    let bare = !text.is_empty()
        && text
            .bytes()
            .all(|c| c.is_ascii_alphanumeric() || b"_-".contains(&c));
    match bare {
        true => text.to_owned(),
        false => quoted(text),
    }
}

fn list(items: impl IntoIterator<Item = String>) -> String {
    format!("[{}]", items.into_iter().collect::<Vec<_>>().join(", "))
}

fn table<'a>(entries: impl Iterator<Item = (&'a String, &'a Spanned<String>)>) -> Option<String> {
    let entries: Vec<_> = entries
        .map(|(name, value)| format!("{} = {}", key(name), quoted(&value.value)))
        .collect();
    (!entries.is_empty()).then(|| format!("{{ {} }}", entries.join(", ")))
}

fn text<T: std::fmt::Display>(value: &Spanned<T>) -> String {
    quoted(&value.value.to_string())
}

fn plain<T: std::fmt::Display>(value: &Spanned<T>) -> String {
    value.value.to_string()
}

fn mgmt(out: &mut String, mgmt: &MgmtSpec) {
    line(out, "\n[mgmt]".into());
    put(out, "network", mgmt.network.as_ref(), text);
    put(out, "bridge", mgmt.bridge.as_ref(), text);
    put(out, "ipv4_subnet", mgmt.ipv4_subnet.as_ref(), subnet);
    put(out, "ipv6_subnet", mgmt.ipv6_subnet.as_ref(), subnet);
    put(out, "ipv4_gw", mgmt.ipv4_gw.as_ref(), text);
    put(out, "ipv6_gw", mgmt.ipv6_gw.as_ref(), text);
    put(out, "mtu", mgmt.mtu.as_ref(), plain);
    put(out, "nat", mgmt.nat.as_ref(), plain);
}

/// The word that a file has for a value.
fn word<T: PartialEq>(words: &[(&str, T)], value: &T) -> String {
    let found = words.iter().find(|(_, meaning)| meaning == value);
    quoted(found.map_or("", |(word, _)| word))
}

fn kubernetes(out: &mut String, spec: &KubernetesSpec) {
    line(out, "\n[kubernetes]".into());
    put(out, "cluster", spec.cluster.as_ref(), text);
    for (key, subnets) in [
        ("pod_subnet", &spec.pod_subnet),
        ("service_subnet", &spec.service_subnet),
    ] {
        let subnets = (!subnets.is_empty()).then_some(subnets);
        put(out, key, subnets, |subnets| list(subnets.iter().map(text)));
    }
    put(out, "node_mask_v4", spec.node_mask_v4.as_ref(), plain);
    put(out, "node_mask_v6", spec.node_mask_v6.as_ref(), plain);
    put(out, "bin_dir", spec.bin_dir.as_ref(), text);
    put(out, "etcd_dir", spec.etcd_dir.as_ref(), text);
    if !spec.images.is_empty() {
        line(out, format!("images = {}", list(spec.images.iter().map(text))));
    }
    put(out, "registry_mirror", spec.registry_mirror.as_ref(), text);
    put(out, "kube_proxy", spec.kube_proxy.as_ref(), plain);
    put(out, "cni", spec.cni.as_ref(), |it| word(names::CNIS, &it.value));
    put(out, "dns", spec.dns.as_ref(), |it| match it.value {
        Dns::Own => "true".to_owned(),
        Dns::None => "false".to_owned(),
        Dns::External => word(names::DNS, &it.value),
    });
}

fn cilium(out: &mut String, spec: &CiliumSpec) {
    line(out, "\n[cilium]".into());
    if !spec.manifests.is_empty() {
        line(
            out,
            format!("manifests = {}", list(spec.manifests.iter().map(text))),
        );
    }
    put(out, "routing", spec.routing.as_ref(), |it| {
        word(names::ROUTINGS, &it.value)
    });
    put(out, "ipv4_native_cidr", spec.ipv4_native_cidr.as_ref(), subnet);
    put(out, "ipv6_native_cidr", spec.ipv6_native_cidr.as_ref(), subnet);
    put(out, "ipam", spec.ipam.as_ref(), |it| {
        word(names::IPAMS, &it.value)
    });
    put(out, "agent", spec.agent.as_ref(), |it| {
        word(names::AGENTS, &it.value)
    });
    for (key, truth) in [
        ("bgp_control_plane", &spec.bgp_control_plane),
        ("ipv4_masquerade", &spec.ipv4_masquerade),
        ("ipv6_masquerade", &spec.ipv6_masquerade),
        ("ipv4", &spec.ipv4),
        ("ipv6", &spec.ipv6),
    ] {
        put(out, key, truth.as_ref(), plain);
    }
}

fn subnet<T: std::fmt::Display>(subnet: &Spanned<Option<T>>) -> String {
    match &subnet.value {
        Some(subnet) => quoted(&subnet.to_string()),
        None => quoted("none"),
    }
}

fn node(out: &mut String, node: &NodeSpec) {
    put(out, "kind", node.kind.as_ref(), |kind| {
        quoted(match kind.value {
            Kind::Host => "host",
            Kind::Router => "router",
            Kind::Bridge => "bridge",
            Kind::K8s => "k8s",
            // Pods are written with their node.
            Kind::Pod => "pod",
        })
    });
    put(out, "kind", node.vendor.as_ref(), text);
    put(out, "type", node.model.as_ref(), text);
    image(out, &node.image);
    put(out, "license", node.license.as_ref(), text);
    put(out, "config", node.config.as_ref(), |config| {
        match &config.value {
            ConfigSpec::Text { text, .. } => quoted(text),
            ConfigSpec::File(file) => format!("{{ file = {} }}", text(file)),
        }
    });
    put(out, "hostname", node.hostname.as_ref(), text);
    put(out, "aliases", node.aliases.as_ref(), |aliases| {
        list(aliases.iter().map(text))
    });
    put(out, "role", node.role.as_ref(), |it| {
        word(names::ROLES, &it.value)
    });
    put(out, "taints", node.taints.as_ref(), |taints| {
        list(taints.iter().map(text))
    });
    put(out, "node_ips", node.node_ips.as_ref(), |ips| {
        list(ips.iter().map(text))
    });
    put(out, "network", node.network.as_ref(), |node| {
        match node.value.as_str() {
            "host" => quoted("host"),
            node => quoted(&format!("node:{node}")),
        }
    });
    put(out, "mgmt", node.mgmt.as_ref(), |port| mgmt_port(&port.value));
    put(out, "ports", node.ports.as_ref(), |ports| {
        list(ports.iter().map(port))
    });
    put(out, "masquerade", node.masquerade.as_ref(), |interfaces| {
        list(interfaces.iter().map(text))
    });
    put(out, "labels", table(node.labels.iter()), |text| text);
    put(out, "sysctls", table(node.sysctls.iter()), |text| text);
    put(out, "env", table(node.env.iter()), |text| text);
    if !node.files.is_empty() {
        let files: Vec<_> = node.files.iter().map(file).collect();
        line(out, format!("files = {{ {} }}", files.join(", ")));
    }
    if !node.binds.is_empty() {
        line(out, format!("binds = {}", list(node.binds.iter().map(bind))));
    }
    for key in ["tmpfs", "volumes"] {
        let written = node
            .mounts
            .iter()
            .map(|it| mounts::written(&it.target.value, &it.what));
        let written = written.filter(|(of, _)| *of == key);
        let texts: Vec<String> = written.map(|(_, text)| quoted(&text)).collect();
        if !texts.is_empty() {
            line(out, format!("{key} = {}", list(texts.into_iter())));
        }
    }
    put(out, "wait_for", node.wait_for.as_ref(), |waits| {
        list(waits.iter().map(wait))
    });
    put(out, "startup_delay", node.startup_delay.as_ref(), |delay| {
        quoted(&format!("{}s", delay.value.as_secs()))
    });
    put(out, "cpu", node.cpu.as_ref(), |cpu| format!("{:?}", cpu.value));
    put(out, "memory", node.memory.as_ref(), plain);
    put(out, "privileged", node.privileged.as_ref(), plain);
    let texts = |texts: &Vec<Spanned<String>>| list(texts.iter().map(|text| quoted(&text.value)));
    put(out, "capabilities", node.capabilities.as_ref(), texts);
    put(out, "show_host", node.show_host.as_ref(), texts);
    put(out, "user_namespace", node.user_namespace.as_ref(), plain);
    put(out, "limits", limits(&node.limits), |text| text);
    put(out, "exec", node.exec.as_ref(), |execs| {
        let lines: String = execs.iter().map(|it| format!("    {},\n", exec(it))).collect();
        format!("[\n{lines}]")
    });
    put(out, "after_ready", node.after_ready.as_ref(), |execs| {
        let lines: String = execs.iter().map(|it| format!("    {},\n", exec(it))).collect();
        format!("[\n{lines}]")
    });
    put(out, "run", node.run.as_ref(), |run| {
        list(run.iter().map(|process| self::process(&process.value)))
    });
}

fn image(out: &mut String, image: &ImageSpec) {
    let words = |words: &Spanned<Vec<String>>| list(words.value.iter().map(|word| quoted(word)));
    put(out, "image", image.source.as_ref(), text);
    put(out, "image_pull", image.pull.as_ref(), |it| {
        word(image::PULLS, &it.value)
    });
    put(out, "entrypoint", image.entrypoint.as_ref(), words);
    put(out, "cmd", image.cmd.as_ref(), words);
    put(out, "user", image.user.as_ref(), text);
    put(out, "restart", image.restart.as_ref(), |it| {
        word(RESTARTS, &it.value)
    });
    put(out, "healthcheck", image.healthcheck.as_ref(), |check| {
        let check = &check.value;
        let Some(test) = &check.test else {
            return "false".to_owned();
        };
        let mut parts = vec![match test {
            Test::Argv(argv) => format!("test = {}", list(argv.iter().map(|word| quoted(word)))),
            Test::Shell(line) => format!("test = {}", quoted(line)),
        }];
        for (key, time) in [
            ("interval", check.interval),
            ("timeout", check.timeout),
            ("start_period", check.start_period),
        ] {
            parts.extend((!time.is_zero()).then(|| format!("{key} = \"{}s\"", time.as_secs())));
        }
        parts.extend((check.retries > 0).then(|| format!("retries = {}", check.retries)));
        format!("{{ {} }}", parts.join(", "))
    });
}

fn limits(limits: &LimitsSpec) -> Option<String> {
    let written = |limit: &Spanned<Limit>| match limit.value {
        Limit::Unlimited => quoted("unlimited"),
        Limit::At(limit) => limit.to_string(),
    };
    let parts: Vec<String> = [
        ("processes", &limits.processes),
        ("disk", &limits.disk),
        ("log", &limits.log),
        ("open_files", &limits.open_files),
    ]
    .into_iter()
    .filter_map(|(key, limit)| Some(format!("{key} = {}", written(limit.as_ref()?))))
    .collect();
    (!parts.is_empty()).then(|| format!("{{ {} }}", parts.join(", ")))
}

fn mgmt_port(port: &MgmtPortSpec) -> String {
    let v4 = port
        .ipv4
        .as_ref()
        .map(|address| format!("ipv4 = {}", text(address)));
    let v6 = port
        .ipv6
        .as_ref()
        .map(|address| format!("ipv6 = {}", text(address)));
    let fixed: Vec<_> = v4.into_iter().chain(v6).collect();
    match fixed.is_empty() {
        true => port.wanted.to_string(),
        false => format!("{{ {} }}", fixed.join(", ")),
    }
}

fn port(port: &Spanned<PublishedPort>) -> String {
    let protocol = if port.value.udp { "/udp" } else { "" };
    quoted(&format!("{}:{}{protocol}", port.value.listen, port.value.port))
}

fn file(file: &FileSpec) -> String {
    let mut parts = vec![match &file.content {
        ContentSpec::Text(text) => format!("content = {}", quoted(text)),
        ContentSpec::From(from) => format!("from = {}", text(from)),
    }];
    parts.extend(file.mode.map(|mode| format!("mode = \"{mode:04o}\"")));
    parts.extend(
        file.owner
            .as_ref()
            .map(|owner| format!("owner = {}", quoted(owner))),
    );
    format!("{} = {{ {} }}", key(&file.path.value), parts.join(", "))
}

fn bind(bind: &BindSpec) -> String {
    let option = if bind.read_only { ":ro" } else { "" };
    quoted(&format!("{}:{}{option}", bind.source.value, bind.target))
}

fn wait(wait: &Spanned<WaitSpec>) -> String {
    let stage = match wait.value.stage {
        Stage::Created => "created",
        Stage::Links => "links",
        Stage::Configured => "configured",
        Stage::Ready => "ready",
    };
    quoted(&format!("{}:{stage}", wait.value.node))
}

fn exec(exec: &Exec) -> String {
    match exec.may_fail {
        true => format!("{{ {}, may_fail = true }}", command(&exec.command)),
        false => format!("{{ {} }}", command(&exec.command)),
    }
}

fn command(command: &Command) -> String {
    match command {
        Command::Argv(argv) => format!("command = {}", quoted(&shell_words::join(argv))),
        Command::Shell(line) => format!("shell = {}", quoted(line)),
    }
}

fn process(process: &Process) -> String {
    let restart = match process.restart {
        Restart::No => "no",
        Restart::OnFailure => "on-failure",
        Restart::Always => "always",
    };
    let mut parts = vec![
        format!("name = {}", quoted(&process.name)),
        command(&process.command),
        format!("restart = {}", quoted(restart)),
    ];
    parts.extend(
        process
            .user
            .as_ref()
            .map(|user| format!("user = {}", quoted(user))),
    );
    parts.extend(process.may_fail.then(|| "may_fail = true".to_owned()));
    parts.extend(process.terminal.then(|| "terminal = true".to_owned()));
    let ready = process.ready.as_ref().map(|ready| match ready {
        Probe::Exec(Command::Argv(argv)) => format!("exec = {}", quoted(&shell_words::join(argv))),
        Probe::Exec(Command::Shell(line)) => {
            format!("exec = {}", quoted(&shell_words::join(["/bin/sh", "-c", line])))
        }
        Probe::Tcp(port) => format!("tcp = {port}"),
        Probe::File(path) => format!("file = {}", quoted(path)),
    });
    parts.extend(ready.map(|ready| format!("ready = {{ {ready} }}")));
    format!("{{ {} }}", parts.join(", "))
}

fn link(out: &mut String, link: &LinkSpec) {
    put(out, "type", link.kind.as_ref(), |kind| quoted(kind.value.name()));
    line(
        out,
        format!("endpoints = {}", list(link.endpoints.iter().map(endpoint))),
    );
    put(out, "host_interface", link.host_interface.as_ref(), text);
    match &link.device {
        Some(Device::Macvlan(device)) => {
            let mode = Some(device.mode()).filter(|mode| *mode != macvlan::MODES[0].0);
            put(out, "mode", mode, quoted);
        }
        Some(Device::Vxlan(device)) => {
            put(out, "vni", Some(device.vni), |it| it.to_string());
            put(out, "remote", device.remote, |it| quoted(&it.to_string()));
            let port = Some(device.udp_port).filter(|port| *port != vxlan::PORT);
            put(out, "udp_port", port, |it| it.to_string());
        }
        _ => {}
    }
    put(out, "mtu", link.mtu.as_ref(), plain);
    put(out, "impair", link.impair.as_ref(), |it| impairments(&it.value));
}

fn impairments(impairments: &Impairments) -> String {
    if impairments.a_to_b == impairments.b_to_a {
        return impairments.a_to_b.as_ref().map(impairment).unwrap_or_default();
    }
    let one =
        |key: &str, it: &Option<Impairment>| it.as_ref().map(|it| format!("{key} = {}", impairment(it)));
    let both = [
        one("a_to_b", &impairments.a_to_b),
        one("b_to_a", &impairments.b_to_a),
    ];
    let said: Vec<String> = both.into_iter().flatten().collect();
    format!("{{ {} }}", said.join(", "))
}

fn impairment(it: &Impairment) -> String {
    let times = [("delay", it.delay), ("jitter", it.jitter)];
    let times = times.into_iter().filter(|(_, time)| !time.is_zero());
    let shares = [
        ("loss", it.loss),
        ("reorder", it.reorder),
        ("duplicate", it.duplicate),
        ("corrupt", it.corrupt),
    ];
    let shares = shares.into_iter().filter(|(_, share)| !share.is_zero());
    let mut said: Vec<String> = times
        .map(|(key, time)| format!("{key} = \"{time}\""))
        .chain(shares.map(|(key, share)| format!("{key} = \"{share}\"")))
        .collect();
    said.extend(it.rate.map(|rate| format!("rate = \"{rate}\"")));
    said.extend(it.seed.map(|seed| format!("seed = {seed}")));
    said.extend(it.only.as_ref().map(|only| format!("only = {}", quoted(only))));
    format!("{{ {} }}", said.join(", "))
}

fn endpoint(end: &EndpointSpec) -> String {
    let mac = end.mac.as_ref().map(|mac| format!("mac = {}", text(mac)));
    let v4 = end.ipv4.as_ref().map(|net| format!("ipv4 = {}", text(net)));
    let v6 = end.ipv6.as_ref().map(|net| format!("ipv6 = {}", text(net)));
    let more: Vec<_> = mac.into_iter().chain(v4).chain(v6).collect();
    match more.is_empty() {
        true => quoted(&format!("{}:{}", end.node.value, end.interface.value)),
        false => format!(
            "{{ node = {}, interface = {}, {} }}",
            quoted(&end.node.value),
            quoted(&end.interface.value),
            more.join(", ")
        ),
    }
}
