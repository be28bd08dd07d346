//! Scenarios: what happens to a living lab, what must be true meanwhile, and that all is taken back.

use crate::common;

use std::fs;

use common::{Lab, until};
use nix::sys::signal::Signal;
use serde_json::Value;

/// Two ways from a host to another, over routers that speak BGP; each router has a link to both hosts' routers.
const SQUARE: &str = r#"
name = "square"
[defaults]
engine = "builtin"
[nodes.a]
kind = "router"
addresses = { lo = ["10.0.0.1/32"] }
config = """
router bgp 65001
 no bgp ebgp-requires-policy
 bgp bestpath as-path multipath-relax
 neighbor up0 interface remote-as external
 neighbor up1 interface remote-as external
 address-family ipv4 unicast
  redistribute connected
 exit-address-family
"""
[nodes.b]
kind = "router"
addresses = { lo = ["10.0.0.2/32"] }
config = """
router bgp 65002
 no bgp ebgp-requires-policy
 bgp bestpath as-path multipath-relax
 neighbor up0 interface remote-as external
 neighbor up1 interface remote-as external
 address-family ipv4 unicast
  redistribute connected
 exit-address-family
"""
[nodes.x]
kind = "router"
addresses = { lo = ["10.0.1.1/32"] }
config = """
router bgp 65011
 no bgp ebgp-requires-policy
 neighbor a interface remote-as external
 neighbor b interface remote-as external
"""
[nodes.y]
kind = "router"
addresses = { lo = ["10.0.1.2/32"] }
config = """
router bgp 65012
 no bgp ebgp-requires-policy
 neighbor a interface remote-as external
 neighbor b interface remote-as external
"""
[[links]]
endpoints = ["a:up0", "x:a"]
[[links]]
endpoints = ["a:up1", "y:a"]
[[links]]
endpoints = ["b:up0", "x:b"]
[[links]]
endpoints = ["b:up1", "y:b"]
[[checks]]
name = "a reaches b"
node = "a"
ping = { to = "10.0.0.2", from = "10.0.0.1" }
within = "20s"
[[flows]]
name = "a-b"
from = "a"
to = "b"
pps = 200
"#;

/// Two hosts and a link: nothing but what steps do happens here.
const PAIR: &str = r#"
name = "pair"
[defaults]
kind = "host"
[nodes.a]
addresses = { eth1 = ["10.0.0.1/24"] }
run = [{ name = "sleeper", command = "sleep 1000" }]
[nodes.b]
addresses = { eth1 = ["10.0.0.2/24"] }
[[links]]
endpoints = ["a:eth1", "b:eth1"]
[[checks]]
name = "a reaches b"
node = "a"
ping = "10.0.0.2"
within = "10s"
[[flows]]
name = "a-b"
from = "a"
to = "b"
pps = 200
"#;

fn with(lab: &str, scenarios: &str) -> Lab {
    Lab::up(&format!("{lab}{scenarios}"))
}

/// One scenario of a name, with these lines.
fn scenario(name: &str, lines: &str) -> String {
    format!("[[scenarios]]\nname = \"{name}\"\n{lines}\n")
}

/// Plays scenarios and returns what came of them; the exit code tells whether they passed.
fn play(lab: &Lab, name: &str, code: i32) -> Value {
    let text = lab
        .run(["scenario", "run", name, "--format", "json"])
        .expect(code);
    let mut played: Value = serde_json::from_str(&text).unwrap();
    let passed = code == 0;
    assert_eq!(played["passed"], passed, "{text}");
    played["scenarios"][0].take()
}

fn faults(played: &Value) -> String {
    let faults = played["faults"].as_array().unwrap();
    let faults: Vec<&str> = faults.iter().map(|fault| fault.as_str().unwrap()).collect();
    faults.join("\n")
}

fn flow(played: &Value) -> &Value {
    &played["observed"]["flows"][0]
}

