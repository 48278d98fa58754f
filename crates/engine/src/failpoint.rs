//! Points at which a test can have the timer fail as only a fault of ours could.
//!
//! `CLAWHOOK_FAILPOINT=timer.freeze@2` has the timer hang in its second round for ever, `timer.panic@2` has it panic
//! there. Only builds with debug assertions have the points; a release build compiles them to nothing.

#[cfg(not(debug_assertions))]
pub(crate) async fn timer_round() {}

#[cfg(debug_assertions)]
pub(crate) use armed::timer_round;

#[cfg(debug_assertions)]
mod armed {
    use std::sync::LazyLock;
    use std::sync::atomic::{AtomicU64, Ordering};

    struct Point {
        fault: Fault,
        left: AtomicU64,
    }

    enum Fault {
        Freeze,
        Panic,
    }

    static POINT: LazyLock<Option<Point>> =
        LazyLock::new(|| parse(&std::env::var("CLAWHOOK_FAILPOINT").ok()?));

    fn parse(text: &str) -> Option<Point> {
        let (name, count) = text.split_once('@').unwrap_or((text, "1"));
        let fault = match name {
            "timer.freeze" => Fault::Freeze,
            "timer.panic" => Fault::Panic,
            _ => return None,
        };
        Some(Point { fault, left: AtomicU64::new(count.parse().ok()?) })
    }

    /// Fails, if the time for it has come. Rounds after the one that failed do not.
    pub(crate) async fn timer_round() {
        let Some(point) = POINT.as_ref() else { return };
        if point.left.fetch_sub(1, Ordering::SeqCst) != 1 {
            return;
        }
        match point.fault {
            Fault::Freeze => std::future::pending().await,
            Fault::Panic => panic!("the failpoint timer.panic"),
        }
    }
}
