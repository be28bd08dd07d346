//! Asks a node of a living lab. What needs no program there is asked from a thread inside its network namespace.

use std::net::{SocketAddr, TcpStream};
use std::process::Command;
use std::time::{Duration, Instant};

use nix::errno::Errno;

use super::answer::Answer;
use super::helper;
use super::route::Route;
use super::stop::Stop;
use crate::failure::Failure;
use crate::kernel::error::Error;
use crate::kernel::namespace::Namespace;
use crate::kernel::netlink::Netlink;
use crate::kernel::rootless::is_rootless;
use crate::kernel::{echo, link, output, route};
use crate::lab::check::{Question, RouteWanted};
use crate::run::client::Client;
use crate::run::directory::{LONGEST, LabDirectory};
use crate::run::protocol::{Reply, Request};
use crate::run::{holder, trust};
use crate::timeline::row::protocol;

/// How long a single packet or connection is waited for.
const PATIENCE: Duration = Duration::from_secs(1);

/// Asks once. A command that has not ended at the deadline is killed.
pub fn ask(lab: &LabDirectory, node: &str, question: &Question, deadline: Instant, stop: &Stop) -> Answer {
    let answer = match question {
        Question::Run { command, .. } => run(lab, node, &command.argv(), deadline, stop),
        Question::Bgp(_) => {
            let words = ["vtysh", "-c", "show bgp summary json"].map(str::to_owned);
            run(lab, node, &words, deadline, stop)
        }
        Question::Ping { .. } | Question::Tcp(_) | Question::Route(_) => {
            inside(lab, node, question, deadline, stop)
        }
    };
    answer.unwrap_or_else(|failure| {
        let detail = failure
            .detail
            .map(|detail| format!(": {detail}"))
            .unwrap_or_default();
        Answer::Broken(failure.message + &detail)
    })
}

/// A socket that becomes readable when the routes or links of a node change.
///
/// # Errors
/// The node's namespace cannot be entered.
pub fn watch(lab: &LabDirectory, node: &str) -> Result<Netlink, Failure> {
    const LINK: u32 = 1;
    const IPV4_ROUTE: u32 = 7;
    const IPV6_ROUTE: u32 = 11;
    let mut netlink = namespace(lab, node)?.netlink()?;
    for group in [LINK, IPV4_ROUTE, IPV6_ROUTE] {
        netlink.subscribe(group)?;
    }
    Ok(netlink)
}

fn inside(
    lab: &LabDirectory,
    node: &str,
    question: &Question,
    deadline: Instant,
    stop: &Stop,
) -> Result<Answer, Failure> {
    if is_rootless() {
        let (supervisor, number) = descriptor(lab, node)?;
        return helper::ask(supervisor, number, question, deadline, stop);
    }
    let answer = namespace(lab, node)?.run(|| from_inside(question))?;
    answer.ok_or_else(|| Failure::host("this is not asked from inside a network namespace"))
}

/// Asks from the network namespace of the calling thread; nothing where that is not how it is asked.
pub(super) fn from_inside(question: &Question) -> crate::kernel::Result<Option<Answer>> {
    Ok(Some(match question {
        Question::Ping { to, from } => match echo::request(*to, *from, PATIENCE) {
            Ok(time) => Answer::Echo(time),
            Err(error) => Answer::Refused(error.to_string()),
        },
        Question::Tcp(to) => connect(*to),
        Question::Route(wanted) => routes(wanted)?,
        Question::Run { .. } | Question::Bgp(_) => return Ok(None),
    }))
}

fn namespace(lab: &LabDirectory, node: &str) -> Result<Namespace, Failure> {
    let (supervisor, number) = descriptor(lab, node)?;
    holder::network(supervisor, number)
}

/// The PID of a lab's supervisor, and the number of its descriptor of a node's network namespace.
fn descriptor(lab: &LabDirectory, node: &str) -> Result<(i32, i32), Failure> {
    let mut client = Client::connect(lab)?;
    let (Reply::Status(status), _) = client.ask(&Request::Status)? else {
        return Err(Failure::host("the lab does not tell its namespaces"));
    };
    let number = status
        .nodes
        .iter()
        .find(|candidate| candidate.name == node)
        .and_then(|node| node.network_fd)
        .ok_or_else(|| Failure::wrong(format!("{node} has no network")))?;
    Ok((client.supervisor(), number))
}

/// By `nslab exec`, which knows the way into a node.
fn run(
    lab: &LabDirectory,
    node: &str,
    argv: &[String],
    deadline: Instant,
    stop: &Stop,
) -> Result<Answer, Failure> {
    let mut command = Command::new("/proc/self/exe");
    command.args(["exec", "--lab", &lab.lab, node]).args(argv);
    command.env("NSLAB_RUN_DIR", lab.path.parent().unwrap_or(&lab.path));
    let done = output::run(&mut command, deadline, Some(stop))?;
    let out = String::from_utf8_lossy(&done.out).into_owned();
    let errors = String::from_utf8_lossy(&done.errors).into_owned();
    Ok(match done.status {
        Some(status) => Answer::Command { status, out, errors },
        None => Answer::Broken("the command had not ended in time".to_owned()),
    })
}

fn connect(to: SocketAddr) -> Answer {
    match TcpStream::connect_timeout(&to, PATIENCE) {
        Ok(_) => Answer::Connected,
        Err(error) if error.kind() == std::io::ErrorKind::TimedOut => {
            Answer::Refused(format!("no answer from {to}"))
        }
        Err(error) if error.raw_os_error() == Some(Errno::ECONNREFUSED as i32) => {
            Answer::Refused(format!("{to} refuses the connection: nothing listens there"))
        }
        Err(error) => Answer::Refused(Error::io(format!("connect to {to}"), &error).to_string()),
    }
}

fn routes(wanted: &RouteWanted) -> crate::kernel::Result<Answer> {
    let mut netlink = Netlink::open()?;
    let interfaces = link::list(&mut netlink)?;
    let name = |index: u32| {
        let found = interfaces.iter().find(|interface| interface.index == index);
        found.map_or_else(|| format!("if{index}"), |interface| interface.name.clone())
    };
    let found = route::list(&mut netlink, wanted.to.addr().is_ipv4())?;
    // A router may have a million; others say nothing of the one that is wanted.
    let found = found.into_iter().filter(|route| route.to.contains(&wanted.to));
    let routes = found.map(|route| Route {
        to: route.to,
        kind: route::kind_name(route.kind),
        hops: route
            .hops
            .iter()
            .map(|hop| (hop.via, hop.dev.map(name)))
            .collect(),
        proto: protocol(route.protocol),
        metric: route.metric,
        table: route.table,
    });
    Ok(Answer::Routes(routes.collect()))
}

/// The checks a living lab was started with.
///
/// # Errors
/// They cannot be read.
pub fn checks_of(lab: &LabDirectory) -> Result<Vec<crate::lab::check::Check>, Failure> {
    let path = lab.checks();
    let checks = trust::read_json(&path, LONGEST)?;
    checks.ok_or_else(|| Failure::host(format!("there is no {}", path.display())))
}
