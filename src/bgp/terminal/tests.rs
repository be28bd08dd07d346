//! Sessions on speakers of the published lab.

use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::speaker::simulator::{Network, published};
use crate::table::SourceId;
use crate::wire::Family;

/// A session on a node of a network, as the speaker's process has it: what it brings about happens at once.
struct Session {
    network: Network,
    terminal: Terminal,
    node: usize,
    /// What happened beside changes of the configuration.
    events: Vec<Event>,
    writes: usize,
    /// What comes of the next.
    saved: Saved,
}

impl Session {
    /// On the published lab's rack router, all its sessions up.
    fn new() -> Session {
        let mut network = published();
        network.start();
        network.run(3);
        Session {
            network,
            terminal: Terminal::default(),
            node: 1,
            events: Vec::new(),
            writes: 0,
            saved: Saved::default(),
        }
    }

    fn ask(&mut self, request: &Request) -> Answer {
        self.line(request.encode().trim_end())
    }

    fn line(&mut self, line: &str) -> Answer {
        let view = View {
            outer: None,
            speaker: &self.network.nodes[self.node].speaker,
            now: self.network.now,
            unix: Duration::from_secs(1_795_573_800),
        };
        let reply = self.terminal.line(&view, line);
        let mut answer = Answer::decode(&reply.answer.encode()).unwrap();
        if reply.writes {
            self.writes += 1;
            answer.is_saved(std::mem::take(&mut self.saved));
        }
        for event in reply.events {
            match event {
                Event::Configure(_) => self.network.handle_event(self.node, event),
                event => self.events.push(event),
            }
        }
        answer
    }

    fn run(&mut self, line: &str) -> Answer {
        self.ask(&Request::Run(line.to_owned()))
    }

    /// What lines print.
    fn printed(&mut self, lines: &[&str]) -> String {
        lines.iter().map(|line| self.run(line).output).collect()
    }

    /// Where a session stands after lines.
    fn prompt(&mut self, lines: &[&str]) -> String {
        let answers = lines.iter().map(|line| self.run(line));
        answers.last().map(|answer| answer.prompt).unwrap_or_default()
    }

    fn texts(&mut self, request: &Request) -> Vec<String> {
        let candidates = self.ask(request).candidates;
        candidates.into_iter().map(|candidate| candidate.text).collect()
    }

    fn completed(&mut self, line: &str) -> Vec<String> {
        self.texts(&Request::Complete(line.to_owned()))
    }

    fn id(&self, name: &str) -> SourceId {
        let mut peers = self.network.nodes[self.node].speaker.peers();
        peers.find(|peer| peer.name.to_string() == name).unwrap().id
    }
}

#[test]
fn modes_are_entered_and_left_as_in_frr() {
    let mut session = Session::new();
    assert_eq!(session.ask(&Request::Hello).prompt, "tor0# ");
    assert_eq!(session.prompt(&["disable"]), "tor0> ");
    assert_eq!(session.run("conf t").output, "% Unknown command: conf t\n");
    assert_eq!(session.prompt(&["en"]), "tor0# ");
    assert_eq!(session.prompt(&["conf t"]), "tor0(config)# ");
    assert_eq!(session.prompt(&["router bgp 65010"]), "tor0(config-router)# ");
    assert_eq!(
        session.prompt(&["address-family ipv4 unicast"]),
        "tor0(config-router-af)# "
    );
    assert_eq!(session.prompt(&["exit-address-family"]), "tor0(config-router)# ");
    assert_eq!(
        session.prompt(&["exit", "route-map X permit 10"]),
        "tor0(config-route-map)# "
    );
    assert_eq!(session.prompt(&["interface net0"]), "tor0(config-if)# ");
    assert_eq!(session.prompt(&["exi"]), "tor0(config)# ");
    assert_eq!(session.prompt(&["qu"]), "tor0# ");
    assert_eq!(session.prompt(&["conf", "router bgp", "en"]), "tor0# ");
    assert_eq!(session.prompt(&["end", "! nothing", "", "  "]), "tor0# ");
    assert!(session.run("quit").ends);
    assert!(!session.run("end").ends);
}

