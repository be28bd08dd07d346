//! What vtysh tells of the lines of a file that daemons have refused. Pure.

use std::collections::BTreeMap;

/// The lines that daemons have refused, as vtysh tells when it has sent a file of which the first few lines are not the
/// configuration's: their numbers, and the daemon's words, which stand before.
pub fn told(said: &str, before: usize) -> BTreeMap<usize, String> {
    let mut told = BTreeMap::new();
    let mut words = "";
    for line in said.lines().map(str::trim).filter(|line| !line.is_empty()) {
        let Some(number) = refused_line(line) else {
            words = line;
            continue;
        };
        let why = match words.trim_start_matches(['%', ' ']) {
            "" => "it was refused without a word",
            why => why,
        };
        if let Some(number) = number.checked_sub(before).filter(|number| *number > 0) {
            told.insert(number, why.to_owned());
        }
        words = "";
    }
    told
}

/// The number in `line 5: Failure to communicate[13] to bgpd, line: …`.
fn refused_line(line: &str) -> Option<usize> {
    let (number, rest) = line.strip_prefix("line ")?.split_once(':')?;
    rest.trim_start()
        .starts_with("Failure to communicate")
        .then_some(())?;
    number.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_vtysh_tells_of_refused_lines_is_read() {
        let said = "The route-map 'GONE' does not exist.\n% Create the peer-group first\n\
                    line 4: Failure to communicate[13] to bgpd, line:  no neighbor G peer-group\n\n\
                    line 9: Failure to communicate[13] to bgpd, line:  x\n\
                    Configuration file[/etc/frr/frr.conf] processing failure: 13\n";
        let wanted = [
            (2, "Create the peer-group first".to_owned()),
            (7, "it was refused without a word".to_owned()),
        ];
        assert_eq!(told(said, 2), BTreeMap::from(wanted));
        assert!(
            told(
                "line x: Failure to communicate\nline 1: Failure to communicate[1]",
                1
            )
            .is_empty()
        );
    }
}
