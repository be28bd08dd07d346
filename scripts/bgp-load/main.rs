//! The load of `scripts/bench bgp`: senders that give a router a table shaped like the Internet's, and a receiver behind it.
//!
//! One process on one clock, with its sockets in two network namespaces. It has to cost less than any router: all UPDATEs
//! are encoded before the clock starts, and the receiver counts prefixes without reading what is said about them.

mod session;
mod table;

use std::cell::Cell;
use std::error::Error;
use std::fs::File;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, Shutdown, TcpStream};
use std::sync::mpsc::RecvTimeoutError;
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use nix::sched::{CloneFlags, setns};

use session::{Counter, Side};

/// What goes wrong in a thread has to be carried out of it.
type Failed = Box<dyn Error + Send + Sync>;

/// Senders are in ASs from this one on; the router is in 65000.
const FIRST_SENDER_AS: u32 = 65_001;
/// The receiver's AS.
const RECEIVER_AS: u32 = 64_999;
/// Less than a third of any router's hold time: `frr defaults datacenter` has nine seconds.
const KEEPALIVE: Duration = Duration::from_secs(2);
/// Routers do a few things of their own right after a session has come up.
const REST: Duration = Duration::from_secs(1);
/// How long a router may be silent before it counts as stuck.
const PATIENCE: Duration = Duration::from_secs(120);

fn main() -> Result<(), Failed> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let [sender_net, receiver_net, senders, prefixes, seed] = words.as_slice() else {
        return Err("usage: bgp-load SENDERS-NAMESPACE RECEIVER-NAMESPACE SENDERS PREFIXES-EACH SEED".into());
    };
    let (senders, prefixes): (u8, usize) = (senders.parse()?, prefixes.parse()?);
    let total = usize::from(senders) * prefixes;
    let shares = table::generate(total, seed.parse()?).split(usize::from(senders), prefixes);

    let receiver = inside(receiver_net.clone(), || {
        session::open(&Side {
            local: Ipv4Addr::new(10, 251, 0, 2),
            router: Ipv4Addr::new(10, 251, 0, 1),
            asn: RECEIVER_AS,
        })
    })?;
    let mut all = Vec::new();
    for (number, share) in (0..senders).zip(shares) {
        let side = Side {
            local: Ipv4Addr::new(10, 250, 0, 2 + number),
            router: Ipv4Addr::new(10, 250, 0, 1),
            asn: FIRST_SENDER_AS + u32::from(number),
        };
        let withdrawals = share.encode_withdrawals();
        all.push(Sender {
            session: connect(sender_net, side)?,
            side,
            updates: Arc::new(share.encode(side.asn, side.local)),
            withdrawals: Arc::new(withdrawals),
        });
    }
    thread::sleep(REST);

    let heard = Heard::of(receiver)?;
    let start = Instant::now();
    all.iter().try_for_each(|it| it.session.send(&it.updates))?;
    heard.wait(total, 0, start)?;
    // The router is looked at while its sessions stand: one that loses them would go on working. Each further line of the
    // input is something to be done with the table, and measured.
    let (mut announced, mut withdrawn) = (total, 0);
    for line in std::io::stdin().lines() {
        let line = line?;
        let start = Instant::now();
        if let Some(count) = line.strip_prefix("resets ") {
            (0..count.parse()?).try_for_each(|_| reset(sender_net, &mut all, &heard, total))?;
            let (now, gone) = heard.until(|now, gone| now - gone == total)?;
            (announced, withdrawn) = (now, gone);
            println!("{:.6}", start.elapsed().as_secs_f64());
            continue;
        }
        match line.as_str() {
            "announce" => all.iter().try_for_each(|it| it.session.send(&it.updates))?,
            "withdraw" => all.iter().try_for_each(|it| it.session.send(&it.withdrawals))?,
            "down" => all
                .iter()
                .try_for_each(|it| it.session.stream.shutdown(Shutdown::Both))?,
            "up" => {
                for it in &mut all {
                    it.session = connect(sender_net, it.side)?;
                    it.session.send(&it.updates)?;
                }
            }
            other => return Err(format!("`{other}` is nothing that can be done with a table").into()),
        }
        match line.as_str() {
            "announce" | "up" => announced += total,
            _ => withdrawn += total,
        }
        heard.wait(announced, withdrawn, start)?;
    }
    Ok(())
}

/// All senders reset their sessions, and tell everything again; returns in the middle of that.
fn reset(network: &str, all: &mut [Sender], heard: &Heard, total: usize) -> Result<(), Failed> {
    all.iter()
        .try_for_each(|it| it.session.stream.shutdown(Shutdown::Both))?;
    heard.until(|now, gone| now == gone)?;
    for it in all {
        it.session = connect(network, it.side)?;
        it.session.send(&it.updates)?;
    }
    heard.until(|now, gone| now - gone >= total / 2)?;
    Ok(())
}

