//! Which of the two ways to impair links the kernel can go: each is tried in a namespace of its own.

use crate::failure::Failure;
use crate::impair::program;
use crate::kernel::namespace::{self, Wanted};
use crate::kernel::sysctl;
use crate::kernel::tc::{Action, Hook, Netem, Requests, STOLEN, Tbf};

/// The loopback interface, which every namespace has.
const LOOPBACK: u32 = 1;

/// Netem.
///
/// # Errors
/// The kernel has none.
pub fn netem() -> Result<(), Failure> {
    tried(|requests| requests.netem(LOOPBACK, &Netem::default()))
}

/// Whether netem begins its random numbers where it is told to (Linux 6.6). An older one says nothing and draws others.
pub fn netem_takes_seeds() -> bool {
    let release = sysctl::read("kernel/osrelease").unwrap_or_default();
    let mut numbers = release
        .split(['.', '-'])
        .map_while(|part| part.parse::<u32>().ok());
    (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0)) >= (6, 6)
}

/// What nslab does by itself, but for the queue that takes a tap.
///
/// # Errors
/// What the kernel lacks for it.
pub fn own() -> Result<(), Failure> {
    tried(|requests| {
        requests.clsact(LOOPBACK);
        let always = program::always(STOLEN);
        requests.program(LOOPBACK, Hook::Ingress, 1, &always, Action::Direct);
        requests.program(LOOPBACK, Hook::Egress, 2, &always, Action::Redirect(LOOPBACK));
        let tbf = Tbf {
            rate: 1_000_000,
            burst: 10_000,
            limit: 10_000,
        };
        requests.tbf(LOOPBACK, &tbf);
    })
}

fn tried(ask: impl FnOnce(&mut Requests)) -> Result<(), Failure> {
    let wanted = Wanted {
        name: "a trial",
        sysctls: &[],
        made: None,
    };
    let mut made = namespace::create(&[wanted])?;
    let made = made
        .first_mut()
        .ok_or_else(|| Failure::host("the kernel made no namespace"))?;
    let mut requests = Requests::default();
    ask(&mut requests);
    Ok(requests.send(&mut made.netlink)?)
}
