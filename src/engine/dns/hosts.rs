//! Names that the node itself knows: those of the lab's nodes, from /etc/hosts.

use std::fs::File;
use std::io::Read as _;
use std::net::IpAddr;

use crate::dns::wire::{self, Data, Message, Name, Query, Rcode, Record};

const FILE: &str = "/etc/hosts";
/// No more of it is read, in octets.
const MOST: u64 = 1 << 20;
/// For how many seconds answers may be remembered.
const TTL: u32 = 5;

/// The node's file.
pub fn read() -> String {
    let mut text = Vec::new();
    // Without it the node knows no names.
    let _ = File::open(FILE).and_then(|file| file.take(MOST).read_to_end(&mut text));
    String::from_utf8_lossy(&text).into_owned()
}

/// The answer to a question about a name of the file's; none where it has nothing of that name.
pub fn answer(text: &str, query: &Query) -> Option<Message> {
    let name = query.name.text()?;
    let data = match crate::dns::address_of(&name) {
        Some(address) => vec![Data::Ptr(Name::of(name_of(text, address)?)?)],
        None => addresses(text, &name),
    };
    if data.is_empty() {
        return None;
    }
    let asked = data.into_iter().filter(|data| data.is_of(query.kind));
    let record = |data| Record {
        name: query.name.clone(),
        ttl: TTL,
        data,
    };
    Some(Message {
        authoritative: true,
        answers: asked.map(record).collect(),
        ..Message::failure(Rcode::NoError)
    })
}

fn lines(text: &str) -> impl Iterator<Item = (IpAddr, impl Iterator<Item = &str>)> {
    text.lines().filter_map(|line| {
        let mut words = line.split('#').next()?.split_whitespace();
        Some((words.next()?.parse().ok()?, words))
    })
}

fn addresses(text: &str, name: &str) -> Vec<Data> {
    let has = |mut names: Box<dyn Iterator<Item = &str> + '_>| names.any(|it| it.eq_ignore_ascii_case(name));
    let all = lines(text).filter_map(|(address, names)| has(Box::new(names)).then_some(address));
    let data = all.map(|address| match address {
        IpAddr::V4(address) => Data::A(address),
        IpAddr::V6(address) => Data::Aaaa(address),
    });
    data.take(wire::LARGEST_UDP).collect()
}

fn name_of(text: &str, wanted: IpAddr) -> Option<&str> {
    let mut found = lines(text).filter(|(address, _)| *address == wanted);
    found.next()?.1.next()
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "127.0.0.1 localhost\n# 10.0.0.9 none\n10.0.0.1 router0 r0 # tor\n10.0.1.1\trouter0\nfd00::1 Router0\nnonsense\n10.0.0.5\n";

    fn ask(name: &str, kind: u16) -> Option<Vec<Data>> {
        let query = Query::new(1, Name::of(name).unwrap(), kind);
        let answer = answer(TEXT, &query)?;
        Some(answer.answers.into_iter().map(|it| it.data).collect())
    }

    #[test]
    fn names_of_the_file_are_known() {
        let v4 = |text: &str| Data::A(text.parse().unwrap());
        assert_eq!(
            ask("router0", wire::A),
            Some(vec![v4("10.0.0.1"), v4("10.0.1.1")])
        );
        assert_eq!(
            ask("ROUTER0", wire::AAAA),
            Some(vec![Data::Aaaa("fd00::1".parse().unwrap())])
        );
        assert_eq!(ask("r0", wire::AAAA), Some(Vec::new()));
        let router = Data::Ptr(Name::of("router0").unwrap());
        assert_eq!(ask("1.0.0.10.in-addr.arpa", wire::PTR), Some(vec![router]));
        for other in [
            "none",
            "tor",
            "nonsense",
            "9.0.0.10.in-addr.arpa",
            "5.0.0.10.in-addr.arpa",
        ] {
            assert_eq!(ask(other, wire::A), None, "{other}");
        }
    }
}
