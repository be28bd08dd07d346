//! What vtysh's sessions say, and what they are told.

use std::path::Path;

use super::CONFIGURATION;
use super::router::{Router, since_1970};
use super::saving::save;
use crate::bgp::show::View;

impl Router {
    /// Takes a line of a session.
    pub(super) fn obey(&mut self, id: u64, line: &str) {
        if let Some(discovery) = &self.discovery {
            self.speaker.note_advertisements(discovery.counts());
        }
        // The kernel is asked about each connection.
        if shows_neighbors(line) {
            self.speaker.note_tcp(&self.connections.figures());
        }
        let view = View {
            outer: None,
            speaker: &self.speaker,
            now: self.began.elapsed(),
            unix: since_1970(),
        };
        let Some(sessions) = &mut self.sessions else {
            return;
        };
        let Some(session) = sessions.get(id) else { return };
        if session.rest.is_some() {
            if !session.wait(line.to_owned()) {
                sessions.end(id);
            }
            return;
        }
        let mut reply = session.terminal.line(&view, line);
        if reply.writes {
            let text = self.speaker.config().print();
            reply.answer.is_saved(save(&text, Path::new(CONFIGURATION)));
        }
        let ends = reply.answer.ends;
        session.rest = reply.rest;
        session.answer(reply.answer);
        self.events.extend(reply.events);
        self.settle();
        if ends && let Some(sessions) = &mut self.sessions {
            sessions.end(id);
        }
    }

    /// The next piece of a long answer; after the last one the lines that have waited for it.
    pub(super) fn go_on(&mut self, id: u64) {
        let view = View {
            outer: None,
            speaker: &self.speaker,
            now: self.began.elapsed(),
            unix: since_1970(),
        };
        let session = self.sessions.as_mut().and_then(|sessions| sessions.get(id));
        let Some(session) = session else { return };
        let Some(rest) = session.rest.take() else { return };
        let (answer, rest) = rest.next(&view);
        session.rest = rest;
        session.answer(answer);
        while let Some(line) = self.next_line(id) {
            self.obey(id, &line);
        }
    }

    /// The next line of a session that waits for nothing.
    fn next_line(&mut self, id: u64) -> Option<String> {
        let session = self.sessions.as_mut()?.get(id)?;
        match session.rest {
            Some(_) => None,
            None => session.waiting.pop_front(),
        }
    }
}

/// Whether a line of a session may show what the kernel measures of connections.
fn shows_neighbors(line: &str) -> bool {
    let mut words = line.split_whitespace().skip_while(|word| *word == "do");
    words.next().is_some_and(|word| "show".starts_with(word))
        && words.any(|word| "neighbors".starts_with(word))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernel_is_asked_for_what_shows_neighbors_alone() {
        for line in [
            "show bgp neighbors",
            "sh ip bgp nei 10.0.0.1 json",
            "do show bgp ipv4 unicast neighbor",
        ] {
            assert!(shows_neighbors(line), "{line}");
        }
        for line in [
            "",
            "neighbor 10.0.0.1 remote-as 1",
            "show bgp summary",
            "do",
            "router bgp 1",
        ] {
            assert!(!shows_neighbors(line), "{line}");
        }
    }
}
