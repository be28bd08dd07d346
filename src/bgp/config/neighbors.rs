//! Commands for neighbors and peer-groups.

use std::net::IpAddr;

use super::argument::Arguments;
use super::edit::{Edit, Rows, flag, needs_frr, option, said};
use super::mistake::Refusal;
use super::policy::Family;
use super::router::{Bgp, Group, Neighbor, PeerName};
use super::routers::timers;
use super::settings::{FamilySettings, GracefulRestart, LocalAs, RemoteAs, Settings, Shutdown, UpdateSource};

/// Commands in `router bgp`.
pub(super) const NEIGHBORS: Rows = &[
    ("neighbor <peer:word> peer-group", |e, a| {
        let name = a.text("peer")?;
        let bgp = e.bgp()?;
        if name.parse::<IpAddr>().is_ok() || bgp.neighbor(&PeerName::Interface(name.clone())).is_some() {
            let message = "the name is a neighbor's".to_owned();
            return Err(Refusal::Invalid(message, a.span("peer")));
        }
        bgp.groups.entry(name).or_default();
        Ok(())
    }),
    ("no neighbor <peer:word> peer-group", remove),
    ("no neighbor <peer>", remove),
    (
        "neighbor <peer> remote-as (<asn:1-4294967295>|internal|external)",
        remote_as,
    ),
    (
        "no neighbor <peer> remote-as (<asn:1-4294967295>|internal|external)",
        no_remote_as,
    ),
    (
        "neighbor <peer:word> interface [v6only] [peer-group <group:word>]",
        interface,
    ),
    (
        "neighbor <peer:word> interface [v6only] remote-as (<asn:1-4294967295>|internal|external)",
        interface,
    ),
    (
        "no neighbor <peer:word> interface [v6only] [peer-group <group:word>] [remote-as (<asn:1-4294967295>|internal|external)]",
        remove,
    ),
    ("[no] neighbor <peer:address> interface <interface>", |e, a| {
        option(&mut e.settings(a)?.interface, a, "interface")
    }),
    ("neighbor <peer> peer-group <group:word>", |e, a| {
        let name = peer_name(a)?;
        e.bgp()?.bind(name, &a.text("group")?, a)
    }),
    ("no neighbor <peer> peer-group <group:word>", leave),
    (
        "neighbor <peer> local-as ~ <asn:1-4294967295> [no-prepend [replace-as]]",
        local_as,
    ),
    ("neighbor <peer> description ~ <line>", |e, a| {
        option(&mut e.settings(a)?.description, a, "line")
    }),
    ("[no] neighbor <peer> shutdown [message <line>]", |e, a| {
        said(&mut e.settings(a)?.shutdown, a, || {
            Ok(Shutdown {
                message: a.get("line").map(str::to_owned),
            })
        })
    }),
    ("neighbor <peer> password ~ <line>", |e, a| {
        option(&mut e.settings(a)?.password, a, "line")
    }),
    ("[no] neighbor <peer> solo", |e, a| {
        flag(&mut e.settings(a)?.solo, a)
    }),
    ("neighbor <peer> port ~ <port:0-65535>", |e, a| {
        let settings = e.settings(a)?;
        option(&mut settings.port, a, "port")?;
        settings.port = settings.port.filter(|port| *port != 179);
        Ok(())
    }),
    ("neighbor <peer> tcp-mss ~ <size:1-65535>", |e, a| {
        option(&mut e.settings(a)?.tcp_mss, a, "size")
    }),
    ("[no] neighbor <peer> passive", |e, a| {
        flag(&mut e.settings(a)?.passive, a)
    }),
    ("[no] neighbor <peer> ebgp-multihop [<hops:1-255>]", ebgp_multihop),
    ("neighbor <peer> ttl-security hops ~ <hops:1-254>", ttl_security),
    (
        "[no] neighbor <peer> (disable-connected-check|enforce-multihop)",
        |e, a| flag(&mut e.settings(a)?.disable_connected_check, a),
    ),
    ("[no] neighbor <peer> enforce-first-as", |e, a| {
        flag(&mut e.settings(a)?.enforce_first_as, a)
    }),
    (
        "neighbor <peer> update-source ~ (<source:address>|<interface>)",
        |e, a| {
            said(&mut e.settings(a)?.update_source, a, || {
                match a.optional("source")? {
                    Some(address) => Ok(UpdateSource::Address(address)),
                    None => Ok(UpdateSource::Interface(a.text("interface")?)),
                }
            })
        },
    ),
    (
        "neighbor <peer> advertisement-interval ~ <seconds:0-600>",
        |e, a| option(&mut e.settings(a)?.advertisement_interval, a, "seconds"),
    ),
    (
        "neighbor <peer> timers ~ <keepalive:0-65535> <hold:0-65535>",
        |e, a| said(&mut e.settings(a)?.timers, a, || timers(a)),
    ),
    ("neighbor <peer> timers connect ~ <seconds:1-65535>", |e, a| {
        option(&mut e.settings(a)?.connect_retry, a, "seconds")
    }),
    ("neighbor <peer> timers delayopen ~ <seconds:1-240>", |e, a| {
        option(&mut e.settings(a)?.delay_open, a, "seconds")
    }),
    ("[no] neighbor <peer> capability dynamic", |e, a| {
        flag(&mut e.settings(a)?.capability_dynamic, a)
    }),
    (
        "[no] neighbor <peer> capability extended-nexthop",
        extended_nexthop,
    ),
    ("[no] neighbor <peer> dont-capability-negotiate", |e, a| {
        flag(&mut e.settings(a)?.dont_capability_negotiate, a)
    }),
    ("[no] neighbor <peer> override-capability", |e, a| {
        let settings = e.settings(a)?;
        exclusive(a, settings.strict_capability_match)?;
        flag(&mut settings.override_capability, a)
    }),
    ("[no] neighbor <peer> strict-capability-match", |e, a| {
        let settings = e.settings(a)?;
        exclusive(a, settings.override_capability)?;
        flag(&mut settings.strict_capability_match, a)
    }),
    ("[no] neighbor <peer> sender-as-path-loop-detection", |e, a| {
        flag(&mut e.settings(a)?.sender_loop_detection, a)
    }),
    ("[no] neighbor <peer> graceful-restart", |e, a| {
        said(&mut e.settings(a)?.graceful_restart, a, || {
            Ok(GracefulRestart::Restarter)
        })
    }),
    ("[no] neighbor <peer> graceful-restart-helper", |e, a| {
        said(&mut e.settings(a)?.graceful_restart, a, || {
            Ok(GracefulRestart::Helper)
        })
    }),
    ("[no] neighbor <peer> graceful-restart-disable", |e, a| {
        said(&mut e.settings(a)?.graceful_restart, a, || {
            Ok(GracefulRestart::Disabled)
        })
    }),
    (
        "[no] neighbor <peer> (bfd|local-role|disable-link-bw-encoding-ieee|extended-optional-parameters) [<line>]",
        needs_frr,
    ),
    ("[no] neighbor <peer> shutdown rtt [<line>]", needs_frr),
];

