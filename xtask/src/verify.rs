//! The gate: everything that must hold before a change lands, in the order in which it is cheapest to know.

use std::error::Error;
use std::time::{Duration, Instant};

use clap::builder::PossibleValuesParser;

use crate::agents;
use crate::channels;
use crate::coding_agents;
use crate::crash;
use crate::demo;
use crate::hooks;
use crate::house_rules;
use crate::licences::{self, Advisories};
use crate::process;
use crate::progress::{Progress, say, seconds};
use crate::receivers;
use crate::signatures;
use crate::sim;
use crate::toolchain;
use crate::workspace;

/// One thing that must hold.
struct Step {
    /// By this it is called on the command line.
    name: &'static str,
    headline: &'static str,
    run: fn(Progress) -> Result<Outcome, Box<dyn Error>>,
}

/// How a step ended that did not fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Outcome {
    Passed,
    /// It could not be looked at here, and why.
    NotChecked(&'static str),
}

const STEPS: [Step; 18] = [
    Step { name: "tools", headline: "What must be installed is there", run: tools },
    Step { name: "format", headline: "The code is formatted", run: format },
    Step { name: "rules", headline: "The rules of the house are kept", run: rules },
    Step { name: "licences", headline: "Every dependency's licence is allowed", run: licences },
    Step { name: "advisories", headline: "No dependency has a known fault", run: advisories },
    Step { name: "clippy", headline: "The code is free of warnings", run: clippy },
    Step { name: "tests", headline: "The tests pass", run: tests },
    Step { name: "doctests", headline: "The examples in the documentation work", run: doctests },
    Step { name: "docs", headline: "The documentation builds, and its links lead somewhere", run: docs },
    Step {
        name: "signatures",
        headline: "Independent libraries accept our signatures, and no others",
        run: signatures,
    },
    Step {
        name: "receivers",
        headline: "The example receivers pass their tests and conformance",
        run: receivers,
    },
    Step {
        name: "coding-agents",
        headline: "Real coding agents do what they are permitted to, and nothing else",
        run: coding_agents,
    },
    Step {
        name: "agents",
        headline: "Agents with a real model and a real tool do what is promised of them",
        run: agents,
    },
    Step {
        name: "channels",
        headline: "Messages to people arrive at real servers, whole and once",
        run: channels,
    },
    Step { name: "sim", headline: "Simulated days of faults break no promise", run: sim },
    Step { name: "crash", headline: "The gateway can be killed at any point", run: crash },
    Step { name: "hooks", headline: "No request to a hook is lost or done twice", run: hooks },
    Step { name: "demo", headline: "A real model's answer arrives, signed, at a real receiver", run: demo },
];

/// What to look at.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// Only these steps; all of them if none is named
    #[arg(value_name = "STEP", value_parser = PossibleValuesParser::new(STEPS.iter().map(|step| step.name)))]
    steps: Vec<String>,
}

/// Which step failed, and how to see it fail again.
#[derive(Debug, thiserror::Error)]
#[error("step '{step}' failed; once it is mended, `cargo xtask verify {step}` repeats just this step")]
pub(crate) struct VerifyError {
    step: &'static str,
    source: Box<dyn Error>,
}

/// Goes through the steps and stops at the first that fails.
pub(crate) fn run(options: &Options) -> Result<(), VerifyError> {
    let progress = Progress::start();
    let chosen: Vec<&Step> = STEPS
        .iter()
        .filter(|step| options.steps.is_empty() || options.steps.iter().any(|name| name == step.name))
        .collect();
    let mut passed: Vec<(&Step, Outcome, Duration)> = Vec::new();
    for (number, step) in chosen.iter().enumerate() {
        progress.step(format_args!("({}/{}) {} — {}", number + 1, chosen.len(), step.name, step.headline));
        let started = Instant::now();
        match (step.run)(progress) {
            Ok(outcome) => passed.push((step, outcome, started.elapsed())),
            Err(source) => {
                summarise(&passed, Some(step));
                return Err(VerifyError { step: step.name, source });
            }
        }
    }
    summarise(&passed, None);
    Ok(())
}

