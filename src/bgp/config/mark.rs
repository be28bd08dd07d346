//! `vtysh -m`: a configuration in which every block ends with a line of its own, as frr-reload.py wants it.

use super::diagnostic::Diagnostic;
use super::edit::Mode;
use super::model::Config;
use super::parse::{Foreign, Own, Stop, find, take};

/// Puts `exit` before each line that stands further out than the one before. The text ends where a line is no command, which
/// is told.
pub fn mark(text: &str) -> (String, Option<Diagnostic>) {
    let mut marker = Marker::default();
    for (at, line) in text.lines().enumerate() {
        if let Err(diagnostic) = marker.take(line) {
            return (
                marker.out,
                Some(Diagnostic {
                    line: at + 1,
                    ..diagnostic
                }),
            );
        }
    }
    marker.out.push_str("\nend\n");
    (marker.out, None)
}

#[derive(Default)]
struct Marker {
    out: String,
    mode: Mode,
    config: Config,
    foreign: Option<Foreign>,
}

impl Marker {
    fn take(&mut self, line: &str) -> Result<(), Diagnostic> {
        let text = line.trim();
        if text == "end" {
            return Ok(());
        }
        if text.is_empty() || text.starts_with(['!', '#']) {
            self.put(line);
            return Ok(());
        }
        if let Some(block) = self.foreign.take() {
            let (covered, ends) = block.covers(line);
            if !ends {
                self.foreign = Some(block);
            }
            if covered {
                self.put(line);
                return Ok(());
            }
            self.put("exit");
        }
        match find(&self.mode, line) {
            Ok((place, _)) => {
                self.leave_for(&place);
                self.put(line);
                self.mode = place;
                // What it does to nothing tells where the next line stands; that it cannot be done is no matter here.
                let _ = take(&mut self.config, &mut self.mode, &Own::default(), line);
                Ok(())
            }
            Err(Stop::Foreign(place, opens)) => {
                self.leave_for(&place);
                self.put(line);
                self.mode = place.clone();
                self.foreign = opens.then(|| Foreign::begin(line, place));
                Ok(())
            }
            Err(stop) => Err(stop.diagnostic(line)),
        }
    }

    fn put(&mut self, line: &str) {
        self.out.push_str(line);
        self.out.push('\n');
    }

    fn leave_for(&mut self, place: &Mode) {
        for _ in depth(place)..depth(&self.mode) {
            self.put("exit");
        }
    }
}

/// How many modes are left on the way to the top.
fn depth(mode: &Mode) -> usize {
    std::iter::successors(mode.parent(), Mode::parent).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_end_as_frr_marks_them() {
        let text = "frr version 8.4.4\n!\n# comment\ninterface l\n ip address 10.0.0.1/24\nip prefix-list P permit any\n\
                    route-map M permit 10\n match metric 5\nroute-map M permit 20\n!\nrouter bgp 1\n\
                    \n address-family ipv4 unicast\n  network 10.0.0.0/8\n exit-address-family\n \
                    address-family ipv6\n  network 2001:db8::/32\n neighbor 10.0.0.2 timers 3 9\n add ipv6\n\
                    ip route 1.0.0.0/8 blackhole\nrouter bgp 1\n address-family ipv4\nend\nrouter ospf\n \
                    network 10.0.0.0/8 area 0\nip forwarding\n";
        let marked = "frr version 8.4.4\n!\n# comment\ninterface l\n ip address 10.0.0.1/24\nexit\nip prefix-list P permit any\n\
                      route-map M permit 10\n match metric 5\nexit\nroute-map M permit 20\n!\nexit\nrouter bgp 1\n\
                      \n address-family ipv4 unicast\n  network 10.0.0.0/8\n exit-address-family\n \
                      address-family ipv6\n  network 2001:db8::/32\nexit\n neighbor 10.0.0.2 timers 3 9\n add ipv6\n\
                      exit\nexit\nip route 1.0.0.0/8 blackhole\nrouter bgp 1\n address-family ipv4\nexit\nexit\n\
                      router ospf\n network 10.0.0.0/8 area 0\nexit\nip forwarding\n\nend\n";
        assert_eq!(mark(text), (marked.to_owned(), None));
        let (before, diagnostic) = mark("router bgp 1\n nonsense\n bgp router-id 1.1.1.1\n");
        assert_eq!(before, "router bgp 1\n");
        assert_eq!(diagnostic.unwrap().line, 2);
    }
}
