//! Links of a living lab: taken down and up, silenced, and what they do to packets. The supervisor does it; commands ask it to.

mod carry;
mod delayer;
mod ends;
mod report;
pub mod trial;

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, HashMap};
use std::rc::Rc;
use std::time::Duration;

use tokio::sync::Mutex;
use tokio::time::sleep;

use super::client::Client;
use super::directory::LabDirectory;
use super::events::What;
use super::protocol::{Direction, LinkAction, LinkAsked, LinkReport, Reply, Request};
use super::state::Living;
use crate::failure::Failure;
use crate::lab::impair::{Impairment, Impairments};
use carry::{Carried, Programs, Sockets};
use delayer::Delayer;
use ends::Ends;

pub use ends::TAP;
pub use report::of as reports;

/// How often a link flaps at most, and how long a flap takes at most.
const MOST_FLAPS: u32 = 100_000;
const LONGEST_FLAP: Duration = Duration::from_secs(24 * 3600);

/// What has become of the links of a lab.
#[derive(Default)]
pub struct Links {
    /// Those of which something is or was asked, by their places in the plan.
    states: RefCell<HashMap<usize, State>>,
    /// One thing is done at a time.
    turn: Mutex<()>,
    delayer: RefCell<Option<Rc<Delayer>>>,
    /// The programs at interfaces, by namespace and index.
    programs: RefCell<BTreeMap<(usize, u32), Programs>>,
    /// The way that is forced, if one is.
    forced: Option<String>,
    has_netem: Cell<Option<bool>>,
}

impl Links {
    /// Those of a lab that begins, where one way may be forced.
    pub fn carried_by(forced: Option<String>) -> Links {
        Links {
            forced,
            ..Links::default()
        }
    }
}

/// What has become of one link.
#[derive(Default)]
struct State {
    asked: LinkAsked,
    carried: [Option<Carried>; 2],
    silenced: bool,
    down: bool,
    /// Ends that were taken down as a whole, because what they are ports of looks at nothing else.
    lowered: [bool; 2],
    /// Counts what people ask, so that who flaps a link hears that somebody else wants something.
    wishes: u64,
    /// The number of the flap that decided last whether the link is down, if it was one.
    flap: Option<u64>,
}

/// The way that NSLAB_IMPAIR forces, if it does.
///
/// # Errors
/// It names none.
pub fn forced() -> Result<Option<String>, Failure> {
    match std::env::var("NSLAB_IMPAIR") {
        Err(_) => Ok(None),
        Ok(way) if way.is_empty() => Ok(None),
        Ok(way) if matches!(way.as_str(), "own" | "netem") => Ok(Some(way)),
        Ok(way) => Err(Failure::wrong(format!("NSLAB_IMPAIR is {way:?}"))
            .help("it is own or netem, or not set: then netem is taken where the kernel has it")),
    }
}

/// Does something to a link of a living lab, and waits until it is done.
///
/// # Errors
/// There is no such link, it cannot do that, or the lab does not answer.
pub fn act(lab: &LabDirectory, endpoint: &str, action: LinkAction) -> Result<(), Failure> {
    let request = Request::Link {
        endpoint: endpoint.to_owned(),
        action,
    };
    Client::connect(lab)?.ask(&request).map(drop)
}

/// What is asked of the links of a living lab, and what is there: of all, or of the one with an end of this name.
///
/// # Errors
/// There is no such link, or the lab does not answer.
pub fn show(lab: &LabDirectory, endpoint: Option<&str>) -> Result<Vec<LinkReport>, Failure> {
    let request = Request::Links {
        endpoint: endpoint.map(str::to_owned),
    };
    match Client::connect(lab)?.ask(&request)?.0 {
        Reply::Links(links) => Ok(links),
        _ => Err(Failure::host("the lab answered something else")),
    }
}

/// Carries out what the lab file says of links.
///
/// # Errors
/// What the kernel refused.
pub async fn begin(lab: &Rc<Living>) -> Result<(), Failure> {
    let impaired = lab.plan.links.iter().enumerate();
    let impaired = impaired.filter(|(_, step)| !step.impair.is_empty());
    let impaired: Vec<(usize, Ends)> = impaired.map(|(at, _)| (at, Ends::of(&lab.plan, at))).collect();
    if impaired.is_empty() {
        return Ok(());
    }
    let _turn = lab.links.turn.lock().await;
    carry::carry_all(lab, &impaired).await
}

