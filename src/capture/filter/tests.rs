//! What is refused, how that is said, and what libpcap cannot be asked for.

use proptest::prelude::*;

use super::*;

fn error(text: &str) -> FilterError {
    compile(text, LinkType::Ethernet).unwrap_err()
}

#[test]
fn errors_are_told_with_their_place() {
    for (text, place, message) in [
        ("host example.org", 5, "not looked up"),
        ("tcp prot 5", 4, "the end of the filter"),
        ("10.0.0.1", 0, "not said what this address is"),
        ("port 70000", 5, "65535 is the highest"),
        ("port bgpp", 5, "no port with a name"),
        ("net 10.0.0.1/8", 4, "bits beyond its mask"),
        ("host 10.0.0.0/8", 0, "only a network has a mask"),
        ("host 10.0.0", 0, "four parts"),
        ("host 10.0.0.256", 5, "no IPv4 address"),
        ("host 1:2::3::4", 5, "no IPv6 address"),
        ("ether proto 70000", 0, "65535 is the highest"),
        ("ip proto tcp", 9, "keyword"),
        ("tcp host 10.0.0.1", 0, "none of that protocol's"),
        ("icmp port 5", 0, "no ports"),
        ("tcp[13:3] = 1", 7, "1, 2 or 4 bytes"),
        ("tcp[13", 6, "the filter ends"),
        ("tcp[70000] = 1", 4, "no packet is that long"),
        ("ip[0] / 0 = 1", 0, "divides by zero"),
        ("ip[0] << 32 = 1", 0, "more than 31"),
        ("ip[0] & 0xf", 11, "comparison"),
        ("(ip", 3, "`)`"),
        ("ip)", 2, "the end of the filter"),
        ("ip and", 6, "the filter ends"),
        ("vlan 4096", 5, "4095 is the highest"),
        ("mpls and vlan", 9, "cannot come after"),
        ("mpls and arp", 9, "only IPv4 and IPv6"),
        ("gateway 10.0.0.1", 0, "\"gateway\" is not supported"),
        ("ip6 protochain 6", 4, "\"protochain\" is not supported"),
        ("ip broadcast", 0, "not supported"),
        ("stp[0] = 1", 0, "not supported"),
        ("port 08", 5, "no number"),
        ("ip § tcp", 3, "no meaning"),
        ("ip and arp", 0, "no packet at all"),
        ("host 02:00:00:00:00:01", 0, "MAC address"),
    ] {
        let error = error(text);
        assert!(error.message.contains(message), "{text}: {error}");
        assert_eq!(error.at.start, place, "{text}: {error}\n{}", error.excerpt(text));
    }
    let said = error("tcp and hots 10.0.0.1");
    assert_eq!(said.help.as_deref(), Some("did you mean host?"));
    assert_eq!(
        said.excerpt("tcp and hots 10.0.0.1"),
        "tcp and hots 10.0.0.1\n        ^^^^"
    );
}

#[test]
fn ethernet_is_asked_where_there_is_ethernet() {
    for text in [
        "ether host 02:00:00:00:00:01",
        "broadcast",
        "multicast",
        "vlan",
        "mpls",
        "arp",
    ] {
        assert!(compile(text, LinkType::RawIp).is_err(), "{text}");
        assert!(compile(text, LinkType::Ethernet).is_ok(), "{text}");
    }
}

#[test]
fn all_has_a_bound() {
    let many = |what: &str, times: usize| vec![what; times].join(" or ");
    assert!(
        error(&"x".repeat(LONGEST_TEXT + 1))
            .message
            .contains("bytes long")
    );
    assert!(
        error(&many("host 10.0.0.1 and port 1", 400))
            .message
            .contains("times between")
    );
    assert!(
        error(&format!("{}ip{}", "(".repeat(5000), ")".repeat(5000)))
            .message
            .contains("levels deep")
    );
    assert!(
        error(&format!("{}ip", "!".repeat(5000)))
            .message
            .contains("levels deep")
    );
    assert!(
        error(&format!("{}1 = 1", "-".repeat(5000)))
            .message
            .contains("levels deep")
    );
    assert!(
        error(&format!("port {}80", "(".repeat(5000)))
            .message
            .contains("levels deep")
    );
    assert!(
        error(&format!("ip[0]{} = 1", "+len".repeat(3000)))
            .message
            .contains("too long")
    );
    assert!(
        error(&format!("{}1{} = 1", "ip[".repeat(500), "]".repeat(500)))
            .message
            .contains("levels deep")
    );
    let long = format!("ip[0]{} = 1", " - len".repeat(40));
    assert!(error(&long).message.contains("too complex"));
    let ports: Vec<String> = (1..1300).map(|port| format!("port {port}")).collect();
    assert!(error(&ports.join(" or ")).message.contains("instructions"));
}