#[test]
fn errors_are_told_in_frrs_words() {
    let mut session = Session::new();
    for (line, output, status) in [
        ("sho foo", "% Unknown command: sho foo\n", Status::NoMatch),
        ("show ip", "% Command incomplete: show ip\n", Status::Incomplete),
        ("s", "% Command incomplete: s\n", Status::Incomplete),
        (
            "show bgp 10.0.0.0/33",
            "% Unknown command: show bgp 10.0.0.0/33\n",
            Status::NoMatch,
        ),
        ("c", "", Status::Success),
        (
            "router bgp 7",
            "BGP is already running; AS is 65010\n",
            Status::Failed,
        ),
        ("router", "% Command incomplete: router\n", Status::Incomplete),
        ("write", "% Unknown command: write\n", Status::NoMatch),
    ] {
        let answer = session.run(line);
        assert_eq!(
            (answer.output.as_str(), answer.status),
            (output, status),
            "{line}"
        );
    }
    let answer = session.run("router ospf");
    assert!(
        answer
            .output
            .starts_with("% `router ospf` needs the frr engine: "),
        "{}",
        answer.output
    );
    let fault = session.run("  router bg 1 x").fault.unwrap();
    assert_eq!((fault.column, fault.width), (14, 1));
}

#[test]
fn a_line_changes_the_running_configuration() {
    let mut session = Session::new();
    session.printed(&[
        "conf t",
        "router bgp 65010",
        "neighbor 10.0.1.2 description a server",
    ]);
    let shown = session.run("do show running-config | include description").output;
    assert_eq!(shown, " neighbor 10.0.1.2 description a server\n");
    assert_eq!(session.prompt(&["hostname rack"]), "rack(config)# ");
    let page = session.printed(&["end", "show running-config"]);
    assert!(page.starts_with(
        "Building configuration...\n\nCurrent configuration:\n!\nfrr version 8.4.4\nfrr defaults datacenter\n\
         hostname rack\nservice integrated-vtysh-config\n!\n"
    ));
    assert!(page.ends_with("!\nend\n"));
    assert_eq!(session.run("write terminal").output, page);
    let bare = session.run("show running-config no-header").output;
    assert!(page.ends_with(&bare) && bare.starts_with("frr version"));
    let zebra = session.run("show running-config zebra").output;
    assert!(!zebra.contains("router bgp"));
    assert!(
        session
            .run("show running-config bgpd")
            .output
            .contains("router bgp 65010")
    );
}

#[test]
fn what_is_said_again_changes_nothing() {
    let mut session = Session::new();
    session.printed(&["conf t", "router bgp 65010"]);
    let view = View {
        outer: None,
        speaker: &session.network.nodes[1].speaker,
        now: session.network.now,
        unix: Duration::ZERO,
    };
    let line = Request::Run("bgp router-id 10.0.0.1".to_owned()).encode();
    assert!(session.terminal.line(&view, line.trim_end()).events.is_empty());
}

#[test]
fn writing_is_left_to_the_process() {
    let mut session = Session::new();
    let note = "Note: this version of vtysh never writes vtysh.conf\n";
    let done = "Building Configuration...\nIntegrated configuration saved to /etc/frr/frr.conf\n[OK]\n";
    for line in ["write", "wr me", "write file", "copy run start"] {
        assert_eq!(session.run(line).output, format!("{note}{done}"), "{line}");
    }
    assert_eq!(session.run("write integrated").output, done);
    assert_eq!(session.writes, 5);
    // What could not be done is said, and is no success.
    session.saved = Saved {
        kept: Err("Device or resource busy".to_owned()),
        written: Err("Read-only file system".to_owned()),
    };
    let answer = session.run("write integrated");
    assert_eq!(answer.status, Status::Failed);
    let said = "Building Configuration...\nError renaming /etc/frr/frr.conf to /etc/frr/frr.conf.sav: Device or resource \
                busy\n% Error: failed to open configuration file /etc/frr/frr.conf: Read-only file system\n% Configuration \
                write failed.\n";
    assert_eq!(answer.output, said);
}

