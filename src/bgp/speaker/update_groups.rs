//! Update groups: neighbors that are told the same of routes. What one of them is to be told is found once for all of them.

use rustc_hash::FxHashMap;

use super::interner::ValueId;
use super::{Peer, Speaker};
use crate::config::{EffectiveFamily, LocalAs};
use crate::table::{SourceId, SourceKind};
use crate::wire::{Family, NextHop, Options, PerFamily};

/// All that decides what a neighbor is told of routes that it has not told itself. What differs most often stands first.
#[derive(PartialEq)]
struct Likeness<'s> {
    /// This router as a next hop, with and without its link-local address.
    next_hops: [NextHop; 2],
    /// The interface the neighbor is on, and the networks there that it is in.
    link: Option<(u32, Vec<ipnet::IpNet>)>,
    kind: SourceKind,
    /// Its AS, where that counts.
    asn: Option<u32>,
    /// Its identifier, where that counts.
    router_id: Option<std::net::Ipv4Addr>,
    /// Itself, where policy asks who is told.
    alone: Option<SourceId>,
    solo: bool,
    sender_loop_detection: bool,
    local_as: Option<LocalAs>,
    takes_v6_next_hops: bool,
    options: Options,
    settings: &'s EffectiveFamily,
}

/// Neighbors and the numbers of their groups.
pub(super) type UpdateGroups = PerFamily<FxHashMap<SourceId, usize>>;

/// What the members of groups are to be told of some routes, as far as somebody has asked.
#[derive(Default)]
pub(super) struct Wanted {
    by_group: FxHashMap<usize, Vec<Option<ValueId>>>,
}

/// By which next hops a neighbor is told routes, and the link it is on, where it is on one alone.
type Place = ([NextHop; 2], Option<u32>);

impl Wanted {
    /// What a neighbor in a group is to be told.
    pub(super) fn of(
        &mut self,
        group: usize,
        find: impl FnOnce() -> Vec<Option<ValueId>>,
    ) -> &[Option<ValueId>] {
        self.by_group.entry(group).or_insert_with(find)
    }
}

impl Speaker {
    /// The neighbors are others, or what they are told hangs on something else.
    pub(super) fn forget_update_groups(&mut self) {
        self.update_groups = None;
    }

    /// Puts neighbors that are told the same into groups, if that is not done.
    pub(super) fn find_update_groups(&mut self) {
        if self.update_groups.is_some() {
            return;
        }
        let mut found = UpdateGroups::default();
        for family in Family::UNICAST {
            *found.get_mut(family) = self.groups_of(family);
        }
        self.update_groups = Some(found);
    }

    fn groups_of(&self, family: Family) -> FxHashMap<SourceId, usize> {
        // Those that differ in this are in different groups: of a thousand neighbors each on a link of its own none is compared with
        // all others.
        let mut known: FxHashMap<Place, Vec<(usize, Likeness)>> = FxHashMap::default();
        let (mut groups, mut count) = (FxHashMap::default(), 0);
        for peer in self.peers.values().filter(|peer| peer.exchanges(family)) {
            let Some(likeness) = self.likeness(peer, family) else {
                continue;
            };
            let link = likeness.link.as_ref().map(|(index, _)| *index);
            let alike = known.entry((likeness.next_hops, link)).or_default();
            let at = alike.iter().find(|(_, it)| *it == likeness).map(|(at, _)| *at);
            groups.insert(peer.id, at.unwrap_or(count));
            if at.is_none() {
                alike.push((count, likeness));
                count += 1;
            }
        }
        groups
    }

    fn likeness<'s>(&'s self, peer: &'s Peer, family: Family) -> Option<Likeness<'s>> {
        let (to, settings) = (peer.source.as_ref()?, peer.family(family));
        let (effective, remote) = (&peer.effective, peer.remote);
        let asn_counts =
            effective.sender_loop_detection || settings.remove_private_as.is_some() || settings.as_override;
        let link = self.interface_of(peer).map(|interface| {
            let shared = interface
                .nets()
                .filter(|net| remote.is_some_and(|it| net.contains(&it)));
            (interface.index, shared.collect())
        });
        Some(Likeness {
            next_hops: [true, false].map(|beside| self.own_next_hop(peer, family, beside)),
            link,
            kind: to.kind,
            asn: asn_counts.then_some(to.asn),
            router_id: (to.kind == SourceKind::Internal).then_some(to.router_id),
            alone: self.policy_asks_for_peers(settings).then_some(peer.id),
            solo: effective.solo,
            sender_loop_detection: effective.sender_loop_detection,
            local_as: effective.local_as,
            takes_v6_next_hops: Speaker::takes_v6_next_hops(peer, family),
            options: peer.options(),
            settings,
        })
    }