#[test]
fn jumps_lead_as_far_as_they_have_to() {
    let hosts: Vec<String> = (0..500)
        .map(|it| format!("10.0.{}.{}", it / 256, it % 256))
        .collect();
    let program = compile(
        &format!("not (ip dst {}) and udp", hosts.join(" or ")),
        LinkType::Ethernet,
    )
    .unwrap();
    assert!(program.len() > 500);
    let fits = |last: [u8; 2], protocol: u8| {
        let mut bytes = [0u8; 60];
        bytes[12..14].copy_from_slice(&[8, 0]);
        bytes[23] = protocol;
        bytes[30..34].copy_from_slice(&[10, 0, last[0], last[1]]);
        matches(&program, &packet(&bytes, None)) != 0
    };
    assert!(fits([2, 0], 17) && fits([1, 244], 17));
    assert!(!fits([2, 0], 6) && !fits([0, 0], 17) && !fits([1, 243], 17) && !fits([0, 100], 17));
}

fn packet(bytes: &[u8], tag: Option<u16>) -> Packet<'_> {
    Packet {
        bytes,
        length: bytes.len() as u32,
        direction: Direction::Out,
        tag,
    }
}

#[test]
fn the_kernel_has_the_outer_tag_beside_the_packet() {
    let inside = |tags: &[u16]| {
        let mut bytes = vec![2u8; 12];
        for tag in tags {
            bytes.extend([0x81, 0]);
            bytes.extend(tag.to_be_bytes());
        }
        bytes.extend([8, 0, 0x45]);
        bytes.resize(80, 0);
        bytes
    };
    for (text, beside, tags, expected) in [
        ("vlan", None, [].as_slice(), false),
        ("vlan", None, &[5], true),
        ("vlan", Some(5), &[], true),
        ("vlan 5 and ip", None, &[5], true),
        ("vlan 5 and ip", Some(0x2005), &[], true),
        ("vlan 5 and ip", Some(6), &[], false),
        ("vlan 5 and ip", Some(5), &[6], false),
        ("vlan 5 and vlan 6 and ip", Some(5), &[6], true),
        ("vlan 5 and vlan 6 and ip", None, &[5, 6], true),
        ("vlan 5 and vlan 6 and ip", Some(6), &[5], false),
        ("not vlan", Some(5), &[], false),
        ("not vlan", None, &[], true),
        ("ip", Some(5), &[], true),
    ] {
        let program = compile_for_kernel(text, LinkType::Ethernet, 96).unwrap();
        let bytes = inside(tags);
        let given = matches(&program, &packet(&bytes, beside));
        assert_eq!(given, if expected { 96 } else { 0 }, "{text} {beside:?} {tags:?}");
    }
}

#[test]
fn what_leaves_is_told_from_what_arrives() {
    let bytes = [0; 60];
    let fits = |text| matches(&compile(text, LinkType::Ethernet).unwrap(), &packet(&bytes, None)) != 0;
    assert!(fits("outbound") && !fits("inbound") && fits("not inbound"));
}

#[test]
fn what_has_been_asked_is_not_asked_again() {
    let length = |text| compile(text, LinkType::Ethernet).unwrap().len();
    assert_eq!(length(""), 2);
    assert_eq!(length("ip and tcp"), length("ip and ip proto 6"));
    assert!(length("tcp port 179") <= 21);
    assert!(length("ip and tcp and src host 10.0.0.1 and port 80") <= 20);
}

proptest! {
    #[test]
    fn no_text_is_too_strange(text in "[a-z0-9:./()\\[\\]&|!<>=+*%^ \\\\-]{0,60}") {
        if let Err(error) = compile_for_kernel(&text, LinkType::Ethernet, ALL) {
            prop_assert!(error.at.end <= text.len());
            error.excerpt(&text);
        }
    }

    #[test]
    fn no_order_of_words_is_too_strange(
        words in prop::collection::vec(prop::sample::select(vec![
            "host", "net", "port", "src", "dst", "and", "or", "not", "(", ")", "[", "]", "tcp", "ip", "ip6", "ether", "vlan",
            "mpls", "10.0.0.1", "10", "::1", "02:00:00:00:00:01", "80", "-", "=", "&", "<<", "len", "proto", "/", "mask", ":",
            "\\tcp", "portrange", "less", "bgp", "é",
        ]), 0..14),
        link in prop::sample::select(vec![LinkType::Ethernet, LinkType::RawIp]),
        bytes in prop::collection::vec(any::<u8>(), 0..80),
    ) {
        let text = words.join(" ");
        match compile_for_kernel(&text, link, ALL) {
            Err(error) => { error.excerpt(&text); }
            Ok(program) => {
                prop_assert!(program.len() <= LONGEST_PROGRAM);
                matches(&program, &packet(&bytes, None));
            }
        }
    }
}