#[test]
fn sessions_are_cleared_hard_and_softly() {
    let mut session = Session::new();
    let [spine, server] = [session.id("net0"), session.id("10.0.1.2")];
    let all: Vec<SourceId> = session.network.nodes[1]
        .speaker
        .peers()
        .map(|peer| peer.id)
        .collect();
    let mut cleared = |line: &str| {
        let answer = session.run(line);
        assert_eq!(
            (answer.output.as_str(), answer.status),
            ("", Status::Success),
            "{line}"
        );
        std::mem::take(&mut session.events)
    };
    let every: Vec<Event> = all.iter().map(|id| Event::Reset(*id)).collect();
    assert_eq!(cleared("clear bgp *"), every);
    assert_eq!(cleared("clear ip bgp net0"), [Event::Reset(spine)]);
    assert_eq!(cleared("clear bgp 10.0.1.2"), [Event::Reset(server)]);
    assert_eq!(cleared("clear bgp 65000"), [Event::Reset(spine)]);
    assert_eq!(cleared("clear bgp external"), [Event::Reset(spine)]);
    assert_eq!(
        cleared("clear bgp peer-group ROUTERS in"),
        [Event::SoftIn(spine, None)]
    );
    assert_eq!(
        cleared("clear bgp ipv4 unicast net0 soft"),
        [Family::Ipv4Unicast]
            .map(Some)
            .map(|family| [Event::SoftIn(spine, family), Event::SoftOut(spine, family)])
            .concat()
    );
    assert_eq!(cleared("clear bgp net0 soft out"), [Event::SoftOut(spine, None)]);
    // Nobody exchanges IPv6 here.
    assert_eq!(cleared("clear bgp ipv6 * soft in"), []);
}

#[test]
fn a_neighbor_that_is_not_there_is_told_and_no_failure() {
    let mut session = Session::new();
    for (line, output) in [
        ("clear bgp 9.9.9.9", "% BGP: Unknown neighbor - \"9.9.9.9\"\n"),
        ("clear bgp foo", "Malformed address or name: foo\n"),
        ("clear bgp in", "Malformed address or name: in\n"),
        ("clear bgp peer-group foo", "% BGP: No such peer-group foo\n"),
        (
            "clear bgp 65009",
            "% BGP: No Unknown peer is configured with AS 65009\n",
        ),
        (
            "clear bgp ipv4 unicast 65009",
            "% BGP: No IPv4 Unicast peer is configured with AS 65009\n",
        ),
        ("clear bgp vrf foo *", "Can't find BGP instance foo\n"),
    ] {
        let answer = session.run(line);
        assert_eq!(
            (answer.output.as_str(), answer.status),
            (output, Status::Success),
            "{line}"
        );
    }
    assert!(session.events.is_empty());
}

#[test]
fn a_file_is_loaded_and_complaints_name_its_lines() {
    let mut session = Session::new();
    let lines = [
        "foo",
        "route-map Q permit 5",
        " foo",
        " match community",
        "exit",
        "router bgp 65010",
        " address-family ipv4 unicast",
    ];
    let lines = lines.map(str::to_owned).to_vec();
    let answer = session.ask(&Request::Load(lines));
    let told: Vec<_> = answer
        .complaints
        .iter()
        .map(|it| (it.line, it.message.as_str()))
        .collect();
    assert_eq!(
        told,
        [
            (0, "% Unknown command[4]: foo\n"),
            (2, "% Unknown command[59]:  foo\n"),
            (3, "% Command incomplete[59]:  match community\n\n")
        ]
    );
    // The next lines follow those, and lines that only FRR has are told once.
    let lines = [
        "  foo",
        "router ospf",
        " network 10.0.0.0/8 area 0",
        "hostname loaded",
    ];
    let answer = session.ask(&Request::Load(lines.map(str::to_owned).to_vec()));
    let told: Vec<_> = answer.complaints.iter().map(|it| (it.line, it.status)).collect();
    assert_eq!(told, [(0, Status::NoMatch), (1, Status::Failed)]);
    assert!(
        answer.complaints[0]
            .message
            .starts_with("% Unknown command[28]:   foo")
    );
    assert_eq!(answer.prompt, "loaded# ");
    assert!(
        session.network.nodes[1]
            .speaker
            .config()
            .route_maps
            .get("Q")
            .is_some()
    );
}