#[test]
fn a_link_is_cut_and_the_network_heals() {
    let lab = with(
        SQUARE,
        &(scenario(
            "cut",
            r#"flows = "*"
steps = [{ link_down = "x:a" }, { wait = "quiet", quiet = "300ms" }, { link_up = "x:a" }, { wait = "quiet", quiet = "300ms" }]
expect = { outage = "20s", healed_within = "30s", routes_as_before = true, checks = "*" }"#,
        ) + &scenario(
            "too strict",
            r#"flows = "a-b"
steps = [{ silence = ["x:a", "y:a"] }, { wait = "500ms" }, { clear = ["x:a", "y:a"] }, { wait = "a reaches b" }]
expect = { outage = { below = "1ms", flows = "a-b" }, lost = 0 }"#,
        )),
    );
    let played = play(&lab, "cut", 0);
    let changes = played["observed"]["changes"].as_array().unwrap();
    let began = |at: usize| played["observed"]["steps"][at]["began_ns"].as_u64().unwrap();
    // The way to b is another one after each of the two steps that change something.
    for step in [0, 2] {
        let is_its_doing = |change: &Value| {
            let at = change["at_ns"].as_u64().unwrap();
            change["node"] == "a"
                && change["of_routes"] == true
                && at >= began(step)
                && at < began(step + 1) + 20_000_000_000
        };
        assert!(changes.iter().any(is_its_doing), "{step}: {changes:#?}");
    }
    assert!(flow(&played)["received"].as_u64() > Some(50), "{played:#?}");
    let played = play(&lab, "too strict", 1);
    let told = faults(&played);
    assert!(told.starts_with("flow a→b lost "), "{told}");
    assert!(flow(&played)["lost"].as_u64() > Some(20), "{played:#?}");
    // All is as before: the links are as planned, and the neighbors are there again.
    let links = lab.json(["link", "show", "--format", "json"]);
    assert!(
        links
            .as_array()
            .unwrap()
            .iter()
            .all(|link| link["as_planned"] == true),
        "{links:#?}"
    );
    // As a person sees it.
    let text = lab.run(["scenario", "run", "cut"]).expect(0);
    for words in [
        "ok    scenario cut",
        "link x:a down",
        "link x:a up",
        "healed after",
        "flow a→b lost",
    ] {
        assert!(text.contains(words), "{words}: {text}");
    }
    let list = lab.ok(["scenario", "list"]);
    assert!(list.contains("too strict"), "{list}");
}

