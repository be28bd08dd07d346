//! Makes links: veth pairs, and the interfaces of all other types that `lab::links` knows.

use std::collections::BTreeMap;
use std::os::fd::AsFd as _;

use nix::errno::Errno;

use super::inside::configure;
use super::{refused, refused_on_host};
use crate::failure::Failure;
use crate::kernel::link::{self, Device};
use crate::kernel::namespace::{self, Made, Namespace, Wanted};
use crate::kernel::netlink::{Netlink, Request};
use crate::kernel::sysctl::Sysctls;
use crate::kernel::tun;
use crate::lab::links::{self, Carrier, Making};
use crate::lab::plan::{self, LinkStep, NamespaceStep, PortStep};

/// How names begin that devices have until they are in their namespace.
const PASSING: &str = "nslab-";

/// Where links are asked for. A kernel before Linux 6.14 refuses a name or an index that is taken in the namespace of
/// the socket it is asked by, even when the device is to be in another; so most are asked for where nothing is.
pub struct Workshop {
    empty: Made,
    host: Netlink,
    host_namespace: Namespace,
}

impl Workshop {
    /// Opens one.
    ///
    /// # Errors
    /// The kernel gives no namespace or no socket.
    pub fn open() -> Result<Workshop, Failure> {
        let wanted = Wanted {
            name: "the links' making",
            sysctls: &[],
            made: None,
        };
        let made = namespace::create(&[wanted])?.pop();
        Ok(Workshop {
            empty: made.ok_or_else(|| Failure::host("the kernel made no namespace"))?,
            host: Netlink::open()?,
            host_namespace: Namespace::current()?,
        })
    }
}

/// Makes one link more between two namespaces, and sets up what the steps say in each, which are in the namespaces' order.
///
/// # Errors
/// What the kernel refused.
pub fn wire(step: &LinkStep, steps: &[NamespaceStep], made: &mut [Made]) -> Result<(), Failure> {
    let mut workshop = Workshop::open()?;
    make_links(&mut workshop, made, std::slice::from_ref(step))?;
    steps
        .iter()
        .zip(made)
        .try_for_each(|(step, made)| configure(step, made))
}

/// Makes the links of the steps; those inside of a node after those between nodes.
///
/// # Errors
/// What the kernel refused.
pub fn make_links(workshop: &mut Workshop, made: &mut [Made], steps: &[LinkStep]) -> Result<(), Failure> {
    let Workshop {
        empty,
        host,
        host_namespace,
    } = workshop;
    let mut requests = Vec::with_capacity(steps.len());
    let mut host_ends = Vec::new();
    let mut host_whats = Vec::new();
    let mut inside: BTreeMap<usize, Vec<&LinkStep>> = BTreeMap::new();
    for step in steps {
        let what = format!("make link {}", step.label);
        match &step.device {
            plan::Device::Veth(a, b) => {
                let (mut a_device, mut b_device) = (named(a, step.mtu), named(b, step.mtu));
                a_device.namespace = Some(made[a.namespace].namespace.as_fd());
                b_device.namespace = Some(made[b.namespace].namespace.as_fd());
                requests.push(link::veth(&what, &a_device, &b_device));
            }
            plan::Device::Host { port, host_interface } => {
                let mut node = named(port, step.mtu);
                node.namespace = Some(made[port.namespace].namespace.as_fd());
                let end = Device {
                    name: host_interface,
                    index: 0,
                    mac: None,
                    mtu: step.mtu,
                    namespace: Some(host_namespace.as_fd()),
                };
                // The node's end first: the kernel heeds the second end's index only when the first has one.
                requests.push(link::veth(&what, &node, &end));
                host_ends.push(host_interface.as_str());
                host_whats.push(what);
            }
            plan::Device::Device {
                port,
                carrier: Carrier::Host(below),
                device,
            } => {
                let parent = below.as_ref().map(|name| index_of(host, name)).transpose()?;
                let Making::Link(parent, data) = device.making(parent) else {
                    continue;
                };
                let data = links::encode(&data);
                make_from_host(host, made, port, step.mtu, |own| {
                    link::of(&what, own, device.name(), parent, data.clone())
                })?;
            }
            plan::Device::Device {
                port,
                carrier: Carrier::Node(_),
                ..
            } => inside.entry(port.namespace).or_default().push(step),
            // A plan has a veth in its place.
            plan::Device::Mgmt(_) => {}
        }
    }
    empty.netlink.send(requests).map_err(|errors| {
        let first = errors.first().map(|error| error.what.as_str());
        match first.is_some_and(|what| host_whats.iter().any(|it| it == what)) {
            true => refused_on_host(errors),
            false => refused(errors),
        }
    })?;
    for name in host_ends {
        let index = index_of(host, name)?;
        deafen(name)?;
        host.send_one(link::up(&format!("raise {name} on the host"), index))
            .map_err(|error| refused(vec![error]))?;
    }
    for (namespace, steps) in inside {
        make_inside(&mut made[namespace], &steps)?;
    }
    Ok(())
}

