//! The report of scenarios as a browser shows it.

use crate::common;

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use common::{Lab, Running, has};

const PAIR: &str = r#"
name = "page"
[defaults]
kind = "host"
[nodes.a]
addresses = { eth1 = ["10.0.0.1/24"] }
[nodes."b"]
addresses = { eth1 = ["10.0.0.2/24"] }
[[links]]
endpoints = ["a:eth1", "b:eth1"]
[[flows]]
name = "a-b"
from = "a"
to = "b"
pps = 200
[[scenarios]]
name = "cut <b>short</b> & \"quoted\""
flows = "*"
steps = [{ wait = "300ms" }, { silence = "a:eth1" }, { wait = "300ms" }, { clear = "a:eth1" }, { wait = "300ms" }]
expect = { outage = "1ms" }
"#;

fn chromium() -> Option<&'static str> {
    let found = ["chromium", "chromium-browser", "google-chrome"]
        .into_iter()
        .find(|it| has(it));
    if found.is_none() {
        eprintln!("skipped: this host has no Chromium");
    }
    found
}

/// What Chromium says of a page, without a network.
fn browse(program: &str, own: &Path, words: &[&str], page: &Path) -> (String, String) {
    let mut command = Command::new("unshare");
    command.arg("-n").arg(program).args([
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-dev-shm-usage",
        "--enable-logging=stderr",
        "--window-size=1200,1600",
    ]);
    command
        .arg(format!("--user-data-dir={}", own.display()))
        .args(words);
    command.arg(format!("file://{}", page.display())).current_dir(own);
    let done = Running::start(&mut command).wait_within(Duration::from_secs(120));
    assert_eq!(done.code, 0, "{}", done.err);
    (done.out, done.err)
}

#[test]
fn a_browser_shows_the_report_of_a_scenario() {
    let Some(program) = chromium() else { return };
    let lab = Lab::up(PAIR);
    let pages = lab.path("pages");
    lab.run(["scenario", "run", "--report", pages.to_str().unwrap()])
        .expect(1);
    let page = pages.join("scenarios.html");
    let own = lab.path("browser");
    std::fs::create_dir(&own).unwrap();
    let (dom, said) = browse(program, &own, &["--dump-dom"], &page);
    // What it made of the page: text stays text, drawings are drawings.
    for words in [
        "cut &lt;b&gt;short&lt;/b&gt; &amp; \"quoted\"",
        "<svg",
        "<polyline",
        "a→b",
        "allowed: an outage of 1ms",
    ] {
        assert!(
            dom.contains(words) || (words == "<polyline" && dom.contains("<path")),
            "{words}: {dom}"
        );
    }
    for words in ["<script", "src=", "href=\"http", "@import", "url("] {
        assert!(!dom.contains(words), "{words}");
    }
    // It asks for nothing, and has nothing to complain of.
    let complaints: Vec<&str> = said.lines().filter(|line| line.contains(":CONSOLE")).collect();
    assert_eq!(complaints, [] as [&str; 0]);
    let picture = own.join("picture.png");
    browse(
        program,
        &own,
        &[&format!("--screenshot={}", picture.display())],
        &page,
    );
    let picture = std::fs::read(picture).unwrap();
    assert_eq!(&picture[1..4], b"PNG");
    // A page on which nothing is drawn is much smaller.
    assert!(picture.len() > 20_000, "{}", picture.len());
}
