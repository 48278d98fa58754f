//! What a command prints, up to a limit.

use std::future::pending;

use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::process::{ChildStderr, ChildStdout};

use crate::live::{LiveOutput, LivePiece};

const PIECE: usize = 8 * 1024;

/// Both output streams of a command, while they are read and after.
#[derive(Debug)]
pub(super) struct Output {
    stdout: Captured<ChildStdout>,
    stderr: Captured<ChildStderr>,
}

impl Output {
    /// Reads from these pipes, keeps `limit` bytes of each, and tells what is kept as it comes.
    pub(super) fn new(
        stdout: Option<ChildStdout>,
        stderr: Option<ChildStderr>,
        limit: usize,
        live: &LiveOutput,
    ) -> Self {
        Self { stdout: Captured::new(stdout, limit, live), stderr: Captured::new(stderr, limit, live) }
    }

    /// Returns when something was read; never, once both streams have ended. It can be dropped at any time without
    /// losing a byte.
    pub(super) async fn read_some(&mut self) {
        tokio::select! {
            () = self.stdout.read_some() => {}
            () = self.stderr.read_some() => {}
        }
    }

    /// Reads until both streams have ended.
    pub(super) async fn read_to_end(&mut self) {
        while self.stdout.is_open() || self.stderr.is_open() {
            self.read_some().await;
        }
    }

    /// What of stdout was kept.
    pub(super) fn stdout(&self) -> String {
        self.stdout.text("stdout")
    }

    /// What of stderr was kept.
    pub(super) fn stderr(&self) -> String {
        self.stderr.text("stderr")
    }

    /// Whether something was not kept.
    pub(super) fn is_truncated(&self) -> bool {
        self.stdout.truncated || self.stderr.truncated
    }
}

/// One stream: its pipe while it is open, and the start of what came through.
#[derive(Debug)]
struct Captured<P> {
    pipe: Option<P>,
    kept: Vec<u8>,
    limit: usize,
    truncated: bool,
    /// Where the next piece is read to.
    piece: Box<[u8]>,
    live: LiveOutput,
    /// How much of what is kept was told.
    told: usize,
}

impl<P: AsyncRead + Unpin> Captured<P> {
    fn new(pipe: Option<P>, limit: usize, live: &LiveOutput) -> Self {
        Self {
            pipe,
            kept: Vec::new(),
            limit,
            truncated: false,
            piece: Box::new([0; PIECE]),
            live: live.clone(),
            told: 0,
        }
    }

    fn is_open(&self) -> bool {
        self.pipe.is_some()
    }

    /// Reads on beyond the limit, and drops what comes, so that the command is not stopped by a full pipe.
    async fn read_some(&mut self) {
        let Some(pipe) = &mut self.pipe else { return pending().await };
        match pipe.read(&mut self.piece).await {
            Ok(0) | Err(_) => self.pipe = None,
            Ok(count) => {
                let room = self.limit - self.kept.len();
                self.kept.extend_from_slice(&self.piece[..count.min(room)]);
                self.truncated |= count > room;
            }
        }
        self.tell();
    }

    /// Tells what was kept since the last time; a character that is not whole yet waits for its end.
    fn tell(&mut self) {
        let new = &self.kept[self.told..];
        let whole = match std::str::from_utf8(new) {
            Err(error) if error.error_len().is_none() && self.pipe.is_some() => error.valid_up_to(),
            _ => new.len(),
        };
        if whole > 0 {
            self.live
                .tell(|| LivePiece::Output { text: String::from_utf8_lossy(&new[..whole]).into_owned() });
            self.told += whole;
        }
    }

    fn text(&self, name: &str) -> String {
        let kept = String::from_utf8_lossy(self.whole_characters());
        match self.truncated {
            true => format!("{}\n[truncated: {name} is longer than {} bytes]", kept.trim(), self.limit),
            false => kept.trim().to_owned(),
        }
    }

    /// What was kept, without a character that the limit cut in two.
    fn whole_characters(&self) -> &[u8] {
        match std::str::from_utf8(&self.kept) {
            Err(error) if self.truncated && error.error_len().is_none() => &self.kept[..error.valid_up_to()],
            _ => &self.kept,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use tokio::io::AsyncWriteExt as _;

    use super::*;

    async fn captured(bytes: &[u8], limit: usize) -> String {
        let mut captured = Captured::new(Some(bytes), limit, &LiveOutput::default());
        while captured.is_open() {
            captured.read_some().await;
        }
        captured.text("stdout")
    }

    #[tokio::test]
    async fn output_within_the_limit_is_whole_and_trimmed() {
        assert_eq!(captured(b"\n hello \n", 9).await, "hello");
        assert_eq!(captured(b"", 9).await, "");
    }

    #[tokio::test]
    async fn output_beyond_the_limit_keeps_its_start_in_whole_characters_and_says_so() {
        let expected = "你\n[truncated: stdout is longer than 5 bytes]";
        assert_eq!(captured("你好".as_bytes(), 5).await, expected);
    }

    #[tokio::test]
    async fn bytes_that_are_not_utf8_are_replaced() {
        assert_eq!(captured(b"a\xffb", 9).await, "a\u{fffd}b");
    }

    #[tokio::test]
    async fn what_is_kept_is_told_as_it_comes_in_whole_characters() {
        let told = Arc::new(Mutex::new(Vec::new()));
        let listener = Arc::clone(&told);
        let live = LiveOutput::to(move |piece| listener.lock().unwrap().push(piece));
        let (mut pipe, end) = tokio::io::duplex(64);
        let mut captured = Captured::new(Some(end), 8, &live);
        for bytes in [&b"a\xe4\xbd"[..], b"\xa0b", b"\xffcdefgh"] {
            pipe.write_all(bytes).await.unwrap();
            captured.read_some().await;
        }
        drop(pipe);
        captured.read_some().await;
        let texts: Vec<String> = told
            .lock()
            .unwrap()
            .drain(..)
            .map(|piece| match piece {
                LivePiece::Output { text } => text,
                other => panic!("{other:?}"),
            })
            .collect();
        assert_eq!(texts, ["a", "\u{4f60}b", "\u{fffd}cd"]);
    }
}
