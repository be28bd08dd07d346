//! Sessions that wait for a router that was not there when bgpd dialed it. bgpd dials once, a second after it has its
//! configuration, and then rests for `timers connect`, which is two minutes: where the other end only listens, and has begun to do
//! so in between, the session would come up that much later.

use serde_json::Value;

use crate::engine::Inside;

/// A session that is dialed again sooner than this on its own, in milliseconds, is left alone.
const SOON: u64 = 2000;
/// More is not read of what bgpd says.
const LONGEST: usize = 64 << 20;
/// So many sessions are named in one call of vtysh.
const AT_ONCE: usize = 100;

/// Whether a configuration is one of bgpd's that dials.
pub fn dials(config: &str) -> bool {
    lines(config).any(|line| line.starts_with("router bgp"))
}

/// Whether a configuration has neighbors that this router does not dial, so that they have to find it listening.
pub fn listens(config: &str) -> bool {
    lines(config).any(|line| {
        let is_passive = line.starts_with("neighbor ") && line.ends_with(" passive");
        is_passive || line.starts_with("bgp listen range ")
    })
}

/// Whether a configuration says from which address it dials. A neighbor that says nothing of the kind is refused by such a
/// router when it dials, and is dialed with success.
pub fn has_source(config: &str) -> bool {
    lines(config).any(|line| line.starts_with("neighbor ") && line.contains(" update-source "))
}

fn lines(config: &str) -> impl Iterator<Item = &str> {
    config.lines().map(str::trim)
}

/// Dials neighbors at once that were found not to listen and would be dialed after a long rest only. Returns whether sessions are
/// on their way that are dialed from here.
pub async fn again(inside: &impl Inside) -> bool {
    let said = vtysh(inside, &["show bgp vrf all neighbors json".to_owned()]).await;
    let answer = said.and_then(|said| serde_json::from_str(&said).ok());
    let answer = answer.unwrap_or(Value::Null);
    let commands: Vec<String> = resting(&answer)
        .into_iter()
        .map(|Resting { table, neighbor }| match table.as_str() {
            "default" => format!("clear bgp {neighbor}"),
            vrf => format!("clear bgp vrf {vrf} {neighbor}"),
        })
        .collect();
    for commands in commands.chunks(AT_ONCE) {
        let _ = vtysh(inside, commands).await;
    }
    neighbors(&answer).any(|(_, _, neighbor)| is_on_its_way(neighbor))
}

async fn vtysh(inside: &impl Inside, commands: &[String]) -> Option<String> {
    let mut argv = vec!["vtysh".to_owned(), "-d".to_owned(), "bgpd".to_owned()];
    for command in commands {
        argv.extend(["-c".to_owned(), command.clone()]);
    }
    // Without an answer the sessions come up when bgpd dials again by itself.
    let finished = inside.answer("vtysh", &argv, LONGEST).await.ok()?;
    (finished.status == 0).then_some(finished.output)
}

/// A session that rests until it is dialed again.
#[derive(Debug, PartialEq, Eq)]
struct Resting {
    table: String,
    neighbor: String,
}

/// What bgpd says of its neighbors in all tables: table, neighbor, and the rest.
fn neighbors(answer: &Value) -> impl Iterator<Item = (&String, &String, &Value)> {
    let tables = answer.as_object().into_iter().flatten();
    let neighbors = tables.flat_map(|(table, neighbors)| {
        let neighbors = neighbors.as_object().into_iter().flatten();
        neighbors.map(move |(name, neighbor)| (table, name, neighbor))
    });
    neighbors.filter(|(_, _, neighbor)| neighbor["bgpState"].is_string())
}

fn is_on_its_way(neighbor: &Value) -> bool {
    // One that will be dialed is idle for a second, and says no more of it.
    let is_over = neighbor["bgpState"] == "Established" || neighbor["adminShutDown"] == true;
    !is_over && neighbor["bgpStateIs"] != "passive"
}

/// The sessions that rest. One that is passive has no time at which it dials.
fn resting(answer: &Value) -> Vec<Resting> {
    let rests = |neighbor: &Value| {
        let due = neighbor["nextConnectTimerDueInMsecs"].as_u64();
        neighbor["bgpState"] == "Active" && due.is_some_and(|due| due > SOON)
    };
    // These are words of a command.
    let is_word = |word: &str| !word.is_empty() && word.chars().all(|c| c.is_ascii_graphic());
    neighbors(answer)
        .filter(|(table, name, neighbor)| rests(neighbor) && is_word(table) && is_word(name))
        .map(|(table, name, _)| Resting {
            table: table.clone(),
            neighbor: name.clone(),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_listens_is_seen_in_the_configuration() {
        assert!(listens("router bgp 1\n neighbor 10.0.0.2 passive\n"));
        assert!(listens(
            "router bgp 1\n bgp listen range 10.0.0.0/8 peer-group G\n"
        ));
        assert!(!listens(
            "router bgp 1\n no neighbor 10.0.0.2 passive\n neighbor 10.0.0.2 description passive aggressive\n"
        ));
        assert!(has_source("router bgp 1\n neighbor 10.0.0.2 update-source lo\n"));
        assert!(dials("router bgp 65000 vrf red\n") && !dials("ip route 10.0.0.0/8 blackhole\n"));
    }

    #[test]
    fn what_rests_is_dialed_and_nothing_else() {
        // As FRR 8.4 says it, but for what is not asked for.
        let answer = r#"{
            "default":{"vrfId":0,"vrfName":"default",
                "l":{"bgpState":"Idle"},
                "10.0.0.1":{"bgpState":"Active","nextConnectTimerDueInMsecs":117000},
                "10.0.0.2":{"bgpState":"Active","nextConnectTimerDueInMsecs":1000},
                "10.0.0.8":{"bgpState":"Active","bgpStateIs":"passive"},
                "10.0.0.9":{"bgpState":"Connect","nextConnectTimerDueInMsecs":117000},
                "10.0.0.7":{"bgpState":"Established"}},
            "red":{"vrfId":9,"vrfName":"red",
                "a b":{"bgpState":"Active","nextConnectTimerDueInMsecs":9000},
                "2001:db8::1":{"bgpState":"Active","nextConnectTimerDueInMsecs":9000}}}"#;
        let at = |table: &str, neighbor: &str| Resting {
            table: table.to_owned(),
            neighbor: neighbor.to_owned(),
        };
        let found = resting(&serde_json::from_str(answer).unwrap());
        assert_eq!(found, [at("default", "10.0.0.1"), at("red", "2001:db8::1")]);
        assert!(resting(&Value::Null).is_empty());
        let on_their_way = |text: &str| {
            let answer = serde_json::from_str(text).unwrap();
            neighbors(&answer).any(|(_, _, neighbor)| is_on_its_way(neighbor))
        };
        assert!(on_their_way(r#"{"default":{"vrfId":0,"a":{"bgpState":"Idle"}}}"#));
        assert!(!on_their_way(
            r#"{"default":{"a":{"bgpState":"Active","bgpStateIs":"passive"},"b":{"bgpState":"Established"},
                "c":{"bgpState":"Idle","adminShutDown":true}}}"#
        ));
    }
}
