//! vtysh's options, read by hand: vtysh is what scripts call in loops, and getopt's forms are few.

use std::path::PathBuf;

/// What `--help` tells.
pub const HELP: &str = "\
Usage : vtysh [OPTION...]

The shell of nslab's own BGP speaker, answering as FRR's (version 8.4.4) does.

-b, --boot               Execute boot startup configuration: the speaker has done so
-c, --command            Execute argument as command
-d, --daemon             Connect only to the specified daemon: here all are one
-f, --inputfile          Execute commands from specific file and exit
-E, --echo               Echo prompt and command in -c mode
-C, --dryrun             Check configuration for validity and exit
-m, --markfile           Mark input file with context end
    --vty_socket         Override vty socket path
-w, --writeconfig        Write integrated config (frr.conf) and exit
-H, --histfile           Override history file
-h, --help               Display this help and exit

Note that multiple commands may be executed from the command
line by passing multiple -c args, or by embedding linefeed
characters in one or more of the commands.
";

/// What vtysh is to do.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Arguments {
    pub help: bool,
    pub boot: bool,
    pub write: bool,
    pub dry_run: bool,
    pub echo: bool,
    pub mark: bool,
    pub commands: Vec<String>,
    pub daemons: Vec<String>,
    pub file: Option<PathBuf>,
    pub history: Option<PathBuf>,
    /// The directory of the socket.
    pub socket_in: Option<PathBuf>,
}

/// Options: their letter, their name, whether a value follows. Some of FRR's mean nothing here.
const OPTIONS: &[(char, &str, bool)] = &[
    ('b', "boot", false),
    ('c', "command", true),
    ('d', "daemon", true),
    ('f', "inputfile", true),
    ('E', "echo", false),
    ('C', "dryrun", false),
    ('n', "noerror", false),
    ('u', "user", false),
    ('t', "timestamp", false),
    ('m', "markfile", false),
    ('w', "writeconfig", false),
    ('H', "histfile", true),
    ('h', "help", false),
    ('S', "vty_socket", true),
    ('D', "config_dir", true),
    ('N', "pathspace", true),
];

/// FRR's options without a letter; the letter here is for this file only.
const LONG_ONLY: [char; 2] = ['S', 'D'];

impl Arguments {
    /// Reads them.
    ///
    /// # Errors
    /// What getopt says of an option that is none.
    pub fn read(words: &[String]) -> Result<Arguments, String> {
        let mut arguments = Arguments::default();
        let mut words = words.iter().cloned();
        while let Some(word) = words.next() {
            if let Some(long) = word.strip_prefix("--").filter(|long| !long.is_empty()) {
                let (name, value) = match long.split_once('=') {
                    Some((name, value)) => (name, Some(value.to_owned())),
                    None => (long, None),
                };
                let (letter, takes) = named(name)?;
                let value = match (takes, value) {
                    (false, Some(_)) => return Err(format!("option '--{name}' doesn't allow an argument")),
                    (true, None) => words.next(),
                    (_, value) => value,
                };
                if takes && value.is_none() {
                    return Err(format!("option '--{name}' requires an argument"));
                }
                arguments.take(letter, value.unwrap_or_default());
            } else if let Some(letters) = word.strip_prefix('-').filter(|it| !it.is_empty() && *it != "-") {
                arguments.take_letters(letters, &mut words)?;
            }
            // As with FRR, other words mean nothing.
        }
        Ok(arguments)
    }

    fn take_letters(
        &mut self,
        letters: &str,
        words: &mut impl Iterator<Item = String>,
    ) -> Result<(), String> {
        let mut rest = letters.chars();
        while let Some(letter) = rest.next() {
            let known = OPTIONS.iter().find(|(known, ..)| *known == letter);
            let Some((_, _, takes)) = known.filter(|_| !LONG_ONLY.contains(&letter)) else {
                return Err(format!("invalid option -- '{letter}'"));
            };
            if !takes {
                self.take(letter, String::new());
                continue;
            }
            let value = match rest.as_str() {
                "" => words.next(),
                value => Some(value.to_owned()),
            };
            let value = value.ok_or_else(|| format!("option requires an argument -- '{letter}'"))?;
            self.take(letter, value);
            break;
        }
        Ok(())
    }

    fn take(&mut self, letter: char, value: String) {
        match letter {
            'b' => self.boot = true,
            'c' => self.commands.push(value),
            'd' => self.daemons.push(value),
            'f' => self.file = Some(value.into()),
            'E' => self.echo = true,
            'm' => self.mark = true,
            'C' => self.dry_run = true,
            'w' => self.write = true,
            'H' => self.history = Some(value.into()),
            'h' => self.help = true,
            'S' => self.socket_in = Some(value.into()),
            _ => {}
        }
    }

    /// A daemon that FRR has not.
    pub fn unknown_daemon(&self, known: &[&str]) -> Option<&str> {
        let daemons = self.daemons.iter().flat_map(|it| it.split(','));
        let mut unknown = daemons.filter(|daemon| !known.contains(daemon));
        unknown.next()
    }
}

/// The option of a name, which may be shortened.
fn named(name: &str) -> Result<(char, bool), String> {
    let begin = || OPTIONS.iter().filter(|(_, known, _)| known.starts_with(name));
    let exact = OPTIONS.iter().find(|(_, known, _)| *known == name);
    if exact.is_none() && begin().count() > 1 {
        return Err(format!("option '--{name}' is ambiguous"));
    }
    let found = exact.or_else(|| begin().next());
    let (letter, _, takes) = found.ok_or_else(|| format!("unrecognized option '--{name}'"))?;
    Ok((*letter, *takes))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(words: &[&str]) -> Result<Arguments, String> {
        let words: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
        Arguments::read(&words)
    }

    #[test]
    fn getopts_forms_are_read() {
        let arguments = read(&[
            "-Ec",
            "a b",
            "-cconf t",
            "--command=x",
            "--comm",
            "y",
            "-d",
            "bgpd,zebra",
        ])
        .unwrap();
        assert_eq!(arguments.commands, ["a b", "conf t", "x", "y"]);
        assert!(arguments.echo && arguments.unknown_daemon(&["bgpd", "zebra"]).is_none());
        assert_eq!(arguments.unknown_daemon(&["bgpd"]), Some("zebra"));
        let arguments = read(&["-C", "-f", "x.conf", "--vty_socket", "/run/x", "word", "--"]).unwrap();
        assert!(arguments.dry_run && arguments.file == Some("x.conf".into()));
        assert_eq!(arguments.socket_in, Some("/run/x".into()));
    }

    #[test]
    fn errors_are_told_as_getopt_does() {
        assert_eq!(read(&["-v"]), Err("invalid option -- 'v'".to_owned()));
        assert_eq!(read(&["-S"]), Err("invalid option -- 'S'".to_owned()));
        assert_eq!(
            read(&["-c"]),
            Err("option requires an argument -- 'c'".to_owned())
        );
        assert_eq!(read(&["--foo"]), Err("unrecognized option '--foo'".to_owned()));
        assert_eq!(read(&["--d"]), Err("option '--d' is ambiguous".to_owned()));
        assert_eq!(
            read(&["--echo=1"]),
            Err("option '--echo' doesn't allow an argument".to_owned())
        );
        assert_eq!(
            read(&["--command"]),
            Err("option '--command' requires an argument".to_owned())
        );
    }
}
