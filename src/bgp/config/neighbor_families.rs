//! Commands for neighbors and peer-groups in an address family.

use super::argument::Arguments;
use super::diagnostic::Refusal;
use super::edit::{Edit, Rows, flag, option, said};
use super::settings::{
    Addpath, AllowAsIn, AttributeUnchanged, DefaultOriginate, Excess, FamilySettings, MaximumPrefix,
    RemovePrivateAs,
};

/// Commands of a family; in `router bgp` itself they mean IPv4 unicast.
pub(super) const FAMILY: Rows = &[
    ("[no] neighbor <peer> activate", activate),
    ("[no] neighbor <peer> addpath-tx-all-paths", |e, a| {
        addpath(e, a, Addpath::All)
    }),
    ("[no] neighbor <peer> addpath-tx-bestpath-per-AS", |e, a| {
        addpath(e, a, Addpath::BestPerAs)
    }),
    ("[no] neighbor <peer> route-reflector-client", |e, a| {
        e.must_be_internal(a)?;
        flag(&mut e.peer_family(a)?.route_reflector_client, a)
    }),
    ("[no] neighbor <peer> next-hop-self", |e, a| {
        flag(&mut e.peer_family(a)?.next_hop_self, a)
    }),
    ("[no] neighbor <peer> next-hop-self (force|all)", |e, a| {
        flag(&mut e.peer_family(a)?.next_hop_self_force, a)
    }),
    (
        "[no] neighbor <peer> remove-private-AS [all] [replace-AS]",
        |e, a| {
            let how = RemovePrivateAs {
                all: a.has("all"),
                replace: a.has("replace-AS"),
            };
            if how == RemovePrivateAs::default() {
                e.must_not_be_internal(a, "remove-private-AS")?;
            }
            let known = &mut e.peer_family(a)?.remove_private_as;
            // As with bgpd each form is a setting of its own, of which the one that does most holds.
            *known = match a.no() {
                true => known.filter(|known| *known != how),
                false => (*known).max(Some(how)),
            };
            Ok(())
        },
    ),
    ("[no] neighbor <peer> as-override", |e, a| {
        e.must_not_be_internal(a, "as-override")?;
        flag(&mut e.peer_family(a)?.as_override, a)
    }),
    (
        "[no] neighbor <peer> send-community [(standard|extended|large|both|all)]",
        send_community,
    ),
    (
        "neighbor <peer> default-originate ~ [route-map <map:word>]",
        |e, a| {
            let route_map = a.get("map").map(str::to_owned);
            if let Some(name) = route_map.as_deref().filter(|_| !a.no()) {
                e.look_for_route_map(name);
            }
            said(&mut e.peer_family(a)?.default_originate, a, || {
                Ok(DefaultOriginate { route_map })
            })
        },
    ),
    ("[no] neighbor <peer> soft-reconfiguration inbound", |e, a| {
        flag(&mut e.peer_family(a)?.soft_reconfiguration, a)
    }),
    (
        "neighbor <peer> maximum-prefix ~ <limit:1-4294967295> [<threshold:1-100>] [(restart <minutes:1-65535>|warning-only)] [force]",
        |e, a| said(&mut e.peer_family(a)?.maximum_prefix, a, || maximum_prefix(a)),
    ),
    (
        "neighbor <peer> maximum-prefix-out ~ <limit:1-4294967295>",
        |e, a| option(&mut e.peer_family(a)?.maximum_prefix_out, a, "limit"),
    ),
    ("[no] neighbor <peer> route-server-client", route_server_client),
    (
        "[no] neighbor <peer> allowas-in [(<times:1-10>|origin)]",
        allowas_in,
    ),
    ("neighbor <peer> weight ~ <weight:0-65535>", |e, a| {
        option(&mut e.peer_family(a)?.weight, a, "weight")
    }),
    (
        "[no] neighbor <peer> distribute-list <name:word> (in|out)",
        |e, a| {
            if !a.no() {
                e.check_filters(a)?;
            }
            filter(e, a, |family| {
                (&mut family.distribute_list_in, &mut family.distribute_list_out)
            })
        },
    ),
    ("[no] neighbor <peer> prefix-list <name:word> (in|out)", |e, a| {
        if !a.no() {
            e.check_filters(a)?;
        }
        filter(e, a, |family| {
            (&mut family.prefix_list_in, &mut family.prefix_list_out)
        })
    }),
    ("[no] neighbor <peer> route-map <name:word> (in|out)", |e, a| {
        e.peer_family(a)?;
        if !a.no() {
            e.look_for_route_map(&a.text("name")?);
        }
        filter(e, a, |family| {
            (&mut family.route_map_in, &mut family.route_map_out)
        })
    }),
    ("[no] neighbor <peer> filter-list <name:word> (in|out)", |e, a| {
        filter(e, a, |family| {
            (&mut family.filter_list_in, &mut family.filter_list_out)
        })
    }),
    ("[no] neighbor <peer> unsuppress-map <name:word>", |e, a| {
        e.peer_family(a)?;
        if !a.no() {
            e.look_for_route_map(&a.text("name")?);
        }
        option(&mut e.peer_family(a)?.unsuppress_map, a, "name")
    }),
    (
        "[no] neighbor <peer> attribute-unchanged [{as-path|next-hop|med}]",
        attribute_unchanged,
    ),
];

