//! Names of a cluster's services and pods, as pods ask for them.

use crate::common::{Lab, until};

/// Two nodes that know the way to each other's pods; a pod that asks, and one that answers HTTP.
const LAB: &str = r#"
name = "names"
[kubernetes]
pod_subnet = "10.1.0.0/16"
[defaults]
engine = "builtin"
[nodes.a]
kind = "k8s"
addresses = { eth0 = ["10.0.0.1/24"] }
routes = [{ to = "10.1.1.0/24", via = "10.0.0.2" }]
pods = ["asks", { name = "own", files = { "/etc/resolv.conf" = { content = "nameserver 192.0.2.1\n" } } }]
[nodes.b]
kind = "k8s"
addresses = { eth0 = ["10.0.0.2/24"] }
routes = [{ to = "10.1.0.0/24", via = "10.0.0.1" }]
pods = [{ name = "web", labels = { app = "web" }, run = [
  { name = "web", command = "python3 -m http.server 8080", ready = { tcp = 8080 } },
] }]
[[links]]
endpoints = ["a:eth0", "b:eth0"]
"#;

/// Services of each kind; `web` leads to the pod on the other node.
pub const SERVICES: &str = "
apiVersion: v1
kind: Service
metadata: { name: web }
spec: { selector: { app: web }, ports: [{ name: http, port: 80, targetPort: 8080 }] }
---
apiVersion: v1
kind: Service
metadata: { name: heads, namespace: default }
spec: { clusterIP: None, selector: { app: web }, ports: [{ name: http, port: 8080 }] }
---
apiVersion: v1
kind: Service
metadata: { name: outside }
spec: { type: ExternalName, externalName: b }
---
apiVersion: v1
kind: Service
metadata: { name: inside }
spec: { type: ExternalName, externalName: web.default.svc.cluster.local }
";

/// What asks a server for a name and a type of record, by UDP and by TCP; prints the code, how many records there are in each
/// part, and the answer's length.
const ASK: &str = "
import socket, struct, sys
server, name, kind = sys.argv[1], sys.argv[2], int(sys.argv[3])
m = struct.pack('>6H', 7, 0x100, 1, 0, 0, 0)
m += b''.join(bytes([len(l)]) + l.encode() for l in name.split('.')) + b'\\0' + struct.pack('>2H', kind, 1)
u = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
u.settimeout(5)
u.sendto(m, (server, 53))
by_udp = u.recv(65535)
t = socket.create_connection((server, 53), timeout=5)
t.sendall(struct.pack('>H', len(m)) + m)
by_tcp = b''
while len(by_tcp) < 2 or len(by_tcp) < 2 + struct.unpack('>H', by_tcp[:2])[0]:
    by_tcp += t.recv(65535)
assert by_udp == by_tcp[2:], (by_udp, by_tcp)
h = struct.unpack('>6H', by_udp[:12])
print(h[1] & 15, *h[3:])
";

/// Sends what no resolver sends, and a connection that says nothing.
const NONSENSE: &str = "
import os, random, socket, struct
random.seed(7)
u = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
silent = [socket.create_connection(('10.96.0.10', 53)) for _ in range(80)]
good = struct.pack('>6H', 7, 0x100, 1, 0, 0, 0) + b'\\3web\\7default\\3svc\\7cluster\\5local\\0' + struct.pack('>2H', 1, 1)
for number in range(3000):
    packet = bytearray(good if number % 2 else random.randbytes(random.randrange(600)))
    for _ in range(number % 5):
        if packet: packet[random.randrange(len(packet))] = random.randrange(256)
    u.sendto(bytes(packet), ('10.96.0.10', 53))
t = socket.create_connection(('10.96.0.10', 53))
t.sendall(b'\\xff\\xff' + random.randbytes(65535))
";

/// The addresses that a pod finds by a name.
pub fn addresses(lab: &Lab, pod: &str, name: &str) -> Vec<String> {
    let done = lab.run(["exec", pod, "getent", "ahostsv4", name]);
    let mut all: Vec<String> = done
        .out
        .lines()
        .filter_map(|line| Some(line.split_whitespace().next()?.to_owned()))
        .collect();
    all.sort();
    all.dedup();
    all
}

fn ask(lab: &Lab, pod: &str, name: &str, kind: u16) -> String {
    let kind = kind.to_string();
    lab.ok(["exec", pod, "python3", "-c", ASK, "10.96.0.10", name, &kind])
        .trim()
        .to_owned()
}

