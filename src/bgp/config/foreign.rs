//! The commands that FRR 8.4.4 knows, by which a line that only FRR takes is told from nonsense.

use std::sync::LazyLock;

use super::edit::Place;
use super::grammar::{Command, FaultKind, Table};

/// What `list` of FRR 8.4.4's vtysh tells in each mode, in the form of the `pattern` module. `# MODE` begins one, and `> ` stands
/// before commands that lines of their own follow.
const COMMANDS: &str = include_str!("frr/commands");

/// The modes by their headings.
const MODES: [(&str, &[Mode]); 11] = [
    ("# configure", &[Mode::In(Place::Configure)]),
    ("# interface", &[Mode::In(Place::Interface)]),
    ("# route-map", &[Mode::In(Place::RouteMap)]),
    ("# bgp", &[Mode::In(Place::Bgp)]),
    ("# ipv4", &[Mode::In(Place::Ipv4)]),
    ("# ipv6", &[Mode::In(Place::Ipv6)]),
    ("# evpn", &[Mode::In(Place::Evpn)]),
    ("# vni", &[Mode::In(Place::Vni)]),
    ("# vrf", &[Mode::In(Place::Vrf)]),
    ("# line", &[Mode::In(Place::Line)]),
    ("# enable", &[Mode::Enable]),
];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mode {
    In(Place),
    /// The exec mode.
    Enable,
}

/// Whether lines of its own follow a command.
type Opens = bool;

static TABLE: LazyLock<Table<Mode, Opens>> = LazyLock::new(|| {
    let mut modes: &[Mode] = &[];
    let commands = COMMANDS.lines().filter_map(|pattern| {
        if let Some((_, found)) = MODES.iter().find(|(heading, _)| *heading == pattern) {
            modes = found;
            return None;
        }
        let opens = pattern.strip_prefix("> ");
        Some(Command {
            modes,
            pattern: opens.unwrap_or(pattern),
            id: opens.is_some(),
        })
    });
    Table::new(commands, &[])
});

/// Whether lines of its own follow the command that a line is to FRR in a place of the configuration.
///
/// # Errors
/// It is no command; what FRR says of it.
pub(super) fn configures(place: Place, line: &str) -> Result<Opens, FaultKind> {
    let found = TABLE.find(Mode::In(place), line);
    found.map(|found| *found.id).map_err(|fault| fault.kind)
}

/// The commands of the configuration that FRR or this speaker has.
static ALL: LazyLock<Table<Place, ()>> = LazyLock::new(|| {
    let theirs = TABLE.commands().iter();
    let theirs = theirs.filter_map(|command| match command.modes {
        [Mode::In(place)] => Some((alone(*place), command.pattern)),
        _ => None,
    });
    let own = super::commands::TABLE.commands().iter();
    let own = own.map(|command| (command.modes, command.pattern));
    let commands = theirs.chain(own).map(|(modes, pattern)| Command {
        modes,
        pattern,
        id: (),
    });
    Table::new(commands, &[])
});

/// A place as the modes of a command.
fn alone(place: Place) -> &'static [Place] {
    match place {
        Place::Configure => &[Place::Configure],
        Place::Interface => &[Place::Interface],
        Place::RouteMap => &[Place::RouteMap],
        Place::Bgp => &[Place::Bgp],
        Place::Ipv4 => &[Place::Ipv4],
        Place::Ipv6 => &[Place::Ipv6],
        Place::Evpn => &[Place::Evpn],
        Place::Vni => &[Place::Vni],
        Place::Vrf => &[Place::Vrf],
        Place::Line => &[Place::Line],
    }
}

/// Whether a line is short for several commands of FRR's in a place of the configuration, whoever has them here.
pub(super) fn is_ambiguous(place: Place, line: &str) -> bool {
    let found = ALL.find(place, line);
    found.is_err_and(|fault| fault.kind == FaultKind::Ambiguous)
}

/// Whether FRR has a command that a line is, in the exec mode.
pub fn executes(line: &str) -> bool {
    TABLE.find(Mode::Enable, line).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_frr_knows_is_told_from_nonsense() {
        for line in [
            "router ospf",
            "ip pim rp 10.0.0.1",
            "debug bgp updates",
            "log file /tmp/x",
            "debug ospf event",
            "mpls ldp",
            "bgp community alias 65000:1 x",
        ] {
            assert!(configures(Place::Configure, line).is_ok(), "{line}");
        }
        for line in [
            "router nonsense",
            "ip pim nonsense",
            "debug nonsense",
            "log nonsense",
            "nonsense",
        ] {
            assert_eq!(
                configures(Place::Configure, line),
                Err(FaultKind::Unknown),
                "{line}"
            );
        }
        assert_eq!(configures(Place::Bgp, "neighbor 10.0.0.1 bfd"), Ok(false));
        assert_eq!(configures(Place::Bgp, "address-family ipv4 vpn"), Ok(true));
        assert_eq!(configures(Place::Evpn, "advertise-svi-ip"), Ok(false));
        assert!(configures(Place::Evpn, "network 10.0.0.0/8").is_err());
        assert_eq!(
            configures(Place::Configure, "neighbor 10.0.0.1 bfd"),
            Err(FaultKind::Unknown)
        );
        assert!(configures(Place::Interface, "ip ospf area 0").is_ok());
        assert!(executes("show ip ospf neighbor"));
        assert!(!executes("show ip nonsense"));
    }
}