#[test]
fn words_are_completed_where_the_session_stands() {
    let mut session = Session::new();
    assert_eq!(session.completed("conf"), ["configure"]);
    assert_eq!(session.completed("show bgp su"), ["summary"]);
    assert_eq!(session.completed("clear bgp n"), ["net0"]);
    assert_eq!(session.completed("show running-config z"), ["zebra"]);
    session.run("conf t");
    assert_eq!(session.completed("do conf"), ["configure"]);
    assert_eq!(session.completed("router bg"), ["bgp"]);
    assert_eq!(session.completed("interface "), ["lo", "net0", "net1", "net2"]);
    session.run("router bgp 65010");
    assert_eq!(session.completed("exi"), ["exit"]);
    assert_eq!(session.completed("neighbor 10.0."), ["10.0.1.2", "10.0.2.2"]);
    assert_eq!(session.completed("neighbor RO"), ["ROUTERS"]);
    session.run("address-family ipv4 unicast");
    assert_eq!(session.completed("exi"), ["exit", "exit-address-family"]);
}

#[test]
fn a_question_is_answered_in_frrs_layout() {
    let mut session = Session::new();
    let candidates = session.ask(&Request::Help("clear ".to_owned())).candidates;
    assert_eq!(
        layout(&candidates),
        "  bgp        BGP information\n  evpn       EVPN\n  ip         IP information\n  ipv6       IPv6 information\n  \
         log        Logging information\n  route-map  route-map information\n  thread     Thread information\n  \
         vrf        BGP VRF\n"
    );
    let candidates = session
        .ask(&Request::Help("show bgp summary failed json ".to_owned()))
        .candidates;
    assert_eq!(layout(&candidates), "  <cr>\n");
    let candidates = session.ask(&Request::Help("xyz ".to_owned())).candidates;
    assert_eq!(layout(&candidates), "% There is no matched command.\n");
    session.printed(&["conf t", "router bgp 65010"]);
    let candidates = session.ask(&Request::Help("neighbor n".to_owned())).candidates;
    assert!(
        layout(&candidates).contains("\n     net0\n"),
        "{}",
        layout(&candidates)
    );
    assert!(session.run("list").output.contains("\n    exit\n"));
    // `?` that comes with the line, as from a script.
    assert!(session.run("do show ip ?").output.contains("  forwarding  "));
}

#[test]
fn programs_are_run_by_vtysh_itself() {
    let mut session = Session::new();
    let client_action = |program: &str, words: &[&str]| {
        let words = words.iter().map(|word| (*word).to_owned());
        Some(ClientAction::Run(program.to_owned(), words.collect()))
    };
    assert_eq!(
        session.run("ping 10.0.0.1").client_action,
        client_action("ping", &["10.0.0.1"])
    );
    assert_eq!(
        session.run("traceroute ipv6 ::1").client_action,
        client_action("traceroute", &["-6", "::1"])
    );
    assert_eq!(session.run("ping -f").client_action, None);
    assert_eq!(
        session.run("show history").client_action,
        Some(ClientAction::History)
    );
}

#[test]
fn debugging_is_kept_and_shown() {
    let mut session = Session::new();
    assert_eq!(
        session.run("debug bgp updates in").output,
        "BGP updates debugging is on (inbound)\n"
    );
    assert_eq!(
        session.run("show debugging").output,
        "Zebra debugging status:\n\nBGP debugging status:\n  BGP updates debugging is on (inbound)\n\n\n\
         Staticd debugging status\n\n"
    );
    assert_eq!(
        session.run("no debug bgp updates").output,
        "BGP updates debugging is off\n"
    );
    assert!(!session.run("show debugging").output.contains("updates"));
}

#[test]
fn what_is_no_request_is_refused() {
    let mut session = Session::new();
    for line in [
        "",
        "show bgp",
        "{}",
        "{\"run\":1}",
        "{\"load\":\"x\"}",
        "[[[[",
        "null",
        "\"halt\"",
    ] {
        let answer = session.line(line);
        assert_eq!(answer.status, Status::Failed, "{line}");
        assert_eq!(answer.prompt, "tor0# ");
    }
    let long = "x ".repeat(LONGEST);
    assert_eq!(session.run(&long).output, TOO_LONG);
    assert_eq!(
        session.ask(&Request::Load(vec![long])).complaints[0].message,
        TOO_LONG
    );
    assert!(session.ask(&Request::Load(Vec::new())).complaints.is_empty());
}