/// Does something to the link with an end of this name.
///
/// # Errors
/// There is none, or it cannot do that.
pub async fn obey(lab: &Rc<Living>, endpoint: &str, action: &LinkAction) -> Result<(), Failure> {
    if !lab.ready.get() {
        return Err(
            Failure::not_ready(format!("lab {} is not ready yet", lab.plan.lab))
                .help("links are changed once it is"),
        );
    }
    let (at, is_second) = ends::find(&lab.plan, endpoint)?;
    let mine = wish(lab, at, action);
    let LinkAction::Flap {
        count,
        down_ms,
        up_ms,
    } = action
    else {
        return step(lab, at, is_second, action).await;
    };
    let (down, up) = (Duration::from_millis(*down_ms), Duration::from_millis(*up_ms));
    if *count == 0 || *count > MOST_FLAPS || (down + up).saturating_mul(*count) > LONGEST_FLAP {
        return Err(
            Failure::wrong("a link flaps from once to 100,000 times, and for no longer than a day")
                .help("ask for fewer or shorter ones"),
        );
    }
    for round in 0..*count {
        for (action, pause) in [(LinkAction::Down, down), (LinkAction::Up, up)] {
            if wishes(lab, at) != mine {
                flap_ends(lab, at, mine).await?;
                return Err(Failure::not_ready(format!(
                    "{endpoint} flapped {round} times; then somebody asked something else of it"
                )));
            }
            let is_last = action == LinkAction::Up && round + 1 == *count;
            step(lab, at, is_second, &action).await?;
            if !is_last {
                sleep(pause).await;
            }
        }
    }
    Ok(())
}

/// A flap that somebody else's wish ends does not leave the link down, unless something else has decided that since.
async fn flap_ends(lab: &Rc<Living>, at: usize, flap: u64) -> Result<(), Failure> {
    let decided = lab.links.states.borrow().get(&at).and_then(|state| state.flap);
    if decided != Some(flap) {
        return Ok(());
    }
    let lift = |before: &LinkAsked| {
        Ok(LinkAsked {
            down: false,
            ..before.clone()
        })
    };
    change(lab, at, LinkAction::Up.word(), lift).await
}

/// The process that delays packets has ended: what it held is gone, and is made again.
async fn restored(lab: &Rc<Living>) {
    let _turn = lab.links.turn.lock().await;
    let lost: Vec<usize> = {
        let mut states = lab.links.states.borrow_mut();
        let lost = states.iter_mut().filter_map(|(at, state)| {
            let queues = state
                .carried
                .iter_mut()
                .flatten()
                .filter_map(|it| it.queue.take());
            (queues.count() > 0).then_some(*at)
        });
        lost.collect()
    };
    if lost.is_empty() {
        return;
    }
    let mut outcome = Ok(());
    for at in lost {
        let (ends, wanted) = (Ends::of(&lab.plan, at), asked(lab, at));
        let done = carry::again(lab, at, &ends, &wanted).await;
        outcome = outcome.and(done.map_err(|failure| about(&ends, failure)));
    }
    delayer::told(lab, outcome);
}

/// Says that somebody wants something of a link.
fn wish(lab: &Living, at: usize, action: &LinkAction) -> u64 {
    let mut states = lab.links.states.borrow_mut();
    let state = states.entry(at).or_insert_with(|| State {
        asked: planned(lab, at),
        ..State::default()
    });
    state.wishes += 1;
    match action {
        LinkAction::Flap { .. } => state.flap = Some(state.wishes),
        LinkAction::Down | LinkAction::Up | LinkAction::Clear | LinkAction::Reset => state.flap = None,
        LinkAction::Set { .. } | LinkAction::Silence => {}
    }
    state.wishes
}

fn wishes(lab: &Living, at: usize) -> u64 {
    lab.links.states.borrow().get(&at).map_or(0, |state| state.wishes)
}

/// What the lab file asks of a link.
fn planned(lab: &Living, at: usize) -> LinkAsked {
    LinkAsked {
        impair: lab
            .plan
            .links
            .get(at)
            .map(|step| step.impair.clone())
            .unwrap_or_default(),
        ..LinkAsked::default()
    }
}

/// Does one thing to a link, or leaves it as it was.
async fn step(lab: &Rc<Living>, at: usize, is_second: bool, action: &LinkAction) -> Result<(), Failure> {
    change(lab, at, action.word(), |before| {
        after(before, action, is_second, || planned(lab, at))
    })
    .await
}