    /// Maps of aggregates know nothing of neighbors.
    fn policy_asks_for_peers(&self, settings: &EffectiveFamily) -> bool {
        let own = [&settings.route_map_out, &settings.unsuppress_map];
        let mut maps = own.into_iter().flatten();
        maps.any(|map| self.policy.looks_at_peers(map))
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::super::{Endpoints, Event, Interface, Speaker};
    use crate::config::Config;
    use crate::session::{ConnectionId, Time};
    use crate::wire::{
        AsPath, Attributes, Capability, Family, Message, NextHop, Nlri, Open, Options, announce, encode,
    };

    const OPTIONS: Options = Options {
        four_octet: true,
        heard_four_octet: true,
        extended_messages: false,
        add_path_receive: super::PerFamily {
            ipv4: false,
            ipv6: false,
            evpn: false,
        },
        add_path_send: super::PerFamily {
            ipv4: false,
            ipv6: false,
            evpn: false,
        },
        internal: false,
    };
    const NOW: Time = Time::from_secs(1);

    fn say(speaker: &mut Speaker, number: u8, octets: Vec<u8>) {
        speaker.handle_event(Event::Received(ConnectionId(number.into()), octets), NOW);
    }

    /// A router with neighbors 2 to 5 on one network, in ASs 65002 to 65005.
    fn on_one_network(lines: &str) -> Speaker {
        let mut text = "router bgp 65001\n bgp router-id 10.0.0.1\n no bgp ebgp-requires-policy\n".to_owned();
        for number in 2..=5 {
            text += &format!(" neighbor 10.0.0.{number} remote-as {}\n", 65000 + number);
        }
        text += lines;
        let (config, diagnostics) = Config::parse(&text);
        assert!(diagnostics.is_empty(), "{diagnostics:?}");
        let mut speaker = Speaker::new("r", 1);
        let interface = Interface {
            index: 7,
            name: "net0".to_owned(),
            up: true,
            addresses: vec!["10.0.0.1/24".parse().unwrap()],
            ..Interface::default()
        };
        speaker.handle_event(Event::Interfaces(vec![interface]), NOW);
        speaker.handle_event(Event::Configure(Box::new(config)), NOW);
        for number in 2..=5u8 {
            let remote = Ipv4Addr::new(10, 0, 0, number);
            let ends = Endpoints {
                local: Ipv4Addr::new(10, 0, 0, 1).into(),
                remote: remote.into(),
                interface: None,
                ports: (179, 40000),
            };
            speaker.handle_event(Event::Accepted(ConnectionId(number.into()), ends), NOW);
            let asn = 65000 + u32::from(number);
            let open = Open {
                asn,
                hold_time: 180,
                router_id: remote,
                capabilities: vec![
                    Capability::Multiprotocol(Family::Ipv4Unicast.into()),
                    Capability::FourOctetAs(asn),
                ],
            };
            let mut octets = Vec::new();
            encode(&Message::Open(open), &OPTIONS, &mut octets);
            encode(&Message::Keepalive, &OPTIONS, &mut octets);
            say(&mut speaker, number, octets);
        }
        speaker
    }

    fn tell(speaker: &mut Speaker, number: u8, prefix: &str) {
        let attributes = Attributes {
            as_path: AsPath::sequence([65000 + u32::from(number)]),
            ..Attributes::default()
        };
        let next_hop = NextHop::V4(Ipv4Addr::new(10, 0, 0, number));
        let nlri = [Nlri::from(prefix.parse::<ipnet::IpNet>().unwrap())];
        let mut octets = Vec::new();
        announce(
            Family::Ipv4Unicast,
            next_hop,
            &attributes,
            nlri,
            &OPTIONS,
            &mut octets,
        )
        .unwrap();
        say(speaker, number, octets);
    }

    /// The next hops that neighbors were told of a prefix.
    fn told(speaker: &Speaker) -> Vec<String> {
        let of = |peer| {
            let mut all = speaker.advertised(peer, Family::Ipv4Unicast);
            let next_hop = all.next().map(|(_, _, said)| said.next_hop.to_string());
            next_hop.unwrap_or_default()
        };
        speaker.peers().map(of).collect()
    }

    fn groups(speaker: &mut Speaker) -> Vec<usize> {
        speaker.find_update_groups();
        let found = speaker.update_groups.as_ref().unwrap();
        speaker.peers().map(|peer| found.ipv4[&peer.id]).collect()
    }

    #[test]
    fn neighbors_that_are_told_the_same_are_asked_about_once() {
        let mut speaker = on_one_network("");
        assert_eq!(groups(&mut speaker), [0, 0, 0, 0]);
        tell(&mut speaker, 3, "10.3.0.0/16");
        // Of its own route a neighbor is not told that it is the way itself.
        assert_eq!(told(&speaker), ["10.0.0.3", "10.0.0.1", "10.0.0.3", "10.0.0.3"]);
        speaker.handle_event(Event::Closed(ConnectionId(3)), NOW);
        assert_eq!(told(&speaker), ["", "", "", ""]);
    }

    #[test]
    fn what_decides_for_some_alone_tells_them_apart() {
        let maps = " neighbor 10.0.0.5 solo\n address-family ipv4 unicast\n  neighbor 10.0.0.2 route-map M out\n  \
            neighbor 10.0.0.4 route-map M out\n exit-address-family\nexit\n\
            route-map M permit 10\n match peer 10.0.0.4\n";
        let mut speaker = on_one_network(maps);
        assert_eq!(groups(&mut speaker), [0, 1, 2, 3]);
        tell(&mut speaker, 3, "10.3.0.0/16");
        tell(&mut speaker, 5, "10.0.0.0/8");
        // As with FRR `match peer` knows nobody on the way out.
        assert_eq!(told(&speaker), ["", "10.0.0.5", "", "10.0.0.3"]);
    }
}