#[test]
fn each_step_does_what_it_says() {
    let lab = with(
        PAIR,
        &[
            scenario("down", "flows = \"*\"\nsteps = [{ link_down = \"a:eth1\" }, { exec = \"b\", shell = \"ip -o link show dev eth1 | grep -q NO-CARRIER\" }, { wait = \"1s\" }]"),
            scenario("silence", "flows = \"*\"\nsteps = [{ silence = \"a:eth1\" }, { exec = [\"a\", \"b\"], shell = \"! ip -o link show dev eth1 | grep -q NO-CARRIER\" }, { wait = \"1s\" }]"),
            scenario("flap", "steps = [{ flap = \"b:eth1\", count = 3, down = \"20ms\", up = \"20ms\" }]"),
            scenario("impair", "flows = \"*\"\nsteps = [{ impair = \"a:eth1\", direction = \"out\", loss = \"100%\", only = \"udp\" }, { wait = \"1s\" }, { wait = \"a reaches b\" }]"),
            scenario("kill", "steps = [{ kill = \"a\", process = \"sleep\", signal = \"TERM\" }]"),
            scenario("nobody", "steps = [{ kill = \"a\", process = \"nobody\" }]"),
            scenario("init", "steps = [{ kill = \"a\" }]"),
            scenario("restart", "steps = [{ restart = \"a\" }]"),
            scenario("frozen", "steps = [{ stop = \"a\" }, { exec = \"b\", run = \"true\" }]"),
            scenario("thawed", "steps = [{ stop = \"a\" }, { continue = \"a\" }]"),
            scenario("exec", "steps = [{ exec = \"a\", shell = \"echo no >&2; exit 3\" }, { restart = \"a\" }]"),
            scenario("may", "steps = [{ exec = \"a\", shell = \"exit 3\", may_fail = true }]"),
            scenario("wait", "steps = [{ silence = \"a:eth1\" }, { wait = \"a reaches b\", within = \"300ms\" }]"),
            scenario("unquiet", "steps = [{ exec = \"a\", shell = \"while :; do ip link set lo down; ip link set lo up; sleep 0.05; done & echo $! >/tmp/pid\" }, { wait = \"quiet\", within = \"1s\" }]"),
        ]
        .concat(),
    );
    let played = play(&lab, "down", 0);
    assert!(flow(&played)["lost"].as_u64() > Some(10), "{played:#?}");
    let played = play(&lab, "silence", 0);
    assert!(flow(&played)["lost"].as_u64() > Some(20), "{played:#?}");
    let played = play(&lab, "flap", 0);
    let step = &played["observed"]["steps"][0];
    let took = step["done_ns"].as_u64().unwrap() - step["began_ns"].as_u64().unwrap();
    assert!(took >= 100_000_000, "{step:#?}");
    let events = lab.ok(["events", "--format", "json"]);
    assert!(events.matches("\"no-carrier\"").count() >= 2, "{events}");
    // Pings pass where only UDP is lost.
    let played = play(&lab, "impair", 0);
    assert!(flow(&played)["lost"].as_u64() > Some(20), "{played:#?}");

    let before = lab.program("a");
    play(&lab, "kill", 0);
    until("the process is another", || lab.program("a") != before);
    let told = faults(&play(&lab, "nobody", 1));
    assert!(told.contains("no process of a is called \"nobody\""), "{told}");
    play(&lab, "init", 0);
    let events = || lab.ok(["events", "--format", "json"]);
    until("the node died", || events().contains("\"node-died\""));
    until("it is there again", || lab.run(["exec", "a", "true"]).code == 0);
    play(&lab, "restart", 0);
    assert!(events().contains("\"node-restarting\""));

    let state = |lab: &Lab| {
        let text = fs::read_to_string(format!("/proc/{}/stat", lab.program("a"))).unwrap();
        text.rsplit(") ").next().unwrap().chars().next().unwrap()
    };
    // What steps froze goes on when the scenario is over.
    play(&lab, "frozen", 0);
    assert!(events().contains("\"signal\":19"), "{}", events());
    until("it goes on", || state(&lab) != 'T');
    play(&lab, "thawed", 0);
    assert_ne!(state(&lab), 'T');

    let played = play(&lab, "exec", 1);
    let told = faults(&played);
    assert!(told.contains("it ended with status 3 in a: no"), "{told}");
    assert_eq!(
        played["observed"]["steps"].as_array().unwrap().len(),
        1,
        "nothing comes after a step that failed"
    );
    play(&lab, "may", 0);
    let told = faults(&play(&lab, "wait", 1));
    assert!(told.contains("a reaches b"), "{told}");
    lab.sh("a", "ping -c1 -w5 10.0.0.2");
    let told = faults(&play(&lab, "unquiet", 1));
    assert!(told.contains("something still changed"), "{told}");
    lab.sh("a", "kill $(cat /tmp/pid)");
}

#[test]
fn objects_come_and_go_with_a_scenario() {
    let lab = Lab::new(
        r#"
name = "cluster"
[defaults]
engine = "builtin"
[nodes.k]
kind = "k8s"
[[scenarios]]
name = "apply"
steps = [{ apply = "service.yaml" }]
[[scenarios]]
name = "delete"
steps = [{ delete = "service.yaml" }]
"#,
    );
    let service = "apiVersion: v1\nkind: Service\nmetadata:\n  name: web\nspec:\n  selector: { app: web }\n  ports: [{ port: 80 }]\n";
    fs::write(lab.path("service.yaml"), service).unwrap();
    let lab = {
        lab.ok(["up", "-d", lab.file()]);
        lab
    };
    play(&lab, "apply", 0);
    assert!(lab.ok(["get", "services"]).contains("web"));
    play(&lab, "delete", 0);
    assert!(!lab.ok(["get", "services"]).contains("web"));
}

