//! The inputs that are kept for fuzzing, and variations of them, by chance that comes again. `scripts/fuzz` looks further, guided
//! by what is covered. `NSLAB_ROUNDS=1000000` makes so many tries of each kind.

#[path = "../../fuzz/targets.rs"]
mod targets;

use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::time::{Duration, Instant};

use nslab::bgp::rng::Rng;

/// A try takes no longer, even where much else runs.
const LONGEST: Duration = Duration::from_secs(10);

fn corpus(name: &str) -> Vec<Vec<u8>> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("fuzz/corpus")
        .join(name);
    let entries = fs::read_dir(directory).unwrap();
    let mut paths: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths.iter().map(|path| fs::read(path).unwrap()).collect()
}

fn mutated(corpus: &[Vec<u8>], rng: &mut Rng) -> Vec<u8> {
    let pick = |rng: &mut Rng| &corpus[rng.roll(corpus.len() as u64) as usize];
    let mut input = pick(rng).clone();
    for _ in 0..=rng.roll(4) {
        let at = rng.roll(input.len() as u64 + 1) as usize;
        let end = at + rng.roll((input.len() - at) as u64 + 1) as usize;
        match rng.roll(7) {
            0 if at < input.len() => input[at] = rng.roll(256) as u8,
            1 if at < input.len() => input[at] ^= 1 << rng.roll(8),
            2 => input.truncate(at),
            3 => drop(input.drain(at..end)),
            4 if input.len() < 16_384 => {
                let again = input[at..end].to_vec();
                input.splice(at..at, again);
            }
            5 => {
                let other = pick(rng);
                let from = rng.roll(other.len() as u64 + 1) as usize;
                let few = other[from..].iter().take(64).copied();
                input.splice(at..end.min(at + 64), few);
            }
            _ => input.insert(at, [0, 1, b'\n', b'"', 0x7f, 0xff][rng.roll(6) as usize]),
        }
    }
    input
}

fn check(name: &str, target: fn(&[u8]), input: &[u8]) {
    let began = Instant::now();
    let outcome = catch_unwind(AssertUnwindSafe(|| target(input)));
    let took = began.elapsed();
    assert!(
        outcome.is_ok() && took < LONGEST,
        "{name}, after {took:?}, of {:?}",
        String::from_utf8_lossy(input)
    );
}

#[test]
fn inputs_that_are_kept_and_variations_of_them_do_no_harm() {
    let rounds = std::env::var("NSLAB_ROUNDS").ok().and_then(|it| it.parse().ok());
    for &(name, target) in targets::ALL {
        let corpus = corpus(name);
        assert!(!corpus.is_empty(), "nothing is kept for {name}");
        for input in &corpus {
            check(name, target, input);
        }
        let mut rng = Rng::new(5);
        for _ in 0..rounds.unwrap_or(700u64) {
            check(name, target, &mutated(&corpus, &mut rng));
        }
    }
}
