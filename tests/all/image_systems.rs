//! Images of real systems, made by scripts/images and brought from a real registry: FRR, systemd, and the published lab on them.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use crate::common::registry::{self, Registry, Wants, has_registry};
use crate::common::{Lab, in_package, run, until};

/// Where the images are. Prints why the test is skipped where scripts/images has not made them.
fn images() -> Option<PathBuf> {
    if !has_registry() {
        return None;
    }
    let made = run(Command::new(in_package("scripts/images")).arg("--if-there"));
    match made.code {
        0 => Some(PathBuf::from(made.out.trim())),
        _ => {
            eprintln!("skipped: {}", made.err);
            None
        }
    }
}

fn push(lab: &Lab, registry: &Registry, images: &str, tag: &str, name: &str) {
    registry.push(lab, &format!("{images}:{tag}"), name, &[]);
}

/// A small network of what people have: FRR, tools, and a machine with systemd.
const NETWORK: &str = r#"
name: systems
topology:
  nodes:
    r1:
      kind: linux
      image: 127.0.0.1:5000/frrouting/frr:v8.4.4
      binds: [ "daemons:/etc/frr/daemons", "r1.conf:/etc/frr/frr.conf" ]
      exec: [ "ip addr add 10.0.0.1/24 dev eth1", "ip addr add 10.0.1.1/24 dev eth2" ]
    tools:
      kind: linux
      image: 127.0.0.1:5000/library/tools
      exec: [ "ip addr add 10.0.0.2/24 dev eth1", "ip route replace default via 10.0.0.1" ]
    machine:
      kind: linux
      image: 127.0.0.1:5000/machines/systemd:1
      privileged: true
      exec: [ "ip addr add 10.0.1.2/24 dev eth1", "ip route replace default via 10.0.1.1" ]
  links:
    - endpoints: [ "r1:eth1", "tools:eth1" ]
    - endpoints: [ "r1:eth2", "machine:eth1" ]
"#;

#[test]
fn images_of_a_topology_run_from_a_registry_and_again_without_it() {
    let Some(images) = images() else { return };
    let images = images.to_str().unwrap();
    let lab = registry::lab("");
    let topology = lab.path("systems.clab.yml");
    fs::write(&topology, NETWORK).unwrap();
    fs::write(
        lab.path("daemons"),
        "bgpd=yes\nvtysh_enable=yes\nzebra_options=\"-A 127.0.0.1 -s 90000000\"\nbgpd_options=\"-A 127.0.0.1\"\n",
    )
    .unwrap();
    fs::write(
        lab.path("r1.conf"),
        "hostname r1\nrouter bgp 65001\n bgp router-id 1.1.1.1\n",
    )
    .unwrap();
    let up = ["up", "-d", "--images", "run", topology.to_str().unwrap()];
    {
        let registry = Registry::start(&lab, Wants::Nothing);
        push(&lab, &registry, images, "frr", "frrouting/frr:v8.4.4");
        push(&lab, &registry, images, "tools", "library/tools:latest");
        push(&lab, &registry, images, "systemd", "machines/systemd:1");
        lab.ok(up);
    }
    // The registry has gone by now.
    for round in ["first", "second"] {
        if round == "second" {
            lab.ok(["down", "systems"]);
            lab.ok(up);
        }
        until("FRR", || {
            lab.run(["exec", "r1", "vtysh", "-c", "show running-config"])
                .out
                .contains("router bgp 65001")
        });
        assert_eq!(lab.sh("machine", "cat /proc/1/comm"), "systemd\n");
        until("systemd to have started", || {
            let state = lab.run(["exec", "machine", "systemctl", "is-system-running"]).out;
            ["running\n", "degraded\n"].contains(&state.as_str())
        });
        lab.ok(["exec", "tools", "ping", "-c1", "-W9", "10.0.1.2"]);
    }
    let traces = lab.traces("systems");
    lab.ok(["down", "systems"]);
    lab.swept(&traces);
}

#[test]
fn the_published_lab_ends_in_its_tables_on_images_of_frr() {
    let article = in_package("../shared/article");
    if !article.join("topo.yaml").is_file() {
        eprintln!("skipped: the article is not beside the package");
        return;
    }
    let Some(images) = images() else { return };
    let images = images.to_str().unwrap();
    let lab = Lab::new("").on(crate::common::Host::new());
    for (tag, name) in [("frr", "frrouting/frr:v8.2.2"), ("tools", "nicolaka/netshoot")] {
        lab.ok(["image", "import", &format!("oci:{images}:{tag}"), name]);
    }
    let files = ["topo.yaml", "cluster.yaml", "values.yaml", "bgp-policy.yaml"];
    let files = files.map(|name| article.join(name).to_str().unwrap().to_owned());
    let mut words = vec![
        "up".to_owned(),
        "-d".to_owned(),
        "--images".to_owned(),
        "run".to_owned(),
    ];
    words.extend(files);
    lab.ok(&words);
    for router in ["router0", "tor0", "tor1"] {
        assert!(
            lab.sh(router, "tr '\\0' ' ' < /proc/$(pidof -s watchfrr)/cmdline")
                .contains("/usr/lib/frr/watchfrr")
        );
        lab.sh(
            router,
            "test -e /usr/lib/frr/docker-start && ! test -e /root/.cargo",
        );
    }
    let expected = fs::read_to_string(article.join("expected.json")).unwrap();
    let expected: serde_json::Value = serde_json::from_str(&expected).unwrap();
    for (node, wanted) in expected["after"].as_object().unwrap() {
        if let Some(routes) = wanted.get("routes") {
            until(&format!("the routes of {node}"), || {
                crate::cilium::has_routes(&lab, node, routes)
            });
        }
    }
    lab.ok(["down", "bgp-cplane-demo"]);
}
