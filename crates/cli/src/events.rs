//! Server-sent events, as the API's live answers send them.

use reqwest::Response;

/// The longest event that is read.
const LONGEST: usize = 16 * 1024 * 1024;

/// An event.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct ServerEvent {
    /// What kind it is; empty where the block has an id alone.
    pub(crate) name: String,
    /// Its id.
    pub(crate) id: Option<String>,
    /// Its data.
    pub(crate) data: String,
}

/// The events of one answer.
pub(crate) struct Events {
    answer: Response,
    parser: Parser,
}

/// Why there is no next event.
#[derive(Debug)]
pub(crate) enum EventsEnd {
    /// The connection failed.
    Lost(reqwest::Error),
    /// An event is longer than any that the gateway sends.
    TooLong,
}

impl Events {
    /// The events of this answer.
    pub(crate) fn of(answer: Response) -> Self {
        Self { answer, parser: Parser::default() }
    }

    /// The next event; none at the end of the answer.
    pub(crate) async fn next(&mut self) -> Result<Option<ServerEvent>, EventsEnd> {
        loop {
            if let Some(event) = self.parser.take() {
                return Ok(Some(event));
            }
            if self.parser.unread.len() > LONGEST {
                return Err(EventsEnd::TooLong);
            }
            match self.answer.chunk().await.map_err(EventsEnd::Lost)? {
                Some(chunk) => self.parser.unread.extend_from_slice(&chunk),
                None => return Ok(None),
            }
        }
    }
}

/// Bytes that came, and were not taken yet.
#[derive(Default)]
struct Parser {
    unread: Vec<u8>,
    /// Up to where no event ends.
    searched: usize,
}

impl Parser {
    /// Takes the next event that is whole; comments are passed over.
    fn take(&mut self) -> Option<ServerEvent> {
        loop {
            let from = self.searched.saturating_sub(1);
            let Some(end) = self.unread[from..].windows(2).position(|pair| pair == b"\n\n") else {
                self.searched = self.unread.len();
                return None;
            };
            let block: Vec<u8> = self.unread.drain(..from + end + 2).collect();
            self.searched = 0;
            if let Some(event) = read(&String::from_utf8_lossy(&block)) {
                return Some(event);
            }
        }
    }
}

fn read(block: &str) -> Option<ServerEvent> {
    let (mut name, mut id, mut data) = (None, None, Vec::new());
    for line in block.lines() {
        let (field, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "event" => name = Some(value.to_owned()),
            "id" => id = Some(value.to_owned()),
            "data" => data.push(value),
            _ => {}
        }
    }
    let name = if id.is_some() { name.unwrap_or_default() } else { name? };
    Some(ServerEvent { name, id, data: data.join("\n") })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_are_read_whatever_pieces_they_come_in() {
        let sent = ":\n\nid: 1\nevent: text\ndata: {\"text\":\"grüße\"}\n\nevent: end\ndata: a\ndata: b\n\nid: 9\n\n";
        for size in 1..sent.len() {
            let mut parser = Parser::default();
            let mut events = Vec::new();
            for piece in sent.as_bytes().chunks(size) {
                parser.unread.extend_from_slice(piece);
                events.extend(std::iter::from_fn(|| parser.take()));
            }
            let event = |id: Option<&str>, name: &str, data: &str| ServerEvent {
                name: name.to_owned(),
                id: id.map(str::to_owned),
                data: data.to_owned(),
            };
            let text = event(Some("1"), "text", "{\"text\":\"grüße\"}");
            assert_eq!(events, [text, event(None, "end", "a\nb"), event(Some("9"), "", "")], "{size}");
        }
    }
}
