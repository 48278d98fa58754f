//! What can go wrong before an answer's head has come, in words for users, and the class that each amounts to.

use std::error::Error;
use std::io;
use std::time::Duration;

use clawhook_model::AttemptClass;
use rustix::io::Errno;
use thiserror::Error;

use super::metered::TooMuchRead;
use super::proxy::ProxyFailure;
use crate::guard::GuardRefusal;

/// Why no answer came. No text shows an address that a name resolved to.
#[derive(Debug, Error)]
pub(super) enum Failure {
    #[error("{0}; {hint}", hint = .0.hint())]
    Refused(#[from] GuardRefusal),
    #[error("the host name `{0}` does not exist")]
    UnknownName(String),
    #[error("the host name `{0}` has no address")]
    NoAddress(String),
    #[error("the host name `{host}` could not be resolved: {why}")]
    ResolverFailed { host: String, why: String },
    #[error("no connection to `{host}` port {port}: {error}")]
    Connect { host: String, port: u16, error: io::Error },
    #[error("no connection to `{host}` port {port} within {} ms", .within.as_millis())]
    ConnectTimeout { host: String, port: u16, within: Duration },
    #[error("the connection to `{host}` was made to another address than the one that was vetted")]
    WrongPeer { host: String },
    #[error("`{host}` closed the connection before the request was sent: {why}")]
    ClosedBeforeRequest { host: String, why: String },
    #[error("the TLS handshake with `{host}` failed: {why}")]
    Tls { host: String, why: String },
    #[error("the TLS handshake with `{host}` did not end within {} ms", .within.as_millis())]
    TlsTimeout { host: String, within: Duration },
    #[error("the receiver ended the TLS session: {0}")]
    TlsAlert(String),
    #[error("the operator's proxy gave no way to `{host}`: {failure}")]
    Proxy { host: String, failure: ProxyFailure },
    #[error("no certificate authority is known, so no https can be trusted: {0}")]
    NoRoots(String),
    #[error("the connection broke before the answer was complete: {0}")]
    AnswerLost(String),
    #[error("no complete answer came within {} ms", .0.as_millis())]
    AnswerTimeout(Duration),
    #[error("the answer is not HTTP: {0}")]
    Protocol(String),
    #[error("the request cannot be written as HTTP: {0}")]
    Unsendable(String),
}

impl Failure {
    pub(super) fn class(&self) -> AttemptClass {
        match self {
            Self::Refused(_) | Self::WrongPeer { .. } | Self::Unsendable(_) => AttemptClass::Blocked,
            Self::UnknownName(_) | Self::NoAddress(_) => AttemptClass::DnsNotFound,
            Self::ResolverFailed { .. } => AttemptClass::DnsFailed,
            Self::Connect { error, .. } if error.kind() == io::ErrorKind::TimedOut => {
                AttemptClass::ConnectTimeout
            }
            Self::Connect { error, .. } if is_exhausted(error) => AttemptClass::ResourcesExhausted,
            Self::Connect { .. } | Self::ClosedBeforeRequest { .. } => AttemptClass::ConnectFailed,
            Self::ConnectTimeout { .. } | Self::TlsTimeout { .. } => AttemptClass::ConnectTimeout,
            Self::Tls { .. } | Self::TlsAlert(_) | Self::NoRoots(_) => AttemptClass::TlsFailed,
            Self::Proxy { failure, .. } => failure.class(),
            Self::AnswerLost(_) => AttemptClass::AnswerLost,
            Self::AnswerTimeout(_) => AttemptClass::AnswerTimeout,
            Self::Protocol(_) => AttemptClass::ProtocolError,
        }
    }
}

/// Whether this machine could not open a connection at all: no more open files, ports, or memory.
fn is_exhausted(error: &io::Error) -> bool {
    let exhausted = [Errno::MFILE, Errno::NFILE, Errno::NOBUFS, Errno::NOMEM, Errno::ADDRNOTAVAIL];
    Errno::from_io_error(error).is_some_and(|errno| exhausted.contains(&errno))
}

impl From<hyper::Error> for Failure {
    fn from(error: hyper::Error) -> Self {
        let why = with_causes(&error);
        if is_tls_alert(&error) {
            return Self::TlsAlert(why);
        }
        if error.is_parse() || read_too_much(&error) { Self::Protocol(why) } else { Self::AnswerLost(why) }
    }
}

/// Whether an allowance came to its end.
fn read_too_much(error: &hyper::Error) -> bool {
    let io_error = error.source().and_then(|cause| cause.downcast_ref::<io::Error>());
    io_error.and_then(io::Error::get_ref).is_some_and(<dyn Error + Send + Sync>::is::<TooMuchRead>)
}

/// Whether the other side ended the session by an alert. One that wants another client certificate says so only when
/// the handshake is over for us.
fn is_tls_alert(error: &hyper::Error) -> bool {
    let mut cause = error.source();
    while let Some(error) = cause {
        let inner = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
        let tls = inner.and_then(|inner| inner.downcast_ref::<rustls::Error>());
        if matches!(tls, Some(rustls::Error::AlertReceived(_))) {
            return true;
        }
        cause = error.source();
    }
    false
}

/// An error with everything that caused it, in one line.
pub(super) fn with_causes(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let next = error.to_string();
        // Some errors repeat their cause in their own text.
        if !text.contains(&next) {
            text.push_str(": ");
            text.push_str(&next);
        }
        cause = error.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_this_machine_is_short_of_is_not_the_receivers_fault() {
        for (errno, class) in [
            (Errno::MFILE, AttemptClass::ResourcesExhausted),
            (Errno::NFILE, AttemptClass::ResourcesExhausted),
            (Errno::NOBUFS, AttemptClass::ResourcesExhausted),
            (Errno::NOMEM, AttemptClass::ResourcesExhausted),
            (Errno::ADDRNOTAVAIL, AttemptClass::ResourcesExhausted),
            (Errno::CONNREFUSED, AttemptClass::ConnectFailed),
            (Errno::HOSTUNREACH, AttemptClass::ConnectFailed),
            (Errno::TIMEDOUT, AttemptClass::ConnectTimeout),
        ] {
            let failure = Failure::Connect { host: "h".to_owned(), port: 443, error: errno.into() };
            assert_eq!(failure.class(), class, "{failure}");
        }
    }
}
