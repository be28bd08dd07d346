//! nslab as a CNI plugin: real pods are joined to their node as light ones are, by the same code.
//!
//! It is called `nslab-cni` and speaks the Container Network Interface
//! (<https://github.com/containernetworking/cni/blob/main/SPEC.md>): a verb in the environment, the network's configuration on
//! standard input, a result or an error on standard output. What it has done for whom stands in a directory of files, one an
//! attachment, so that addresses are free again whatever became of a pod.

mod answer;
mod configuration;
mod store;
mod wiring;

pub use configuration::DIRECTORY;
pub use store::Place;

use std::env;
use std::io::{self, Read as _, Write as _};
use std::path::Path;

use serde_json::Value;

use answer::{Fault, Result};
use configuration::{Attachment, Configuration};
use store::Store;

/// The name by which nslab is called for this.
pub const NAME: &str = "nslab-cni";
/// The plugin for the interface that every pod has: container runtimes ask for it by this name, whatever the network is.
pub const LOOPBACK: &str = "loopback";

/// Plays the plugin, if that is what this process is called. Returns its exit status.
pub fn called(words: &[String]) -> Option<i32> {
    let own = words.first().map(Path::new)?.file_name()?;
    if own == LOOPBACK {
        return Some(main(raise_loopback));
    }
    (own == NAME).then(|| main(obey))
}

fn main(obey: fn(&str, &[u8]) -> Result<Option<Value>>) -> i32 {
    let mut input = Vec::new();
    let read = io::stdin()
        .lock()
        .take(configuration::LONGEST)
        .read_to_end(&mut input);
    let verb = env::var("CNI_COMMAND").unwrap_or_default();
    let version = configuration::version(&input);
    let outcome = match read {
        Ok(_) => obey(&verb, &input),
        Err(error) => Err(Fault::io(format!("cannot read the configuration: {error}"))),
    };
    let (text, status) = match outcome {
        Ok(None) => return 0,
        Ok(Some(value)) => (value, 0),
        Err(fault) => (fault.json(&version), 1),
    };
    // Nobody may be listening any more.
    let _ = writeln!(io::stdout(), "{text}");
    status
}

/// Does what a verb asks for.
fn obey(verb: &str, input: &[u8]) -> Result<Option<Value>> {
    if verb == "VERSION" {
        return Ok(Some(answer::versions(&configuration::version(input))));
    }
    let configuration = Configuration::read(input)?;
    match verb {
        "ADD" => add(&configuration, &Attachment::of_environment(true)?).map(Some),
        "DEL" => delete(&configuration, &Attachment::of_environment(false)?).map(|()| None),
        "CHECK" => check(&configuration, &Attachment::of_environment(true)?).map(|()| None),
        "STATUS" => wiring::is_ready(&configuration).map(|()| None),
        "GC" => collect(&configuration).map(|()| None),
        other => Err(no_verb(other)),
    }
}

/// The same for the loopback, which only has to be raised.
fn raise_loopback(verb: &str, input: &[u8]) -> Result<Option<Value>> {
    let version = configuration::version(input);
    match verb {
        "VERSION" => Ok(Some(answer::versions(&version))),
        "ADD" => {
            let attachment = Attachment::of_environment(true)?;
            wiring::raise_loopback(&attachment)?;
            Ok(Some(answer::loopback(&version, &attachment)))
        }
        "DEL" | "CHECK" | "STATUS" | "GC" => Ok(None),
        other => Err(no_verb(other)),
    }
}

fn no_verb(word: &str) -> Fault {
    Fault::environment(format!("CNI_COMMAND is `{word}`, which is no verb"))
}

fn add(configuration: &Configuration, attachment: &Attachment) -> Result<Value> {
    let store = Store::open(&configuration.directory)?;
    if store.get(attachment)?.is_some() {
        let message = format!(
            "container {} has {} already",
            attachment.container, attachment.interface
        );
        return Err(Fault::configuration(message));
    }
    wiring::tidy(&store)?;
    let mut place = store.place(configuration, attachment)?;
    // Noted first: what is made is then always found again.
    store.put(attachment, &place)?;
    let wired = wiring::attach(configuration, attachment, &place);
    if wired.is_err() {
        wiring::detach(&place);
        store.remove(attachment)?;
    }
    let macs = wired?;
    place.wired = true;
    store.put(attachment, &place)?;
    Ok(answer::added(configuration, attachment, &place, &macs))
}

/// Takes an attachment away; one that is not there is none to complain about.
fn delete(configuration: &Configuration, attachment: &Attachment) -> Result<()> {
    let store = Store::open(&configuration.directory)?;
    if let Some(place) = store.get(attachment)? {
        wiring::detach(&place);
        store.remove(attachment)?;
    }
    Ok(())
}

fn check(configuration: &Configuration, attachment: &Attachment) -> Result<()> {
    let store = Store::open(&configuration.directory)?;
    let place = store.get(attachment)?.ok_or_else(|| {
        let message = format!(
            "container {} has no {}",
            attachment.container, attachment.interface
        );
        Fault::unknown(message)
    })?;
    wiring::check(configuration, attachment, &place)
}

/// Takes away all attachments but those that are said to be in use.
fn collect(configuration: &Configuration) -> Result<()> {
    let store = Store::open(&configuration.directory)?;
    for (attachment, place) in store.all()? {
        if !configuration.in_use(&attachment) {
            wiring::detach(&place);
            store.remove(&attachment)?;
        }
    }
    Ok(())
}
