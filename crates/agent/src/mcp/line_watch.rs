//! Notice of messages that are too long to be read.
//!
//! The transport drops such a line, and whoever waits for what was in it would wait until its time is over.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, ReadBuf};
use tokio::sync::Notify;

/// A program's output, of whose lines none may be longer than `limit` bytes.
#[derive(Debug)]
pub(super) struct LineWatch<R> {
    output: R,
    limit: usize,
    /// How long the current line is so far.
    length: usize,
    too_long: Arc<Notify>,
}

impl<R> LineWatch<R> {
    /// Tells `too_long` of each line that is.
    pub(super) fn new(output: R, limit: usize, too_long: Arc<Notify>) -> Self {
        Self { output, limit, length: 0, too_long }
    }

    fn see(&mut self, bytes: &[u8]) {
        for piece in bytes.split_inclusive(|byte| *byte == b'\n') {
            let before = self.length;
            self.length = before.saturating_add(piece.len());
            if before <= self.limit && self.length > self.limit {
                self.too_long.notify_waiters();
            }
            if piece.ends_with(b"\n") {
                self.length = 0;
            }
        }
    }
}

impl<R: AsyncRead + Unpin> AsyncRead for LineWatch<R> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        ready!(Pin::new(&mut self.output).poll_read(cx, buffer))?;
        self.see(&buffer.filled()[before..]);
        Poll::Ready(Ok(()))
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;

    use tokio::io::AsyncReadExt;

    use super::*;

    async fn is_noticed(text: &'static str) -> bool {
        let too_long = Arc::new(Notify::new());
        let mut noticed = pin!(too_long.notified());
        let mut watch = LineWatch::new(text.as_bytes(), 4, Arc::clone(&too_long));
        let mut read = String::new();
        // In small pieces, so that a line goes over several of them.
        while watch.read_buf(&mut (&mut [0_u8; 3][..])).await.unwrap() > 0 {}
        watch.read_to_string(&mut read).await.unwrap();
        tokio::select! {
            biased;
            () = &mut noticed => true,
            () = std::future::ready(()) => false,
        }
    }

    #[tokio::test]
    async fn only_a_line_beyond_the_limit_is_noticed() {
        assert!(!is_noticed("abc\nabc\nabc\nabc").await);
        assert!(!is_noticed("").await);
        assert!(is_noticed("abcd\n").await);
        assert!(is_noticed("ab\nabcde").await);
    }
}