/// However a line is made, it is read in no time: the router waits for it.
#[test]
fn long_lines_are_read_at_once() {
    let mut session = Session::new();
    session.printed(&["conf t", "route-map X permit 10", "set community 1:1"]);
    for (begin, again) in [
        ("set community ", "1:1 "),
        ("set as-path prepend ", "1 "),
        ("router bgp 65010 redistribute connected ", "metric 1 "),
        ("do show bgp community ", "1:1 "),
        ("do show ip route ", "10.0.0.0/8 "),
        ("do ", "show "),
        ("", "s "),
        ("neighbor ", "x "),
        ("no ", "no "),
        ("bgp community-list standard x permit ", "1:1 "),
        ("redistribute connected ", "route-map route-map "),
        ("do find ", "(a|a)*"),
    ] {
        let line = format!("{begin}{}", again.repeat((LONGEST - begin.len()) / again.len()));
        let before = std::time::Instant::now();
        for request in [
            Request::Help(line.clone()),
            Request::Complete(line.clone()),
            Request::Run(line),
        ] {
            session.ask(&request);
        }
        let took = before.elapsed();
        assert!(took < Duration::from_secs(2), "{begin}{again}… took {took:?}");
    }
}

/// Words that commands are made of, and others.
fn line() -> impl Strategy<Value = String> {
    let word = prop_oneof![
        4 => prop::sample::select(vec![
            "show", "bgp", "ip", "route", "no", "clear", "neighbor", "*", "net0", "10.0.0.1", "10.0.0.0/8", "json", "do",
            "interface", "router", "65010", "exit", "end", "conf", "debug", "|", "include", "?", "running-config", "list",
            "find", "prefix-list", "route-map", "x", "permit", "10", "address-family", "ipv4", "unicast", "set", "community",
        ]).prop_map(str::to_owned),
        1 => "\\PC{0,8}",
    ];
    prop::collection::vec(word, 0..12).prop_map(|words| words.join(" "))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Whatever comes is answered, and the session goes on.
    #[test]
    fn any_line_is_answered(lines in prop::collection::vec(line(), 1..24)) {
        let mut session = Session::new();
        for line in &lines {
            for request in [Request::Complete(line.clone()), Request::Help(line.clone()), Request::Run(line.clone())] {
                let answer = session.ask(&request);
                prop_assert!(answer.prompt.contains('#') || answer.prompt.contains('>'));
            }
        }
    }
}

/// Lines that FRR 10.3 has otherwise than 8.4.4.
#[test]
fn answers_are_written_as_frr_10_does_where_the_configuration_says_so() {
    let mut session = Session::new();
    let summary = session.run("show bgp summary").output;
    assert!(
        summary.contains("\nIPv4 Unicast Summary (VRF default):\nBGP router identifier"),
        "{summary}"
    );
    for line in ["configure terminal", "frr version 10.3", "end"] {
        assert_eq!(session.run(line).status, Status::Success, "{line}");
    }
    let summary = session.run("show bgp summary").output;
    assert!(
        summary.contains("\nIPv4 Unicast Summary:\nBGP router identifier"),
        "{summary}"
    );
    assert!(summary.contains(" VRF default vrf-id 0\n"), "{summary}");
    let json = session.run("show bgp summary json").output;
    assert!(
        json.contains("\"softwareVersion\":\"n/a\"") || json.contains("\"softwareVersion\":\"n\\/a\""),
        "{json}"
    );
    let table = session.run("show bgp ipv4 unicast").output;
    assert!(table.contains("h history, u unsorted, * valid"), "{table}");
    assert!(
        table.contains("\n     Network          Next Hop            Metric LocPrf Weight Path\n"),
        "{table}"
    );
    let mut rows = table
        .lines()
        .skip_while(|line| !line.starts_with("     Network"))
        .skip(1);
    assert!(
        rows.all(|row| row.is_empty() || row.starts_with([' ', 'D'])),
        "{table}"
    );
    assert!(
        table.contains("\n *>  ") && table.contains("\nDisplayed "),
        "{table}"
    );
    assert!(!table.contains("Displayed  "), "{table}");
    let json = session.run("show bgp ipv4 unicast json").output;
    let read: serde_json::Value = serde_json::from_str(&json).unwrap();
    let routes = read["routes"].as_object().unwrap().len();
    assert_eq!(read["totalRoutes"], routes, "{json}");
    let shown = session.run("show running-config").output;
    assert!(shown.contains("\nfrr version 10.3\n"), "{shown}");
    // What 9 and earlier have is as before.
    for line in ["configure terminal", "frr version 9.1", "end"] {
        session.run(line);
    }
    assert!(session.run("show bgp summary").output.contains("(VRF default)"));
}
