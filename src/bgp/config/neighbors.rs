//! Commands for neighbors and peer-groups.

use std::net::IpAddr;

use super::argument::Arguments;
use super::by_interface::{disable_connected_check, extended_nexthop, interface, update_source};
use super::checks;
use super::diagnostic::Refusal;
use super::edit::{Edit, Rows, flag, option, said};
use super::router::{Bgp, Group, PeerName};
use super::routers::timers;
use super::settings::{FamilySettings, GracefulRestart, LocalAs, RemoteAs, Settings, Shutdown};

/// Commands in `router bgp`.
pub(super) const NEIGHBORS: Rows = &[
    ("neighbor <peer:word> peer-group", |e, a| {
        let name = a.text("peer")?;
        let bgp = e.bgp()?;
        let message = if name.parse::<IpAddr>().is_ok() {
            "a peer-group's name is no address"
        } else if bgp.neighbor(&PeerName::Interface(name.clone())).is_some() {
            "Name conflict with interface: "
        } else {
            bgp.groups.entry(name).or_default();
            return Ok(());
        };
        Err(Refusal::Invalid(message.to_owned(), a.span("peer")))
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
        |e, a| {
            let name = peer_name(a)?;
            let by_interface = matches!(name, PeerName::Interface(_));
            match by_interface && e.bgp()?.neighbor(&name).is_some() {
                true => remove(e, a),
                false => Err(Refusal::Invalid(
                    "Create the bgp interface first".to_owned(),
                    a.span("peer"),
                )),
            }
        },
    ),
    ("[no] neighbor <peer:address> interface <interface>", |e, a| {
        let name = a.text("peer")?;
        let Ok(settings) = e.settings(a) else {
            return Err(Refusal::Bare(format!("% {NO_PEER}\n% BGP invalid peer {name}")));
        };
        option(&mut settings.interface, a, "interface")
    }),
    ("neighbor <peer> peer-group <group:word>", |e, a| {
        let name = peer_name(a)?;
        e.must_be_foreign(&name)?;
        let bgp = e.bgp()?;
        if matches!(name, PeerName::Interface(_)) && bgp.neighbor(&name).is_none() {
            return Err(malformed(&name, a));
        }
        bgp.bind(name, &a.text("group")?, a)
    }),
    ("no neighbor <peer> peer-group <group:word>", leave),
    (
        "neighbor <peer> local-as ~ <asn:1-4294967295> [no-prepend [replace-as]]",
        local_as,
    ),
    ("neighbor <peer> description ~ <line>", |e, a| {
        said(&mut e.settings(a)?.description, a, || a.text("line"))
    }),
    ("[no] neighbor <peer> shutdown [message <line>]", |e, a| {
        let shutdown = &mut e.settings(a)?.shutdown;
        let before = shutdown.take().and_then(|before| before.message);
        said(shutdown, a, || {
            Ok(Shutdown {
                message: a.text("line").ok().or(before),
            })
        })
    }),
    ("neighbor <peer> password ~ <secret:word>", |e, a| {
        said(&mut e.settings(a)?.password, a, || checks::password(a))
    }),
    ("[no] neighbor <peer> solo", |e, a| {
        let wanted = Some(true).filter(|_| !a.no());
        match e.is_group(a)? {
            // Said of a group it holds for those that are its members then.
            true => e.override_members(a, |settings| settings.solo = wanted),
            false => flag(&mut e.settings(a)?.solo, a),
        }
    }),
    ("neighbor <peer> port ~ <port:0-65535>", |e, a| {
        let settings = e.settings(a)?;
        option(&mut settings.port, a, "port")?;
        settings.port = settings.port.filter(|port| *port != 179);
        Ok(())
    }),
    ("neighbor <peer> tcp-mss ~ <size:1-65535>", |e, a| {
        const WARNING: &str = " Warning: Reset BGP session for tcp-mss value to take effect";
        let Ok(settings) = e.settings(a) else {
            return Err(Refusal::Bare(format!("{WARNING}\n% {NO_PEER}")));
        };
        option(&mut settings.tcp_mss, a, "size")?;
        e.say(WARNING);
        Ok(())
    }),
    ("[no] neighbor <peer> passive", |e, a| {
        flag(&mut e.settings(a)?.passive, a)
    }),
    ("[no] neighbor <peer> ebgp-multihop [<hops:1-255>]", |e, a| {
        e.ebgp_multihop(a)
    }),
    ("neighbor <peer> ttl-security hops ~ <hops:1-254>", |e, a| {
        e.ttl_security(a)
    }),
    (
        "[no] neighbor <peer> (disable-connected-check|enforce-multihop)",
        disable_connected_check,
    ),
    ("[no] neighbor <peer> enforce-first-as", |e, a| {
        flag(&mut e.settings(a)?.enforce_first_as, a)
    }),
    (
        "neighbor <peer> update-source ~ (<source:address>|<interface>)",
        update_source,
    ),
    (
        "neighbor <peer> advertisement-interval ~ <seconds:0-600>",
        |e, a| option(&mut e.settings(a)?.advertisement_interval, a, "seconds"),
    ),
    (
        "neighbor <peer> timers ~ <keepalive:0-65535> <hold:0-65535>",
        |e, a| said(&mut e.settings(a)?.timers, a, || timers(a, "Invalid value")),
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
        graceful_restart(e, a, GracefulRestart::Restarter)
    }),
    ("[no] neighbor <peer> graceful-restart-helper", |e, a| {
        graceful_restart(e, a, GracefulRestart::Helper)
    }),
    ("[no] neighbor <peer> graceful-restart-disable", |e, a| {
        graceful_restart(e, a, GracefulRestart::Disabled)
    }),
];

