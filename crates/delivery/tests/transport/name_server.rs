//! A DNS server that answers what a test wants it to.

use std::net::{IpAddr, SocketAddr};

use tokio::net::UdpSocket;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

const TYPE_A: u16 = 1;
const TYPE_AAAA: u16 = 28;

pub(crate) enum Answer {
    /// These, each to the question of its own kind.
    Addresses(Vec<IpAddr>),
    /// The same, and not to be remembered.
    Fleeting(Vec<IpAddr>),
    /// There is no such name.
    NoSuchName,
    /// The server has failed.
    Failure,
    /// No answer at all.
    Silence,
}

/// A listening name server; it ends with its value.
pub(crate) struct NameServer {
    pub(crate) address: SocketAddr,
    questions: mpsc::UnboundedReceiver<(String, u16)>,
    listening: JoinHandle<()>,
}

impl NameServer {
    pub(crate) async fn start(answer: impl Fn(&str) -> Answer + Send + 'static) -> Self {
        Self::start_by_kind(move |name, _| answer(name)).await
    }

    /// One that may answer otherwise where it is asked for IPv6.
    pub(crate) async fn start_by_kind(answer: impl Fn(&str, bool) -> Answer + Send + 'static) -> Self {
        let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let address = socket.local_addr().unwrap();
        let (sender, questions) = mpsc::unbounded_channel();
        let listening = tokio::spawn(async move {
            let mut packet = [0; 1500];
            loop {
                let (length, from) = socket.recv_from(&mut packet).await.unwrap();
                let question = &packet[12..length];
                let (name, kind, end) = parse(question);
                if let Some(reply) =
                    reply(&packet[..2], &question[..end], kind, &answer(&name, kind == TYPE_AAAA))
                {
                    socket.send_to(&reply, from).await.unwrap();
                }
                sender.send((name, kind)).ok();
            }
        });
        Self { address, questions, listening }
    }

    /// Everything that has been asked so far, sorted.
    pub(crate) fn asked(&mut self) -> Vec<(String, u16)> {
        let mut asked: Vec<_> = std::iter::from_fn(|| self.questions.try_recv().ok()).collect();
        asked.sort();
        asked
    }

    /// What a name is asked for when its addresses are wanted.
    pub(crate) fn both_kinds(name: &str) -> Vec<(String, u16)> {
        vec![(name.to_owned(), TYPE_A), (name.to_owned(), TYPE_AAAA)]
    }
}

impl Drop for NameServer {
    fn drop(&mut self) {
        self.listening.abort();
    }
}

/// The name, its type, and where the question ends.
fn parse(question: &[u8]) -> (String, u16, usize) {
    let mut name = String::new();
    let mut at = 0;
    while question[at] > 0 {
        let end = at + 1 + usize::from(question[at]);
        name.push_str(std::str::from_utf8(&question[at + 1..end]).unwrap());
        name.push('.');
        at = end;
    }
    (name.to_lowercase(), u16::from_be_bytes([question[at + 1], question[at + 2]]), at + 5)
}

fn reply(id: &[u8], question: &[u8], kind: u16, answer: &Answer) -> Option<Vec<u8>> {
    let (code, addresses, seconds): (u16, &[IpAddr], u8) = match answer {
        Answer::Addresses(addresses) => (0, addresses, 60),
        Answer::Fleeting(addresses) => (0, addresses, 0),
        Answer::Failure => (2, &[], 0),
        Answer::NoSuchName => (3, &[], 0),
        Answer::Silence => return None,
    };
    let records: Vec<Vec<u8>> =
        addresses.iter().filter_map(|address| record(*address, kind, seconds)).collect();
    let mut reply = id.to_vec();
    for field in [0x8180 | code, 1, u16::try_from(records.len()).unwrap(), 0, 0] {
        reply.extend(field.to_be_bytes());
    }
    reply.extend(question);
    reply.extend(records.concat());
    Some(reply)
}

/// A resource record for the question's own name, living so many seconds.
fn record(address: IpAddr, kind: u16, seconds: u8) -> Option<Vec<u8>> {
    let data = match address {
        IpAddr::V4(address) if kind == TYPE_A => address.octets().to_vec(),
        IpAddr::V6(address) if kind == TYPE_AAAA => address.octets().to_vec(),
        _ => return None,
    };
    let mut record = vec![0xc0, 12];
    record.extend(kind.to_be_bytes());
    record.extend([0, 1, 0, 0, 0, seconds, 0, u8::try_from(data.len()).unwrap()]);
    record.extend(data);
    Some(record)
}