/// Changes what is asked of a link, and carries it out or leaves it as it was; `word` says what was done.
async fn change(
    lab: &Rc<Living>,
    at: usize,
    word: &str,
    change: impl FnOnce(&LinkAsked) -> Result<LinkAsked, Failure>,
) -> Result<(), Failure> {
    let _turn = lab.links.turn.lock().await;
    let before = asked(lab, at);
    let wanted = change(&before)?;
    let ends = Ends::of(&lab.plan, at);
    let mut sockets = Sockets::default();
    if let Err(failure) = carry::settle(lab, at, &ends, &wanted, &mut sockets).await {
        // What was refused is told; what was there before is asked for again as well as it goes.
        let _ = carry::settle(lab, at, &ends, &before, &mut sockets).await;
        return Err(about(&ends, failure));
    }
    if before != wanted {
        let [a, b] = ends.names.clone();
        lab.tell(What::Link {
            a: a.unwrap_or_default(),
            b,
            action: word.to_owned(),
            down: wanted.down,
            silent: wanted.silent,
            impair: Box::new(wanted.impair),
        });
    }
    Ok(())
}

fn asked(lab: &Living, at: usize) -> LinkAsked {
    let states = lab.links.states.borrow();
    states
        .get(&at)
        .map_or_else(|| planned(lab, at), |state| state.asked.clone())
}

/// What is asked of a link after an action.
fn after(
    before: &LinkAsked,
    action: &LinkAction,
    is_second: bool,
    planned: impl FnOnce() -> LinkAsked,
) -> Result<LinkAsked, Failure> {
    let mut asked = before.clone();
    match action {
        LinkAction::Down => asked.down = true,
        LinkAction::Up => (asked.down, asked.silent) = (false, false),
        LinkAction::Silence => asked.silent = true,
        LinkAction::Clear => asked = LinkAsked::default(),
        LinkAction::Reset => asked = planned(),
        // A flap is made of the others.
        LinkAction::Flap { .. } => {}
        LinkAction::Set {
            impairment,
            direction,
        } => {
            let wanted = (!impairment.is_nothing()).then(|| impairment.clone());
            if let Some((_, message, help)) = wanted.as_ref().and_then(Impairment::diagnostic) {
                return Err(Failure::wrong(message).help(help));
            }
            let Impairments { a_to_b, b_to_a } = &mut asked.impair;
            let (out, back) = if is_second {
                (b_to_a, a_to_b)
            } else {
                (a_to_b, b_to_a)
            };
            if matches!(direction, Direction::Both | Direction::Out) {
                (*out).clone_from(&wanted);
            }
            if matches!(direction, Direction::Both | Direction::In) {
                *back = wanted;
            }
        }
    }
    Ok(asked)
}

/// A failure, with the link that it is about.
fn about(ends: &Ends, mut failure: Failure) -> Failure {
    failure.message = format!("link {}: {}", ends.label(), failure.message);
    failure
}

#[cfg(test)]
mod tests {
    use super::*;

    fn delay() -> LinkAction {
        LinkAction::Set {
            impairment: serde_json::from_str(r#"{"delay": "10ms"}"#).unwrap(),
            direction: Direction::Out,
        }
    }

    #[test]
    fn what_is_asked_follows_from_what_is_done() {
        let nothing = LinkAsked::default();
        let after = |before: &LinkAsked, action: &LinkAction, second: bool| {
            super::after(before, action, second, || nothing.clone()).unwrap()
        };
        let down = after(&nothing, &LinkAction::Down, false);
        assert!(down.down && !down.silent);
        let both = after(&down, &LinkAction::Silence, false);
        assert!(both.down && both.silent);
        assert_eq!(after(&both, &LinkAction::Up, false), nothing);
        assert!(after(&nothing, &delay(), false).impair.a_to_b.is_some());
        let second = after(&nothing, &delay(), true);
        assert!(second.impair.a_to_b.is_none() && second.impair.b_to_a.is_some());
        assert_eq!(after(&second, &LinkAction::Clear, true), nothing);
    }

    #[test]
    fn what_cannot_be_is_refused() {
        let action = LinkAction::Set {
            impairment: serde_json::from_str(r#"{"jitter": "10ms"}"#).unwrap(),
            direction: Direction::Both,
        };
        assert!(after(&LinkAsked::default(), &action, false, LinkAsked::default).is_err());
    }
}
