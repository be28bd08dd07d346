//! `nslab survive`.

use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use super::file::LabFile;
use super::import_args::ImportArgs;
use super::test_progress::TestProgress;
use super::{Format, color, complete, file, imported, print_json};
use crate::check::runner::Word;
use crate::check::stop::Stop;
use crate::failure::{Code, Failure};
use crate::lab::file::suggest;
use crate::lab::model::{Kind, Lab};
use crate::scenario::survive::graph::{Failed, Graph};
use crate::scenario::survive::report::{Survey, Trial};
use crate::scenario::survive::run::{self, Plan};
use crate::scenario::survive::sets::{MOST, Sets, Wanted};

/// No more pairs speak at once.
const MOST_PAIRS: usize = 1000;

#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  sudo nslab survive labs/clos.toml                        every link in turn\n  \
    sudo nslab survive labs/clos.toml --fail links=2 -j 2\n  \
    sudo nslab survive labs/clos.toml --fail links=1,nodes=1 --within 3s\n  \
    sudo nslab survive fabric.toml --fail links=3 --limit 5m --seed 7\n  \
    sudo nslab survive labs/clos.toml --only leaf0:up0,spine1\n\n\
    Every set of so many links and nodes fails in turn on a living lab; what is still physically connected must be able\n\
    to speak again in time. Then all is mended, and the lab must be as before. Nodes that fail are routers and bridges.\n\
    Exit codes: 0 all healed, 1 a set did not or the lab did not come up, 2 the file or the arguments are wrong."
)]
pub struct Args {
    /// The lab file, or files of other tools that are one lab together
    #[arg(value_name = "FILE", required = true, add = complete::files())]
    files: Vec<PathBuf>,
    /// How many links and nodes fail at once, at most: links=1, nodes=1, or links=2,nodes=1
    #[arg(long, value_name = "WHAT", default_value = "links=1")]
    fail: Wanted,
    /// Only this set: links as NODE:INTERFACE, and nodes, with commas
    #[arg(long, value_name = "SET", conflicts_with_all = ["fail", "limit", "seed"])]
    only: Option<String>,
    /// The pairs that must be able to speak, FROM:TO with commas, instead of all pairs of hosts
    #[arg(long, value_name = "PAIRS", value_delimiter = ',')]
    pairs: Vec<String>,
    /// How long the lab may take to heal
    #[arg(long, value_name = "TIME", default_value = "5s", value_parser = super::values::duration)]
    within: Duration,
    /// How many labs live at the same time
    #[arg(short, long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=64))]
    jobs: u16,
    /// Begin no more sets after this time; the order is random then
    #[arg(long, value_name = "TIME", value_parser = super::values::duration)]
    limit: Option<Duration>,
    /// The seed of a random order
    #[arg(long, value_name = "NUMBER")]
    seed: Option<u64>,
    /// Which program plays routers and Kubernetes nodes, whatever the file says: auto, frr, builtin or kubelet
    #[arg(long, value_name = "ENGINE", value_parser = super::engine::words())]
    engine: Vec<String>,
    /// How results are printed
    #[arg(long, value_enum, default_value = "text")]
    format: Format,
}

/// Returns the exit code.
pub fn run(args: Args) -> Result<i32, Failure> {
    let began = Instant::now();
    let file = load(&args)?;
    let graph = Graph::of(&file.lab);
    let pairs = pairs(&args, &file.lab, &graph)?;
    let sets = match &args.only {
        Some(only) => Sets::of(parse_set(only, &graph)?),
        None => Sets::new((0..graph.links.len()).collect(), graph.that_forward(), args.fail),
    };
    if sets.count() == 0 {
        return Err(Failure::wrong(
            "nothing in this lab can fail: it has no links between nodes",
        ));
    }
    if sets.count() > MOST && args.limit.is_none() {
        let message = format!("there are {} sets of failures, too many to try all", sets.count());
        return Err(Failure::wrong(message)
            .help("try some of them for a time, with `--limit 10m`, or let fewer fail"));
    }
    // With a limit it matters which come first.
    let seed = args.seed.or(args.limit.map(|_| seed()));
    let order = sets.order(seed);
    let directory = super::run_directory()?;
    let stop = Stop::on_signals()?;
    let options: Vec<String> = args
        .engine
        .iter()
        .flat_map(|engine| ["--engine".to_owned(), engine.clone()])
        .collect();
    let plan = Plan {
        files: &args.files,
        name: &file.lab.name,
        options: &options,
        graph: &graph,
        sets: &sets,
        order: &order,
        pairs: &pairs,
        within: args.within,
        until: args.limit.map(|limit| began + limit),
    };
    let progress = Mutex::new(TestProgress::new(args.format == Format::Text));
    let say = |word: Word| {
        if let Ok(mut progress) = progress.lock() {
            progress.say(word);
        }
    };
    say(Word::Now(format!("{}: coming up", file.lab.name)));
    let tell = |done: usize, trial: &Trial| {
        say(Word::Now(format!(
            "{done} of {} sets: {}",
            order.len(),
            trial.failure
        )));
    };
    let trials = run::all(&plan, usize::from(args.jobs), &directory, &stop, &tell);
    say(Word::Settled(String::new()));
    // What fails while the user ends it is of no interest.
    if stop.wanted() {
        return Err(Failure::not_ready(format!(
            "interrupted after {} of {} sets; nothing is left of the labs",
            trials.map_or(0, |trials| trials.len()),
            sets.count()
        )));
    }
    let trials = trials?;
    let survey = survey(
        &args,
        &file.lab,
        &graph,
        sets.count(),
        seed,
        trials,
        began.elapsed(),
    );
    match args.format {
        Format::Text => say(Word::Settled(survey.text())),
        Format::Json => print_json(&survey)?,
    }
    Ok(if survey.healed { 0 } else { Code::NotReady as i32 })
}

