//! The load of `scripts/bench bgp`: senders that give a router a table shaped like the Internet's, and a receiver behind it.
//!
//! One process on one clock, with its sockets in two network namespaces. It has to cost less than any router: all UPDATEs
//! are encoded before the clock starts, and the receiver counts prefixes without reading what is said about them.

mod session;
mod table;

use std::error::Error;
use std::fs::File;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::thread::{self, JoinHandle};
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
    let mut streams = Vec::new();
    for (number, share) in (0..senders).zip(shares) {
        let side = Side {
            local: Ipv4Addr::new(10, 250, 0, 2 + number),
            router: Ipv4Addr::new(10, 250, 0, 1),
            asn: FIRST_SENDER_AS + u32::from(number),
        };
        let updates = share.encode(side.asn, side.local);
        streams.push((inside(sender_net.clone(), move || session::open(&side))?, updates));
    }
    thread::sleep(REST);

    let counting = receive(receiver, total)?;
    let start = Instant::now();
    for (stream, updates) in streams {
        send(stream, updates)?;
    }
    let end = counting.join().map_err(|_| "the receiver has failed")??;
    println!("{:.6}", (end - start).as_secs_f64());
    // The router is looked at while its sessions stand: one that loses them would go on working.
    std::io::stdin().read_to_end(&mut Vec::new())?;
    Ok(())
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

/// Writes as fast as TCP takes it, and reads whatever comes, so that the router is never kept waiting.
fn send(mut stream: TcpStream, updates: Vec<u8>) -> Result<(), Failed> {
    let mut reading = stream.try_clone()?;
    thread::spawn(move || {
        let mut buffer = vec![0; 1 << 16];
        while matches!(reading.read(&mut buffer), Ok(1..)) {}
    });
    thread::spawn(move || -> std::io::Result<()> {
        stream.write_all(&updates)?;
        keep_alive(stream)
    });
    Ok(())
}

/// Counts prefixes until all are there; the thread's value is when that was.
fn receive(stream: TcpStream, total: usize) -> Result<JoinHandle<Result<Instant, Failed>>, Failed> {
    let writing = stream.try_clone()?;
    thread::spawn(move || keep_alive(writing));
    let mut reading = stream;
    reading.set_read_timeout(Some(PATIENCE))?;
    Ok(thread::spawn(move || {
        let mut buffer = vec![0; 1 << 20];
        let mut counter = Counter::default();
        while counter.prefixes < total {
            let length = reading
                .read(&mut buffer)
                .map_err(|why| format!("after {} of {total} prefixes: {why}", counter.prefixes))?;
            if length == 0 {
                return Err(format!(
                    "the router hung up after {} of {total} prefixes",
                    counter.prefixes
                )
                .into());
            }
            counter.take(buffer.get(..length).unwrap_or_default())?;
        }
        Ok(Instant::now())
    }))
}

fn keep_alive(mut stream: TcpStream) -> std::io::Result<()> {
    loop {
        thread::sleep(KEEPALIVE);
        stream.write_all(&session::keepalive())?;
    }
}
