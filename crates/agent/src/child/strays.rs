//! Processes that a program has started and that left its group: `timeout` and `setsid` are ways to do so.
//!
//! They are found by their parents, where the system tells of processes in `/proc`.
//!
//! Not guaranteed: that one is found whose parent has ended before it was looked for.

use std::collections::HashSet;
use std::fs;

use rustix::process::{Pid, Signal, kill_process};

/// A process out of its group, told from a later one with the same id by when it began.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Stray {
    pid: i32,
    began: u64,
}

/// What the system tells of a process that is not over.
struct Seen {
    pid: i32,
    parent: i32,
    group: i32,
    began: u64,
}

impl Stray {
    /// Those whom the processes of `group` have started, and those whom these have, as far as they are not in it: those that
    /// are `known` already, and others.
    pub(super) fn of(group: Pid, known: &[Self]) -> Vec<Self> {
        let group = group.as_raw_nonzero().get();
        let mut others = all();
        let mut family: HashSet<i32> =
            others.extract_if(.., |seen| seen.group == group).map(|seen| seen.pid).collect();
        let mut strays = Vec::new();
        loop {
            let is_next =
                |seen: &mut Seen| family.contains(&seen.parent) || known.contains(&Self::from(&*seen));
            let next: Vec<Seen> = others.extract_if(.., is_next).collect();
            if next.is_empty() {
                return strays;
            }
            family.extend(next.iter().map(|seen| seen.pid));
            strays.extend(next.iter().map(Self::from));
        }
    }

    /// Whether it is not over.
    pub(super) fn exists(&self) -> bool {
        seen(self.pid).is_some_and(|seen| Self::from(&seen) == *self)
    }

    pub(super) fn signal(&self, signal: Signal) {
        if let Some(pid) = Pid::from_raw(self.pid).filter(|_| self.exists()) {
            // One that has ended in the meantime has got what the signal wants.
            kill_process(pid, signal).ok();
        }
    }
}

impl From<&Seen> for Stray {
    fn from(seen: &Seen) -> Self {
        Self { pid: seen.pid, began: seen.began }
    }
}

fn all() -> Vec<Seen> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    pids.filter_map(seen).collect()
}

fn seen(pid: i32) -> Option<Seen> {
    let stat = fs::read(format!("/proc/{pid}/stat")).ok()?;
    let stat = String::from_utf8_lossy(&stat);
    // A program's name stands in brackets and may hold anything, brackets too.
    let (_, rest) = stat.rsplit_once(") ")?;
    let fields: Vec<&str> = rest.split(' ').collect();
    let is_over = matches!(*fields.first()?, "Z" | "X");
    let (parent, group) = (fields.get(1)?.parse().ok()?, fields.get(2)?.parse().ok()?);
    let began = fields.get(19)?.parse().ok()?;
    (!is_over).then_some(Seen { pid, parent, group, began })
}