/// Makes devices in their node's own network, each after the one that it is on.
fn make_inside(made: &mut Made, steps: &[&LinkStep]) -> Result<(), Failure> {
    let Made { namespace, netlink } = made;
    let mut requests = Vec::with_capacity(steps.len());
    for step in steps {
        let plan::Device::Device {
            port,
            carrier: Carrier::Node(below),
            device,
        } = &step.device
        else {
            continue;
        };
        let what = format!("make link {}", step.label);
        match device.making(*below) {
            Making::Link(parent, data) => {
                let own = named(port, step.mtu);
                requests.push(link::of(&what, &own, device.name(), parent, links::encode(&data)));
            }
            Making::Tun(options) => {
                netlink.send(std::mem::take(&mut requests)).map_err(refused)?;
                let wanted = tun::Wanted {
                    name: &port.name,
                    index: port.index,
                    is_tap: options.is_tap,
                    user: options.user,
                    group: options.group,
                    multi_queue: options.multi_queue,
                    packet_info: options.packet_info,
                };
                namespace.run(|| tun::create(&wanted))?;
                requests.extend(port.mac.map(|mac| {
                    link::address(&format!("give {} its MAC address", port.name), port.index, mac.0)
                }));
                let mtu = port.mtu.or(step.mtu);
                requests.extend(
                    mtu.map(|mtu| link::mtu(&format!("set the MTU of {}", port.name), port.index, mtu)),
                );
            }
        }
    }
    netlink.send(requests).map_err(refused)
}

/// What the host does not take from a node at the other end of a link: routers, addresses and better ways. Only whoever
/// runs the host says whether an interface of its own is heard.
const UNHEARD: [&str; 4] = [
    "net/ipv6/conf/INTERFACE/accept_ra",
    "net/ipv6/conf/INTERFACE/autoconf",
    "net/ipv6/conf/INTERFACE/accept_redirects",
    "net/ipv4/conf/INTERFACE/accept_redirects",
];

/// Makes an interface on the host one whose neighbors cannot change the host's configuration. To be called before it is up.
fn deafen(interface: &str) -> Result<(), Failure> {
    let sysctls = Sysctls::usual()?;
    for path in UNHEARD {
        match sysctls.write(&path.replace("INTERFACE", interface), "0") {
            // A host without IPv6, or an MTU too small for it.
            Err(error) if error.errno == Errno::ENOENT => {}
            other => other?,
        }
    }
    Ok(())
}

/// Makes a device in a node on top of what the host has. It gets its name only there: see [`Workshop`].
fn make_from_host(
    host: &mut Netlink,
    made: &mut [Made],
    port: &PortStep,
    mtu: Option<u32>,
    request: impl Fn(&Device<'_>) -> Request,
) -> Result<(), Failure> {
    let Made { namespace, netlink } = &mut made[port.namespace];
    let passing = format!("{PASSING}{:08x}", port.index);
    let device = Device {
        name: &passing,
        namespace: Some(namespace.as_fd()),
        ..named(port, mtu)
    };
    host.send_one(request(&device))
        .and_then(|()| {
            netlink.send_one(link::rename(
                &format!("name {}", port.name),
                port.index,
                &port.name,
            ))
        })
        .map_err(|error| refused_on_host(vec![error]))
}

fn named(port: &PortStep, mtu: Option<u32>) -> Device<'_> {
    Device {
        name: &port.name,
        index: port.index,
        mac: port.mac.map(|mac| mac.0),
        mtu: port.mtu.or(mtu),
        namespace: None,
    }
}

/// The index of an interface of the host's.
///
/// # Errors
/// There is none of that name.
pub fn index_of(host: &mut Netlink, name: &str) -> Result<u32, Failure> {
    let interfaces = link::list(host)?;
    let found = interfaces.iter().find(|interface| interface.name == name);
    found.map(|interface| interface.index).ok_or_else(|| {
        let names: Vec<&str> = interfaces
            .iter()
            .map(|interface| interface.name.as_str())
            .collect();
        Failure::host(format!("the host has no interface {name}"))
            .help(format!("it has {}", names.join(", ")))
    })
}