#[test]
fn pods_find_services_by_their_names() {
    let lab = Lab::up(LAB);
    lab.feed(["apply", "-f", "-"], SERVICES.as_bytes()).expect(0);
    for (name, address) in [
        ("web", "10.96.0.11"),
        ("web.default", "10.96.0.11"),
        ("web.default.svc", "10.96.0.11"),
        ("web.default.svc.cluster.local", "10.96.0.11"),
        ("web.default.svc.cluster.local.", "10.96.0.11"),
        ("inside", "10.96.0.11"),
        ("heads", "10.1.1.2"),
        ("10-1-1-2.heads", "10.1.1.2"),
        ("10-1-0-2.default.pod.cluster.local", "10.1.0.2"),
        ("kube-dns.kube-system", "10.96.0.10"),
        // The lab's nodes, by /etc/hosts here and by the server for whoever has none.
        ("b", "10.0.0.2"),
        ("outside", "10.0.0.2"),
    ] {
        assert!(
            addresses(&lab, "a/asks", name).contains(&address.to_owned()),
            "{name}"
        );
    }
    // A service leads to another node's pod by its name.
    let got = "import urllib.request as u; print(u.urlopen('http://web/', timeout=5).status)";
    assert_eq!(lab.ok(["exec", "a/asks", "python3", "-c", got]).trim(), "200");
    for (name, kind, told) in [
        ("_http._tcp.heads.default.svc.cluster.local", 33, "0 1 0 1"),
        ("web.default.svc.cluster.local", 28, "0 0 1 0"),
        ("nosuch.default.svc.cluster.local", 1, "3 0 1 0"),
        ("11.0.96.10.in-addr.arpa", 12, "0 1 0 0"),
        ("b", 1, "0 2 0 0"),
        // There is nobody to ask for other names, which is known at once.
        ("example.com", 1, "5 0 0 0"),
        ("example.com", 65, "5 0 0 0"),
    ] {
        assert_eq!(ask(&lab, "a/asks", name, kind), told, "{name}");
        assert_eq!(ask(&lab, "b/web", name, kind), told, "{name}");
    }
    // What is deleted is forgotten, and `delete` returns once it is.
    lab.feed(["delete", "-f", "-"], SERVICES.as_bytes()).expect(0);
    assert_eq!(ask(&lab, "b/web", "web.default.svc.cluster.local", 1), "3 0 1 0");
    lab.ok(["down", "names"]);
    assert!(lab.left().is_empty(), "{:?}", lab.left());
}

#[test]
fn a_server_withstands_nonsense_and_comes_back_with_what_it_knew() {
    let lab = Lab::up(LAB);
    lab.feed(["apply", "-f", "-"], SERVICES.as_bytes()).expect(0);
    let web = || ask(&lab, "b/web", "web.default.svc.cluster.local", 1);
    let number = || {
        lab.ok(["exec", "a", "pgrep", "-f", "nslab cluster-dns"])
            .trim()
            .to_owned()
    };
    let before = number();
    lab.ok(["exec", "a/asks", "python3", "-c", NONSENSE]);
    assert_eq!(ask(&lab, "a/asks", "web.default.svc.cluster.local", 1), "0 1 0 0");
    assert_eq!(number(), before);
    lab.ok(["exec", "b", "pkill", "-9", "-f", "nslab cluster-dns"]);
    let knows = "getent ahostsv4 web.default.svc.cluster.local";
    until("the server is back", || {
        lab.run(["exec", "b/web", "sh", "-c", knows]).code == 0
    });
    lab.ok(["restart", "b"]);
    assert_eq!(web(), "0 1 0 0");
}

#[test]
fn pods_ask_whom_the_lab_file_says() {
    let resolv = |lab: &Lab, pod: &str| lab.sh(pod, "cat /etc/resolv.conf");
    let lab = Lab::up(LAB);
    assert_eq!(
        resolv(&lab, "a/asks"),
        "search default.svc.cluster.local svc.cluster.local cluster.local\nnameserver 10.96.0.10\noptions ndots:5\n"
    );
    assert_eq!(resolv(&lab, "a/own"), "nameserver 192.0.2.1\n");
    assert!(!resolv(&lab, "a").contains("10.96"));
    // Nobody, or somebody else: then a service with that address leads there as others do.
    let none = Lab::up(&LAB.replace("[defaults]", "dns = false\n[defaults]"));
    assert!(!resolv(&none, "a/asks").contains("10.96"));
    assert_eq!(none.run(["exec", "a", "pgrep", "-f", "cluster-dns"]).code, 1);
    let other = "dns = \"external\"\nservice_subnet = \"10.97.0.0/24\"\n[defaults]";
    let other = Lab::up(&LAB.replace("[defaults]", other));
    assert!(resolv(&other, "a/asks").contains("nameserver 10.97.0.10\n"));
    let service = "apiVersion: v1\nkind: Service\nmetadata: { name: kube-dns, namespace: default }\nspec: { clusterIP: 10.97.0.10, \
        selector: { app: web }, ports: [{ port: 53, targetPort: 8080 }] }\n";
    other.feed(["apply", "-f", "-"], service.as_bytes()).expect(0);
    let got = "import urllib.request as u; print(u.urlopen('http://10.97.0.10:53/', timeout=5).status)";
    assert_eq!(other.ok(["exec", "a/asks", "python3", "-c", got]).trim(), "200");
}

#[test]
fn errors_with_dns_are_told() {
    for (value, told) in [
        ("\"coredns\"", "`dns` cannot be `coredns`"),
        ("7", "`dns` must be true, false or"),
        ("true\nservice_subnet = \"10.96.0.0/29\"", "no tenth address"),
    ] {
        let lab = Lab::new(&LAB.replace("[defaults]", &format!("dns = {value}\n[defaults]")));
        let done = lab.run(["validate", lab.file()]);
        assert_eq!(done.code, 2, "{value}: {}{}", done.out, done.err);
        assert!(done.err.contains(told), "{told} in\n{}", done.err);
    }
}
