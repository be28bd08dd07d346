//! What routers say of their sessions. FRR and nslab's own speaker log the same line: `%ADJCHANGE: neighbor NAME Up`.

/// What such a line has, anywhere near its beginning.
const SIGN: &[u8] = b"%ADJCHANGE: neighbor ";
/// No further in a line it is looked for.
const NEAR: usize = 128;
/// No more of a line is kept, in octets.
const LONGEST: usize = 512;

/// What was said of a session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Session<'a> {
    /// The neighbor, as the router calls it: an address or an interface.
    pub neighbor: &'a str,
    /// What the neighbor calls itself.
    pub name: Option<&'a str>,
    /// Whether it is established.
    pub is_up: bool,
    /// Why it is not.
    pub reason: &'a str,
}

/// What is kept of a line of a log, if it tells of a session.
pub fn kept(line: &[u8]) -> Option<&[u8]> {
    let near = &line[..line.len().min(NEAR)];
    let at = near.windows(SIGN.len()).position(|window| window == SIGN)?;
    let rest = &line[at + SIGN.len()..];
    Some(&rest[..rest.len().min(LONGEST)])
}

/// Reads what was kept.
pub fn read(kept: &str) -> Option<Session<'_>> {
    let (who, rest) = kept.split_once(' ')?;
    // FRR says which VRF as well.
    let rest = match rest.strip_prefix("in vrf ") {
        Some(rest) => rest.split_once(' ')?.1,
        None => rest,
    };
    let (word, reason) = rest.split_once(' ').unwrap_or((rest, ""));
    let is_up = match word {
        "Up" => true,
        "Down" => false,
        _ => return None,
    };
    let (neighbor, name) = match who.split_once('(') {
        Some((neighbor, name)) => (neighbor, Some(name.trim_end_matches(')'))),
        None => (who, None),
    };
    Some(Session {
        neighbor,
        name: name.filter(|name| *name != "Unknown"),
        is_up,
        reason: reason.trim_end(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_engines_are_understood() {
        let session = |line: &str| {
            let kept = kept(line.as_bytes()).map(|kept| String::from_utf8(kept.to_vec()).unwrap());
            let kept = kept.unwrap_or_default();
            read(&kept).map(|it| format!("{} {:?} {} {}", it.neighbor, it.name, it.is_up, it.reason))
        };
        assert_eq!(
            session("[M59KS-A3ZXZ] %ADJCHANGE: neighbor 10.0.0.1(Unknown) in vrf default Up").as_deref(),
            Some("10.0.0.1 None true ")
        );
        assert_eq!(
            session("%ADJCHANGE: neighbor up0(spine0) Down BGP Notification send (6/2)").as_deref(),
            Some("up0 Some(\"spine0\") false BGP Notification send (6/2)")
        );
        assert_eq!(session("%ADJCHANGE: neighbor x Sideways"), None);
        assert_eq!(session("neighbor x Up"), None);
    }
}
