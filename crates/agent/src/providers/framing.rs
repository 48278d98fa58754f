//! How the pieces of a streamed answer are told apart: as Server-Sent Events, of which the `data` of each event counts, or
//! as lines of JSON.

use thiserror::Error;

/// The longest event that is put together. A server that answers without streaming puts a whole text into one.
const EVENT_LIMIT: usize = 8 * 1024 * 1024;

const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// An event is longer than any sensible one.
#[derive(Debug, Error)]
#[error("one event is longer than {EVENT_LIMIT} bytes")]
pub(super) struct EventTooLong;

/// Puts the pieces of a stream together.
#[derive(Debug)]
pub(super) enum Decoder {
    /// Server-Sent Events.
    Events(EventDecoder),
    /// One piece a line.
    Lines(Vec<u8>),
}

impl Decoder {
    /// Takes the next bytes and returns the pieces that they complete.
    pub(super) fn feed(&mut self, bytes: &[u8]) -> Result<Vec<Vec<u8>>, EventTooLong> {
        match self {
            Self::Events(events) => events.feed(bytes),
            Self::Lines(line) => feed_lines(line, bytes),
        }
    }

    /// What is left where the stream has ended: a last line needs no end.
    pub(super) fn finish(&mut self) -> Option<Vec<u8>> {
        match self {
            Self::Events(_) => None,
            Self::Lines(line) => Some(std::mem::take(line)).filter(|line| !line.trim_ascii().is_empty()),
        }
    }
}

fn feed_lines(line: &mut Vec<u8>, bytes: &[u8]) -> Result<Vec<Vec<u8>>, EventTooLong> {
    let mut pieces = Vec::new();
    for part in bytes.split_inclusive(|byte| *byte == b'\n') {
        line.extend_from_slice(part);
        if line.len() > EVENT_LIMIT {
            return Err(EventTooLong);
        }
        if part.ends_with(b"\n") {
            let whole = std::mem::take(line);
            if !whole.trim_ascii().is_empty() {
                pieces.push(whole);
            }
        }
    }
    Ok(pieces)
}

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
    fn lines_come_out_the_same_however_the_bytes_are_cut_and_the_last_needs_no_end() {
        let stream = "{\"a\":1}\r\n\n{\"b\":\"你\"}\n{\"c\":3}";
        for size in [1, 3, 100] {
            let mut decoder = Decoder::Lines(Vec::new());
            let mut pieces: Vec<Vec<u8>> =
                stream.as_bytes().chunks(size).flat_map(|piece| decoder.feed(piece).unwrap()).collect();
            pieces.extend(decoder.finish());
            let texts = pieces.iter().map(|piece| std::str::from_utf8(piece).unwrap().trim_end());
            assert_eq!(texts.collect::<Vec<_>>(), ["{\"a\":1}", "{\"b\":\"你\"}", "{\"c\":3}"]);
            assert_eq!(decoder.finish(), None);
        }
    }

    #[test]
    fn a_line_without_an_end_is_not_kept_without_an_end() {
        let mut decoder = EventDecoder::default();
        let piece = vec![b'a'; 1024 * 1024];
        assert!((0..8).all(|_| decoder.feed(&piece).is_ok()));
        assert!(decoder.feed(&piece).is_err());
    }
}
