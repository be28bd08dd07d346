//! Commands for neighbors and peer-groups in an address family.

use super::argument::Arguments;
use super::edit::{Edit, Rows, flag, needs_frr, option, said};
use super::mistake::Refusal;
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
    ("[no] neighbor <peer> disable-addpath-rx", |e, a| {
        flag(&mut e.peer_family(a)?.disable_addpath_rx, a)
    }),
    ("[no] neighbor <peer> route-reflector-client", |e, a| {
        if !a.no() {
            e.must_be_internal(a)?;
        }
        flag(&mut e.peer_family(a)?.route_reflector_client, a)
    }),
    ("[no] neighbor <peer> next-hop-self", |e, a| {
        flag(&mut e.peer_family(a)?.next_hop_self, a)
    }),
    ("[no] neighbor <peer> next-hop-self force", |e, a| {
        flag(&mut e.peer_family(a)?.next_hop_self_force, a)
    }),
    (
        "[no] neighbor <peer> remove-private-AS [all] [replace-AS]",
        |e, a| {
            let how = RemovePrivateAs {
                all: a.has("all"),
                replace: a.has("replace-AS"),
            };
            said(&mut e.peer_family(a)?.remove_private_as, a, || Ok(how))
        },
    ),
    ("[no] neighbor <peer> as-override", |e, a| {
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
    ("[no] neighbor <peer> route-server-client", |e, a| {
        let is_group = e.is_group(a)?;
        let settings = e.peer_family(a)?;
        flag(&mut settings.route_server_client, a)?;
        // What FRR does besides with a group.
        if is_group {
            let before = settings.attribute_unchanged.unwrap_or_default();
            let after = AttributeUnchanged {
                next_hop: !a.no(),
                ..before
            };
            settings.attribute_unchanged = Some(after).filter(|it| *it != AttributeUnchanged::default());
        }
        Ok(())
    }),
    (
        "[no] neighbor <peer> allowas-in [(<times:1-10>|origin)]",
        |e, a| {
            said(&mut e.peer_family(a)?.allowas_in, a, || match a.has("origin") {
                true => Ok(AllowAsIn::Origin),
                false => Ok(AllowAsIn::Times(a.optional("times")?.unwrap_or(3))),
            })
        },
    ),
    ("neighbor <peer> weight ~ <weight:0-65535>", |e, a| {
        option(&mut e.peer_family(a)?.weight, a, "weight")
    }),
    (
        "[no] neighbor <peer> distribute-list <name:word> (in|out)",
        |e, a| {
            filter(e, a, |family| {
                (&mut family.distribute_list_in, &mut family.distribute_list_out)
            })
        },
    ),
    ("[no] neighbor <peer> prefix-list <name:word> (in|out)", |e, a| {
        filter(e, a, |family| {
            (&mut family.prefix_list_in, &mut family.prefix_list_out)
        })
    }),
    ("[no] neighbor <peer> route-map <name:word> (in|out)", |e, a| {
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
        option(&mut e.peer_family(a)?.unsuppress_map, a, "name")
    }),
    (
        "[no] neighbor <peer> attribute-unchanged [{as-path|next-hop|med}]",
        |e, a| {
            let all = a.one_of(&["as-path", "next-hop", "med"]).is_none();
            let how = AttributeUnchanged {
                as_path: all || a.has("as-path"),
                next_hop: all || a.has("next-hop"),
                med: all || a.has("med"),
            };
            let settings = e.peer_family(a)?;
            let before = settings.attribute_unchanged.unwrap_or_default();
            let after = match a.no() {
                true => before.without(how),
                false => before.with(how),
            };
            settings.attribute_unchanged = Some(after).filter(|it| *it != AttributeUnchanged::default());
            Ok(())
        },
    ),
    (
        "[no] neighbor <peer> capability orf prefix-list (both|send|receive)",
        needs_frr,
    ),
    ("[no] neighbor <peer> (advertise-map|soo) [<line>]", needs_frr),
];

/// Commands of IPv6 unicast.
pub(super) const FAMILY6: Rows = &[("[no] neighbor <peer> nexthop-local unchanged", |e, a| {
    flag(&mut e.peer_family(a)?.nexthop_local_unchanged, a)
})];

/// A group's members follow it.
fn activate(edit: &mut Edit, arguments: &Arguments) -> Result<(), Refusal> {
    let family = edit.family();
    edit.peer_family(arguments)?.activate = Some(!arguments.no());
    let name = arguments.text("peer")?;
    let members = edit.bgp()?.neighbors.iter_mut();
    for member in members.filter(|neighbor| neighbor.group.as_ref() == Some(&name)) {
        member.own.family_mut(family).activate = None;
    }
    Ok(())
}

fn addpath(edit: &mut Edit, arguments: &Arguments, which: Addpath) -> Result<(), Refusal> {
    let own = &mut edit.peer_family(arguments)?.addpath;
    match arguments.no() {
        true => *own = own.filter(|own| *own != which),
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