fn load(args: &Args) -> Result<LabFile, Failure> {
    if args.files.iter().any(|path| file::is_standard_input(path)) {
        return Err(Failure::wrong(
            "a lab that is tried is read more than once: write it into a file",
        ));
    }
    let first = args.files.first().map_or(Path::new(""), PathBuf::as_path);
    imported::load(&args.files, &ImportArgs::default(), color())
        .map_err(|refusal| refusal.into_failure(first))
}

/// A seed that nobody chose; it is told, so that the order can be had again.
fn seed() -> u64 {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    now.map_or(0, |now| now.as_secs() % 1_000_000)
}

/// The pairs that must be able to speak: those that are named, or all of hosts (of routers, where there are no hosts).
fn pairs(args: &Args, lab: &Lab, graph: &Graph) -> Result<Vec<(usize, usize)>, Failure> {
    let number = |name: &str| {
        graph.nodes.iter().position(|node| node == name).ok_or_else(|| {
            let names = graph.nodes.iter().map(String::as_str);
            Failure::wrong(format!("there is no node {name:?}")).help(suggest::cure(
                name,
                names,
                "the nodes are",
                "",
            ))
        })
    };
    if !args.pairs.is_empty() {
        let named = args.pairs.iter().map(|pair| {
            let (from, to) = pair.split_once(':').ok_or_else(|| {
                Failure::wrong(format!("{pair:?} is not a pair"))
                    .help("write FROM:TO: `--pairs host0:host3,host3:host0`")
            })?;
            Ok((number(from)?, number(to)?))
        });
        return named.collect();
    }
    let has_address = |at: &usize| {
        lab.nodes[*at]
            .addresses
            .iter()
            .any(|address| address.interface != "lo")
    };
    let of_kind = |kind: Kind| -> Vec<usize> {
        let all = 0..lab.nodes.len();
        all.filter(|at| lab.nodes[*at].kind == kind && has_address(at))
            .collect()
    };
    let hosts = match of_kind(Kind::Host) {
        hosts if hosts.len() > 1 => hosts,
        _ => (0..lab.nodes.len())
            .filter(|at| !lab.nodes[*at].addresses.is_empty())
            .collect(),
    };
    let all = hosts
        .iter()
        .flat_map(|from| hosts.iter().map(move |to| (*from, *to)));
    let pairs: Vec<(usize, usize)> = all.filter(|(from, to)| from != to).collect();
    match pairs.len() {
        0 => Err(Failure::wrong("the lab has no two nodes with addresses")
            .help("name the pairs that must be able to speak: `--pairs a:b`")),
        count if count > MOST_PAIRS => Err(Failure::wrong(format!(
            "the lab's hosts make {count} pairs, and {MOST_PAIRS} can speak at once"
        ))
        .help("name those that matter: `--pairs host0:host3,host1:host2`")),
        _ => Ok(pairs),
    }
}

/// Reads what `--only` says.
fn parse_set(text: &str, graph: &Graph) -> Result<Failed, Failure> {
    let mut failed = Failed::default();
    for word in text.split(',') {
        let link = graph
            .links
            .iter()
            .position(|link| link.ends.iter().any(|end| end.to_string() == word));
        let node = graph.nodes.iter().position(|node| node == word);
        match (link, node) {
            (Some(link), _) => failed.links.push(link),
            (None, Some(node)) => failed.nodes.push(node),
            (None, None) => {
                let message = format!("{word:?} is neither a node nor the end of a link between two nodes");
                return Err(
                    Failure::wrong(message).help("write links as NODE:INTERFACE, with commas between")
                );
            }
        }
    }
    Ok(failed)
}

fn survey(
    args: &Args,
    lab: &Lab,
    graph: &Graph,
    sets: u64,
    seed: Option<u64>,
    trials: Vec<Trial>,
    took: Duration,
) -> Survey {
    let smallest = trials
        .iter()
        .filter(|trial| trial.has_failed())
        .min_by_key(|trial| (trial.size, trial.number));
    let again = smallest.map(|trial| again(args, &trial.only));
    let hosts: Vec<&str> = (0..graph.nodes.len())
        .filter(|at| !graph.forwards[*at])
        .map(|at| graph.nodes[at].as_str())
        .collect();
    let spared = match (args.fail.nodes, hosts.is_empty()) {
        (0, _) | (_, true) => Vec::new(),
        _ => vec![format!(
            "{} nodes that do not forward ({})",
            hosts.len(),
            hosts.join(" ")
        )],
    };
    Survey {
        lab: lab.name.clone(),
        healed: !trials.iter().any(Trial::has_failed),
        sets,
        tried: trials.len(),
        left_out: sets.saturating_sub(trials.len() as u64),
        spared,
        seed,
        seconds: took.as_secs_f64(),
        smallest: smallest.map(|trial| trial.failure.clone()),
        again,
        trials,
    }
}

/// The command that tries one set again.
fn again(args: &Args, only: &str) -> String {
    let mut words = vec!["nslab".to_owned(), "survive".to_owned()];
    words.extend(args.files.iter().map(|file| file.display().to_string()));
    words.extend(["--only".to_owned(), only.to_owned()]);
    if !args.pairs.is_empty() {
        words.extend(["--pairs".to_owned(), args.pairs.join(",")]);
    }
    for engine in &args.engine {
        words.extend(["--engine".to_owned(), engine.clone()]);
    }
    words.extend(["--within".to_owned(), format!("{}ms", args.within.as_millis())]);
    shell_words::join(&words)
}
