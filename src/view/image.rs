//! Progress of images that are brought: a bar on a terminal, a line for each otherwise.

use std::cell::RefCell;
use std::io::stderr;
use std::time::Instant;

use crate::image::store::Progress;
use indicatif::{ProgressBar, ProgressStyle};

use super::{tell, terminal, units};
use crate::clean;

/// Shows how an image comes. Writes to standard error, so that standard output stays for results.
#[derive(Default)]
pub struct ImageProgress {
    at: RefCell<Option<At>>,
}

struct At {
    began: Instant,
    image: String,
    layers: usize,
    bytes: u64,
    bar: Option<ProgressBar>,
}

impl ImageProgress {
    /// Nothing comes yet.
    pub fn new() -> Self {
        ImageProgress::default()
    }

    /// Shows a step.
    pub fn show(&self, step: Progress) {
        match step {
            Progress::Planned { layers: 0, .. } => {}
            Progress::Planned { image, layers, bytes } => self.begin(image, layers, bytes),
            Progress::Moved { layers, bytes, .. } => {
                let at = self.at.borrow();
                let Some((at, bar)) = at.as_ref().and_then(|at| Some((at, at.bar.as_ref()?))) else {
                    return;
                };
                bar.set_position(bytes);
                let image = clean::line(&at.image);
                bar.set_message(format!("{layers}/{} layers  {image}", at.layers));
            }
            Progress::Note { image, text } => self.say(&format!("note: {image}: {text}")),
            _ => {}
        }
    }

    fn begin(&self, image: String, layers: usize, bytes: u64) {
        // The one before is done.
        self.finish();
        let bar = terminal::is_clever(&stderr()).then(|| bar(bytes));
        if bar.is_none() {
            let what = units::count(layers, "layer");
            tell(&format!("{image}: {what}, {} to come\n", units::size(bytes)));
        }
        self.at.replace(Some(At {
            began: Instant::now(),
            image,
            layers,
            bytes,
            bar,
        }));
    }

    /// Prints a line, above the bar if there is one.
    fn say(&self, line: &str) {
        match self.at.borrow().as_ref().and_then(|at| at.bar.as_ref()) {
            Some(bar) => bar.println(clean::text(line)),
            None => tell(&format!("{line}\n")),
        }
    }

    /// Takes the bar away, and says how long it took if anything came.
    pub fn finish(&self) {
        let Some(at) = self.at.take() else { return };
        if let Some(bar) = &at.bar {
            bar.finish_and_clear();
        }
        let seconds = at.began.elapsed().as_secs_f64();
        let (size, time) = (units::size(at.bytes), units::duration(seconds));
        tell(&format!("{}: {size} in {time}\n", at.image));
    }

    /// Takes the bar away: it went wrong.
    pub fn give_up(&self) {
        if let Some(bar) = self.at.take().and_then(|at| at.bar) {
            bar.finish_and_clear();
        }
    }
}

fn bar(bytes: u64) -> ProgressBar {
    let bar = ProgressBar::new(bytes);
    // A line that is longer than the terminal's would be left behind by the next.
    let template = match terminal::width() {
        ..80 => "{binary_bytes}/{binary_total_bytes} {wide_msg}",
        _ => "{bar:24} {binary_bytes}/{binary_total_bytes} {binary_bytes_per_sec}  {wide_msg}",
    };
    let style = ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
    bar.set_style(match terminal::is_ascii() {
        true => style.progress_chars("#>-"),
        false => style,
    });
    bar
}