/// A session with the router, and what is said on it.
struct Sender {
    side: Side,
    session: Session,
    updates: Arc<Vec<u8>>,
    withdrawals: Arc<Vec<u8>>,
}

/// A session, and what its thread is to write.
struct Session {
    stream: TcpStream,
    octets: mpsc::Sender<Arc<Vec<u8>>>,
}

impl Session {
    /// Whatever the router says there is read, so that it is never kept waiting.
    fn of(stream: TcpStream) -> Result<Session, Failed> {
        let mut reading = stream.try_clone()?;
        thread::spawn(move || {
            let mut buffer = vec![0; 1 << 16];
            while matches!(reading.read(&mut buffer), Ok(1..)) {}
        });
        let writing = stream.try_clone()?;
        let (octets, waiting) = mpsc::channel();
        thread::spawn(move || write_all(writing, &waiting));
        Ok(Session { stream, octets })
    }

    /// Has octets written as fast as TCP takes them.
    fn send(&self, octets: &Arc<Vec<u8>>) -> Result<(), Failed> {
        Ok(self.octets.send(Arc::clone(octets))?)
    }
}

/// Writes what is to be written, and between that a sign of life.
fn write_all(mut stream: TcpStream, waiting: &mpsc::Receiver<Arc<Vec<u8>>>) -> std::io::Result<()> {
    loop {
        match waiting.recv_timeout(KEEPALIVE) {
            Ok(octets) => stream.write_all(&octets)?,
            Err(RecvTimeoutError::Timeout) => stream.write_all(&session::keepalive())?,
            Err(RecvTimeoutError::Disconnected) => return Ok(()),
        }
    }
}

/// A session from the senders' network.
fn connect(network: &str, side: Side) -> Result<Session, Failed> {
    Session::of(inside(network.to_owned(), move || session::open(&side))?)
}

/// Does something in another network namespace. Sockets stay in the one they were made in.
fn inside<T: Send + 'static>(
    network: String,
    work: impl FnOnce() -> Result<T, Failed> + Send + 'static,
) -> Result<T, Failed> {
    let thread = thread::spawn(move || {
        setns(File::open(network)?, CloneFlags::CLONE_NEWNET)?;
        work()
    });
    thread.join().map_err(|_| "a thread has failed")?
}

/// What the receiver is told: prefixes that were announced and withdrawn so far, and when that was.
struct Heard {
    told: mpsc::Receiver<Result<(usize, usize, Instant), Failed>>,
    last: Cell<(usize, usize, Instant)>,
}

impl Heard {
    fn of(stream: TcpStream) -> Result<Heard, Failed> {
        let writing = stream.try_clone()?;
        thread::spawn(move || keep_alive(writing));
        let (told, heard) = mpsc::channel();
        thread::spawn(move || {
            let mut counter = Counter::default();
            let mut reading = stream;
            let mut buffer = vec![0; 1 << 20];
            loop {
                let length = reading.read(&mut buffer).map_err(Failed::from);
                let taken = length.and_then(|length| match length {
                    0 => Err("the router hung up".into()),
                    _ => counter.take(buffer.get(..length).unwrap_or_default()),
                });
                let is_over = taken.is_err();
                let now = taken.map(|()| (counter.prefixes, counter.withdrawn, Instant::now()));
                if told.send(now).is_err() || is_over {
                    return;
                }
            }
        });
        Ok(Heard {
            told: heard,
            last: Cell::new((0, 0, Instant::now())),
        })
    }

    /// Waits until so much was announced and withdrawn, and says how long that took.
    fn wait(&self, announced: usize, withdrawn: usize, start: Instant) -> Result<(), Failed> {
        let is_all = |now, gone| now >= announced && gone >= withdrawn;
        self.until(is_all)
            .map_err(|why| format!("{why}, not {announced} and {withdrawn}"))?;
        println!("{:.6}", (self.last.get().2 - start).as_secs_f64());
        Ok(())
    }

    /// Waits until a condition holds for what was announced and withdrawn, and returns that.
    fn until(&self, holds: impl Fn(usize, usize) -> bool) -> Result<(usize, usize), Failed> {
        loop {
            let (now, gone, _) = self.last.get();
            if holds(now, gone) {
                return Ok((now, gone));
            }
            let next = self.told.recv_timeout(PATIENCE);
            let stuck = |_| format!("{now} prefixes announced and {gone} withdrawn");
            self.last.set(next.map_err(stuck)??);
        }
    }
}

fn keep_alive(mut stream: TcpStream) -> std::io::Result<()> {
    loop {
        thread::sleep(KEEPALIVE);
        stream.write_all(&session::keepalive())?;
    }
}
