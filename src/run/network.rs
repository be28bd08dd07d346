//! Applies the network part of a plan: namespaces, links, then what is inside each namespace.

use std::os::fd::{AsFd, OwnedFd};

use nix::errno::Errno;
use tokio::task::yield_now;

use super::events::What;
use super::host_cleanup::clean_host;
use crate::apply::{self, Workshop, configure_all, make_links};
use crate::failure::Failure;
use crate::kernel::error::Attempt;
use crate::kernel::namespace::{self, Made, Namespace, Wanted};
use crate::kernel::user_namespace::{self, Pair};
use crate::lab::plan::{NamespaceStep, Plan};

/// How much is done between two looks at signals and requests: some tens of milliseconds' worth.
const CHUNK: usize = 100;

/// Whether a namespace is made in the lab's user namespace.
fn is_in_lab(step: &NamespaceStep) -> bool {
    step.in_lab && step.first_id.is_none() && step.sandbox.is_none()
}

/// How a kernel says that it has no user namespaces to give: switched off, at their limit, not permitted (a container), too many
/// in each other.
const NO_USER_NAMESPACES: [Errno; 5] = [
    Errno::ENOSPC,
    Errno::EPERM,
    Errno::EINVAL,
    Errno::ENOSYS,
    Errno::EUSERS,
];

/// What stands once the plan's network is made, in the order of the plan's namespaces.
pub struct Network {
    /// The network namespaces.
    pub namespaces: Vec<Namespace>,
    /// The user namespaces that own them, where that is not the host's.
    pub users: Vec<Option<OwnedFd>>,
}

/// Makes the plan's network. Yields between chunks, so that signals are obeyed while a large lab comes up.
///
/// # Errors
/// What the kernel refused; nothing is taken back, as all of it goes with the namespaces when they are dropped.
pub async fn stand_up(plan: &Plan, tell: &dyn Fn(What)) -> Result<Network, Failure> {
    let progress = |part: &str, done: usize, total: usize| {
        tell(What::Network {
            part: part.to_owned(),
            done,
            total,
        });
    };
    let mut made: Vec<Made> = Vec::with_capacity(plan.namespaces.len());
    let mut users = Vec::with_capacity(plan.namespaces.len());
    let lab_users = plan
        .namespaces
        .iter()
        .any(|step| step.in_lab)
        .then(user_namespace::alike);
    let lab_users = match lab_users.transpose() {
        Ok(users) => users,
        // Anything else than that there are none here is a reason to stop.
        Err(error) if !NO_USER_NAMESPACES.contains(&error.errno) => return Err(error.into()),
        Err(error) => {
            tell(What::Notice {
                message: format!(
                    "root in a node can change other networks of this machine, because nodes share its user namespace: {error}"
                ),
            });
            None
        }
    };
    for steps in plan.namespaces.chunks(2 * CHUNK) {
        let span = tracing::debug_span!("namespaces", count = steps.len()).entered();
        let pairs: Vec<Option<Pair>> = steps
            .iter()
            .map(|step| step.first_id.map(user_namespace::create).transpose())
            .collect::<Result<_, _>>()?;
        let owned = lab_users.as_ref().filter(|_| steps.iter().any(is_in_lab));
        let networks = owned
            .map(|users| user_namespace::networks(users, steps.iter().filter(|it| is_in_lab(it)).count()));
        let networks = networks.transpose()?.unwrap_or_default();
        let mut next = networks.iter();
        let wanted: Vec<Wanted<'_>> = steps
            .iter()
            .zip(&pairs)
            .map(|(step, pair)| Wanted {
                name: &step.node,
                sysctls: &step.sysctls,
                made: match pair {
                    Some(pair) => Some(pair.network.as_fd()),
                    None if is_in_lab(step) => next.next().map(AsFd::as_fd),
                    None => None,
                },
            })
            .collect();
        made.extend(namespace::create(&wanted)?);
        for (step, pair) in steps.iter().zip(pairs) {
            users.push(match (pair, &lab_users) {
                (Some(pair), _) => Some(pair.users),
                (None, Some(users)) if is_in_lab(step) => {
                    Some(users.try_clone().attempt(|| "share the lab's user namespace")?)
                }
                _ => None,
            });
        }
        drop(span);
        progress("namespaces", made.len(), plan.namespaces.len());
        yield_now().await;
    }
    let joined = join(plan, &mut made, &progress).await;
    // The sockets go here: each would keep its namespace alive.
    let namespaces: Vec<Namespace> = made.into_iter().map(|made| made.namespace).collect();
    if let Err(failure) = joined {
        // Whoever mends the lab file and tries again must not find its own names taken.
        let _ = clean_host(plan, &namespaces);
        return Err(failure);
    }
    Ok(Network { namespaces, users })
}

/// Makes the links, and sets up what is inside each namespace.
async fn join(plan: &Plan, made: &mut [Made], progress: &impl Fn(&str, usize, usize)) -> Result<(), Failure> {
    let mut workshop = Workshop::open()?;
    for (number, steps) in plan.links.chunks(CHUNK).enumerate() {
        tracing::debug_span!("links", count = steps.len())
            .in_scope(|| make_links(&mut workshop, made, steps))?;
        progress("links", (number * CHUNK) + steps.len(), plan.links.len());
        yield_now().await;
    }
    apply::introduce(plan, made)?;
    let mut done = 0;
    for (steps, made) in plan.namespaces.chunks(2 * CHUNK).zip(made.chunks_mut(2 * CHUNK)) {
        tracing::debug_span!("addresses", count = steps.len()).in_scope(|| configure_all(steps, made))?;
        done += steps.len();
        progress("addresses", done, plan.namespaces.len());
        yield_now().await;
    }
    Ok(())
}