/// Commands of a family that do not stand in `router bgp` itself.
pub(super) const INSIDE: Rows = &[("[no] neighbor <peer> disable-addpath-rx", |e, a| {
    flag(&mut e.peer_family(a)?.disable_addpath_rx, a)
})];

/// Commands of L2VPN EVPN: of FRR's those that this speaker has for routes that are no prefixes.
pub(super) const EVPN: Rows = &[
    ("[no] neighbor <peer> activate", activate),
    ("[no] neighbor <peer> route-reflector-client", |e, a| {
        e.must_be_internal(a)?;
        flag(&mut e.peer_family(a)?.route_reflector_client, a)
    }),
    (
        "[no] neighbor <peer> allowas-in [(<times:1-10>|origin)]",
        allowas_in,
    ),
    (
        "[no] neighbor <peer> attribute-unchanged [{as-path|next-hop|med}]",
        attribute_unchanged,
    ),
    ("[no] neighbor <peer> route-map <name:word> (in|out)", |e, a| {
        e.peer_family(a)?;
        if !a.no() {
            e.look_for_route_map(&a.text("name")?);
        }
        filter(e, a, |family| {
            (&mut family.route_map_in, &mut family.route_map_out)
        })
    }),
];

/// Commands of IPv6 unicast.
pub(super) const FAMILY6: Rows = &[("[no] neighbor <peer> nexthop-local unchanged", |e, a| {
    flag(&mut e.peer_family(a)?.nexthop_local_unchanged, a)
})];

/// A group's members follow it, where it is not so already.
fn activate(edit: &mut Edit, arguments: &Arguments) -> Result<(), Refusal> {
    let (family, wanted) = (edit.family(), !arguments.no());
    let usual = edit.bgp()?.activates(family);
    let own = &mut edit.peer_family(arguments)?.activate;
    if own.replace(wanted).unwrap_or(usual) == wanted {
        return Ok(());
    }
    let name = arguments.text("peer")?;
    let members = edit.bgp()?.neighbors.iter_mut();
    for member in members.filter(|neighbor| neighbor.group.as_ref() == Some(&name)) {
        member.own.family_mut(family).activate = None;
    }
    Ok(())
}

/// With it bgpd leaves the next hop alone: of a neighbor that is told it, and of members that come into a group afterward.
fn route_server_client(edit: &mut Edit, arguments: &Arguments) -> Result<(), Refusal> {
    let (wanted, is_group) = (!arguments.no(), edit.is_group(arguments)?);
    let group = edit.group_family(arguments)?;
    let settings = edit.peer_family(arguments)?;
    if is_group {
        let before = settings.attribute_unchanged.unwrap_or_default();
        settings.attribute_unchanged = some(AttributeUnchanged {
            next_hop: wanted,
            ..before
        });
    } else {
        let of_group = group.is_some_and(|it| it.route_server_client == Some(true));
        // What holds already is not done again.
        if (settings.route_server_client == Some(true) || of_group) != wanted {
            settings.next_hop_kept = Some(true).filter(|_| wanted);
        }
    }
    flag(&mut settings.route_server_client, arguments)
}

