//! The speaker's TCP connections: those it opens, those others open, and what goes over them.

use std::cell::Cell;
use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::net::{IpAddr, Shutdown, SocketAddr, SocketAddrV6};
use std::rc::{Rc, Weak};
use std::time::Duration;

use ipnet::IpNet;
use socket2::SockRef;
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::mpsc::{Sender, UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::sync::oneshot;
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::timeout;

use super::process::HostEvent;
use crate::bgp::session::ConnectionId;
use crate::bgp::speaker::{Dial, Endpoints, Event, TcpFigures};
use crate::bgp::table::SourceId;
use crate::kernel::error::Attempt;
use crate::kernel::{Result, hop_filter, tcp};

/// The port of BGP.
pub const PORT: u16 = 179;
/// How much is read at once, first and where there is more.
const FEW: usize = 4 * 1024;
const ROOM: usize = 16 * 1024;
/// How many messages are written at once.
const TOGETHER: usize = 64;
/// How long the other side may take to hear the last words and to hang up.
const FAREWELL: Duration = Duration::from_secs(1);
/// So many connections may be in that state, of one address and in all. Others are closed at once.
const CLOSING_OF_ONE: usize = 8;
const CLOSING: usize = 256;
/// A connection that takes no octet for so long is stuck.
const STALL: Duration = Duration::from_secs(10);

/// What happens to a connection.
pub enum ConnectionEvent {
    /// Dialling has ended.
    Dialled(SourceId, ConnectionId, io::Result<TcpStream>),
    /// Octets came.
    Received(ConnectionId, Vec<u8>),
    /// It is over.
    Closed(ConnectionId),
    /// All that was to be sent before a report was asked for is sent.
    Sent(ConnectionId),
    /// Whether what is to be sent has been stuck for a while.
    Stuck(ConnectionId, bool),
}

impl From<ConnectionEvent> for HostEvent {
    fn from(event: ConnectionEvent) -> HostEvent {
        HostEvent::Connection(event)
    }
}

/// All connections of a speaker.
pub struct Connections {
    host_events: Sender<HostEvent>,
    listeners: Vec<Listener>,
    /// Whose connections are signed, and by which key.
    keys: BTreeMap<IpNet, String>,
    /// How many hops the packets of whose connections must have left.
    hops: BTreeMap<IpNet, u8>,
    dialling: BTreeMap<SourceId, (ConnectionId, AbortHandle)>,
    open: BTreeMap<ConnectionId, Open>,
    /// The oldest first.
    closing: VecDeque<Closing>,
    tasks: JoinSet<()>,
    last: u64,
}

/// An open connection. Dropped, it is closed once all is sent.
struct Open {
    /// The core bounds what waits here: see [`Action::Report`](crate::bgp::speaker::Action::Report).
    outgoing: UnboundedSender<Outgoing>,
    _closing: oneshot::Sender<()>,
    remote: Option<IpAddr>,
    /// For what is asked of it; whoever carries its octets has it.
    stream: Weak<TcpStream>,
    serving: AbortHandle,
    /// Whether anything was said on it.
    was_used: Cell<bool>,
}

/// What is to be done on a connection, in this order.
enum Outgoing {
    Send(Vec<u8>),
    Report,
}

/// A connection that the speaker has closed and that lasts until the other side has heard its last words.
struct Closing {
    remote: Option<IpAddr>,
    serving: AbortHandle,
}

struct Listener {
    v4: bool,
    port: u16,
    socket: Rc<TcpListener>,
    accepting: AbortHandle,
}

impl Connections {
    /// None yet. What happens on them is told.
    pub fn new(host_events: Sender<HostEvent>) -> Connections {
        Connections {
            host_events,
            listeners: Vec::new(),
            keys: BTreeMap::new(),
            hops: BTreeMap::new(),
            dialling: BTreeMap::new(),
            open: BTreeMap::new(),
            closing: VecDeque::new(),
            tasks: JoinSet::new(),
            last: 0,
        }
    }

    /// Begins to listen on a port, or ends it.
    ///
    /// # Errors
    /// Somebody else has the port, for one family at least; the other is listened on.
    pub fn listen(&mut self, port: Option<u16>) -> Result<()> {
        if port.is_none() {
            self.keys.clear();
            self.hops.clear();
        }
        for listener in self
            .listeners
            .extract_if(.., |listener| Some(listener.port) != port)
        {
            listener.accepting.abort();
        }
        let Some(port) = port else { return Ok(()) };
        let mut done = Ok(());
        for v4 in [true, false] {
            if self.listeners.iter().all(|listener| listener.v4 != v4) {
                done = done.and(self.listen_on(v4, port));
            }
        }
        done
    }

    fn listen_on(&mut self, v4: bool, port: u16) -> Result<()> {
        let keys = self.keys.iter().filter(|(network, _)| is_v4(network) == v4);
        let keys = keys.map(|(network, key)| (*network, key.as_str()));
        let hops = self.hops.iter().map(|(network, least)| (*network, *least));
        let socket = tcp::listen(v4, port, keys, hops)?;
        let socket = TcpListener::from_std(socket).attempt(|| "listen for BGP")?;
        let socket = Rc::new(socket);
        let accepting = accept_all(Rc::clone(&socket), self.host_events.clone());
        let accepting = self.tasks.spawn_local(accepting);
        self.listeners.push(Listener {
            v4,
            port,
            socket,
            accepting,
        });
        Ok(())
    }

    /// Says whose connections are signed from now on. Those that are open stay as they are.
    ///
    /// # Errors
    /// The kernel refuses a key; the others hold.
    pub fn sign(&mut self, keys: BTreeMap<IpNet, String>) -> Result<()> {
        let mut done = Ok(());
        let gone = self.keys.keys().filter(|network| !keys.contains_key(*network));
        let gone = gone.map(|network| (network, ""));
        let changed = keys
            .iter()
            .filter(|(network, key)| self.keys.get(*network) != Some(*key));
        let changed = changed.map(|(network, key)| (network, key.as_str()));
        for (network, key) in gone.chain(changed) {
            let listeners = self.listeners.iter();
            for listener in listeners.filter(|listener| listener.v4 == is_v4(network)) {
                done = done.and(tcp::set_key(&*listener.socket, *network, key));
            }
        }
        self.keys = keys;
        done
    }

    /// Says from whom only packets are taken from now on that have so many hops left (0 is any; RFC 5082).
    ///
    /// # Errors
    /// The kernel refuses.
    pub fn require_hops(&mut self, hops: BTreeMap<IpNet, u8>) -> Result<()> {
        let mut done = Ok(());
        if hops != self.hops {
            for listener in &self.listeners {
                let all = hops.iter().map(|(network, least)| (*network, *least));
                done = done.and(hop_filter::require_hops(&*listener.socket, listener.v4, all));
            }
        }
        self.hops = hops;
        done
    }

    /// Opens a connection. An earlier one to the same neighbor that is not open yet is given up.
    ///
    /// # Errors
    /// It cannot even be tried.
    pub fn dial(&mut self, peer: SourceId, dial: &Dial) -> Result<()> {
        self.hang_up(peer);
        let remote = match dial.remote {
            IpAddr::V6(remote) if remote.is_unicast_link_local() => {
                SocketAddrV6::new(remote, dial.port, 0, dial.interface.unwrap_or(0)).into()
            }
            remote => SocketAddr::new(remote, dial.port),
        };
        let socket = tcp::dial(&tcp::Dial {
            remote,
            local: dial.local,
            reach: reach(dial),
            key: dial.password.as_deref(),
            segment: dial.segment,
        })?;
        let id = self.next();
        let (socket, host_events) = (TcpSocket::from_std_stream(socket), self.host_events.clone());
        let connecting = self.tasks.spawn_local(async move {
            let outcome = socket.connect(remote).await;
            let _ = host_events
                .send(ConnectionEvent::Dialled(peer, id, outcome).into())
                .await;
        });
        self.dialling.insert(peer, (id, connecting));
        Ok(())
    }

    /// Gives up a connection that is not open yet.
    pub fn hang_up(&mut self, peer: SourceId) {
        if let Some((_, connecting)) = self.dialling.remove(&peer) {
            connecting.abort();
        }
    }

    /// Whether dialling had this outcome to be waited for.
    fn has_dialled(&mut self, peer: SourceId, id: ConnectionId) -> bool {
        let awaited = matches!(self.dialling.get(&peer), Some((known, _)) if *known == id);
        if awaited {
            self.dialling.remove(&peer);
        }
        awaited
    }

    /// A number for a connection that somebody opened.
    pub fn next(&mut self) -> ConnectionId {
        self.last += 1;
        ConnectionId(self.last)
    }

    /// What the core is to hear of an event, if it concerns a connection that there still is.
    pub fn event(&mut self, event: ConnectionEvent) -> Option<Event> {
        Some(match event {
            ConnectionEvent::Dialled(peer, id, outcome) => {
                if !self.has_dialled(peer, id) {
                    return None;
                }
                match outcome.and_then(|stream| Ok((endpoints(&stream)?, stream))) {
                    Ok((ends, stream)) => {
                        self.take(id, stream);
                        Event::Dialled(peer, id, ends)
                    }
                    Err(_) => Event::DialFailed(peer),
                }
            }
            ConnectionEvent::Received(id, octets) if self.is_open(id) => Event::Received(id, octets),
            ConnectionEvent::Closed(id) if self.is_open(id) => {
                self.close(id);
                Event::Closed(id)
            }
            ConnectionEvent::Received(..) | ConnectionEvent::Closed(_) => return None,
            ConnectionEvent::Sent(id) => Event::Sent(id),
            ConnectionEvent::Stuck(id, stuck) => Event::Stuck(id, stuck),
        })
    }

    /// Takes an open connection.
    pub fn take(&mut self, id: ConnectionId, stream: TcpStream) {
        // Messages are written whole; nothing is gained by waiting for more.
        let _ = stream.set_nodelay(true);
        let (sender, outgoing) = unbounded_channel();
        let (closing, closes) = oneshot::channel();
        let host_events = self.host_events.clone();
        let remote = stream.peer_addr().ok().map(|remote| remote.ip());
        let stream = Rc::new(stream);
        let asked = Rc::downgrade(&stream);
        let serving = self.tasks.spawn_local(async move {
            tokio::select! {
                () = serve(id, stream, outgoing, host_events) => {}
                () = farewell(closes) => {}
            }
        });
        let open = Open {
            outgoing: sender,
            _closing: closing,
            remote,
            stream: asked,
            serving,
            was_used: Cell::new(false),
        };
        self.open.insert(id, open);
    }

    /// Says how far packets of a connection travel that the other side opened, and how long they are.
    ///
    /// # Errors
    /// The kernel refuses.
    pub fn suit(stream: &TcpStream, endpoints: &Endpoints, dial: &Dial) -> Result<()> {
        if let Some(octets) = dial.segment {
            let _ = tcp::limit_segments(stream, octets);
        }
        tcp::reach(stream, endpoints.remote.is_ipv4(), reach(dial))
    }

    /// What the kernel has measured of open connections.
    pub fn figures(&self) -> BTreeMap<ConnectionId, TcpFigures> {
        let measured = self.open.iter().filter_map(|(id, open)| {
            let figures = tcp::figures(&*open.stream.upgrade()?).ok()?;
            let figures = TcpFigures {
                segment: figures.segment,
                round_trip: figures.round_trip.as_millis() as u32,
            };
            Some((*id, figures))
        });
        measured.collect()
    }

    /// Whether a connection is open, so that it is to be heard of.
    fn is_open(&self, id: ConnectionId) -> bool {
        self.open.contains_key(&id)
    }

    /// Sends octets, in their turn.
    pub fn send(&self, id: ConnectionId, octets: Vec<u8>) {
        if let Some(open) = self.open.get(&id) {
            open.was_used.set(true);
            // One that has just ended says so itself.
            let _ = open.outgoing.send(Outgoing::Send(octets));
        }
    }

    /// Tells, in its turn, that all is sent.
    pub fn report(&self, id: ConnectionId) {
        if let Some(open) = self.open.get(&id) {
            let _ = open.outgoing.send(Outgoing::Report);
        }
    }

    /// Closes a connection once all is sent; at once if nothing was said on it, as to a stranger. It is not heard of again.
    pub fn close(&mut self, id: ConnectionId) {
        let Some(open) = self.open.remove(&id) else { return };
        if !open.was_used.get() {
            open.serving.abort();
            return;
        }
        self.closing.retain(|it| !it.serving.is_finished());
        let same = |it: &Closing| it.remote == open.remote;
        let too_many = self.closing.iter().filter(|it| same(it)).count() >= CLOSING_OF_ONE;
        let oldest = match too_many {
            true => self.closing.iter().position(same),
            false => (self.closing.len() >= CLOSING).then_some(0),
        };
        if let Some(oldest) = oldest.and_then(|at| self.closing.remove(at)) {
            oldest.serving.abort();
        }
        self.closing.push_back(Closing {
            remote: open.remote,
            serving: open.serving,
        });
    }

    /// Closes all, and waits a moment until the others have heard everything.
    pub async fn end(mut self, patience: Duration) {
        for (_, (_, connecting)) in std::mem::take(&mut self.dialling) {
            connecting.abort();
        }
        for listener in self.listeners.drain(..) {
            listener.accepting.abort();
        }
        self.open.clear();
        let _ = timeout(patience, async {
            while self.tasks.join_next().await.is_some() {}
        })
        .await;
    }

    /// Forgets tasks that have ended.
    pub fn tidy(&mut self) {
        while self.tasks.try_join_next().is_some() {}
    }
}

fn is_v4(network: &IpNet) -> bool {
    network.addr().is_ipv4()
}

fn reach(dial: &Dial) -> tcp::Reach {
    dial.security_hops
        .map_or(tcp::Reach::Hops(dial.hops), tcp::Reach::Within)
}

/// Both ends of a connection. Only link-local addresses say which link they are on.
///
/// # Errors
/// It is over already.
pub fn endpoints(stream: &TcpStream) -> io::Result<Endpoints> {
    let (local, remote) = (stream.local_addr()?, stream.peer_addr()?);
    let interface = match remote {
        SocketAddr::V6(remote) => Some(remote.scope_id()).filter(|scope| *scope != 0),
        SocketAddr::V4(_) => None,
    };
    Ok(Endpoints {
        local: local.ip(),
        remote: remote.ip(),
        interface,
        ports: (local.port(), remote.port()),
    })
}

async fn accept_all(listener: Rc<TcpListener>, host_events: Sender<HostEvent>) {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                if host_events.send(HostEvent::Accepted(stream)).await.is_err() {
                    return;
                }
            }
            // One that has ended before it was accepted; or no descriptors are left, and some may soon be.
            Err(_) => tokio::time::sleep(Duration::from_millis(100)).await,
        }
    }
}

