//! Neighbors and their peer-groups: who is a member of which, and what members inherit.

use ipnet::IpNet;

use super::argument::Arguments;
use super::diagnostic::Refusal;
use super::edit::Edit;
use super::policy::Family;
use super::router::{Bgp, Group, Made, Neighbor, PeerName};
use super::settings::FamilySettings;

impl Bgp {
    /// Makes a neighbor a member of a group, and makes it first if need be.
    pub(super) fn bind(&mut self, name: PeerName, group: &str, arguments: &Arguments) -> Result<(), Refusal> {
        let wrong =
            |message: &str, word: &str| Err(Refusal::Invalid(message.to_owned(), arguments.span(word)));
        let Some(upper) = self.groups.get(group) else {
            return wrong("Configure the peer-group first", "group");
        };
        let has_remote_as = upper.settings.remote_as.is_some();
        let limits_segments = upper.settings.tcp_mss.is_some();
        let keeps_next_hop = Family::ALL.map(|family| {
            let unchanged = upper.family(family).attribute_unchanged;
            (family, unchanged.is_some_and(|it| it.next_hop))
        });
        let known = self.neighbor(&name);
        if known.is_some_and(|known| known.group.as_ref().is_some_and(|of| of != group)) {
            return wrong("Cannot change the peer-group. Deconfigure first", "group");
        }
        let is_by_group = known.is_none();
        let remote = known.and_then(|known| known.own.settings.remote_as);
        if let Some(remote) = remote {
            self.must_suit(group, remote)?;
        }
        if self.neighbor(&name).is_none_or(|it| it.group.is_none()) {
            self.bind_hops(&name, group);
        }
        let is_first = !has_remote_as && self.members(group).next().is_none();
        let is_internal = self.is_internal(&name) == Some(true);
        // A group that does not say its AS becomes what its first member is.
        if let Some(upper) = self.groups.get_mut(group).filter(|_| is_first && is_internal) {
            upper.become_kind(true);
        }
        let last = self.neighbors.iter().map(|it| it.made.joined).max().unwrap_or(0);
        let neighbor = self.make(name);
        neighbor.made.by_group |= is_by_group;
        if neighbor.group.is_none() {
            neighbor.made.joined = last.saturating_add(1);
            neighbor.own.ipv4.activate = None;
            neighbor.own.ipv6.activate = None;
            neighbor.own.evpn.activate = None;
            // What is said of the group takes the place of what the neighbor had.
            let settings = &mut neighbor.own.settings;
            settings.solo = None;
            // Whether there is a limit comes from the group, and how much it is does not.
            let before = settings.tcp_mss.unwrap_or(0);
            settings.tcp_mss = limits_segments.then_some(before);
            for (family, keeps) in keeps_next_hop {
                neighbor.own.family_mut(family).next_hop_kept = keeps.then_some(true);
            }
        }
        neighbor.group = Some(group.to_owned());
        if has_remote_as {
            neighbor.own.settings.remote_as = None;
        }
        Ok(())
    }

    /// A neighbor, made if there is none.
    pub(super) fn make(&mut self, name: PeerName) -> &mut Neighbor {
        if self.neighbor(&name).is_none() {
            self.insert(Neighbor {
                name: name.clone(),
                v6only: false,
                group: None,
                made: Made::default(),
                own: Group::default(),
            });
        }
        let at = self
            .neighbors
            .iter()
            .position(|neighbor| neighbor.name == name)
            .unwrap_or(0);
        &mut self.neighbors[at]
    }

    /// Drops what is said but would be inherited all the same, as FRR does of what is on by default.
    pub(super) fn settle(&mut self) {
        for family in Family::ALL {
            let default = FamilySettings {
                activate: Some(self.activates(family)),
                send_community: Some(true),
                send_extcommunity: Some(true),
                send_large_community: Some(true),
                ..FamilySettings::default()
            };
            for group in self.groups.values_mut() {
                drop_inherited(group.family_mut(family), &default);
            }
            for neighbor in &mut self.neighbors {
                let group = neighbor.group.as_ref().and_then(|group| self.groups.get(group));
                let above = group.map_or_else(|| default.clone(), |group| group.family(family).or(&default));
                drop_inherited(neighbor.own.family_mut(family), &above);
            }
        }
    }
}

fn drop_inherited(own: &mut FamilySettings, above: &FamilySettings) {
    let pairs = [
        (&mut own.activate, above.activate),
        (&mut own.send_community, above.send_community),
        (&mut own.send_extcommunity, above.send_extcommunity),
        (&mut own.send_large_community, above.send_large_community),
    ];
    for (own, above) in pairs {
        if *own == above {
            *own = None;
        }
    }
}

/// `bgp listen range`.
pub(super) fn listen_range(edit: &mut Edit, arguments: &Arguments) -> Result<(), Refusal> {
    let bgp = edit.bgp()?;
    let prefix: IpNet = arguments.value("prefix")?;
    let prefix = prefix.trunc();
    let group = arguments.text("group")?;
    if is_link_local(prefix) {
        let message = "Malformed listen range (link-local address)".to_owned();
        return Err(Refusal::Invalid(message, arguments.span("prefix")));
    }
    let known = bgp.listen_ranges.get(&prefix);
    let found = bgp.groups.get(&group);
    let message = if arguments.no() {
        match (found, known) {
            (None, _) => "Peer-group does not exist".to_owned(),
            (Some(_), Some(known)) if *known == group => {
                bgp.listen_ranges.remove(&prefix);
                return Ok(());
            }
            _ => "Range specified cannot be deleted because it is not part of current config.".to_owned(),
        }
    } else {
        let overlaps = |other: &IpNet| other.contains(&prefix) || prefix.contains(other);
        match (known, found) {
            (Some(known), _) if *known == group => return Ok(()),
            (Some(known), _) => format!("Same listen range is attached to peer-group {known}"),
            _ if bgp.listen_ranges.keys().any(overlaps) => {
                "Listen range overlaps with existing listen range".to_owned()
            }
            (None, None) => "Configure the peer-group first".to_owned(),
            (None, Some(found)) if found.settings.remote_as.is_none() => {
                "Specify remote-as or peer-group remote AS first".to_owned()
            }
            (None, Some(_)) => {
                bgp.listen_ranges.insert(prefix, group);
                return Ok(());
            }
        }
    };
    Err(Refusal::Invalid(message, arguments.span("prefix")))
}

fn is_link_local(prefix: IpNet) -> bool {
    match prefix {
        IpNet::V6(prefix) => prefix.prefix_len() >= 10 && prefix.addr().is_unicast_link_local(),
        IpNet::V4(_) => false,
    }
}
