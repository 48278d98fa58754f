//! Whether a request is recent, so that one which was overheard cannot be sent again later.

use std::time::Duration;

use crate::verify_error::{VerifyError, shortened};

/// Reads the instant that stands in `header`, in seconds, and checks that it is now, give or take `tolerance`.
pub(crate) fn check_text(
    header: &'static str,
    text: &str,
    now_secs: i64,
    tolerance: Duration,
) -> Result<(), VerifyError> {
    let signed_at = text.parse().map_err(|_| VerifyError::Timestamp { header, given: shortened(text) })?;
    check(signed_at, now_secs, tolerance)
}

/// Checks that `signed_at` is now, give or take `tolerance`.
pub(crate) fn check(signed_at: i64, now_secs: i64, tolerance: Duration) -> Result<(), VerifyError> {
    let tolerance_secs = tolerance.as_secs();
    let apart = now_secs.abs_diff(signed_at);
    if apart <= tolerance_secs {
        Ok(())
    } else if signed_at < now_secs {
        Err(VerifyError::TooOld { age_secs: apart, tolerance_secs })
    } else {
        Err(VerifyError::TooNew { ahead_secs: apart, tolerance_secs })
    }
}
