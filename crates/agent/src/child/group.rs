//! A process group: what is started together and ended together.

use std::sync::Arc;

use rustix::io::Errno;
use rustix::process::{Pid, Signal, kill_process_group, test_kill_process_group};
use tokio::process::Child;

use super::lifeline::{Lifeline, Tied};

/// A process group that is ended, at the latest, when this is dropped: then whatever is left in it has been started
/// in the background by a program that is over, or belongs to a turn that was given up.
#[derive(Debug)]
pub(crate) struct Group {
    pid: Pid,
    _tied: Tied,
}

impl Group {
    /// The group that `child` leads, whose end is provided for even should the gateway be killed; none where the child
    /// has been waited for already.
    pub(crate) fn led_by(child: &Child, lifeline: &Arc<Lifeline>) -> Option<Self> {
        let pid = child.id().and_then(|id| Pid::from_raw(id.try_into().ok()?))?;
        Some(Self { pid, _tied: lifeline.tie(pid) })
    }

    /// A group that is gone already has got what the signal wants.
    pub(crate) fn signal(&self, signal: Signal) {
        match kill_process_group(self.pid, signal) {
            Ok(()) | Err(Errno::SRCH) => {}
            Err(error) => {
                tracing::warn!(group = ?self.pid, ?signal, %error, "a program could not be signalled");
            }
        }
    }

    pub(crate) fn exists(&self) -> bool {
        test_kill_process_group(self.pid).is_ok()
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        self.signal(Signal::KILL);
    }
}