fn peer_name(arguments: &Arguments) -> Result<PeerName, Refusal> {
    let text = arguments.text("peer")?;
    Ok(text.parse().map_or(PeerName::Interface(text), PeerName::Address))
}

fn no_peer(arguments: &Arguments) -> Refusal {
    let message = "Specify remote-as or peer-group commands first".to_owned();
    Refusal::Invalid(message, arguments.span("peer"))
}

fn one_of_both() -> Refusal {
    Refusal::invalid("ebgp-multihop and ttl-security cannot be configured together")
}

fn ebgp_multihop(edit: &mut Edit, arguments: &Arguments) -> Result<(), Refusal> {
    let members = edit.members(arguments)?;
    let conflicts = edit.settings(arguments)?.ttl_security.is_some();
    if !arguments.no() && (conflicts || members.iter().any(|it| it.settings.ttl_security.is_some())) {
        return Err(one_of_both());
    }
    edit.override_members(arguments, |settings| settings.ebgp_multihop = None)?;
    said(&mut edit.settings(arguments)?.ebgp_multihop, arguments, || {
        Ok(arguments.optional("hops")?.unwrap_or(255))
    })
}

fn ttl_security(edit: &mut Edit, arguments: &Arguments) -> Result<(), Refusal> {
    let goes_far = |settings: &Settings| settings.ebgp_multihop.is_some() || settings.ttl_security.is_some();
    let members = edit.members(arguments)?;
    let conflicts = edit.settings(arguments)?.ebgp_multihop.is_some();
    if !arguments.no() && (conflicts || members.iter().any(|it| goes_far(&it.settings))) {
        return Err(one_of_both());
    }
    edit.override_members(arguments, |settings| settings.ttl_security = None)?;
    option(&mut edit.settings(arguments)?.ttl_security, arguments, "hops")
}

