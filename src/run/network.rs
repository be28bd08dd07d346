//! Applies the network part of a plan: namespaces, links, then what is inside each namespace.

mod settings;

use std::collections::BTreeMap;
use std::os::fd::{AsFd, OwnedFd};
use std::thread;

use nix::errno::Errno;
use tokio::task::yield_now;

use super::events::What;
use super::leave::leave_host;
use super::{nat, secure};
use crate::failure::Failure;
use crate::kernel::error::Attempt;
use crate::kernel::link::{self, Device};
use crate::kernel::namespace::{self, Made, Namespace, Wanted};
use crate::kernel::netlink::{Netlink, Request};
use crate::kernel::route::{Hop, Target};
use crate::kernel::sysctl::Sysctls;
use crate::kernel::user_namespace::{self, Pair};
use crate::kernel::{Error, address, offload, route, tun};
use crate::lab::links::{self, Carrier, Making};
use crate::lab::plan::{self, LinkStep, NamespaceStep, Plan, PortStep, RouteStep, RouteStepAction};

pub use settings::{lower, raise_again, set_up_late};

/// How much is done between two looks at signals and requests: some tens of milliseconds' worth.
const CHUNK: usize = 100;
/// How names begin that devices have until they are in their namespace.
const PASSING: &str = "nslab-";

/// Whether a namespace is made in the lab's user namespace.
fn is_in_lab(step: &NamespaceStep) -> bool {
    step.in_lab && step.first_id.is_none() && step.sandbox.is_none()
}

/// How a kernel says that it has no user namespaces to give: switched off, at their limit, not permitted (a container), too many
/// in each other.
const NO_USER_NAMESPACES: [Errno; 5] = [
    Errno::ENOSPC,
    Errno::EPERM,
    Errno::EINVAL,
    Errno::ENOSYS,
    Errno::EUSERS,
];

/// What stands once the plan's network is made, in the order of the plan's namespaces.
pub struct Network {
    /// The network namespaces.
    pub namespaces: Vec<Namespace>,
    /// The user namespaces that own them, where that is not the host's.
    pub users: Vec<Option<OwnedFd>>,
}

/// Makes the plan's network. Yields between chunks, so that signals are obeyed while a large lab comes up.
///
/// # Errors
/// What the kernel refused; nothing is taken back, as all of it goes with the namespaces when they are dropped.
pub async fn stand_up(plan: &Plan, tell: &dyn Fn(What)) -> Result<Network, Failure> {
    let progress = |part: &str, done: usize, total: usize| {
        tell(What::Network {
            part: part.to_owned(),
            done,
            total,
        });
    };
    let mut made: Vec<Made> = Vec::with_capacity(plan.namespaces.len());
    let mut users = Vec::with_capacity(plan.namespaces.len());
    let lab_users = plan
        .namespaces
        .iter()
        .any(|step| step.in_lab)
        .then(user_namespace::alike);
    let lab_users = match lab_users.transpose() {
        Ok(users) => users,
        // Anything else than that there are none here is a reason to stop.
        Err(error) if !NO_USER_NAMESPACES.contains(&error.errno) => return Err(error.into()),
        Err(error) => {
            tell(What::Notice {
                message: format!(
                    "root in a node can change other networks of this machine, because nodes share its user namespace: {error}"
                ),
            });
            None
        }
    };
    for steps in plan.namespaces.chunks(2 * CHUNK) {
        let pairs: Vec<Option<Pair>> = steps
            .iter()
            .map(|step| step.first_id.map(user_namespace::create).transpose())
            .collect::<Result<_, _>>()?;
        let owned = lab_users.as_ref().filter(|_| steps.iter().any(is_in_lab));
        let networks = owned
            .map(|users| user_namespace::networks(users, steps.iter().filter(|it| is_in_lab(it)).count()));
        let networks = networks.transpose()?.unwrap_or_default();
        let mut next = networks.iter();
        let wanted: Vec<Wanted<'_>> = steps
            .iter()
            .zip(&pairs)
            .map(|(step, pair)| Wanted {
                name: &step.node,
                sysctls: &step.sysctls,
                made: match pair {
                    Some(pair) => Some(pair.network.as_fd()),
                    None if is_in_lab(step) => next.next().map(AsFd::as_fd),
                    None => None,
                },
            })
            .collect();
        made.extend(namespace::create(&wanted)?);
        for (step, pair) in steps.iter().zip(pairs) {
            users.push(match (pair, &lab_users) {
                (Some(pair), _) => Some(pair.users),
                (None, Some(users)) if is_in_lab(step) => {
                    Some(users.try_clone().attempt(|| "share the lab's user namespace")?)
                }
                _ => None,
            });
        }
        progress("namespaces", made.len(), plan.namespaces.len());
        yield_now().await;
    }
    let joined = join(plan, &mut made, &progress).await;
    // The sockets go here: each would keep its namespace alive.
    let namespaces: Vec<Namespace> = made.into_iter().map(|made| made.namespace).collect();
    if let Err(failure) = joined {
        // Whoever mends the lab file and tries again must not find its own names taken.
        let _ = leave_host(plan, &namespaces);
        return Err(failure);
    }
    Ok(Network { namespaces, users })
}

