//! The link of a pod, and what is set at both of its ends.

use std::net::IpAddr;

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

use super::answer::{Fault, Result};
use super::configuration::{Attachment, Configuration};
use super::store::{Place, Store};
use crate::apply;
use crate::kernel::link;
use crate::kernel::namespace::{Made, Namespace};
use crate::kernel::netlink::Netlink;
use crate::kernel::sysctl::Sysctls;
use crate::lab::impair::Impairments;
use crate::lab::names::Macs;
use crate::lab::plan::{Device, HopStep, LinkStep, NamespaceStep, PortStep, RouteStep, RouteStepAction};

/// Both ends' namespaces, in the order of the steps.
const NODE: usize = 0;
const POD: usize = 1;
const LOOPBACK: u32 = 1;

/// Joins a pod to the node this process is in. Returns the MAC addresses of both ends, the node's first.
///
/// # Errors
/// The kernel refuses, or the node is none for pods.
pub fn attach(configuration: &Configuration, attachment: &Attachment, place: &Place) -> Result<[String; 2]> {
    is_ready(configuration)?;
    let pod = Namespace::at(&attachment.namespace)?;
    pod.run(|| {
        let sysctls = Sysctls::usual()?;
        // Nobody else can have the address; looking for one who has takes over a second.
        sysctls.write("net/ipv6/conf/default/disable_ipv6", "0")?;
        sysctls.write("net/ipv6/conf/default/accept_dad", "0")
    })?;
    let mut netlink = Netlink::open()?;
    let free = |netlink: &mut Netlink| -> Result<u32> {
        let last = link::list(netlink)?.iter().map(|it| it.index).max();
        Ok(last.unwrap_or(LOOPBACK) + 1)
    };
    let mut inside = pod.netlink()?;
    // Different numbers: with equal ones a pair's carrier can come up to a second late.
    let here = free(&mut netlink)?;
    let there = free(&mut inside)?.max(here + 1);
    let mut macs = Macs::default();
    let mac = |macs: &mut Macs, interface: &str| macs.derive("cni", &attachment.container, interface);
    let ends = [
        PortStep {
            namespace: NODE,
            name: place.interface.clone(),
            index: here,
            mac: Some(mac(&mut macs, &place.interface)),
            mtu: None,
        },
        PortStep {
            namespace: POD,
            name: attachment.interface.clone(),
            index: there,
            mac: Some(mac(&mut macs, &attachment.interface)),
            mtu: None,
        },
    ];
    let told = ends
        .each_ref()
        .map(|end| end.mac.map(|mac| mac.to_string()).unwrap_or_default());
    let steps = [
        node_step(configuration, place, here),
        pod_step(configuration, place, there),
    ];
    let [a, b] = ends;
    let link = LinkStep {
        label: format!("{} -- {}", place.interface, attachment.interface),
        mtu: None,
        device: Device::Veth(a, b),
        impair: Impairments::default(),
    };
    let mut made = [
        Made {
            namespace: Namespace::current()?,
            netlink,
        },
        Made {
            namespace: pod,
            netlink: inside,
        },
    ];
    apply::wire(&link, &steps, &mut made)?;
    Ok(told)
}

/// Raises the loopback interface of a pod.
///
/// # Errors
/// There is no such namespace.
pub fn raise_loopback(attachment: &Attachment) -> Result<()> {
    let mut inside = Namespace::at(&attachment.namespace)?.netlink()?;
    Ok(inside.send_one(link::up("raise the loopback interface", LOOPBACK))?)
}

/// The node's end: the way to the pod, and for its neighbor discovery the gateway's address.
fn node_step(configuration: &Configuration, place: &Place, index: u32) -> NamespaceStep {
    let answers = configuration.gateways().filter(|it| it.addr().is_ipv6());
    NamespaceStep {
        node: "the node".to_owned(),
        up: vec![index],
        addresses: answers.map(|net| (index, net)).collect(),
        routes: place
            .addresses
            .iter()
            .map(|net| route(*net, None, index))
            .collect(),
        ..NamespaceStep::default()
    }
}

