//! A virtual router at work: the core, its connections, and what it has to know of the kernel. It changes nothing there.

use std::collections::VecDeque;
use std::net::IpAddr;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use ipnet::IpNet;
use tokio::net::TcpStream;
use tokio::sync::mpsc::{Receiver, Sender, channel};
use tokio::sync::oneshot;

use crate::bgp::speaker::{Action, Behavior, Event, KernelRoute, Speaker};
use crate::cilium::state::{Answer, Query};
use crate::cilium::{AddressFamily, Instance, answer, configuration};
use crate::engine::speaker::connections::{Connections, endpoints};
use crate::engine::speaker::network::{self, Network};
use crate::engine::speaker::process::{HostEvent, log};
use crate::kernel::Result;
use crate::kernel::netlink::Netlink;
use crate::kernel::watch::Watch;

/// How much may wait to be looked at; whoever has more to tell waits then.
const QUEUE: usize = 64;
/// A look at everything is due at least this often; with nothing to do there is no cost in it.
const IDLE: Duration = Duration::from_secs(3600);
/// How long neighbors may take to hear that this router goes.
const FAREWELL: Duration = Duration::from_millis(200);

/// What the agent wants of a router.
pub enum Command {
    /// Be this from now on.
    Configure(Box<Instance>, oneshot::Sender<()>),
    /// Tell this.
    Ask(Query, oneshot::Sender<Answer>),
}

/// Lives a router's life, until nobody can want anything of it any more.
pub async fn live(node: String, mut commands: Receiver<Command>) {
    let (sender, mut host_events) = channel(QUEUE);
    let mut router = match VirtualRouter::begin(&node, sender) {
        Ok(router) => router,
        Err(error) => return log(&error.to_string()),
    };
    loop {
        tokio::select! {
            biased;
            command = commands.recv() => match command {
                Some(command) => router.obey(command),
                None => break,
            },
            Some(host_event) = host_events.recv() => router.take(host_event),
            () = tokio::time::sleep_until(router.deadline().into()) => router.events.push_back(Event::Tick),
        }
        router.settle();
    }
    drop(host_events);
    router.end().await;
}

struct VirtualRouter {
    began: Instant,
    speaker: Speaker,
    netlink: Netlink,
    connections: Connections,
    instance: Option<Instance>,
    network: Network,
    routes: Vec<KernelRoute>,
    /// What happens next.
    events: VecDeque<Event>,
}

impl VirtualRouter {
    fn begin(node: &str, host_events: Sender<HostEvent>) -> Result<VirtualRouter> {
        // Routers must not all dial in step.
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let seed = since.as_nanos() as u64 ^ u64::from(std::process::id());
        let mut router = VirtualRouter {
            began: Instant::now(),
            speaker: Speaker::with_manner(node, seed, Behavior::GoBgp),
            netlink: Netlink::open()?,
            connections: Connections::new(host_events.clone()),
            instance: None,
            network: Network::default(),
            routes: Vec::new(),
            events: VecDeque::new(),
        };
        // Announcements are heard from before the first look, so that nothing is missed in between.
        network::follow(Watch::open(router.netlink.port()?)?, host_events)?;
        router.look();
        Ok(router)
    }

    fn deadline(&self) -> Instant {
        let first = self.speaker.deadline().map(|time| self.began + time);
        first.unwrap_or_else(|| Instant::now() + IDLE)
    }

    fn obey(&mut self, command: Command) {
        match command {
            Command::Configure(instance, done) => {
                self.instance = Some(*instance);
                self.configure();
                self.settle();
                // Whoever has hung up needs no word.
                let _ = done.send(());
            }
            Command::Ask(query, wants) => {
                let _ = wants.send(answer::answer(&self.speaker, query, self.began.elapsed()));
            }
        }
    }

    /// Does as it was told, with the default gateways that the node has now.
    fn configure(&mut self) {
        let Some(instance) = &self.instance else { return };
        let config = configuration::config(instance, |family| gateway(&self.routes, family));
        let keys = instance.peers.iter().filter_map(|peer| {
            let address = peer.address.fixed()?;
            Some((IpNet::from(address), peer.password.clone()?))
        });
        let listened = self.connections.listen(instance.local_port);
        let signed = self.connections.sign(keys.collect());
        for outcome in [listened, signed] {
            if let Err(error) = outcome {
                log(&error.to_string());
            }
        }
        if *self.speaker.config() != config {
            self.events.push_back(Event::Configure(Box::new(config)));
        }
    }

    fn take(&mut self, host_event: HostEvent) {
        match host_event {
            HostEvent::Connection(event) => self.events.extend(self.connections.event(event)),
            HostEvent::Accepted(stream) => self.accept(stream),
            HostEvent::Network(_) => self.look(),
            // It has neither sessions of vtysh nor neighbors by interface.
            _ => {}
        }
    }

    fn accept(&mut self, stream: TcpStream) {
        let Ok(ends) = endpoints(&stream) else { return };
        let id = self.connections.next();
        if let Some(dial) = self.speaker.peer_at(&ends).and_then(|it| self.speaker.way_to(it))
            && let Err(error) = Connections::suit(&stream, &ends, &dial)
        {
            log(&error.to_string());
        }
        self.connections.take(id, stream);
        self.events.push_back(Event::Accepted(id, ends));
    }

    /// Looks at the kernel's interfaces and routes, and tells the core what has changed.
    fn look(&mut self) {
        let looked = Network::look(&mut self.netlink).and_then(|network| {
            let routes = network::routes(&mut self.netlink, &network.interfaces)?;
            Ok((network, routes))
        });
        let (network, routes) = match looked {
            Ok(found) => found,
            Err(error) => return log(&error.to_string()),
        };
        if network.interfaces != self.network.interfaces {
            self.events
                .push_back(Event::Interfaces(network.interfaces.clone()));
        }
        self.network = network;
        if routes != self.routes {
            self.events.push_back(Event::Routes(routes.clone()));
            self.routes = routes;
            self.configure();
        }
    }

    /// Lets the core decide about all that happened.
    fn settle(&mut self) {
        while let Some(event) = self.events.pop_front() {
            for action in self.speaker.handle_event(event, self.began.elapsed()) {
                self.perform(action);
            }
        }
        self.connections.tidy();
    }

    fn perform(&mut self, action: Action) {
        match action {
            Action::Dial(peer, dial) => {
                // It may succeed later: the core tries again.
                if self.connections.dial(peer, &dial).is_err() {
                    self.events.push_back(Event::DialFailed(peer));
                }
            }
            Action::HangUp(peer) => self.connections.hang_up(peer),
            Action::Send(id, octets) => self.connections.send(id, octets),
            Action::Report(id) => self.connections.report(id),
            Action::Close(id) => self.connections.close(id),
            // What Cilium's agent learns is not for the kernel.
            Action::Forward(..) | Action::ForwardIn(..) | Action::Place(_) | Action::TakeOut(_) => {}
            Action::Log(text) => log(&text),
        }
    }

    /// Ends everything: neighbors are told.
    async fn end(mut self) {
        self.events.push_back(Event::Configure(Box::default()));
        self.settle();
        self.connections.end(FAREWELL).await;
    }
}

/// The node's default gateway.
fn gateway(routes: &[KernelRoute], family: AddressFamily) -> Option<IpAddr> {
    let is_default =
        |route: &&KernelRoute| route.to.prefix_len() == 0 && AddressFamily::of(route.to.addr()) == family;
    let route = routes.iter().find(is_default)?;
    route.hops.iter().find_map(|hop| hop.via)
}
