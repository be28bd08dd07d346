//! Network devices: the messages that make, raise and join them (rtnetlink(7), RTM_NEWLINK).

use std::os::fd::{AsRawFd, BorrowedFd};

use netlink_packet_route::link::{
    AfSpecBridge, BridgeFlag, BridgeVlanInfo, BridgeVlanInfoFlags, InfoBridge, InfoData, InfoKind, InfoVeth,
    InfoVrf, LinkAttribute, LinkFlags, LinkInfo, LinkMessage, LinkMode, State,
};
use netlink_packet_route::{AddressFamily, RouteNetlinkMessage};
use nix::errno::Errno;

use super::netlink::{Netlink, Request};

/// A device to be made: where, and under what name.
pub struct Device<'a> {
    /// Interface name.
    pub name: &'a str,
    /// Interface index, or 0 to let the kernel choose.
    pub index: u32,
    /// MAC address, or none to let the kernel choose.
    pub mac: Option<[u8; 6]>,
    /// Bytes, or the kernel's default.
    pub mtu: Option<u32>,
    /// The network namespace it is made in; none for the socket's own.
    pub namespace: Option<BorrowedFd<'a>>,
}

impl Device<'_> {
    fn message(&self) -> LinkMessage {
        let mut message = LinkMessage::default();
        message.header.index = self.index;
        let attributes = &mut message.attributes;
        attributes.push(LinkAttribute::IfName(self.name.to_owned()));
        attributes.extend(self.mac.map(|mac| LinkAttribute::Address(mac.to_vec())));
        attributes.extend(self.mtu.map(LinkAttribute::Mtu));
        attributes.extend(self.namespace.map(|fd| LinkAttribute::NetNsFd(fd.as_raw_fd())));
        message
    }

    fn create(&self, what: &str, kind: InfoKind, data: Option<InfoData>) -> Request {
        let mut message = self.message();
        let mut info = vec![LinkInfo::Kind(kind)];
        info.extend(data.map(LinkInfo::Data));
        message.attributes.push(LinkAttribute::LinkInfo(info));
        Request::create(what, RouteNetlinkMessage::NewLink(message))
    }
}

/// A veth pair, each end straight in its namespace. Give the two ends different indexes: when they are equal
/// the kernel takes up to a second to report carrier.
pub fn veth(what: &str, a: &Device<'_>, b: &Device<'_>) -> Request {
    a.create(
        what,
        InfoKind::Veth,
        Some(InfoData::Veth(InfoVeth::Peer(b.message()))),
    )
}

/// A device of any kind: what it is on top of, and the encoded attributes of its kind (IFLA_INFO_DATA).
pub fn of(what: &str, device: &Device<'_>, kind: &str, parent: Option<u32>, data: Vec<u8>) -> Request {
    let data = (!data.is_empty()).then_some(InfoData::Other(data));
    let mut request = device.create(what, InfoKind::Other(kind.to_owned()), data);
    if let Some(parent) = parent {
        request.on(parent);
    }
    request
}

/// Changes what is of its kind (IFLA_INFO_DATA, encoded) at a device that is there.
pub fn change(what: &str, index: u32, kind: &str, data: Vec<u8>) -> Request {
    let mut message = LinkMessage::default();
    message.header.index = index;
    let info = vec![
        LinkInfo::Kind(InfoKind::Other(kind.to_owned())),
        LinkInfo::Data(InfoData::Other(data)),
    ];
    message.attributes.push(LinkAttribute::LinkInfo(info));
    Request::change(what, RouteNetlinkMessage::NewLink(message))
}

/// A device of a kind that has a name to the kernel alone, without what such devices need: for a trial whether the kernel knows
/// the kind.
pub fn of_kind(what: &str, kind: &str) -> Request {
    trial(kind).create(what, InfoKind::Other(kind.to_owned()), None)
}

