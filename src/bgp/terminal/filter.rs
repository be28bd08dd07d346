//! `COMMAND | include EXPRESSION`: of the answer only the lines that match.

use regex::Regex;

use crate::config::{Pipe, pipe};

/// A command, and what is left of its answer.
#[derive(Debug)]
pub(super) struct Filtered<'l> {
    /// The command.
    pub command: &'l str,
    include: Option<Regex>,
}

impl<'l> Filtered<'l> {
    /// Takes a line apart.
    ///
    /// # Errors
    /// What FRR says of a filter it does not know.
    pub fn of(line: &'l str) -> Result<Filtered<'l>, String> {
        let Some(Pipe { command, filter }) = pipe(line) else {
            return Ok(Filtered {
                command: line,
                include: None,
            });
        };
        let include = Some(filter.map_err(|refusal| refusal + "\n")?);
        Ok(Filtered { command, include })
    }

    /// Whether nothing is taken from an answer.
    pub fn is_whole(&self) -> bool {
        self.include.is_none()
    }

    /// What is left of an answer.
    pub fn take(&self, answer: String) -> String {
        let Some(include) = &self.include else {
            return answer;
        };
        let lines = answer
            .split_inclusive('\n')
            .filter(|line| include.is_match(line.trim_end_matches('\n')));
        lines.collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_that_match_are_left() {
        let filtered = Filtered::of("show run | include ^ n|x$").unwrap();
        assert_eq!(filtered.command, "show run ");
        assert_eq!(filtered.take("a\n n\nax\nno\n".to_owned()), " n\nax\n");
        let all = Filtered::of("show bgp regexp 1|2").unwrap();
        assert_eq!(all.take("a\nb".to_owned()), "a\nb");
    }

    #[test]
    fn other_filters_are_refused_as_frr_does() {
        let refusal = |line: &str| Filtered::of(line).unwrap_err();
        assert_eq!(refusal("show run | include"), "% Need a regexp to filter with\n");
        assert_eq!(refusal("show run | include ("), "% Bad regexp '('\n");
        assert_eq!(refusal("show run | begin x"), "% Unknown action 'begin'\n");
    }
}