/// The pod's end: its addresses, and everything by way of the node.
fn pod_step(configuration: &Configuration, place: &Place, index: u32) -> NamespaceStep {
    let gateways: Vec<IpNet> = place
        .addresses
        .iter()
        .filter_map(|it| configuration.gateway_for(it))
        .collect();
    let on_link = gateways.iter().map(|net| route(*net, None, index));
    let default = gateways
        .iter()
        .map(|net| route(everywhere(net), Some(net.addr()), index));
    NamespaceStep {
        node: "the pod".to_owned(),
        up: vec![LOOPBACK, index],
        addresses: place.addresses.iter().map(|net| (index, *net)).collect(),
        routes: on_link.chain(default).collect(),
        ..NamespaceStep::default()
    }
}

fn everywhere(net: &IpNet) -> IpNet {
    match net {
        IpNet::V4(_) => IpNet::V4(Ipv4Net::default()),
        IpNet::V6(_) => IpNet::V6(Ipv6Net::default()),
    }
}

fn route(to: IpNet, via: Option<IpAddr>, index: u32) -> RouteStep {
    let hop = HopStep {
        via,
        dev: Some(index),
        weight: 1,
    };
    RouteStep {
        to,
        action: RouteStepAction::Forward(vec![hop]),
        metric: None,
        table: None,
    }
}

/// Takes the link away, and with it all that was set. It may have gone with the pod.
pub fn detach(place: &Place) {
    let delete = || -> Result<()> {
        let mut netlink = Netlink::open()?;
        let interfaces = link::list(&mut netlink)?;
        if let Some(found) = interfaces.iter().find(|it| it.name == place.interface) {
            netlink.send_one(link::delete(&format!("delete {}", place.interface), found.index))?;
        }
        Ok(())
    };
    // One that has just gone by itself is gone.
    let _ = delete();
}

/// Takes away links whose pods nobody knows any more.
///
/// # Errors
/// What is known cannot be read, or the kernel refuses.
pub fn tidy(store: &Store) -> Result<()> {
    let mut netlink = Netlink::open()?;
    let interfaces = link::list(&mut netlink)?;
    let forgotten = store.forgotten(interfaces.iter().map(|it| it.name.as_str()))?;
    for interface in interfaces
        .iter()
        .filter(|it| forgotten.contains(&it.name.as_str()))
    {
        // It may have gone by itself just now.
        let _ = netlink.send_one(link::delete(
            &format!("delete {}", interface.name),
            interface.index,
        ));
    }
    Ok(())
}

/// Whether both ends are as they were made.
///
/// # Errors
/// Something is missing.
pub fn check(configuration: &Configuration, attachment: &Attachment, place: &Place) -> Result<()> {
    is_ready(configuration)?;
    let missing = |what: String| Fault::unknown(format!("{what} is not there"));
    let here = link::list(&mut Netlink::open()?)?;
    if !here.iter().any(|it| it.name == place.interface) {
        return Err(missing(place.interface.clone()));
    }
    let pod = Namespace::at(&attachment.namespace)?;
    let there = link::list(&mut pod.netlink()?)?;
    let Some(end) = there.iter().find(|it| it.name == attachment.interface) else {
        return Err(missing(attachment.interface.clone()));
    };
    let has = pod.run(|| crate::kernel::address::list(&mut Netlink::open()?))?;
    for wanted in &place.addresses {
        if !has
            .iter()
            .any(|(index, net)| *index == end.index && net == wanted)
        {
            return Err(missing(format!("address {wanted}")));
        }
    }
    Ok(())
}

/// Whether the node has the addresses that pods send everything to.
///
/// # Errors
/// It has not.
pub fn is_ready(configuration: &Configuration) -> Result<()> {
    let has = crate::kernel::address::list(&mut Netlink::open()?)?;
    for wanted in configuration.gateways() {
        if !has.iter().any(|(_, net)| net.addr() == wanted.addr()) {
            let message = format!("no interface here has {wanted}, which pods send everything to");
            return Err(Fault::unavailable(message));
        }
    }
    Ok(())
}