fn attribute_unchanged(edit: &mut Edit, arguments: &Arguments) -> Result<(), Refusal> {
    let all = arguments.one_of(&["as-path", "next-hop", "med"]).is_none();
    let how = AttributeUnchanged {
        as_path: all || arguments.has("as-path"),
        next_hop: all || arguments.has("next-hop"),
        med: all || arguments.has("med"),
    };
    let (family, group) = (edit.family(), edit.group_family(arguments)?);
    let of_group = group
        .and_then(|it| it.attribute_unchanged)
        .is_some_and(|it| it.next_hop);
    let settings = edit.peer_family(arguments)?;
    let before = settings.attribute_unchanged.unwrap_or_default();
    let after = match arguments.no() {
        true => before.without(how),
        false => how,
    };
    settings.attribute_unchanged = some(after);
    settings.next_hop_kept = match arguments.no() && !how.next_hop {
        true => settings.next_hop_kept,
        false => Some(true).filter(|_| of_group),
    };
    // Members have the flag themselves as soon as it is said of the group.
    let name = arguments.text("peer")?;
    if edit.bgp()?.groups.contains_key(&name) {
        edit.peer_family(arguments)?.next_hop_kept = None;
        let neighbors = edit.bgp()?.neighbors.iter_mut();
        for member in neighbors.filter(|it| it.group.as_ref() == Some(&name)) {
            member.own.family_mut(family).next_hop_kept = Some(true).filter(|_| after.next_hop);
        }
    }
    Ok(())
}

fn some(unchanged: AttributeUnchanged) -> Option<AttributeUnchanged> {
    Some(unchanged).filter(|it| *it != AttributeUnchanged::default())
}

fn allowas_in(edit: &mut Edit, arguments: &Arguments) -> Result<(), Refusal> {
    let group = edit.group_family(arguments)?.and_then(|group| group.allowas_in);
    said(&mut edit.peer_family(arguments)?.allowas_in, arguments, || {
        // A member cannot take back what its group says of origins.
        match arguments.has("origin") || group == Some(AllowAsIn::Origin) {
            true => Ok(AllowAsIn::Origin),
            false => Ok(AllowAsIn::Times(arguments.optional("times")?.unwrap_or(3))),
        }
    })
}

fn addpath(edit: &mut Edit, arguments: &Arguments, which: Addpath) -> Result<(), Refusal> {
    let own = &mut edit.peer_family(arguments)?.addpath;
    match arguments.no() {
        true if *own != Some(which) => {
            let paths = match which {
                Addpath::All => "all paths",
                Addpath::BestPerAs => "all best path per as",
            };
            let message = format!("Peer not currently configured to transmit {paths}.");
            return Err(Refusal::Invalid(message, arguments.span("peer")));
        }
        true => *own = None,
        false => *own = Some(which),
    }
    // Without that FRR knows no best route of each AS.
    if which == Addpath::BestPerAs && !arguments.no() {
        edit.bgp()?.flags.deterministic_med = true;
    }
    Ok(())
}

fn send_community(edit: &mut Edit, arguments: &Arguments) -> Result<(), Refusal> {
    let which = arguments
        .one_of(&["standard", "extended", "large", "both", "all"])
        .unwrap_or("standard");
    let family = edit.peer_family(arguments)?;
    let send = Some(!arguments.no());
    if matches!(which, "standard" | "both" | "all") {
        family.send_community = send;
    }
    if matches!(which, "extended" | "both" | "all") {
        family.send_extcommunity = send;
    }
    if matches!(which, "large" | "all") {
        family.send_large_community = send;
    }
    Ok(())
}

fn maximum_prefix(arguments: &Arguments) -> Result<MaximumPrefix, Refusal> {
    let excess = match arguments.optional("minutes")? {
        Some(minutes) => Excess::Restart(minutes),
        None if arguments.has("warning-only") => Excess::Warning,
        None => Excess::Shutdown,
    };
    Ok(MaximumPrefix {
        limit: arguments.value("limit")?,
        threshold: arguments.optional("threshold")?.unwrap_or(75),
        excess,
        force: arguments.has("force"),
    })
}

fn filter(
    edit: &mut Edit,
    arguments: &Arguments,
    fields: fn(&mut FamilySettings) -> (&mut Option<String>, &mut Option<String>),
) -> Result<(), Refusal> {
    let (inward, outward) = fields(edit.peer_family(arguments)?);
    let field = if arguments.has("in") { inward } else { outward };
    option(field, arguments, "name")
}