fn exclusive(arguments: &Arguments, other: Option<bool>) -> Result<(), Refusal> {
    match other {
        Some(true) if !arguments.no() => Err(Refusal::invalid(
            "Can't set override-capability and strict-capability-match at the same time",
        )),
        _ => Ok(()),
    }
}

impl Edit<'_> {
    /// The neighbor or peer-group of a command.
    fn peer(&mut self, arguments: &Arguments) -> Result<&mut Group, Refusal> {
        let name = peer_name(arguments)?;
        let bgp = self.bgp()?;
        if let PeerName::Interface(group) = &name
            && bgp.groups.contains_key(group)
        {
            return bgp.groups.get_mut(group).ok_or_else(|| no_peer(arguments));
        }
        let mut neighbors = bgp.neighbors.iter_mut();
        let found = neighbors.find(|neighbor| neighbor.name == name);
        found
            .map(|neighbor| &mut neighbor.own)
            .ok_or_else(|| no_peer(arguments))
    }

    fn settings(&mut self, arguments: &Arguments) -> Result<&mut Settings, Refusal> {
        Ok(&mut self.peer(arguments)?.settings)
    }

    /// Whether a command is for a peer-group.
    pub fn is_group(&mut self, arguments: &Arguments) -> Result<bool, Refusal> {
        let name = arguments.text("peer")?;
        Ok(self.bgp()?.groups.contains_key(&name))
    }

    /// What the members of a peer-group say themselves; none where a command is for a neighbor.
    fn members(&mut self, arguments: &Arguments) -> Result<Vec<Group>, Refusal> {
        let group = arguments.text("peer")?;
        let bgp = self.bgp()?;
        let members = bgp
            .neighbors
            .iter()
            .filter(|it| it.group.as_ref() == Some(&group));
        Ok(members.map(|it| it.own.clone()).collect())
    }

    /// Changes what the members of a peer-group say themselves. Of some settings FRR keeps one value alone: what is said of
    /// a group takes the place of what its members had.
    fn override_members(
        &mut self,
        arguments: &Arguments,
        change: impl Fn(&mut Settings),
    ) -> Result<(), Refusal> {
        let group = arguments.text("peer")?;
        let members = self.bgp()?.neighbors.iter_mut();
        for member in members.filter(|it| it.group.as_ref() == Some(&group)) {
            change(&mut member.own.settings);
        }
        Ok(())
    }

    pub fn peer_family(&mut self, arguments: &Arguments) -> Result<&mut FamilySettings, Refusal> {
        let family = self.family();
        Ok(self.peer(arguments)?.family_mut(family))
    }

    pub fn must_be_internal(&mut self, arguments: &Arguments) -> Result<(), Refusal> {
        let own = self.peer(arguments)?.settings.remote_as;
        let name = peer_name(arguments)?;
        let bgp = self.bgp()?;
        let group = bgp.neighbor(&name).and_then(|neighbor| neighbor.group.as_ref());
        let group = group.and_then(|group| bgp.groups.get(group));
        let remote = own.or(group.and_then(|group| group.settings.remote_as));
        match remote {
            Some(RemoteAs::Internal) => Ok(()),
            Some(RemoteAs::Number(asn)) if asn == bgp.asn => Ok(()),
            _ => Err(Refusal::Invalid(
                "Not an internal neighbor".to_owned(),
                arguments.span("peer"),
            )),
        }
    }
}