/// Until the other side has had its time after the speaker closed its end.
async fn farewell(closes: oneshot::Receiver<()>) {
    let _ = closes.await;
    tokio::time::sleep(FAREWELL).await;
}

/// Carries octets both ways until one side has enough.
async fn serve(
    id: ConnectionId,
    stream: Rc<TcpStream>,
    outgoing: UnboundedReceiver<Outgoing>,
    host_events: Sender<HostEvent>,
) {
    let has_ended = tokio::select! {
        biased;
        sent = send_all(id, &stream, outgoing, &host_events) => sent.is_err(),
        () = receive_all(id, &stream, &host_events) => true,
    };
    if has_ended {
        let _ = host_events.send(ConnectionEvent::Closed(id).into()).await;
        return;
    }
    // Were the socket closed with something unread in it, the kernel would take back what the other has not read yet.
    while stream.readable().await.is_ok() {
        match stream.try_read(&mut [0u8; 512]) {
            Ok(1..) => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Ok(0) | Err(_) => return,
        }
    }
}

/// Sends until the speaker has closed its end. What waits goes together.
async fn send_all(
    id: ConnectionId,
    stream: &TcpStream,
    mut outgoing: UnboundedReceiver<Outgoing>,
    host_events: &Sender<HostEvent>,
) -> io::Result<()> {
    let mut waiting = Vec::new();
    while outgoing.recv_many(&mut waiting, TOGETHER).await > 0 {
        let mut together = Vec::new();
        for next in waiting.drain(..) {
            match next {
                Outgoing::Send(octets) if together.is_empty() => together = octets,
                Outgoing::Send(octets) => together.extend(octets),
                Outgoing::Report => {
                    write(id, stream, &std::mem::take(&mut together), host_events).await?;
                    let _ = host_events.send(ConnectionEvent::Sent(id).into()).await;
                }
            }
        }
        write(id, stream, &together, host_events).await?;
    }
    SockRef::from(stream).shutdown(Shutdown::Write)
}

