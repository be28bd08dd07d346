//! The connections of a server by TCP: there is always a place for one more, and no client takes those of others.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::rc::Rc;
use std::time::Instant;

use tokio::task::AbortHandle;

/// So many may be connected, of which so many from one address.
const MOST: usize = 64;
const MOST_OF_ONE: usize = 16;

/// All connections by their numbers.
#[derive(Default)]
pub struct Connections {
    all: RefCell<BTreeMap<u64, Connection>>,
    next: Cell<u64>,
}

struct Connection {
    from: IpAddr,
    /// When it was made, or last had a question.
    active: Instant,
    task: Option<AbortHandle>,
}

/// The place of a connection, until it is dropped.
pub struct Place {
    connections: Rc<Connections>,
    number: u64,
}

impl Connections {
    /// A place for one from this address. Where there is none left, the one that has been idle longest is closed: of that address
    /// where it has its share.
    pub fn take(self: &Rc<Connections>, from: IpAddr) -> Place {
        let mut all = self.all.borrow_mut();
        let has_share = all.values().filter(|it| it.from == from).count() >= MOST_OF_ONE;
        if has_share || all.len() >= MOST {
            let others = all.iter().filter(|(_, it)| !has_share || it.from == from);
            let idle = others.min_by_key(|(_, it)| it.active).map(|(number, _)| *number);
            let closed = idle.and_then(|number| all.remove(&number));
            if let Some(task) = closed.and_then(|it| it.task) {
                task.abort();
            }
        }
        let number = self.next.get();
        self.next.set(number.wrapping_add(1));
        let connection = Connection {
            from,
            active: Instant::now(),
            task: None,
        };
        all.insert(number, connection);
        Place {
            connections: Rc::clone(self),
            number,
        }
    }

    /// Says which task is to be ended for a connection to be closed.
    pub fn is_served_by(&self, number: u64, task: AbortHandle) {
        if let Some(connection) = self.all.borrow_mut().get_mut(&number) {
            connection.task = Some(task);
        }
    }
}

impl Place {
    /// The connection's number.
    pub fn number(&self) -> u64 {
        self.number
    }

    /// Notes that there was a question.
    pub fn note_question(&self) {
        if let Some(connection) = self.connections.all.borrow_mut().get_mut(&self.number) {
            connection.active = Instant::now();
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.connections.all.borrow_mut().remove(&self.number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_client_takes_the_places_of_others() {
        let connections = Rc::new(Connections::default());
        let address = |last: u8| IpAddr::from([10, 1, 0, last]);
        let own = connections.take(address(1));
        let of_one: Vec<Place> = (0..200).map(|_| connections.take(address(2))).collect();
        let count = || connections.all.borrow().len();
        assert_eq!(count(), 1 + MOST_OF_ONE);
        assert!(connections.all.borrow().contains_key(&own.number()));
        // Its latest are the ones that stay.
        assert!(connections.all.borrow().contains_key(&of_one[199].number()));
        drop(of_one);
        assert_eq!(count(), 1);
        // Many clients: whoever has been idle longest goes.
        let mut places = Vec::new();
        for last in 2..200 {
            own.note_question();
            places.push(connections.take(address(last)));
        }
        assert_eq!(count(), MOST);
        assert!(connections.all.borrow().contains_key(&own.number()));
    }
}
