//! Reads the routes of all nodes of a living lab from the kernel.

use std::fs::File;
use std::process::Command;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use super::routes::Routes;
use crate::check::stop::Stop;
use crate::failure::Failure;
use crate::kernel::error::Attempt as _;
use crate::kernel::namespace::Namespace;
use crate::kernel::netlink::Netlink;
use crate::kernel::rootless::is_rootless;
use crate::kernel::{link, output, route, user_namespace};
use crate::run::client::Client;
use crate::run::directory::LabDirectory;
use crate::run::holder;
use crate::run::protocol::{Reply, Request};

/// The hidden verb that reads the routes of a lab without root; where they are follows as JSON.
const VERB: &str = "read-routes";
/// How long reading may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// The nodes' network namespaces, as descriptors of the supervisor.
#[derive(Debug, Serialize, Deserialize)]
pub struct Places {
    supervisor: i32,
    /// Nodes and the numbers of descriptors. Nodes that share a namespace are here once.
    nodes: Vec<(String, i32)>,
}

impl Places {
    /// Those of a living lab.
    ///
    /// # Errors
    /// The lab does not answer.
    pub fn of(lab: &LabDirectory) -> Result<Places, Failure> {
        let mut client = Client::connect(lab)?;
        let (Reply::Status(status), _) = client.ask(&Request::Status)? else {
            return Err(Failure::host("the lab does not tell its namespaces"));
        };
        let mut seen = std::collections::BTreeSet::new();
        let nodes = status.nodes.into_iter();
        let nodes = nodes.filter_map(|node| Some((node.name, node.network_fd?)));
        let nodes = nodes.filter(|(_, number)| seen.insert(*number)).collect();
        Ok(Places {
            supervisor: client.supervisor(),
            nodes,
        })
    }

    /// The routes as they are now.
    ///
    /// # Errors
    /// A namespace cannot be read, or the user wants to end.
    pub fn routes(&self, stop: &Stop) -> Result<Routes, Failure> {
        match is_rootless() {
            true => self.by_helper(stop),
            false => self.directly(),
        }
    }

    fn directly(&self) -> Result<Routes, Failure> {
        let mut routes = Routes::default();
        for (node, number) in &self.nodes {
            let namespace = holder::network(self.supervisor, *number)?;
            read(&namespace, node, &mut routes)?;
        }
        Ok(routes)
    }

    /// In a process of its own: one with several threads cannot enter the lab's user namespace (setns(2)).
    fn by_helper(&self, stop: &Stop) -> Result<Routes, Failure> {
        let request = serde_json::to_string(self).map_err(|error| Failure::host(error.to_string()))?;
        let mut command = Command::new("/proc/self/exe");
        command.arg(VERB).arg(request);
        let done = output::run(&mut command, Instant::now() + PATIENCE, Some(stop))?;
        serde_json::from_slice(&done.out).map_err(|error| {
            let said = String::from_utf8_lossy(&done.errors).trim().to_owned();
            Failure::host(format!("the routes of the lab cannot be read: {error}")).detail(said)
        })
    }
}

fn read(namespace: &Namespace, node: &str, routes: &mut Routes) -> Result<(), Failure> {
    let mut netlink: Netlink = namespace.netlink()?;
    let interfaces = link::list(&mut netlink)?;
    let name = |index: u32| {
        let found = interfaces.iter().find(|interface| interface.index == index);
        found.map_or_else(|| format!("if{index}"), |interface| interface.name.clone())
    };
    for v4 in [true, false] {
        routes.add(node, &route::list(&mut netlink, v4)?, name);
    }
    Ok(())
}

/// If the command line is that of the hidden verb: does what it says. Returns the exit status.
pub fn called(words: &[String]) -> Option<i32> {
    let [_, verb, request] = words else { return None };
    if verb != VERB {
        return None;
    }
    let places = serde_json::from_str(request).map_err(|error| Failure::wrong(error.to_string()));
    match places.and_then(|places: Places| places.enter()?.directly()) {
        Ok(routes) => {
            println!("{}", serde_json::to_string(&routes).unwrap_or_default());
            Some(0)
        }
        Err(failure) => {
            eprintln!("{failure}");
            Some(1)
        }
    }
}

impl Places {
    /// Enters the lab's user namespace.
    fn enter(self) -> Result<Places, Failure> {
        let users = format!("/proc/{}/ns/user", self.supervisor);
        let users = File::open(&users).attempt(|| format!("open {users}"))?;
        user_namespace::enter(&users)?;
        Ok(self)
    }
}