pub(super) fn peer_name(arguments: &Arguments) -> Result<PeerName, Refusal> {
    let text = arguments.text("peer")?;
    Ok(text.parse().map_or(PeerName::Interface(text), PeerName::Address))
}

pub(super) const NO_PEER: &str = "Specify remote-as or peer-group commands first";

fn no_peer(arguments: &Arguments) -> Refusal {
    Refusal::Invalid(NO_PEER.to_owned(), arguments.span("peer"))
}

/// A name that is no neighbor's.
pub(super) fn malformed(name: &PeerName, arguments: &Arguments) -> Refusal {
    Refusal::Invalid(
        format!("Malformed address or name: {name}"),
        arguments.span("peer"),
    )
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

    pub fn settings(&mut self, arguments: &Arguments) -> Result<&mut Settings, Refusal> {
        Ok(&mut self.peer(arguments)?.settings)
    }

    /// Whether a command is for a peer-group.
    pub fn is_group(&mut self, arguments: &Arguments) -> Result<bool, Refusal> {
        let name = arguments.text("peer")?;
        Ok(self.bgp()?.groups.contains_key(&name))
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

    /// What a neighbor's group says in the family; none where it has none.
    pub fn group_family(&mut self, arguments: &Arguments) -> Result<Option<FamilySettings>, Refusal> {
        let (name, family) = (peer_name(arguments)?, self.family());
        let bgp = self.bgp()?;
        let group = bgp.neighbor(&name).and_then(|it| bgp.group_of(it));
        Ok(group.map(|group| group.family(family).clone()))
    }

    pub fn peer_family(&mut self, arguments: &Arguments) -> Result<&mut FamilySettings, Refusal> {
        let family = self.family();
        Ok(self.peer(arguments)?.family_mut(family))
    }
}

pub(super) fn remote(arguments: &Arguments) -> Result<Option<RemoteAs>, Refusal> {
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
    edit.must_be_foreign(&name)?;
    let bgp = edit.bgp()?;
    if let PeerName::Interface(group) = &name {
        if let Some(found) = bgp.groups.get_mut(group) {
            found.settings.remote_as = remote;
            let is_internal = bgp.is_internal(&name) == Some(true);
            if let Some(found) = bgp.groups.get_mut(group) {
                found.become_kind(is_internal);
            }
            let members = bgp
                .neighbors
                .iter_mut()
                .filter(|neighbor| neighbor.group.as_ref() == Some(group));
            members.for_each(|member| {
                member.own.settings.remote_as = None;
                member.own.become_kind(is_internal);
            });
            return Ok(());
        }
        if bgp.neighbor(&name).is_none() {
            let message = "Create the peer-group or interface first".to_owned();
            return Err(Refusal::Invalid(message, arguments.span("peer")));
        }
    }
    set_remote_as(bgp, name, remote, arguments)
}

pub(super) fn set_remote_as(
    bgp: &mut Bgp,
    name: PeerName,
    remote: Option<RemoteAs>,
    arguments: &Arguments,
) -> Result<(), Refusal> {
    let group = bgp.neighbor(&name).and_then(|neighbor| neighbor.group.as_ref());
    if let (Some(group), Some(remote)) = (group, remote) {
        if bgp
            .groups
            .get(group)
            .is_some_and(|it| it.settings.remote_as.is_some())
        {
            let message = "Peer-group member cannot override remote-as of peer-group.".to_owned();
            return Err(Refusal::Invalid(message, arguments.span("peer")));
        }
        bgp.must_suit(group, remote)?;
    }
    bgp.make(name.clone()).own.settings.remote_as = remote;
    let is_internal = bgp.is_internal(&name) == Some(true);
    bgp.make(name).own.become_kind(is_internal);
    Ok(())
}

fn no_remote_as(edit: &mut Edit, arguments: &Arguments) -> Result<(), Refusal> {
    let name = peer_name(arguments)?;
    let bgp = edit.bgp()?;
    match &name {
        PeerName::Address(_) => return remove(edit, arguments),
        PeerName::Interface(group) if bgp.groups.contains_key(group) => {
            if bgp.remote_of(&name).is_none() {
                return Ok(());
            }
            bgp.neighbors
                .retain(|neighbor| neighbor.group.as_ref() != Some(group));
        }
        PeerName::Interface(_) if bgp.neighbor(&name).is_none() => {
            let message = "Create the peer-group or interface first".to_owned();
            return Err(Refusal::Invalid(message, arguments.span("peer")));
        }
        PeerName::Interface(_) => {}
    }
    edit.settings(arguments)?.remote_as = None;
    Ok(())
}

/// Removes a neighbor, or a peer-group and its members. An address that is no neighbor's is gone already.
fn remove(edit: &mut Edit, arguments: &Arguments) -> Result<(), Refusal> {
    let name = peer_name(arguments)?;
    let text = name.to_string();
    let of_group = arguments.has("peer-group") && !arguments.has("interface");
    let bgp = edit.bgp()?;
    let before = bgp.neighbors.len();
    if bgp.groups.remove(&text).is_some() {
        bgp.neighbors
            .retain(|neighbor| neighbor.group.as_ref() != Some(&text));
        bgp.listen_ranges.retain(|_, group| *group != text);
        return Ok(());
    }
    if !of_group {
        bgp.neighbors.retain(|neighbor| neighbor.name != name);
    }
    match bgp.neighbors.len() < before || matches!(name, PeerName::Address(_)) && !of_group {
        true => Ok(()),
        false => Err(Refusal::Invalid(
            "Create the peer-group first".to_owned(),
            arguments.span("peer"),
        )),
    }
}

fn graceful_restart(edit: &mut Edit, arguments: &Arguments, which: GracefulRestart) -> Result<(), Refusal> {
    const NOTE: &str = "Graceful restart configuration changed, reset this peer to take effect";
    let known = &mut edit.settings(arguments)?.graceful_restart;
    match arguments.no() {
        // Neither what is not said is taken back, nor what is said is said again.
        no if no != (*known == Some(which)) => return Err(not_at_this_moment(NOTE)),
        true => *known = None,
        false => *known = Some(which),
    }
    edit.say(NOTE);
    Ok(())
}

/// What bgpd says of a `no` without what it takes back.
pub(super) fn not_at_this_moment(note: &str) -> Refusal {
    Refusal::Bare(format!(
        "{note}\n% The Graceful Restart command used is not valid at this moment."
    ))
}

/// Takes a neighbor out of a group: as with bgpd it is gone altogether.
fn leave(edit: &mut Edit, arguments: &Arguments) -> Result<(), Refusal> {
    let name = peer_name(arguments)?;
    let group = arguments.text("group")?;
    let bgp = edit.bgp()?;
    if bgp.neighbor(&name).is_none() {
        return Err(match name {
            PeerName::Address(_) => no_peer(arguments),
            PeerName::Interface(_) => malformed(&name, arguments),
        });
    }
    if !bgp.groups.contains_key(&group) {
        let message = "Configure the peer-group first".to_owned();
        return Err(Refusal::Invalid(message, arguments.span("group")));
    }
    bgp.neighbors.retain(|neighbor| neighbor.name != name);
    Ok(())
}

fn local_as(edit: &mut Edit, arguments: &Arguments) -> Result<(), Refusal> {
    if !arguments.no() {
        edit.check_local_as(arguments)?;
    }
    said(&mut edit.settings(arguments)?.local_as, arguments, || {
        Ok(LocalAs {
            asn: arguments.value("asn")?,
            no_prepend: arguments.has("no-prepend"),
            replace_as: arguments.has("replace-as"),
        })
    })
}
