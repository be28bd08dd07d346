//! Published UDP ports. Each client of the host's has a socket in the hub that speaks to the node, so that answers find their
//! way back; it goes once nothing has come from the node for a while.

use std::cell::RefCell;
use std::collections::HashMap;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use socket2::Type;
use tokio::net::UdpSocket;
use tokio::task::spawn_local;
use tokio::time::timeout;

use super::ports::{in_hub, refused};
use super::state::Living;
use crate::failure::Failure;
use crate::kernel::error::Attempt;

/// How many clients a port has at a time: a descriptor each. What others send is lost, as UDP may be.
const CLIENTS: usize = 128;
/// After how long without an answer a client is forgotten.
const IDLE: Duration = Duration::from_secs(60);
/// The longest datagram, in bytes.
const LONGEST: usize = 65_535;
/// How long a port rests that cannot be read.
const AGAIN: Duration = Duration::from_millis(100);

/// The sockets in the hub, by client.
type Clients = Rc<RefCell<HashMap<SocketAddr, Rc<UdpSocket>>>>;

/// Starts to answer on the host for all published UDP ports of the lab.
///
/// # Errors
/// A port is in use, or the host has no such address.
pub async fn publish(lab: &Rc<Living>, ports: &[(SocketAddr, SocketAddr)]) -> Result<(), Failure> {
    for (listen, to) in ports {
        let socket = UdpSocket::bind(listen)
            .await
            .map_err(|error| refused(*listen, &error))?;
        spawn_local(answer(Rc::clone(lab), Rc::new(socket), *to));
    }
    Ok(())
}

async fn answer(lab: Rc<Living>, socket: Rc<UdpSocket>, to: SocketAddr) {
    let clients = Clients::default();
    let mut datagram = vec![0; LONGEST];
    loop {
        let Ok((length, client)) = socket.recv_from(&mut datagram).await else {
            tokio::time::sleep(AGAIN).await;
            continue;
        };
        let known = clients.borrow().get(&client).cloned();
        let there = match known {
            Some(there) => there,
            None if clients.borrow().len() >= CLIENTS => continue,
            None => {
                let Ok(there) = reach(&lab, to).await.map(Rc::new) else {
                    continue;
                };
                clients.borrow_mut().insert(client, Rc::clone(&there));
                spawn_local(carry_back(
                    Rc::clone(&clients),
                    Rc::clone(&socket),
                    Rc::clone(&there),
                    client,
                ));
                there
            }
        };
        // A datagram that cannot be sent is lost.
        let _ = there.send(&datagram[..length]).await;
    }
}

/// Brings a node's answers to the client that asked.
async fn carry_back(clients: Clients, socket: Rc<UdpSocket>, there: Rc<UdpSocket>, client: SocketAddr) {
    let mut datagram = vec![0; LONGEST];
    loop {
        match timeout(IDLE, there.recv(&mut datagram)).await {
            Ok(Ok(length)) => drop(socket.send_to(&datagram[..length], client).await),
            // Nobody listens at the node, as it has told; somebody may later.
            Ok(Err(_)) => tokio::time::sleep(AGAIN).await,
            Err(_) => break,
        }
    }
    clients.borrow_mut().remove(&client);
}

async fn reach(lab: &Living, to: SocketAddr) -> Result<UdpSocket, Failure> {
    let socket = in_hub(lab, to, Type::DGRAM)?;
    let what = || format!("reach {to}");
    let socket = UdpSocket::from_std(socket.into()).attempt(what)?;
    socket.connect(to).await.attempt(what)?;
    Ok(socket)
}
