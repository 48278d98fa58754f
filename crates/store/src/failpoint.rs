//! Points at which a test can have the process die as if by `kill -9`.
//!
//! `CLAWHOOK_FAILPOINT=finish_run.after_commit@3` ends the process at the third commit of a group that holds a
//! `finish_run`. Only builds with debug assertions have the points; a release build compiles them to nothing.

/// Where in a commit a point stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    /// The changes are made and not committed.
    BeforeCommit,
    /// The changes are committed, and nobody has been told.
    AfterCommit,
}

#[cfg(not(debug_assertions))]
pub(crate) fn pass(_operation: &'static str, _place: Place) {}

#[cfg(debug_assertions)]
pub(crate) use armed::pass;

#[cfg(debug_assertions)]
mod armed {
    use std::sync::LazyLock;
    use std::sync::atomic::{AtomicU64, Ordering};

    use super::Place;

    struct Point {
        operation: String,
        place: Place,
        left: AtomicU64,
    }

    static POINT: LazyLock<Option<Point>> =
        LazyLock::new(|| parse(&std::env::var("CLAWHOOK_FAILPOINT").ok()?));

    fn parse(text: &str) -> Option<Point> {
        let (name, count) = text.split_once('@').unwrap_or((text, "1"));
        let (operation, place) = name.rsplit_once('.')?;
        let place = match place {
            "before_commit" => Place::BeforeCommit,
            "after_commit" => Place::AfterCommit,
            _ => return None,
        };
        Some(Point { operation: operation.to_owned(), place, left: AtomicU64::new(count.parse().ok()?) })
    }

    /// Ends the process if this is the point, and its time has come.
    pub(crate) fn pass(operation: &'static str, place: Place) {
        let Some(point) = POINT.as_ref() else { return };
        let here = point.operation == operation && point.place == place;
        if here && point.left.fetch_sub(1, Ordering::SeqCst) == 1 {
            // An abort runs no destructor and flushes nothing, which is what a kill does.
            std::process::abort();
        }
    }
}
