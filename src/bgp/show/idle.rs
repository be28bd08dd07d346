//! Answers about what a speaker has nothing of: EVPN, MPLS, VPNs, groups of next hops.

/// Patterns (`> `) and, behind them, what FRR 8.4.4 says to each while nothing of it is configured (`| `;
/// `=` where that is nothing).
const ANSWERS: &str = include_str!("frr/idle");

/// The commands and their answers.
pub(crate) fn answers() -> Vec<(&'static str, String)> {
    let (mut all, mut first) = (Vec::new(), 0);
    let mut is_answer = true;
    for line in ANSWERS.lines() {
        if let Some(pattern) = line.strip_prefix("> ") {
            if std::mem::take(&mut is_answer) {
                first = all.len();
            }
            all.push((pattern, String::new()));
        } else if line == "=" {
            is_answer = true;
        } else {
            is_answer = true;
            let text = line.strip_prefix('|').unwrap_or(line);
            for (_, answer) in &mut all[first..] {
                *answer += text.strip_prefix(' ').unwrap_or(text);
                answer.push('\n');
            }
        }
    }
    all
}
