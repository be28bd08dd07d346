//! The speaker's process: one thread that waits for what happens, lets the core decide, and does what that says.

use std::fs;
use std::io::{self, Write as _};
use std::path::Path;
use std::time::Duration;

use nix::unistd::gethostname;
use tokio::net::{TcpStream, UnixStream};
use tokio::sync::mpsc::{Receiver, channel};
use tokio::task::LocalSet;

use super::connections::ConnectionEvent;
use super::network;
use super::router::Router;
use super::sessions::Sessions;
use super::{AS_DAEMONS, BGP_COMES, BGP_PID_FILE, CONFIGURATION, DAEMONS, PID_FILE, SOCKET, STARTED};
use crate::bgp::config::{Config, Own};
use crate::failure::Failure;
use crate::kernel::error::Attempt;
use crate::kernel::router_discovery::Heard;
use crate::kernel::watch::{Changes, Watch};
use crate::kernel::{event_loop, signals};
use crate::lab::daemons;

/// How much may wait to be looked at; whoever has more to tell waits then. It is little, so that a neighbor's sign of life does
/// not stand behind seconds of another's table.
const QUEUE: usize = 8;
/// How much is looked at before routes are put into the kernel.
const CHUNK: usize = 64;
/// How long neighbors may take to hear that this router goes.
const FAREWELL: Duration = Duration::from_millis(200);

/// What happens.
pub enum HostEvent {
    /// Something of a connection of the speaker's.
    Connection(ConnectionEvent),
    /// Somebody has opened a connection.
    Accepted(TcpStream),
    /// Interfaces, addresses or routes have changed.
    Network(Changes),
    /// Neighbors or forwarding databases have changed.
    Bridging,
    /// Something was said on a link about routers.
    Heard(Heard),
    /// Somebody has begun a session of vtysh.
    SessionBegan(UnixStream),
    /// A line of a session.
    SessionLine(u64, String),
    /// vtysh has taken an answer of which more follows.
    SessionTook(u64),
    /// A session is over.
    SessionEnded(u64),
}

/// Runs the process of the node it is in, until a signal ends it.
pub fn main() -> i32 {
    let runtime = event_loop::start();
    let outcome = match runtime {
        Ok(runtime) => LocalSet::new().block_on(&runtime, run()),
        Err(error) => Err(Failure::host(format!("cannot start the speaker: {error}"))),
    };
    match outcome {
        Ok(()) => 0,
        Err(failure) => {
            log(&failure.to_string());
            1
        }
    }
}

async fn run() -> Result<(), Failure> {
    let signals = signals::watch()?;
    let signals = UnixStream::from_std(signals).attempt(|| "watch for signals")?;
    let (sender, mut host_events) = channel(QUEUE);
    let hostname = gethostname().attempt(|| "find the node's name")?;
    let hostname = hostname.to_string_lossy().into_owned();
    let mut router = Router::begin(&hostname, sender.clone())?;
    // Announcements are heard from before the first look, so that nothing is missed in between.
    network::follow(Watch::open(router.own_port()?)?, sender.clone())?;
    let plays_bgp = plays_bgp();
    router.start(|own| load(plays_bgp, own));
    write_pid(PID_FILE);
    match plays_bgp {
        true => write_pid(BGP_PID_FILE),
        // One of a speaker before this one is no longer true.
        false => drop(fs::remove_file(BGP_PID_FILE)),
    }
    // Whoever waits for the speaker waits for its socket.
    router.take_sessions(Sessions::begin(Path::new(SOCKET), sender, plays_bgp)?);
    tokio::select! {
        () = live(&mut router, &mut host_events) => {}
        _ = signals.readable() => {}
    }
    drop(host_events);
    router.end(FAREWELL).await;
    Ok(())
}

/// Says who plays a daemon where FRR's does, for scripts that signal it.
fn write_pid(path: &str) {
    // Where FRR is not installed, nobody else has made its directory.
    let directory = Path::new(path).parent().map_or(Ok(()), std::fs::create_dir_all);
    let written = directory.and_then(|()| std::fs::write(path, format!("{}\n", std::process::id())));
    if let Err(error) = written {
        log(&format!("cannot write {path}: {error}"));
    }
}

/// Whether BGP is played: where a node starts FRR itself, as its file of daemons says.
fn plays_bgp() -> bool {
    let has = |option: &str| std::env::args().any(|word| word == option);
    if has(BGP_COMES) && !Path::new(STARTED).exists() {
        return true;
    }
    !has(AS_DAEMONS) || daemons::enabled(&fs::read_to_string(DAEMONS).unwrap_or_default()).contains("bgpd")
}

/// Until it is dropped.
async fn live(router: &mut Router, host_events: &mut Receiver<HostEvent>) {
    loop {
        let host_event = tokio::select! {
            biased;
            host_event = host_events.recv() => host_event,
            () = tokio::time::sleep_until(router.deadline().into()) => None,
        };
        if let Some(host_event) = host_event {
            router.take(host_event);
            for _ in 1..CHUNK {
                match host_events.try_recv() {
                    Ok(host_event) => router.take(host_event),
                    Err(_) => break,
                }
            }
        }
        router.tick();
    }
}

/// The text of FRR's file, or without one those of its daemons, as these read it.
fn configuration() -> String {
    if Path::new(CONFIGURATION).exists() {
        return fs::read_to_string(CONFIGURATION).unwrap_or_default();
    }
    let texts = daemons::own_files().filter_map(|path| fs::read_to_string(path).ok());
    texts.map(|text| text + "\n").collect()
}

/// The configuration as it stands in the node. What cannot be taken of it is told and left out, as vtysh does.
fn load(plays_bgp: bool, own: &Own) -> Config {
    let text = configuration();
    let (mut config, diagnostics) = Config::parse_at(&text, own);
    for diagnostic in diagnostics {
        log(&format!("{CONFIGURATION}: {diagnostic}"));
    }
    if !plays_bgp && config.bgp.take().is_some() {
        log(&format!(
            "bgpd does not run, since {DAEMONS} does not say `bgpd=yes`: lines of BGP are left out"
        ));
    }
    config
}

/// Says something in the node's log, which is this process's output.
pub fn log(text: &str) {
    // Nobody may be reading any more; the router goes on.
    let _ = writeln!(io::stdout(), "{text}");
}
