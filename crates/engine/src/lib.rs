//! What happens now: the timer, the runner and its permits.
