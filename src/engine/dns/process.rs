//! The server's process: one thread, a socket for each way of asking, and one for the supervisor.

use std::cell::{Cell, RefCell};
use std::fs;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::rc::Rc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use socket2::{Domain, Protocol, Socket, Type};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream, UdpSocket, UnixListener, UnixStream};
use tokio::sync::Semaphore;
use tokio::task::{LocalSet, spawn_local};
use tokio::time::{sleep, timeout};

use super::connections::{Connections, Place};
use super::{MEMORY, Reply, Request, SOCKET, api, forward, hosts};
use crate::dns::wire::{self, LARGEST_TCP, Message, Name, Query, Rcode, Unread};
use crate::dns::{Contents, PORT, Verdict, Zone, judge};
use crate::engine::socket::listen;
use crate::engine::speaker::process::log;
use crate::failure::Failure;
use crate::kernel::error::Attempt as _;
use crate::kernel::{event_loop, signals};

/// So many questions may wait for other servers' answers.
const MOST_ASKED: usize = 256;
/// So long somebody may be connected by TCP without a question.
const IDLE: Duration = Duration::from_secs(10);
/// So many connections wait to be taken.
const BACKLOG: i32 = 64;
/// Between two attempts.
const PAUSE: Duration = Duration::from_millis(50);

/// Runs the process of the node it is in, until a signal ends it: an address, and the version of EndpointSlices where the API
/// server is asked.
pub fn main(words: &[String]) -> i32 {
    let runtime = event_loop::start();
    let outcome = match runtime {
        Ok(runtime) => LocalSet::new().block_on(&runtime, run(words)),
        Err(error) => Err(Failure::host(format!("cannot start the DNS server: {error}"))),
    };
    match outcome {
        Ok(()) => 0,
        Err(failure) => {
            log(&failure.to_string());
            1
        }
    }
}

async fn run(words: &[String]) -> Result<(), Failure> {
    let address = words.first().and_then(|word| word.parse::<IpAddr>().ok());
    let address = address
        .ok_or_else(|| Failure::wrong("this verb is nslab's own: it is given an address to listen at"))?;
    let signals = signals::watch()?;
    let signals = UnixStream::from_std(signals).attempt(|| "watch for signals")?;
    let server = Rc::new(Server {
        address,
        zone: RefCell::default(),
        serial: Cell::new(now()),
        silent: forward::Silent::default(),
        asked: Semaphore::new(MOST_ASKED),
        connected: Rc::default(),
    });
    let place = SocketAddr::new(address, PORT);
    let what = || format!("listen at {place}");
    let datagrams = UdpSocket::from_std(bound(place, Type::DGRAM).attempt(what)?.into()).attempt(what)?;
    let streams = TcpListener::from_std(bound(place, Type::STREAM).attempt(what)?.into()).attempt(what)?;
    spawn_local(answer_datagrams(Rc::new(datagrams), Rc::clone(&server)));
    spawn_local(answer_streams(streams, Rc::clone(&server)));
    let learn = async {
        match words.get(1) {
            Some(slices) => api::follow(slices, |contents| server.know(contents)).await,
            None => {
                server.know(recall());
                be_told(listen(Path::new(SOCKET))?, &server).await;
                Ok(())
            }
        }
    };
    tokio::select! {
        outcome = learn => outcome,
        _ = signals.readable() => Ok(()),
    }
}

/// Seconds since 1970: versions of a zone grow also beyond the end of a process.
fn now() -> u32 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u32::try_from(since.as_secs()).unwrap_or(u32::MAX)
}

/// A socket at an address that is the node's own without an interface's having it, which IPv6 takes for another's.
fn bound(place: SocketAddr, kind: Type) -> io::Result<Socket> {
    let protocol = match kind {
        Type::STREAM => Protocol::TCP,
        _ => Protocol::UDP,
    };
    let socket = Socket::new(Domain::for_address(place), kind.nonblocking(), Some(protocol))?;
    match place.is_ipv4() {
        true => socket.set_freebind_v4(true)?,
        false => socket.set_freebind_v6(true)?,
    }
    if kind == Type::STREAM {
        socket.set_reuse_address(true)?;
    }
    socket.bind(&place.into())?;
    if kind == Type::STREAM {
        socket.listen(BACKLOG)?;
    }
    Ok(socket)
}

/// The server.
struct Server {
    address: IpAddr,
    /// None until it is known what there is.
    zone: RefCell<Option<Rc<Zone>>>,
    serial: Cell<u32>,
    silent: forward::Silent,
    asked: Semaphore,
    connected: Rc<Connections>,
}

/// How a question came.
#[derive(Clone, Copy, PartialEq)]
enum Way {
    Datagram,
    Stream,
}

impl Server {
    fn know(&self, contents: Contents) {
        let serial = self.serial.get().max(now()).wrapping_add(1);
        self.serial.set(serial);
        let zone = Zone::new(contents, vec![self.address], serial);
        self.zone.replace(Some(Rc::new(zone)));
    }

    /// What is answered at once, as far as anything is.
    fn judge(&self, query: &Query) -> Verdict {
        match &*self.zone.borrow() {
            Some(zone) => judge(zone, query),
            // Nothing is said of names that may yet turn out to be there.
            None => match judge(&Zone::default(), query) {
                Verdict::Elsewhere => Verdict::Elsewhere,
                _ => Verdict::Answer(Message::failure(Rcode::ServerFailure)),
            },
        }
    }

