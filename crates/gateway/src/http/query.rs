//! Reading a query strictly: a parameter that is not known is an error which names the one it resembles most.

use std::fmt::Display;
use std::ops::RangeInclusive;
use std::str::FromStr;

use axum::extract::{FromRequestParts, RawPathParams};
use clawhook_model::{UnixMs, parse_at};
use http::StatusCode;
use http::request::Parts;
use jiff::civil::Date;
use utoipa::IntoParams;

use super::error::ApiError;

/// A query, read as the form `T`.
pub(super) struct Query<T>(pub(super) T);

/// What a query can be read as. Its documentation is made from the same type.
pub(super) trait QueryForm: IntoParams + Sized {
    fn read(params: &mut Params) -> Result<Self, ApiError>;
}

/// The form of a query that must be empty.
pub(super) struct NoQuery;

impl IntoParams for NoQuery {
    fn into_params(
        _: impl Fn() -> Option<utoipa::openapi::path::ParameterIn>,
    ) -> Vec<utoipa::openapi::path::Parameter> {
        Vec::new()
    }
}

impl QueryForm for NoQuery {
    fn read(_: &mut Params) -> Result<Self, ApiError> {
        Ok(Self)
    }
}

impl<S: Sync, T: QueryForm> FromRequestParts<S> for Query<T> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ApiError> {
        let mut params = Params::parse(parts.uri.query());
        let form = T::read(&mut params)?;
        params.close()?;
        Ok(Self(form))
    }
}

/// The parameters of a query, taken one by one.
pub(super) struct Params {
    left: Vec<(String, String)>,
    known: Vec<&'static str>,
}

impl Params {
    fn parse(query: Option<&str>) -> Self {
        let pairs = url::form_urlencoded::parse(query.unwrap_or_default().as_bytes());
        Self { left: pairs.into_owned().collect(), known: Vec::new() }
    }

    /// Takes a parameter; a blank one counts as absent, and one that is given twice stays to be an error.
    pub(super) fn text(&mut self, name: &'static str) -> Option<String> {
        self.known.push(name);
        let place = self.left.iter().position(|(given, _)| given == name)?;
        let (_, value) = self.left.remove(place);
        Some(value).filter(|value| !value.trim().is_empty())
    }

    /// Takes a truth value.
    pub(super) fn flag(&mut self, name: &'static str) -> Result<Option<bool>, ApiError> {
        self.word(name, &[("true", true), ("false", false), ("1", true), ("0", false)])
    }

    /// Takes a whole number within `range`.
    pub(super) fn number(
        &mut self,
        name: &'static str,
        range: RangeInclusive<usize>,
    ) -> Result<Option<usize>, ApiError> {
        let Some(text) = self.text(name) else { return Ok(None) };
        let number = text.trim().parse().ok().filter(|number| range.contains(number));
        number.map(Some).ok_or_else(|| match *range.end() {
            usize::MAX => bad(name, &text, &format!("a whole number of at least {}", range.start())),
            end => bad(name, &text, &format!("a whole number from {} to {end}", range.start())),
        })
    }

    /// Takes one of some words.
    pub(super) fn word<T: Copy>(
        &mut self,
        name: &'static str,
        words: &[(&str, T)],
    ) -> Result<Option<T>, ApiError> {
        self.text(name).map(|text| one_of(name, &text, words)).transpose()
    }

    /// Takes a list of some words, with commas between them.
    pub(super) fn words<T: Copy>(
        &mut self,
        name: &'static str,
        words: &[(&str, T)],
    ) -> Result<Vec<T>, ApiError> {
        let Some(text) = self.text(name) else { return Ok(Vec::new()) };
        text.split(',').map(|part| one_of(name, part.trim(), words)).collect()
    }

    /// Takes an instant: RFC 3339, or milliseconds since the epoch.
    pub(super) fn instant(&mut self, name: &'static str) -> Result<Option<UnixMs>, ApiError> {
        let Some(text) = self.text(name) else { return Ok(None) };
        let expected = "a time such as 2026-02-18T14:00:00Z, or milliseconds since the epoch";
        parse_at(&text).map(Some).map_err(|_| bad(name, &text, expected))
    }