/// Where links are asked for. A kernel before Linux 6.14 refuses a name or an index that is taken in the namespace of
/// the socket it is asked by, even when the device is to be in another; so most are asked for where nothing is.
struct Workshop {
    empty: Made,
    host: Netlink,
    host_namespace: Namespace,
}

impl Workshop {
    fn open() -> Result<Workshop, Failure> {
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

/// Makes the links, and sets up what is inside each namespace.
async fn join(plan: &Plan, made: &mut [Made], progress: &impl Fn(&str, usize, usize)) -> Result<(), Failure> {
    let mut workshop = Workshop::open()?;
    for (number, steps) in plan.links.chunks(CHUNK).enumerate() {
        make_links(&mut workshop, made, steps)?;
        progress("links", (number * CHUNK) + steps.len(), plan.links.len());
        yield_now().await;
    }
    secure::introduce(plan, made)?;
    let mut done = 0;
    for (steps, made) in plan.namespaces.chunks(2 * CHUNK).zip(made.chunks_mut(2 * CHUNK)) {
        configure_all(steps, made)?;
        done += steps.len();
        progress("addresses", done, plan.namespaces.len());
        yield_now().await;
    }
    Ok(())
}

fn make_links(workshop: &mut Workshop, made: &mut [Made], steps: &[LinkStep]) -> Result<(), Failure> {
    let Workshop {
        empty,
        host,
        host_namespace,
    } = workshop;
    let mut requests = Vec::with_capacity(steps.len());
    let mut host_ends = Vec::new();
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
    empty.netlink.send(requests).map_err(refused)?;
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
        .map_err(|error| refused(vec![error]))
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

fn index_of(host: &mut Netlink, name: &str) -> Result<u32, Failure> {
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

/// On two threads, which end before this returns: the kernel does part of the work side by side.
fn configure_all(steps: &[NamespaceStep], made: &mut [Made]) -> Result<(), Failure> {
    const WORTH_A_THREAD: usize = 16;
    let one_by_one = |steps: &[NamespaceStep], made: &mut [Made]| -> Result<(), Failure> {
        steps
            .iter()
            .zip(made)
            .try_for_each(|(step, made)| configure(step, made))
    };
    if steps.len() < WORTH_A_THREAD {
        return one_by_one(steps, made);
    }
    let (left, right) = steps.split_at(steps.len() / 2);
    let (left_made, right_made) = made.split_at_mut(left.len());
    thread::scope(|scope| {
        let other = thread::Builder::new()
            .spawn_scoped(scope, || one_by_one(right, right_made))
            .attempt(|| "start a thread")?;
        let here = one_by_one(left, left_made);
        let there = other
            .join()
            .unwrap_or_else(|_| Err(Failure::host("a thread of nslab's panicked")));
        here.and(there)
    })
}

/// One batch a namespace: bridge and ports, interfaces up, addresses, routes.
fn configure(step: &NamespaceStep, made: &mut Made) -> Result<(), Failure> {
    if step.sandbox.is_some() {
        return Ok(());
    }
    let node = &step.node;
    let mut requests = Vec::with_capacity(step.up.len() + step.addresses.len() + step.routes.len() + 2);
    if let Some(bridge) = &step.bridge {
        let device = Device {
            name: &bridge.name,
            index: bridge.index,
            mac: Some(bridge.mac.0),
            mtu: None,
            namespace: None,
        };
        let what = format!("make bridge {} in {node}", bridge.name);
        let made = links::Device::Bridge(bridge.options.clone()).making(None);
        if let Making::Link(parent, data) = made {
            requests.push(link::of(&what, &device, "bridge", parent, links::encode(&data)));
        }
        for &port in &bridge.ports {
            requests.push(link::enslave(
                &format!("make port {port} of {node} a bridge port"),
                port,
                bridge.index,
            ));
        }
    }
    for setting in &step.settings {
        requests.extend(settings::settings(node, setting));
    }
    for &index in &step.up {
        requests.push(link::up(&format!("raise interface {index} of {node}"), index));
    }
    for (index, net) in &step.addresses {
        requests.push(address::add(
            &format!("put address {net} on {node}"),
            *index,
            *net,
        ));
    }
    for step in &step.routes {
        requests.push(add_route(node, step));
    }
    made.netlink.send(requests).map_err(refused)?;
    if !step.masquerade.is_empty() || !step.masquerade_by.is_empty() {
        let help = match step.masquerade.is_empty() {
            true => {
                "`masquerade` needs nf_tables (`modprobe nf_tables nft_chain_nat nft_masq`); take it out to do without"
            }
            false => {
                "what pods send beyond the native network leaves by their node's address, which needs nf_tables; \
                 `ipv4_masquerade = false` in [cilium] does without"
            }
        };
        made.namespace
            .run(|| nat::masquerade(&step.masquerade, &step.masquerade_by))
            .map_err(|error| Failure::from(error).help(help))?;
    }
    if step.no_offload.is_empty() && step.late_sysctls.is_empty() {
        return Ok(());
    }
    made.namespace.run(|| {
        let sysctls = Sysctls::usual()?;
        step.no_offload
            .iter()
            .try_for_each(|name| offload::disable_transmit_checksum(name))?;
        step.late_sysctls
            .iter()
            .try_for_each(|(path, value)| sysctls.write(path, value))
    })?;
    Ok(())
}

fn add_route(node: &str, step: &RouteStep) -> Request {
    let target = match &step.action {
        RouteStepAction::Blackhole => Target::Blackhole,
        RouteStepAction::Unreachable => Target::Unreachable,
        RouteStepAction::Prohibit => Target::Prohibit,
        RouteStepAction::Forward(hops) => Target::Hops(
            hops.iter()
                .map(|hop| Hop {
                    via: hop.via,
                    dev: hop.dev,
                    weight: hop.weight,
                })
                .collect(),
        ),
    };
    route::add(
        &format!("add route {} to {node}", step.to),
        step.to,
        &target,
        step.metric,
        step.table,
    )
}

/// The first refusal as the message, the others as detail.
fn refused(errors: Vec<Error>) -> Failure {
    let mut errors = errors.into_iter();
    let Some(first) = errors.next() else {
        return Failure::host("the kernel refused");
    };
    let unknown_device = first.errno == Errno::EOPNOTSUPP && first.what.starts_with("make");
    let exists = first.errno == Errno::EEXIST && first.what.starts_with("make link");
    let tunnel = exists && first.said.as_ref().is_some_and(|said| said.contains("VNI"));
    let mut failure = Failure::from(first);
    if unknown_device {
        failure = failure.help(
            "this kernel lacks the device type: load its module, or use another kind of link \
             (`nslab doctor` lists what there is; a node's loopback carries addresses as well as a dummy)",
        );
    } else if tunnel {
        failure =
            failure.help("another tunnel on the host has this vni: choose another, or another udp_port");
    } else if exists {
        failure =
            failure.help("the host already has an interface of that name: choose another in the lab file");
    }
    let others: Vec<String> = errors.take(9).map(|error| error.to_string()).collect();
    if others.is_empty() {
        failure
    } else {
        failure.detail(others.join("\n"))
    }
}