/// A bridge that filters by VLANs, for a trial.
pub fn filtering_bridge(what: &str) -> Request {
    let data = InfoData::Bridge(vec![InfoBridge::VlanFiltering(true)]);
    trial("filtering").create(what, InfoKind::Bridge, Some(data))
}

/// Each trial has a name of its own: the kernel looks whether a name is taken before it looks at the kind.
fn trial(name: &str) -> Device<'_> {
    Device {
        name,
        index: 0,
        mac: None,
        mtu: None,
        namespace: None,
    }
}

impl Request {
    /// Puts a device on top of another.
    fn on(&mut self, parent: u32) {
        if let RouteNetlinkMessage::NewLink(message) = self.message_mut() {
            message.attributes.push(LinkAttribute::Link(parent));
        }
    }
}

/// Gives an interface that is down another name.
pub fn rename(what: &str, index: u32, name: &str) -> Request {
    let mut message = LinkMessage::default();
    message.header.index = index;
    message.attributes.push(LinkAttribute::IfName(name.to_owned()));
    Request::change(what, RouteNetlinkMessage::SetLink(message))
}

/// Gives an interface an alias, which programs show beside its name.
pub fn alias(what: &str, index: u32, alias: &str) -> Request {
    let mut message = LinkMessage::default();
    message.header.index = index;
    message.attributes.push(LinkAttribute::IfAlias(alias.to_owned()));
    Request::change(what, RouteNetlinkMessage::SetLink(message))
}

/// Raises an interface.
pub fn up(what: &str, index: u32) -> Request {
    set(what, index, LinkFlags::Up)
}

/// Takes an interface down.
pub fn down(what: &str, index: u32) -> Request {
    set(what, index, LinkFlags::empty())
}

fn set(what: &str, index: u32, flags: LinkFlags) -> Request {
    let mut message = LinkMessage::default();
    message.header.index = index;
    message.header.flags = flags;
    message.header.change_mask = LinkFlags::Up;
    Request::change(what, RouteNetlinkMessage::SetLink(message))
}

/// Says whether an interface that has a carrier is to be used: one that is dormant has lost it for all who look at its operational
/// state (RFC 2863), and stays raised.
pub fn dormant(what: &str, index: u32, dormant: bool) -> Vec<Request> {
    let set = |attributes: Vec<LinkAttribute>| {
        let mut message = LinkMessage::default();
        message.header.index = index;
        message.attributes = attributes;
        Request::change(what, RouteNetlinkMessage::SetLink(message))
    };
    let (mode, state) = match dormant {
        true => (LinkMode::Dormant, State::Dormant),
        false => (LinkMode::Default, State::Up),
    };
    // The state is heeded only in the mode that allows it.
    vec![
        set(vec![LinkAttribute::Mode(mode)]),
        set(vec![LinkAttribute::OperState(state)]),
    ]
}

/// Takes the carrier of an interface whose driver has a switch for it.
pub fn carrier(what: &str, index: u32, on: bool) -> Request {
    let mut message = LinkMessage::default();
    message.header.index = index;
    message.attributes.push(LinkAttribute::Carrier(u8::from(on)));
    Request::change(what, RouteNetlinkMessage::SetLink(message))
}

/// Sets the largest packet of an interface that is down, in bytes, and how many packets may wait for a program at its other end.
pub fn room(what: &str, index: u32, mtu: u32, packets: u32) -> Request {
    let mut message = LinkMessage::default();
    message.header.index = index;
    message.attributes.push(LinkAttribute::Mtu(mtu));
    message.attributes.push(LinkAttribute::TxQueueLen(packets));
    Request::change(what, RouteNetlinkMessage::SetLink(message))
}

/// Makes an interface a port of a bridge, a bond or a VRF.
pub fn enslave(what: &str, index: u32, bridge: u32) -> Request {
    let mut message = LinkMessage::default();
    message.header.index = index;
    message.attributes.push(LinkAttribute::Controller(bridge));
    Request::change(what, RouteNetlinkMessage::SetLink(message))
}

