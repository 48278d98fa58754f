//! What a process has used, as the kernel tells it.

use std::collections::BTreeMap;
use std::fs;
use std::time::Duration;

/// The processor time of a process, by the names of its threads.
#[derive(Debug, Clone, Default)]
pub(super) struct Cpu {
    pub(super) by_thread: BTreeMap<String, Duration>,
}

impl Cpu {
    /// What the threads that live now have used.
    pub(super) fn of(pid: u32) -> Self {
        let mut cpu = Self::default();
        for thread in fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten() {
            let read = |file| fs::read_to_string(thread.path().join(file)).unwrap_or_default();
            let name = read("comm").trim().to_owned();
            let nanos = read("schedstat").split(' ').next().and_then(|nanos| nanos.parse().ok()).unwrap_or(0);
            *cpu.by_thread.entry(name).or_default() += Duration::from_nanos(nanos);
        }
        cpu
    }

    /// What has been used since `earlier`.
    pub(super) fn since(mut self, earlier: &Self) -> Self {
        for (name, time) in &mut self.by_thread {
            *time = time.saturating_sub(earlier.by_thread.get(name).copied().unwrap_or_default());
        }
        self
    }

    pub(super) fn total(&self) -> Duration {
        self.by_thread.values().sum()
    }
}

/// A process's memory at this moment, in KiB.
#[derive(Debug, Clone, Copy)]
pub(super) struct Memory {
    pub(super) resident_kib: u64,
    /// Shared pages counted in part.
    pub(super) proportional_kib: u64,
    pub(super) peak_kib: u64,
}

impl Memory {
    pub(super) fn of(pid: u32) -> Self {
        Self {
            resident_kib: field(pid, "status", "VmRSS:"),
            proportional_kib: field(pid, "smaps_rollup", "Pss:"),
            peak_kib: field(pid, "status", "VmHWM:"),
        }
    }
}

fn field(pid: u32, file: &str, name: &str) -> u64 {
    let text = fs::read_to_string(format!("/proc/{pid}/{file}")).unwrap_or_default();
    text.lines()
        .find_map(|line| line.strip_prefix(name)?.trim().strip_suffix("kB")?.trim().parse().ok())
        .unwrap_or(0)
}
