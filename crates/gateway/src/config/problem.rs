//! What is wrong with a configuration, and how it is told: all of it at once, each with its place.

use std::fmt;
use std::io;

use jsonc_parser::common::Range;
use thiserror::Error;

use super::excerpt::{Excerpts, Place};

/// How many problems are written out; of more, only the number is told.
const MOST_SHOWN: usize = 20;

/// Why there is no configuration.
#[derive(Debug, Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("cannot read the configuration `{file}`: {reason}")]
    Unreadable {
        /// The file.
        file: String,
        /// What the system says.
        #[source]
        reason: io::Error,
    },
    /// The file is too large to be a configuration.
    #[error("the configuration `{file}` is larger than {most} bytes, which is the most that is read")]
    TooLarge {
        /// The file.
        file: String,
        /// The limit.
        most: usize,
    },
    /// The file holds what clawhook does not accept.
    #[error("{}", tell(.problems))]
    Invalid {
        /// Everything that is wrong, in the order of the file.
        problems: Vec<Problem>,
    },
}

impl ConfigError {
    /// The problems inside the file; none where it could not be read at all.
    pub fn problems(&self) -> &[Problem] {
        match self {
            Self::Invalid { problems } => problems,
            Self::Unreadable { .. } | Self::TooLarge { .. } => &[],
        }
    }
}

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    file: String,
    place: Option<Place>,
    message: String,
    hint: Option<String>,
}

impl Problem {
    /// What is wrong, in a sentence.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// What to do about it.
    pub fn hint(&self) -> Option<&str> {
        self.hint.as_deref()
    }

    /// Line and column, both counted from 1 and in characters; `None` for what comes from the environment.
    pub fn position(&self) -> Option<(usize, usize)> {
        self.place.as_ref().map(|place| (place.line, place.column))
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let margin = self.place.as_ref().map_or(1, |place| place.line.to_string().len());
        if let Some(place) = &self.place {
            writeln!(f, "{}:{}:{}: {}", self.file, place.line, place.column, self.message)?;
            writeln!(f, " {} | {}", place.line, place.excerpt)?;
            write!(f, " {:margin$} | {:indent$}{}", "", "", "^".repeat(place.width), indent = place.indent)?;
        } else {
            f.write_str(&self.message)?;
        }
        match &self.hint {
            Some(hint) => write!(f, "\n {:margin$} = {hint}", ""),
            None => Ok(()),
        }
    }
}

fn tell(problems: &[Problem]) -> String {
    let mut told: Vec<String> = problems.iter().take(MOST_SHOWN).map(Problem::to_string).collect();
    if problems.len() > MOST_SHOWN {
        told.push(format!("and {} more problems", problems.len() - MOST_SHOWN));
    }
    told.join("\n\n")
}

/// Collects what is found while a file is read, so that one mistake does not hide the next.
#[derive(Debug, Default)]
pub(super) struct Findings {
    found: Vec<Finding>,
    public: Vec<Range>,
}

#[derive(Debug)]
struct Finding {
    at: Option<Range>,
    message: String,
    hint: Option<String>,
}

impl Findings {
    /// Notes a problem at a place of the text; `None` is a problem of the environment.
    pub(super) fn report(&mut self, at: Option<Range>, message: String, hint: Option<String>) {
        self.found.push(Finding { at, message, hint });
    }

    /// Says that the value at this place is no secret and may be shown in an excerpt.
    pub(super) fn publish(&mut self, at: Range) {
        self.public.push(at);
    }

    /// Whether nothing was found.
    pub(super) fn is_empty(&self) -> bool {
        self.found.is_empty()
    }

    /// Turns the findings into the error that tells them.
    pub(super) fn into_error(mut self, file: &str, text: &str) -> ConfigError {
        self.found.sort_by_key(|finding| finding.at.map_or(usize::MAX, |at| at.start));
        let excerpts = Excerpts::new(text, self.public);
        let problems = self.found.into_iter().enumerate().map(|(number, finding)| Problem {
            file: file.to_owned(),
            // Those that are not written out need no excerpt, which costs a walk along the line.
            place: finding.at.filter(|_| number < MOST_SHOWN).map(|at| excerpts.place(at)),
            message: finding.message,
            hint: finding.hint,
        });
        ConfigError::Invalid { problems: problems.collect() }
    }
}
