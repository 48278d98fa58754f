//! Server-Sent Events, as far as chat endpoints use them: the `data` of each event.

use thiserror::Error;

/// The longest event that is put together. A server that answers without streaming puts a whole text into one.
const EVENT_LIMIT: usize = 8 * 1024 * 1024;

const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// An event is longer than any sensible one.
#[derive(Debug, Error)]
#[error("one event is longer than {EVENT_LIMIT} bytes")]
pub(super) struct EventTooLong;

/// Puts events together from bytes that come in any pieces, and holds no more than one event.
#[derive(Debug, Default)]
pub(super) struct EventDecoder {
    line: Vec<u8>,
    data: Option<Vec<u8>>,
    after_first_line: bool,
    after_carriage_return: bool,
}

impl EventDecoder {
    /// Takes the next bytes and returns the data of the events that they complete.
    pub(super) fn feed(&mut self, mut bytes: &[u8]) -> Result<Vec<Vec<u8>>, EventTooLong> {
        let mut events = Vec::new();
        while let Some(&first) = bytes.first() {
            if std::mem::take(&mut self.after_carriage_return) && first == b'\n' {
                bytes = &bytes[1..];
                continue;
            }
            let end = bytes.iter().position(|byte| matches!(byte, b'\n' | b'\r'));
            self.line.extend_from_slice(&bytes[..end.unwrap_or(bytes.len())]);
            if self.line.len() + self.data.as_ref().map_or(0, Vec::len) > EVENT_LIMIT {
                return Err(EventTooLong);
            }
            let Some(end) = end else { break };
            self.after_carriage_return = bytes[end] == b'\r';
            bytes = &bytes[end + 1..];
            events.extend(self.end_line());
        }
        Ok(events)
    }

    /// Takes in a whole line; an empty one ends an event.
    fn end_line(&mut self) -> Option<Vec<u8>> {
        let line = std::mem::take(&mut self.line);
        let mut line = line.as_slice();
        if !std::mem::replace(&mut self.after_first_line, true) {
            line = line.strip_prefix(BYTE_ORDER_MARK).unwrap_or(line);
        }
        if line.is_empty() {
            return self.data.take();
        }
        let value = match line.strip_prefix(b"data") {
            Some([b':', b' ', value @ ..] | [b':', value @ ..]) => value,
            Some([]) => &[],
            // A comment, or a field that chat endpoints give no meaning to.
            _ => return None,
        };
        match &mut self.data {
            Some(data) => {
                data.push(b'\n');
                data.extend_from_slice(value);
            }
            None => self.data = Some(value.to_vec()),
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decode<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> Vec<String> {
        let mut decoder = EventDecoder::default();
        let events = pieces.into_iter().flat_map(|piece| decoder.feed(piece).unwrap());
        events.map(|data| String::from_utf8(data).unwrap()).collect()
    }

    #[test]
    fn events_come_out_the_same_however_the_bytes_are_cut() {
        let stream =
            "\u{feff}: hello\r\ndata: 你好\r\n\r\nevent: x\ndata:a\ndata: b\n\nid: 1\n\ndata\r\rdata:  c\n\n";
        let expected = ["你好", "a\nb", "", " c"];
        assert_eq!(decode([stream.as_bytes()]), expected);
        assert_eq!(decode(stream.as_bytes().chunks(1)), expected);
        assert_eq!(decode(stream.as_bytes().chunks(7)), expected);
    }

    #[test]
    fn an_event_that_was_not_ended_is_not_an_event() {
        assert_eq!(decode([b"data: half\n".as_slice()]), [""; 0]);
    }

    #[test]
    fn a_line_without_an_end_is_not_kept_without_an_end() {
        let mut decoder = EventDecoder::default();
        let piece = vec![b'a'; 1024 * 1024];
        assert!((0..8).all(|_| decoder.feed(&piece).is_ok()));
        assert!(decoder.feed(&piece).is_err());
    }
}
