//! Published ports: TCP ports of nodes that the host answers on, by default on its loopback alone.
//!
//! The supervisor listens on the host and speaks to the node from inside the hub, which reaches every node of its own lab
//! and of no other, whatever the host's routes say. Sockets go with the supervisor.

use std::io::{self, ErrorKind};
use std::net::{SocketAddr, TcpStream as StdTcpStream};
use std::os::fd::OwnedFd;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use socket2::{Domain, SockRef, Socket, Type};
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::spawn_local;

use super::state::Living;
use crate::failure::Failure;
use crate::kernel::error::{Attempt, Error};

/// How many connections a port carries at a time: two descriptors each. Further ones wait in the kernel's queue.
const CONNECTIONS: usize = 512;

/// How long a port rests that cannot take a connection.
const AGAIN: Duration = Duration::from_millis(100);

/// Starts to answer on the host for all published ports of the lab.
///
/// # Errors
/// A port is in use, or the host has no such address.
pub async fn publish(lab: &Rc<Living>, ports: &[(SocketAddr, SocketAddr)]) -> Result<(), Failure> {
    for (listen, to) in ports {
        let listener = TcpListener::bind(listen)
            .await
            .map_err(|error| refused(*listen, &error))?;
        spawn_local(answer(Rc::clone(lab), listener, *to));
    }
    Ok(())
}

pub(super) fn refused(listen: SocketAddr, error: &io::Error) -> Failure {
    let help = match error.kind() {
        ErrorKind::AddrInUse => "another program on the host listens there: choose another port in `ports`",
        ErrorKind::AddrNotAvailable => {
            "the host has no such address: `ports = [\"8080:80\"]` takes its loopback"
        }
        _ => "choose another in `ports`",
    };
    Failure::from(Error::io(format!("publish a port on {listen}"), error)).help(help)
}

async fn answer(lab: Rc<Living>, listener: TcpListener, to: SocketAddr) {
    let room = Arc::new(Semaphore::new(CONNECTIONS));
    loop {
        let Ok(permit) = Arc::clone(&room).acquire_owned().await else {
            return;
        };
        let Ok((client, _)) = listener.accept().await else {
            // Out of descriptors or memory, the one error that stays: nothing tells when there are some again, and the
            // listener goes on being readable.
            tokio::time::sleep(AGAIN).await;
            continue;
        };
        let lab = Rc::clone(&lab);
        spawn_local(async move {
            carry(&lab, client, to).await;
            drop(permit);
        });
    }
}

async fn carry(lab: &Living, mut client: TcpStream, to: SocketAddr) {
    match reach(lab, to).await {
        // Either side's end, however it comes, is the other's.
        Ok(mut node) => drop(copy_bidirectional(&mut client, &mut node).await),
        // The client learns by a reset that nobody is there, as it would from the node itself.
        Err(_) => drop(SockRef::from(&client).set_linger(Some(Duration::ZERO))),
    }
}

/// A socket in the hub, which reaches every node.
pub(super) fn in_hub(lab: &Living, to: SocketAddr, kind: Type) -> Result<Socket, Failure> {
    let namespaces = lab.namespaces.borrow();
    let hub = lab.plan.host.as_ref().and_then(|host| namespaces.get(host.hub));
    let hub = hub.ok_or_else(|| Failure::host("the lab has no management network"))?;
    Ok(hub.run(|| {
        let socket = Socket::new(Domain::for_address(to), kind, None);
        let socket = socket.attempt(|| "make a socket")?;
        socket.set_nonblocking(true).attempt(|| "make a socket")?;
        Ok(socket)
    })?)
}

async fn reach(lab: &Living, to: SocketAddr) -> Result<TcpStream, Failure> {
    let socket = in_hub(lab, to, Type::STREAM)?;
    let socket = TcpSocket::from_std_stream(StdTcpStream::from(OwnedFd::from(socket)));
    Ok(socket.connect(to).await.attempt(|| format!("reach {to}"))?)
}