impl Bgp {
    /// Makes a neighbor a member of a group, and makes it first if need be.
    fn bind(&mut self, name: PeerName, group: &str, arguments: &Arguments) -> Result<(), Refusal> {
        let wrong =
            |message: &str, word: &str| Err(Refusal::Invalid(message.to_owned(), arguments.span(word)));
        let Some(upper) = self.groups.get(group) else {
            return wrong("Configure the peer-group first", "group");
        };
        let has_remote_as = upper.settings.remote_as.is_some();
        let (far, near) = (upper.settings.ebgp_multihop, upper.settings.ttl_security);
        if self.groups.contains_key(&name.to_string()) {
            return wrong("a peer-group cannot be in a peer-group", "peer");
        }
        let known = self.neighbor(&name);
        if known.is_some_and(|known| known.group.as_ref().is_some_and(|of| of != group)) {
            return wrong("Cannot change peer-group. Deconfigure first", "group");
        }
        if known.is_none() && !has_remote_as && matches!(name, PeerName::Address(_)) {
            return wrong("Specify remote-as or peer-group remote AS first", "peer");
        }
        let neighbor = self.make(name);
        if neighbor.group.is_none() {
            neighbor.own.ipv4.activate = None;
            neighbor.own.ipv6.activate = None;
            // What is said of the group takes the place of what the neighbor had; as with FRR one with `ttl-security` is left
            // with the TTL that went with it.
            let settings = &mut neighbor.own.settings;
            if far.is_some() {
                settings.ebgp_multihop = None;
            }
            if settings.ttl_security.take().is_some() && far.or(near).is_none() {
                settings.ebgp_multihop = Some(u8::MAX);
            }
        }
        neighbor.group = Some(group.to_owned());
        if has_remote_as {
            neighbor.own.settings.remote_as = None;
        }
        Ok(())
    }

