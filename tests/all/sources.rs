//! What a lab takes from the host is found wherever it is mounted: a lab file on a USB stick is below /run/media, one on a RAM disk
//! below /tmp, and nodes have a /run and a /tmp of their own.

use crate::common;
use crate::common::host;

use common::Lab;
use host::do_aside;

const LAB: &str = r#"
name = "from"
[nodes.a]
kind = "host"
files = { "/opt/x.txt" = { from = "x.txt" }, "/opt/site" = { from = "site/" } }
binds = ["data:/data", "data/inner/z.txt:/opt/z.txt:ro"]
exec = ["cat /opt/x.txt /opt/site/y.txt /data/inner/z.txt /data/deep/w.txt /opt/z.txt"]
[nodes.r]
kind = "router"
engine = "builtin"
config = { file = "r.conf" }
"#;

/// A file system of its own on `place`, with all of the lab on it, and another mounted below `data`.
fn stick(place: &str) -> String {
    format!(
        r#"set -e
        mkdir -p {place}; mount -t tmpfs stick {place}; cd {place}
        mkdir -p site data/inner data/deep; mount -t tmpfs deep data/deep
        echo x > x.txt; echo y > site/y.txt; echo z > data/inner/z.txt; echo w > data/deep/w.txt
        echo 'router bgp 65000' > r.conf
        cp $FILE lab.toml
        "#
    )
}

const USE: &str = r#"
        $NSLAB exec a cat /opt/x.txt /opt/site/y.txt /data/inner/z.txt /data/deep/w.txt /opt/z.txt
        $NSLAB restart a >&2
        $NSLAB exec a cat /opt/x.txt
        $NSLAB exec r vtysh -c 'show running-config' | grep 'router bgp'
        $NSLAB exec a sh -c 'ls /run /tmp' | grep -c -e media -e stick || true
        $NSLAB down >&2
"#;

#[test]
fn a_lab_is_found_below_mounts_that_its_nodes_do_not_see() {
    for place in [
        "/run/media/user/STICK",
        "/tmp/stick",
        "/dev/shm/stick",
        "/mnt/stick",
    ] {
        let lab = Lab::new(LAB);
        let lines = stick(place) + "$NSLAB up -d --engine builtin lab.toml >&2" + USE;
        let said = do_aside(&lab, &lines).expect(0);
        assert_eq!(said.trim(), "x\ny\nz\nw\nz\nx\nrouter bgp 65000\n0", "{place}");
    }
}

#[test]
fn a_lab_is_found_by_links_to_such_mounts() {
    let lab = Lab::new(LAB);
    let links = "mkdir -p /run/other; mount -t tmpfs other /run/other
        ln -s /run/media/user/STICK /run/other/stick; ln -s /run/other/stick $TEST/here; cd $TEST/here
        $NSLAB up -d --engine builtin $TEST/here/lab.toml >&2";
    let lines = stick("/run/media/user/STICK") + links + USE;
    let said = do_aside(&lab, &lines).expect(0);
    assert_eq!(said.trim(), "x\ny\nz\nw\nz\nx\nrouter bgp 65000\n0");
}

/// The same by a topology of containerlab's: binds and a `startup-config`.
#[test]
fn an_imported_topology_is_found_below_such_mounts() {
    let lab = Lab::new("");
    let lines = r#"set -e
        mkdir -p /run/media/u/S; mount -t tmpfs stick /run/media/u/S; cd /run/media/u/S
        mkdir conf; echo bound > conf/b.txt
        cat > t.clab.yml <<'EOF'
name: clab
topology:
  nodes:
    a:
      kind: linux
      image: alpine
      binds: [ "conf/b.txt:/opt/b.txt", "conf:/opt/conf:ro" ]
EOF
        $NSLAB up -d t.clab.yml >&2
        $NSLAB exec a cat /opt/b.txt /opt/conf/b.txt
        $NSLAB down --all >&2
    "#;
    assert_eq!(do_aside(&lab, lines).expect(0).trim(), "bound\nbound");
}