#[test]
fn a_lab_is_tested_with_its_scenarios() {
    let text = format!(
        "{PAIR}{}{}{}",
        scenario(
            "harmless",
            "flows = \"*\"\nsteps = [{ wait = \"100ms\" }]\nexpect = { lost = 0, routes_as_before = true }"
        ),
        scenario(
            "leaves a route",
            "steps = [{ exec = \"a\", run = \"ip route add 192.0.2.0/24 dev eth1\" }]\nexpect = { routes_as_before = true }"
        ),
        scenario(
            "clean again",
            "steps = [{ exec = \"a\", shell = \"! ip route show 192.0.2.0/24 | grep .\" }]"
        ),
    );
    let lab = Lab::new(&text);
    let report = lab.path("report.xml");
    let pages = lab.path("pages");
    let said = lab
        .run([
            "test",
            lab.file(),
            "--junit",
            report.to_str().unwrap(),
            "--report",
            pages.to_str().unwrap(),
        ])
        .expect(1);
    for words in [
        "ok    scenario harmless",
        "FAIL  scenario leaves a route",
        "a has a new route to 192.0.2.0/24",
        "ok    scenario clean again",
        "1 check and 2 scenarios passed, 1 failed",
    ] {
        assert!(said.contains(words), "{words}: {said}");
    }
    let xml = fs::read_to_string(report).unwrap();
    assert_eq!(xml.matches("<testcase").count(), 5, "{xml}");
    assert_eq!(xml.matches("<failure").count(), 1, "{xml}");
    let page = fs::read_to_string(pages.join("pair.html")).unwrap();
    assert!(page.contains("leaves a route") && page.contains("<svg"), "{page}");
    assert!(!page.contains("<script") && !page.contains("http:"), "{page}");
    // Nothing is left.
    let left: Vec<_> = fs::read_dir(lab.run_directory())
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| entry.path())
        .collect();
    assert!(left.iter().all(|path| path.ends_with(".lock")), "{left:?}");
}

#[test]
fn a_scenario_that_is_killed_leaves_a_lab_that_lives() {
    let lab = with(
        PAIR,
        &scenario(
            "long",
            "flows = \"*\"\nsteps = [{ link_down = \"a:eth1\" }, { wait = \"60s\" }]",
        ),
    );
    let down = || lab.sh("b", "ip -o link show dev eth1").contains("NO-CARRIER");
    let mut running = lab.start(["scenario", "run"]);
    until("the link is down", down);
    // A person's wish to end takes back what was done.
    running.signal(Signal::SIGINT);
    let done = running.wait();
    assert_eq!(done.code, 1, "{}", done.err);
    until("the link is up", || !down());
    let running = lab.start(["scenario", "run"]);
    until("the link is down", down);
    running.signal(Signal::SIGKILL);
    drop(running);
    lab.ok(["link", "reset", "--all"]);
    until("the link is up", || !down());
    until("the lab works", || {
        lab.run(["exec", "a", "ping", "-c1", "-w1", "10.0.0.2"]).code == 0
    });
}

#[test]
fn what_is_no_scenario_is_told() {
    let lab = with(PAIR, "");
    lab.run(["scenario", "run"])
        .refused(2, &["has no scenarios", "[[scenarios]]"]);
    let lab = with(PAIR, &scenario("one", "steps = [{ wait = \"10ms\" }]"));
    lab.run(["scenario", "run", "two"])
        .refused(2, &["no scenario has \"two\"", "\"one\""]);
}

/// Whatever ends a scenario, what its steps did is taken back.
#[test]
fn a_scenario_that_cannot_be_ended_leaves_nothing_broken() {
    let text = scenario(
        "long",
        "flows = \"*\"\nsteps = [{ silence = \"a:eth1\" }, { stop = \"b\" }, { wait = \"10s\" }]",
    );
    let lab = with(PAIR, &text);
    let mut played = lab.start(["scenario", "run", "long"]);
    let link = || lab.json(["link", "show", "a:eth1", "--format", "json"])[0]["asked"]["silent"].clone();
    until("the first step", || link() == true);
    // Without the process that runs flows nobody can say what became of them.
    let children =
        fs::read_to_string(format!("/proc/{0}/task/{0}/children", lab.supervisor("pair"))).unwrap();
    let flows = children.split_whitespace().find(|pid| {
        let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        line.starts_with(b"nslab: flows")
    });
    let flows = nix::unistd::Pid::from_raw(flows.unwrap().parse().unwrap());
    nix::sys::signal::kill(flows, Signal::SIGKILL).unwrap();
    let done = played.wait();
    assert_ne!(done.code, 0, "{}{}", done.out, done.err);
    assert_eq!(link(), false);
    until("b answers again", || lab.run(["exec", "b", "true"]).code == 0);
    let state = lab.ok(["ps", "--format", "json"]);
    assert!(!state.contains("stopped"), "{state}");
}