fn summarise(passed: &[(&Step, Outcome, Duration)], failed: Option<&Step>) {
    say("");
    let mut not_checked = 0;
    for (step, outcome, took) in passed {
        let result = match outcome {
            Outcome::Passed => "passed".to_owned(),
            Outcome::NotChecked(why) => format!("not checked: {why}"),
        };
        not_checked += usize::from(*outcome != Outcome::Passed);
        say(format_args!("{} {:<13} {result}", seconds(*took), step.name));
    }
    if let Some(step) = failed {
        say(format_args!("{:>8} {:<13} FAILED", "", step.name));
    }
    let skipped = if not_checked == 0 { String::new() } else { format!(", {not_checked} skipped") };
    say(format_args!(
        "steps: {} passed, {} failed{skipped}",
        passed.len() - not_checked,
        usize::from(failed.is_some())
    ));
}

fn tools(progress: Progress) -> Result<Outcome, Box<dyn Error>> {
    toolchain::check(progress)?;
    toolchain::install_nextest(progress)?;
    Ok(Outcome::Passed)
}

fn format(_: Progress) -> Result<Outcome, Box<dyn Error>> {
    cargo(&["fmt", "--all", "--check", "--", "--files-with-diff"])
}

fn rules(progress: Progress) -> Result<Outcome, Box<dyn Error>> {
    house_rules::check(progress)?;
    Ok(Outcome::Passed)
}

fn licences(progress: Progress) -> Result<Outcome, Box<dyn Error>> {
    licences::check(progress)?;
    Ok(Outcome::Passed)
}

fn advisories(_: Progress) -> Result<Outcome, Box<dyn Error>> {
    Ok(match licences::check_advisories()? {
        Advisories::Checked => Outcome::Passed,
        Advisories::NotChecked => {
            Outcome::NotChecked("it needs `cargo install --locked cargo-deny` and the network")
        }
    })
}

fn clippy(_: Progress) -> Result<Outcome, Box<dyn Error>> {
    cargo(&["clippy", "--locked", "--workspace", "--all-targets", "--", "-D", "warnings"])
}

fn tests(_: Progress) -> Result<Outcome, Box<dyn Error>> {
    cargo(&["nextest", "run", "--locked", "--workspace"])
}

fn doctests(_: Progress) -> Result<Outcome, Box<dyn Error>> {
    cargo(&["test", "--locked", "--doc", "--workspace"])
}

fn docs(_: Progress) -> Result<Outcome, Box<dyn Error>> {
    let mut doc = workspace::cargo();
    doc.args(["doc", "--locked", "--workspace", "--no-deps", "--document-private-items"]);
    process::run(doc.env("RUSTDOCFLAGS", "-D warnings"))?;
    Ok(Outcome::Passed)
}

fn receivers(progress: Progress) -> Result<Outcome, Box<dyn Error>> {
    receivers::check(progress)?;
    Ok(Outcome::Passed)
}

fn coding_agents(progress: Progress) -> Result<Outcome, Box<dyn Error>> {
    if !cfg!(target_os = "linux") {
        return Ok(Outcome::NotChecked("it looks for what is left of a turn in /proc"));
    }
    coding_agents::check(progress)?;
    Ok(Outcome::Passed)
}

fn agents(progress: Progress) -> Result<Outcome, Box<dyn Error>> {
    agents::check(progress)?;
    Ok(Outcome::Passed)
}

fn channels(progress: Progress) -> Result<Outcome, Box<dyn Error>> {
    channels::check(progress)?;
    Ok(Outcome::Passed)
}

fn signatures(progress: Progress) -> Result<Outcome, Box<dyn Error>> {
    signatures::check(progress)?;
    Ok(Outcome::Passed)
}

fn sim(_: Progress) -> Result<Outcome, Box<dyn Error>> {
    sim::run_for_the_gate()?;
    Ok(Outcome::Passed)
}

fn crash(_: Progress) -> Result<Outcome, Box<dyn Error>> {
    crash::run(crash::Options::for_the_gate())?;
    Ok(Outcome::Passed)
}

fn hooks(_: Progress) -> Result<Outcome, Box<dyn Error>> {
    hooks::run(&hooks::Options::for_the_gate(), workspace::BuiltWith::AllTests)?;
    Ok(Outcome::Passed)
}

fn demo(_: Progress) -> Result<Outcome, Box<dyn Error>> {
    demo::run(demo::Options { check: true, keep: false })?;
    Ok(Outcome::Passed)
}

fn cargo(words: &[&str]) -> Result<Outcome, Box<dyn Error>> {
    process::run(workspace::cargo().args(words))?;
    Ok(Outcome::Passed)
}