/// Writes octets, and tells when none were taken for a while and when some are again.
async fn write(
    id: ConnectionId,
    stream: &TcpStream,
    mut octets: &[u8],
    host_events: &Sender<HostEvent>,
) -> io::Result<()> {
    let mut is_stuck = false;
    while !octets.is_empty() {
        let taken = match timeout(STALL, write_some(stream, octets)).await {
            Ok(Ok(0)) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(taken) => Some(taken?),
            Err(_) => None,
        };
        octets = octets.get(taken.unwrap_or(0)..).unwrap_or_default();
        if is_stuck != taken.is_none() {
            is_stuck = taken.is_none();
            let _ = host_events
                .send(ConnectionEvent::Stuck(id, is_stuck).into())
                .await;
        }
    }
    Ok(())
}

/// Writes as many octets as are taken.
async fn write_some(stream: &TcpStream, octets: &[u8]) -> io::Result<usize> {
    loop {
        stream.writable().await?;
        match stream.try_write(octets) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            done => return done,
        }
    }
}

/// Tells what comes until nothing more does.
async fn receive_all(id: ConnectionId, stream: &TcpStream, host_events: &Sender<HostEvent>) {
    loop {
        if stream.readable().await.is_err() {
            return;
        }
        match read(stream) {
            Ok(octets) if octets.is_empty() => return,
            Ok(octets) => {
                if host_events
                    .send(ConnectionEvent::Received(id, octets).into())
                    .await
                    .is_err()
                {
                    return;
                }
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(_) => return,
        }
    }
}

/// What has come: often a few octets, and much where a table comes. A connection on which nothing comes holds no buffer.
fn read(stream: &TcpStream) -> io::Result<Vec<u8>> {
    let mut octets = Vec::with_capacity(FEW);
    stream.try_read_buf(&mut octets)?;
    if octets.len() == FEW {
        octets.reserve(ROOM);
        // Its end, if that is what comes next, comes again.
        let _ = stream.try_read_buf(&mut octets);
    }
    Ok(octets)
}