/// Gives an interface another MAC address.
pub fn address(what: &str, index: u32, mac: [u8; 6]) -> Request {
    let mut message = LinkMessage::default();
    message.header.index = index;
    message.attributes.push(LinkAttribute::Address(mac.to_vec()));
    Request::change(what, RouteNetlinkMessage::SetLink(message))
}

/// Sets the largest packet of an interface, in bytes.
pub fn mtu(what: &str, index: u32, mtu: u32) -> Request {
    let mut message = LinkMessage::default();
    message.header.index = index;
    message.attributes.push(LinkAttribute::Mtu(mtu));
    Request::change(what, RouteNetlinkMessage::SetLink(message))
}

/// A range of VLANs of a bridge's port (bridge(8), `vlan add`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct VlanRange {
    /// The first.
    pub first: u16,
    /// The last.
    pub last: u16,
    /// Whether frames without a tag belong to it.
    pub pvid: bool,
    /// Whether frames leave without their tag.
    pub untagged: bool,
}

/// Puts a port of a bridge, or a bridge as a port of itself, into VLANs.
pub fn join_vlans(what: &str, index: u32, itself: bool, ranges: &[VlanRange]) -> Request {
    Request::change(
        what,
        RouteNetlinkMessage::SetLink(on_bridge(index, itself, ranges)),
    )
}

/// Takes it out of VLANs.
pub fn leave_vlans(what: &str, index: u32, itself: bool, ranges: &[VlanRange]) -> Request {
    Request::change(
        what,
        RouteNetlinkMessage::DelLink(on_bridge(index, itself, ranges)),
    )
}

fn on_bridge(index: u32, itself: bool, ranges: &[VlanRange]) -> LinkMessage {
    let mut message = LinkMessage::default();
    message.header.interface_family = AddressFamily::Bridge;
    message.header.index = index;
    let mut spec = Vec::new();
    if itself {
        spec.push(AfSpecBridge::Flags(BridgeFlag::LowerDev));
    }
    for range in ranges {
        let mut flags = BridgeVlanInfoFlags::empty();
        flags.set(BridgeVlanInfoFlags::Pvid, range.pvid);
        flags.set(BridgeVlanInfoFlags::Untagged, range.untagged);
        let info = |flags, vid| AfSpecBridge::VlanInfo(BridgeVlanInfo { flags, vid });
        if range.first == range.last {
            spec.push(info(flags, range.first));
        } else {
            spec.push(info(flags | BridgeVlanInfoFlags::RangeBegin, range.first));
            spec.push(info(flags | BridgeVlanInfoFlags::RangeEnd, range.last));
        }
    }
    message.attributes.push(LinkAttribute::AfSpecBridge(spec));
    message
}

/// Deletes an interface.
pub fn delete(what: &str, index: u32) -> Request {
    let mut message = LinkMessage::default();
    message.header.index = index;
    Request::change(what, RouteNetlinkMessage::DelLink(message))
}

/// An interface as the kernel describes it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Interface {
    /// Index.
    pub index: u32,
    /// Name.
    pub name: String,
    /// Whether it is raised.
    pub up: bool,
    /// Whether packets pass: it is raised, and so is what it is on.
    pub running: bool,
    /// Its link-layer address; empty where it has none.
    pub address: Vec<u8>,
    /// All its flags (netdevice(7)).
    pub flags: u32,
    /// The largest packet.
    pub mtu: u32,
    /// What it is, where the kernel has a name for that.
    pub kind: Option<InfoKind>,
    /// The interface at its other end, or below it.
    pub parent: Option<u32>,
    /// Whether that one is in another network namespace, whose numbers are others.
    pub parent_is_elsewhere: bool,
    /// The bridge or the like that it is in.
    pub master: Option<u32>,
    /// The table of routes, of a VRF's device.
    pub table: Option<u32>,
    /// Its alias, where it was given one.
    pub alias: Option<String>,
    /// What has passed.
    pub traffic: Traffic,
}

