//! A process group: what is started together and ended together, with those who left it.

use std::sync::{Arc, Mutex, PoisonError};

use rustix::io::Errno;
use rustix::process::{Pid, Signal, kill_process_group, test_kill_process_group};
use tokio::process::Child;

use super::lifeline::{Lifeline, Tied};
use super::strays::Stray;

/// A process group that is ended, at the latest, when this is dropped: then whatever is left in it has been started
/// in the background by a program that is over, or belongs to a turn that was given up.
#[derive(Debug)]
pub(crate) struct Group {
    pid: Pid,
    /// Those out of the group who were sent a signal and are not over: once their parents have ended, nothing else tells whose they are.
    strays: Mutex<Vec<Stray>>,
    _tied: Tied,
}

impl Group {
    /// The group that `child` leads, whose end is provided for even should the gateway be killed; none where the child
    /// has been waited for already.
    pub(crate) fn led_by(child: &Child, lifeline: &Arc<Lifeline>) -> Option<Self> {
        let pid = child.id().and_then(|id| Pid::from_raw(id.try_into().ok()?))?;
        Some(Self { pid, strays: Mutex::default(), _tied: lifeline.tie(pid) })
    }

    /// A group that is gone already has got what the signal wants.
    pub(crate) fn signal(&self, signal: Signal) {
        let mut strays = self.strays.lock().unwrap_or_else(PoisonError::into_inner);
        if self.has_members() || strays.iter().any(Stray::exists) {
            *strays = Stray::of(self.pid, &strays);
        }
        match kill_process_group(self.pid, signal) {
            Ok(()) | Err(Errno::SRCH) => {}
            Err(error) => {
                tracing::warn!(group = ?self.pid, ?signal, %error, "a program could not be signalled");
            }
        }
        for stray in strays.iter() {
            stray.signal(signal);
        }
    }

    /// Whether anything of it is left, or of those who left it.
    pub(crate) fn exists(&self) -> bool {
        let strays = self.strays.lock().unwrap_or_else(PoisonError::into_inner);
        self.has_members() || strays.iter().any(Stray::exists)
    }

    fn has_members(&self) -> bool {
        test_kill_process_group(self.pid).is_ok()
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        self.signal(Signal::KILL);
    }
}
