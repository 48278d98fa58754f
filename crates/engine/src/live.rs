//! What runs bring while they go on, for whoever watches.
//!
//! Each run under way keeps the beginning of its output, bounded, so that somebody who comes in the middle sees what was
//! said before; what comes after goes to a channel that forgets the oldest pieces of a follower who is too slow. Neither
//! can hold the run up.

use std::sync::{Arc, Mutex, PoisonError};

use clawhook_agent::{LiveOutput, LivePiece};
use tokio::sync::broadcast;

/// How much of a run's output is kept for those who come later, in bytes.
const KEPT: usize = 64 * 1024;
/// How many pieces a follower may lag behind.
const LAG: usize = 1024;

/// The output of one run.
#[derive(Debug, Default)]
pub(crate) struct LiveRun {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    so_far: Vec<LivePiece>,
    bytes: usize,
    is_cut: bool,
    is_over: bool,
    sender: Option<broadcast::Sender<LivePiece>>,
}

/// A run's output from its beginning on.
#[derive(Debug)]
pub struct Follow {
    /// What came before; its end is missing where there was too much of it.
    pub so_far: Vec<LivePiece>,
    /// Whether some of it is missing.
    pub is_cut: bool,
    /// What comes from now on; it closes when the run's turn is over.
    pub pieces: broadcast::Receiver<LivePiece>,
}

impl LiveRun {
    /// Where a turn tells what it brings.
    pub(crate) fn output(self: &Arc<Self>) -> LiveOutput {
        let run = Arc::clone(self);
        LiveOutput::to(move |piece| run.tell(piece))
    }

    /// Joins the followers; none once the turn is over.
    pub(crate) fn follow(&self) -> Option<Follow> {
        let mut state = self.lock();
        if state.is_over {
            return None;
        }
        let sender = state.sender.get_or_insert_with(|| broadcast::Sender::new(LAG));
        let pieces = sender.subscribe();
        Some(Follow { so_far: state.so_far.clone(), is_cut: state.is_cut, pieces })
    }

    /// Lets the followers go.
    pub(crate) fn over(&self) {
        let mut state = self.lock();
        *state = State { is_over: true, ..State::default() };
    }

    fn tell(&self, piece: LivePiece) {
        let mut state = self.lock();
        if state.is_over {
            return;
        }
        if let Some(sender) = &state.sender {
            sender.send(piece.clone()).ok();
        }
        let size = size_of(&piece);
        // What is kept has no gap: after the first piece that is left out nothing is kept any more.
        if state.is_cut || state.bytes + size > KEPT {
            state.is_cut = true;
            return;
        }
        state.bytes += size;
        match (state.so_far.last_mut(), piece) {
            (Some(LivePiece::Text { text }), LivePiece::Text { text: more })
            | (Some(LivePiece::Thinking { text }), LivePiece::Thinking { text: more })
            | (Some(LivePiece::Output { text }), LivePiece::Output { text: more }) => text.push_str(&more),
            (_, piece) => state.so_far.push(piece),
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// About how much a piece takes.
fn size_of(piece: &LivePiece) -> usize {
    match piece {
        LivePiece::Text { text }
        | LivePiece::Thinking { text }
        | LivePiece::Output { text }
        | LivePiece::Note { text } => text.len(),
        LivePiece::Asked { provider, model } => provider.len() + model.len(),
        LivePiece::ToolCall { name, arguments } => name.len() + arguments.to_string().len(),
        LivePiece::ToolResult { name, .. } => name.len(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(text: &str) -> LivePiece {
        LivePiece::Text { text: text.to_owned() }
    }

    #[tokio::test]
    async fn somebody_who_comes_in_the_middle_sees_what_was_said_before_and_then_the_rest() {
        let run = Arc::new(LiveRun::default());
        let output = run.output();
        output.tell(|| text("a"));
        output.tell(|| text("b"));
        let mut follow = run.follow().unwrap();
        output.tell(|| text("c"));
        run.over();
        assert_eq!(follow.so_far, [text("ab")]);
        assert_eq!(follow.pieces.recv().await.unwrap(), text("c"));
        assert!(follow.pieces.recv().await.is_err(), "the turn is over");
        assert!(run.follow().is_none());
    }

    #[test]
    fn what_is_kept_is_bounded_and_says_so() {
        let run = Arc::new(LiveRun::default());
        for _ in 0..100 {
            run.output().tell(|| text(&"x".repeat(4096)));
        }
        let follow = run.follow().unwrap();
        assert!(follow.is_cut);
        assert!(follow.so_far.iter().map(size_of).sum::<usize>() <= KEPT);
    }

    #[test]
    fn what_is_kept_is_the_beginning_and_has_no_gap() {
        let run = Arc::new(LiveRun::default());
        for piece in ["begins ", &"x".repeat(KEPT), "and ends"] {
            run.output().tell(|| text(piece));
        }
        let follow = run.follow().unwrap();
        assert!(follow.is_cut);
        assert_eq!(follow.so_far, [text("begins ")]);
    }
}