    /// Takes a day.
    pub(super) fn date(&mut self, name: &'static str) -> Result<Option<Date>, ApiError> {
        let Some(text) = self.text(name) else { return Ok(None) };
        text.trim().parse().map(Some).map_err(|_| bad(name, &text, "a day such as 2026-02-18"))
    }

    /// Takes an id.
    pub(super) fn id<T: FromStr<Err: Display>>(&mut self, name: &'static str) -> Result<Option<T>, ApiError> {
        let Some(text) = self.text(name) else { return Ok(None) };
        text.parse().map(Some).map_err(|error: T::Err| {
            ApiError::new(StatusCode::BAD_REQUEST, "invalid_query", format!("`{name}`: {error}"))
                .field(name.to_owned())
        })
    }

    fn close(self) -> Result<(), ApiError> {
        let Some((name, _)) = self.left.first() else { return Ok(()) };
        let shown: String = name.chars().take(100).collect();
        let error =
            |message| ApiError::new(StatusCode::BAD_REQUEST, "invalid_query", message).field(shown.clone());
        if self.known.contains(&name.as_str()) {
            return Err(error(format!("the query gives `{shown}` more than once")));
        }
        let hint = match (nearest(name, &self.known), self.known.as_slice()) {
            (Some(near), _) => format!("did you mean `{near}`?"),
            (None, []) => "this path takes no parameters".to_owned(),
            (None, known) => format!("this path takes {}", known.join(", ")),
        };
        Err(error(format!("unknown query parameter `{shown}`")).hint(hint))
    }
}

fn one_of<T: Copy>(name: &'static str, text: &str, words: &[(&str, T)]) -> Result<T, ApiError> {
    let found = words.iter().find(|(word, _)| word.eq_ignore_ascii_case(text.trim()));
    found.map(|(_, value)| *value).ok_or_else(|| {
        let words: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
        bad(name, text, &format!("one of {}", words.join(", ")))
    })
}

fn bad(name: &'static str, text: &str, expected: &str) -> ApiError {
    let shown: String = text.chars().take(100).collect();
    let message = format!("the query's `{name}` must be {expected}, not `{shown}`");
    ApiError::new(StatusCode::BAD_REQUEST, "invalid_query", message).field(name.to_owned())
}

fn nearest(name: &str, known: &[&'static str]) -> Option<&'static str> {
    let name = name.to_lowercase();
    known
        .iter()
        .map(|known| (strsim::damerau_levenshtein(&known.to_lowercase(), &name), *known))
        .filter(|(distance, known)| *distance <= 1 + known.len() / 4)
        .min()
        .map(|(_, known)| known)
}

/// The one id in a path, as it was sent. What it names is the verb's business, and so is that it names nothing.
pub(super) struct PathId(pub(super) String);

impl<S: Send + Sync> FromRequestParts<S> for PathId {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let params = RawPathParams::from_request_parts(parts, state).await.map_err(|_| {
            let message = "the path holds what is not UTF-8";
            ApiError::new(StatusCode::BAD_REQUEST, "invalid_path", message)
        })?;
        let id = params.iter().next().map(|(_, value)| value.to_owned());
        Ok(Self(id.unwrap_or_default()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_are_taken_once_and_within_their_bounds() {
        let mut params = Params::parse(Some("limit=7&flag=true&states=dead,%20Open&blank="));
        assert_eq!(params.number("limit", 1..=9).unwrap(), Some(7));
        assert_eq!(params.flag("flag").unwrap(), Some(true));
        assert_eq!(params.words("states", &[("dead", 1), ("open", 2)]).unwrap(), [1, 2]);
        assert_eq!(params.text("blank"), None);
        assert_eq!(params.text("absent"), None);
        assert!(params.close().is_ok());
        assert!(Params::parse(Some("limit=10")).number("limit", 1..=9).is_err());
        assert!(Params::parse(Some("limit=-1")).number("limit", 0..=usize::MAX).is_err());
    }

    #[test]
    fn what_is_given_twice_or_is_not_known_is_an_error() {
        for query in ["limit=1&limit=2", "limt=1"] {
            let mut params = Params::parse(Some(query));
            params.number("limit", 1..=9).unwrap();
            assert!(params.close().is_err(), "{query}");
        }
    }
}
