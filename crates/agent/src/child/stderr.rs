//! The end of what a child printed on stderr.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::sync::watch;
use tokio_util::task::AbortOnDropHandle;

use crate::secrets::Secrets;

/// How many bytes are kept.
const KEPT: usize = 8 * 1024;

const PIECE: usize = 4 * 1024;

/// How many characters of a line are told.
const LINE_LIMIT: usize = 300;

/// What is read from a child's stderr, which goes on until this is dropped.
#[derive(Debug)]
pub(super) struct Stderr {
    tail: Arc<Mutex<Tail>>,
    secrets: Secrets,
    open: watch::Receiver<()>,
    _reader: AbortOnDropHandle<()>,
}

#[derive(Debug, Default)]
struct Tail {
    bytes: VecDeque<u8>,
    cut: bool,
}

impl Stderr {
    /// Reads on for as long as the child prints, so that it is never stopped by a full pipe.
    pub(super) fn read<'a>(
        mut pipe: impl AsyncRead + Unpin + Send + 'static,
        secrets: impl Iterator<Item = &'a String>,
    ) -> Self {
        let secrets = Secrets::of(secrets.map(String::as_str));
        let tail = Arc::new(Mutex::new(Tail::default()));
        let (ended, open) = watch::channel(());
        let kept = Arc::clone(&tail);
        let reader = tokio::spawn(async move {
            let mut piece = [0; PIECE];
            while let Ok(count @ 1..) = pipe.read(&mut piece).await {
                kept.lock().unwrap_or_else(PoisonError::into_inner).add(&piece[..count]);
            }
            drop(ended);
        });
        Self { tail, secrets, open, _reader: AbortOnDropHandle::new(reader) }
    }

    /// Waits until nothing more comes.
    pub(super) async fn ended(&mut self) {
        while self.open.changed().await.is_ok() {}
    }

    pub(super) fn text(&self) -> String {
        self.secrets.mask(&self.tail.lock().unwrap_or_else(PoisonError::into_inner).text())
    }

    /// The last line with something in it, in one line of printable characters.
    pub(super) fn last_line(&self) -> Option<String> {
        let text = self.text();
        let line = text.lines().rev().map(str::trim).find(|line| !line.is_empty())?;
        Some(line.chars().filter(|c| !c.is_control()).take(LINE_LIMIT).collect())
    }
}

impl Tail {
    fn add(&mut self, piece: &[u8]) {
        self.bytes.extend(piece);
        let over = self.bytes.len().saturating_sub(KEPT);
        self.bytes.drain(..over);
        self.cut |= over > 0;
    }

    /// Without the line that was cut: the rest of a secret could not be known for one.
    fn text(&mut self) -> String {
        let bytes: &[u8] = self.bytes.make_contiguous();
        let whole = match bytes.iter().position(|byte| *byte == b'\n') {
            Some(end) if self.cut => &bytes[end + 1..],
            None if self.cut => &[],
            _ => bytes,
        };
        String::from_utf8_lossy(whole).into_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn read(bytes: &'static [u8], secrets: &[&str]) -> Stderr {
        let secrets: Vec<_> = secrets.iter().map(ToString::to_string).collect();
        let mut stderr = Stderr::read(bytes, secrets.iter());
        stderr.ended().await;
        stderr
    }

    #[tokio::test]
    async fn the_last_line_is_told_in_printable_characters_and_without_secrets() {
        let stderr =
            read(b"first\n\x1b[31mno entry for s3cret-token\x07 \xff\n\n", &["s3cret-token", "a"]).await;
        assert_eq!(stderr.last_line().as_deref(), Some("[31mno entry for *** \u{fffd}"));
        assert!(!format!("{stderr:?}").contains("s3cret-token"));
    }

    #[tokio::test]
    async fn of_a_long_text_the_end_is_kept_in_whole_lines() {
        let long: &'static [u8] = [b"x".repeat(KEPT), b"\nthe end\n".to_vec()].concat().leak();
        assert_eq!(read(long, &[]).await.text(), "the end\n");
        let one_line: &'static [u8] = b"x".repeat(KEPT + 1).leak();
        assert_eq!(read(one_line, &[]).await.last_line(), None);
    }
}
