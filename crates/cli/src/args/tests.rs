//! docs/cli.md and the commands say the same.

use std::collections::{BTreeMap, BTreeSet};

use clap::{Command, CommandFactory as _};

use super::Cli;

const DOCS: &str = include_str!("../../../../docs/cli.md");

#[test]
fn the_definition_holds_together() {
    Cli::command().debug_assert();
}

#[test]
fn the_documentation_names_every_command_and_every_flag_and_no_others() {
    let mut root = Cli::command();
    root.build();
    let mut defined = BTreeMap::new();
    define(&root, &[], &mut defined);
    assert_eq!(documented(), defined);
}

#[test]
fn the_documentation_names_every_other_name_of_a_command() {
    let mut root = Cli::command();
    root.build();
    for command in root.get_subcommands().flat_map(Command::get_subcommands) {
        for alias in command.get_visible_aliases() {
            assert!(DOCS.contains(&format!("`{alias}`")), "{alias}, of {}", command.get_name());
        }
    }
}

/// The commands that do something, each with its flags; what every command has stands under its group.
fn define(command: &Command, inherited: &[String], defined: &mut BTreeMap<String, BTreeSet<String>>) {
    let flags: BTreeSet<String> = command
        .get_arguments()
        .filter_map(|argument| argument.get_long())
        .filter(|flag| !matches!(*flag, "help" | "version"))
        .map(|flag| format!("--{flag}"))
        .filter(|flag| !inherited.contains(flag))
        .collect();
    let name = command.get_bin_name().unwrap_or("clawhook").to_owned();
    let known: Vec<String> = inherited.iter().chain(&flags).cloned().collect();
    defined.insert(name, flags);
    for subcommand in command.get_subcommands().filter(|command| command.get_name() != "help") {
        define(subcommand, &known, defined);
    }
}

/// The headings that are commands, each with the flags that begin the rows of its tables.
fn documented() -> BTreeMap<String, BTreeSet<String>> {
    let mut commands: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    let mut current = None;
    for line in DOCS.lines() {
        if line.starts_with('#') {
            current = line.split('`').nth(1).filter(|code| code.starts_with("clawhook")).map(str::to_owned);
            if let Some(command) = &current {
                commands.entry(command.clone()).or_default();
            }
        } else if let (Some(command), Some(row)) = (&current, line.strip_prefix("| `--")) {
            let flag = row.split([' ', '`']).next().unwrap_or_default();
            assert!(
                commands.entry(command.clone()).or_default().insert(format!("--{flag}")),
                "--{flag} stands twice under {command}"
            );
        }
    }
    commands
}