/// What has passed over an interface since it was made.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Traffic {
    /// Bytes in and out.
    pub bytes: [u64; 2],
    /// Packets in and out.
    pub packets: [u64; 2],
    /// Packets that were dropped or damaged, in and out.
    pub lost: [u64; 2],
}

/// The interfaces of the socket's namespace.
///
/// # Errors
/// What the kernel refused.
pub fn list(netlink: &mut Netlink) -> super::Result<Vec<Interface>> {
    let question = RouteNetlinkMessage::GetLink(LinkMessage::default());
    let answer = netlink.dump("list network interfaces", question)?;
    Ok(answer
        .into_iter()
        .filter_map(|message| match message {
            RouteNetlinkMessage::NewLink(link) => interface(link),
            _ => None,
        })
        .collect())
}

/// The interface of a name, if there is one; without a list of all.
///
/// # Errors
/// What the kernel refused.
pub fn named(netlink: &mut Netlink, name: &str) -> super::Result<Option<Interface>> {
    let mut message = LinkMessage::default();
    message.attributes.push(LinkAttribute::IfName(name.to_owned()));
    one(netlink, &format!("find interface {name}"), message)
}

/// The interface of an index, if there is one.
///
/// # Errors
/// What the kernel refused.
pub fn numbered(netlink: &mut Netlink, index: u32) -> super::Result<Option<Interface>> {
    let mut message = LinkMessage::default();
    message.header.index = index;
    one(netlink, &format!("find interface {index}"), message)
}

fn one(netlink: &mut Netlink, what: &str, message: LinkMessage) -> super::Result<Option<Interface>> {
    match netlink.get(what, RouteNetlinkMessage::GetLink(message)) {
        Ok(Some(RouteNetlinkMessage::NewLink(link))) => Ok(interface(link)),
        Ok(_) => Ok(None),
        Err(error) if error.errno == Errno::ENODEV => Ok(None),
        Err(error) => Err(error),
    }
}

pub(super) fn interface(link: LinkMessage) -> Option<Interface> {
    let flags = link.header.flags;
    let mut found = Interface {
        index: link.header.index,
        name: String::new(),
        up: flags.contains(LinkFlags::Up),
        running: flags.contains(LinkFlags::Up | LinkFlags::Running),
        address: Vec::new(),
        flags: flags.bits(),
        mtu: 0,
        kind: None,
        parent: None,
        parent_is_elsewhere: false,
        master: None,
        table: None,
        alias: None,
        traffic: Traffic::default(),
    };
    for attribute in link.attributes {
        match attribute {
            LinkAttribute::IfName(text) => found.name = text,
            LinkAttribute::IfAlias(text) => found.alias = Some(text),
            LinkAttribute::Address(bytes) => found.address = bytes,
            LinkAttribute::Mtu(mtu) => found.mtu = mtu,
            LinkAttribute::Stats64(stats) => {
                found.traffic = Traffic {
                    bytes: [stats.rx_bytes, stats.tx_bytes],
                    packets: [stats.rx_packets, stats.tx_packets],
                    lost: [
                        stats.rx_dropped + stats.rx_errors,
                        stats.tx_dropped + stats.tx_errors,
                    ],
                };
            }
            LinkAttribute::Link(index) => found.parent = Some(index).filter(|index| *index > 0),
            LinkAttribute::LinkNetNsId(_) => found.parent_is_elsewhere = true,
            LinkAttribute::Controller(index) => found.master = Some(index).filter(|index| *index > 0),
            LinkAttribute::LinkInfo(infos) => {
                for info in infos {
                    match info {
                        LinkInfo::Kind(kind) => found.kind = Some(kind),
                        LinkInfo::Data(InfoData::Vrf(data)) => {
                            found.table = data.into_iter().find_map(|it| match it {
                                InfoVrf::TableId(table) => Some(table),
                                _ => None,
                            });
                        }
                        _ => {}
                    }
                }
            }
            _ => {}
        }
    }
    (!found.name.is_empty()).then_some(found)
}
