//! Where in a channel a message goes.

use thiserror::Error;

/// The longest name of a place or a thread, ample for every service.
const MAX_NAME_BYTES: usize = 512;

/// A place in a channel: whom or what a message is sent to, and the thread there.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Place {
    /// The channel, chat, room, topic or address, as the service names it.
    pub to: String,
    /// The thread or topic in it.
    pub thread: Option<String>,
}

/// Why something is no place of its channel.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum PlaceError {
    /// It says nothing.
    #[error("`to` is empty")]
    Empty,
    /// It is longer than any place's name.
    #[error("`{field}` is longer than {MAX_NAME_BYTES} bytes")]
    TooLong {
        /// Which of the two.
        field: &'static str,
    },
    /// It has what no name of a place has.
    #[error("`{field}` holds a control character")]
    Control {
        /// Which of the two.
        field: &'static str,
    },
    /// It is not what the service names a place by.
    #[error("`{field}` is `{given}`, and {wanted}")]
    Form {
        /// Which of the two.
        field: &'static str,
        /// What was given.
        given: String,
        /// What it must be.
        wanted: &'static str,
    },
    /// The channel has no threads.
    #[error("`threadId` is `{given}`, and {channel} has no threads")]
    NoThreads {
        /// What was given.
        given: String,
        /// The channel, for people.
        channel: &'static str,
    },
}

impl Place {
    /// A place without a thread.
    pub fn new(to: impl Into<String>) -> Self {
        Self { to: to.into(), thread: None }
    }

    /// The same place, in this thread.
    pub fn in_thread(self, thread: impl Into<String>) -> Self {
        Self { thread: Some(thread.into()), ..self }
    }

    /// What holds for the places of every channel.
    pub(super) fn check(&self) -> Result<(), PlaceError> {
        if self.to.trim().is_empty() {
            return Err(PlaceError::Empty);
        }
        let fields = [("to", Some(&self.to)), ("threadId", self.thread.as_ref())];
        for (field, text) in fields.into_iter().filter_map(|(field, text)| Some((field, text?))) {
            if text.len() > MAX_NAME_BYTES {
                return Err(PlaceError::TooLong { field });
            }
            if text.contains(char::is_control) {
                return Err(PlaceError::Control { field });
            }
        }
        Ok(())
    }

    /// `to`, which must be of this form.
    pub(super) fn to_of(
        &self,
        fits: impl Fn(&str) -> bool,
        wanted: &'static str,
    ) -> Result<&str, PlaceError> {
        let to = self.to.trim();
        if fits(to) { Ok(to) } else { Err(PlaceError::Form { field: "to", given: to.to_owned(), wanted }) }
    }

    /// The thread, which must be of this form where there is one.
    pub(super) fn thread_of(
        &self,
        fits: impl Fn(&str) -> bool,
        wanted: &'static str,
    ) -> Result<Option<&str>, PlaceError> {
        let Some(thread) = self.thread.as_deref().map(str::trim) else { return Ok(None) };
        if fits(thread) {
            return Ok(Some(thread));
        }
        Err(PlaceError::Form { field: "threadId", given: thread.to_owned(), wanted })
    }

    /// That there is no thread.
    pub(super) fn without_thread(&self, channel: &'static str) -> Result<(), PlaceError> {
        match &self.thread {
            Some(thread) => Err(PlaceError::NoThreads { given: thread.clone(), channel }),
            None => Ok(()),
        }
    }
}

/// Whether a text is a number as services give them to what they know.
pub(super) fn is_number(text: &str) -> bool {
    (1..=20).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit())
}