    /// A neighbor, made if there is none.
    fn make(&mut self, name: PeerName) -> &mut Neighbor {
        if self.neighbor(&name).is_none() {
            self.insert(Neighbor {
                name: name.clone(),
                v6only: false,
                group: None,
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
        for family in [Family::Ipv4Unicast, Family::Ipv6Unicast] {
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

fn remote(arguments: &Arguments) -> Result<Option<RemoteAs>, Refusal> {
    if !arguments.has("remote-as") {
        return Ok(None);
    }
    Ok(Some(match arguments.optional("asn")? {
        Some(asn) => RemoteAs::Number(asn),
        None if arguments.has("internal") => RemoteAs::Internal,
        None => RemoteAs::External,
    }))
}

fn remote_as(edit: &mut Edit, arguments: &Arguments) -> Result<(), Refusal> {
    let name = peer_name(arguments)?;
    let remote = remote(arguments)?;
    let bgp = edit.bgp()?;
    if let PeerName::Interface(group) = &name {
        if let Some(found) = bgp.groups.get_mut(group) {
            found.settings.remote_as = remote;
            let members = bgp
                .neighbors
                .iter_mut()
                .filter(|neighbor| neighbor.group.as_ref() == Some(group));
            members.for_each(|member| member.own.settings.remote_as = None);
            return Ok(());
        }
        if bgp.neighbor(&name).is_none() {
            let message = "Create the peer-group or interface first".to_owned();
            return Err(Refusal::Invalid(message, arguments.span("peer")));
        }
    }
    set_remote_as(bgp, name, remote, arguments)
}

fn set_remote_as(
    bgp: &mut Bgp,
    name: PeerName,
    remote: Option<RemoteAs>,
    arguments: &Arguments,
) -> Result<(), Refusal> {
    let group = bgp.neighbor(&name).and_then(|neighbor| neighbor.group.as_ref());
    let group = group.and_then(|group| bgp.groups.get(group));
    if group.is_some_and(|group| group.settings.remote_as.is_some()) {
        let message = "Peer-group member cannot override remote-as of peer-group".to_owned();
        return Err(Refusal::Invalid(message, arguments.span("peer")));
    }
    bgp.make(name).own.settings.remote_as = remote;
    Ok(())
}

fn no_remote_as(edit: &mut Edit, arguments: &Arguments) -> Result<(), Refusal> {
    let name = peer_name(arguments)?;
    let bgp = edit.bgp()?;
    match name {
        PeerName::Address(_) => remove(edit, arguments),
        PeerName::Interface(group) if bgp.groups.contains_key(&group) => {
            bgp.neighbors
                .retain(|neighbor| neighbor.group.as_ref() != Some(&group));
            edit.settings(arguments)?.remote_as = None;
            Ok(())
        }
        PeerName::Interface(_) => {
            edit.settings(arguments)?.remote_as = None;
            Ok(())
        }
    }
}

/// Removes a neighbor, or a peer-group and its members.
fn remove(edit: &mut Edit, arguments: &Arguments) -> Result<(), Refusal> {
    let name = peer_name(arguments)?;
    let text = name.to_string();
    let bgp = edit.bgp()?;
    let before = bgp.neighbors.len();
    if bgp.groups.remove(&text).is_some() {
        bgp.neighbors
            .retain(|neighbor| neighbor.group.as_ref() != Some(&text));
        bgp.listen_ranges.retain(|_, group| *group != text);
        return Ok(());
    }
    bgp.neighbors.retain(|neighbor| neighbor.name != name);
    match bgp.neighbors.len() < before {
        true => Ok(()),
        false => Err(Refusal::Invalid(
            format!("there is no neighbor {text}"),
            arguments.span("peer"),
        )),
    }
}

fn interface(edit: &mut Edit, arguments: &Arguments) -> Result<(), Refusal> {
    let name = peer_name(arguments)?;
    let remote = remote(arguments)?;
    let bgp = edit.bgp()?;
    if matches!(name, PeerName::Address(_)) || bgp.groups.contains_key(&name.to_string()) {
        let message = "this is no interface's name".to_owned();
        return Err(Refusal::Invalid(message, arguments.span("peer")));
    }
    match (remote, arguments.get("group")) {
        (Some(_), _) => set_remote_as(bgp, name.clone(), remote, arguments)?,
        (None, Some(group)) => bgp.bind(name.clone(), group, arguments)?,
        (None, None) => {}
    }
    bgp.make(name).v6only = arguments.has("v6only");
    Ok(())
}

/// Takes a neighbor out of its group; one that had its AS from there is gone.
fn leave(edit: &mut Edit, arguments: &Arguments) -> Result<(), Refusal> {
    let name = peer_name(arguments)?;
    let group = arguments.text("group")?;
    let bgp = edit.bgp()?;
    let had = bgp
        .groups
        .get(&group)
        .is_some_and(|group| group.settings.remote_as.is_some());
    let mut neighbors = bgp.neighbors.iter_mut();
    let member = neighbors.find(|neighbor| neighbor.name == name && neighbor.group.as_ref() == Some(&group));
    let Some(member) = member else {
        let message = format!("{name} is not in peer-group {group}");
        return Err(Refusal::Invalid(message, arguments.span("peer")));
    };
    member.group = None;
    if had {
        bgp.neighbors.retain(|neighbor| neighbor.name != name);
    }
    Ok(())
}

fn local_as(edit: &mut Edit, arguments: &Arguments) -> Result<(), Refusal> {
    let own = edit.bgp()?.asn;
    if !arguments.no() && arguments.value::<u32>("asn")? == own {
        let message = "Cannot have local-as same as BGP AS number".to_owned();
        return Err(Refusal::Invalid(message, arguments.span("asn")));
    }
    said(&mut edit.settings(arguments)?.local_as, arguments, || {
        Ok(LocalAs {
            asn: arguments.value("asn")?,
            no_prepend: arguments.has("no-prepend"),
            replace_as: arguments.has("replace-as"),
        })
    })
}

fn extended_nexthop(edit: &mut Edit, arguments: &Arguments) -> Result<(), Refusal> {
    let name = peer_name(arguments)?;
    let by_interface = matches!(name, PeerName::Interface(_)) && edit.bgp()?.neighbor(&name).is_some();
    match (by_interface, arguments.no()) {
        (true, true) => {
            let message = format!("Peer {name} cannot have capability extended-nexthop turned off");
            Err(Refusal::Invalid(message, arguments.span("peer")))
        }
        (true, false) => Ok(()),
        (false, _) => flag(&mut edit.settings(arguments)?.extended_nexthop, arguments),
    }
}