    /// The answer to a message; none where it deserves none. What can be answered at once is.
    async fn answer(&self, message: &[u8], way: Way) -> Option<Vec<u8>> {
        let query = match wire::read(message) {
            Ok(query) => query,
            Err(Unread::Silence) => return None,
            Err(Unread::Refusal(answer)) => return Some(answer),
        };
        let largest = match way {
            Way::Datagram => query.largest(),
            Way::Stream => LARGEST_TCP,
        };
        let written = |message: &Message| Some(query.answer(message, largest));
        match self.judge(&query) {
            Verdict::Answer(answer) => written(&answer),
            Verdict::Alias(answer, target) => written(&self.follow(answer, target, &query).await),
            Verdict::Elsewhere => match hosts::answer(&hosts::read(), &query) {
                Some(answer) => written(&answer),
                None => match self.pass_on(&query, message, way).await {
                    Ok(answer) => Some(answer),
                    Err(rcode) => written(&Message::failure(rcode)),
                },
            },
        }
    }

    async fn pass_on(&self, query: &Query, message: &[u8], way: Way) -> Result<Vec<u8>, Rcode> {
        let servers = forward::servers(self.address);
        if servers.is_empty() {
            return Err(Rcode::Refused);
        }
        let _place = self.asked.try_acquire().map_err(|_| Rcode::ServerFailure)?;
        let answer = forward::ask(&servers, &self.silent, query, message, way == Way::Stream).await;
        let mut answer = answer.ok_or(Rcode::ServerFailure)?;
        if let Some(id) = answer.get_mut(..2) {
            id.copy_from_slice(&query.id.to_be_bytes());
        }
        Ok(answer)
    }

    /// Adds the addresses of another name to an answer: resolvers in pods do not ask for them.
    async fn follow(&self, mut answer: Message, target: Name, query: &Query) -> Message {
        let next = Query::new(0, target, query.kind);
        if let Some(found) = hosts::answer(&hosts::read(), &next) {
            answer.answers.extend(found.answers);
            return answer;
        }
        let servers = forward::servers(self.address);
        let Ok(_place) = self.asked.try_acquire() else {
            return Message::failure(Rcode::ServerFailure);
        };
        // That there is such a name is known whatever others say.
        if let Some(reply) = forward::ask(&servers, &self.silent, &next, &next.write(), false).await {
            let id = reply
                .get(..2)
                .and_then(|id| id.try_into().ok())
                .map_or(0, u16::from_be_bytes);
            answer.answers.extend(Query { id, ..next }.records_of(&reply));
        }
        answer
    }
}

async fn answer_datagrams(socket: Rc<UdpSocket>, server: Rc<Server>) {
    let mut buffer = vec![0; LARGEST_TCP];
    loop {
        let Ok((length, from)) = socket.recv_from(&mut buffer).await else {
            // What an earlier answer met; the socket is as good as before.
            sleep(Duration::from_millis(1)).await;
            continue;
        };
        let message = &buffer[..length];
        if is_quick(&server, message) {
            if let Some(answer) = server.answer(message, Way::Datagram).await {
                // Whoever does not get it asks again.
                let _ = socket.try_send_to(&answer, from);
            }
            continue;
        }
        let (message, socket, server) = (message.to_vec(), Rc::clone(&socket), Rc::clone(&server));
        spawn_local(async move {
            if let Some(answer) = server.answer(&message, Way::Datagram).await {
                let _ = socket.send_to(&answer, from).await;
            }
        });
    }
}

/// Whether the answer to a message waits for nobody, or there are too many that do.
fn is_quick(server: &Server, message: &[u8]) -> bool {
    let is_here = |query: Query| matches!(server.judge(&query), Verdict::Answer(_));
    server.asked.available_permits() == 0 || wire::read(message).map_or(true, is_here)
}

async fn answer_streams(listener: TcpListener, server: Rc<Server>) {
    loop {
        match listener.accept().await {
            Ok((stream, from)) => {
                let place = server.connected.take(from.ip());
                let number = place.number();
                let answering = Rc::clone(&server);
                let task = spawn_local(async move {
                    // Whoever has hung up wants no answer.
                    let _ = answer_stream(stream, &answering, &place).await;
                });
                server.connected.is_served_by(number, task.abort_handle());
            }
            // No descriptors are left, and some may soon be.
            Err(_) => sleep(PAUSE).await,
        }
    }
}

async fn answer_stream(mut stream: TcpStream, server: &Server, place: &Place) -> io::Result<()> {
    loop {
        let message = timeout(IDLE, forward::read(&mut stream)).await??;
        place.note_question();
        match server.answer(&message, Way::Stream).await {
            Some(answer) => timeout(IDLE, forward::write(&mut stream, &answer)).await??,
            None => return Ok(()),
        }
    }
}

/// What an earlier life was told.
fn recall() -> Contents {
    let text = fs::read_to_string(MEMORY).unwrap_or_default();
    serde_json::from_str(&text).unwrap_or_default()
}

fn remember(contents: &Contents) -> io::Result<()> {
    let new = format!("{MEMORY}.new");
    fs::write(&new, serde_json::to_string(contents)?)?;
    fs::rename(&new, MEMORY)
}

async fn be_told(listener: UnixListener, server: &Rc<Server>) {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                let server = Rc::clone(server);
                spawn_local(async move {
                    let _ = hear(stream, &server).await;
                });
            }
            Err(_) => sleep(PAUSE).await,
        }
    }
}

async fn hear(stream: UnixStream, server: &Server) -> io::Result<()> {
    let (reading, mut writing) = stream.into_split();
    let mut lines = BufReader::new(reading).lines();
    while let Some(line) = lines.next_line().await? {
        let Request::Know(contents) = serde_json::from_str(&line)?;
        if let Err(error) = remember(&contents) {
            log(&format!("cannot write {MEMORY}: {error}"));
        }
        server.know(contents);
        let mut text = serde_json::to_string(&Reply::Known)?;
        text.push('\n');
        writing.write_all(text.as_bytes()).await?;
    }
    Ok(())
}
