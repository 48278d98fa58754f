//! How an event gets there: sign, guard, send, classify, retry.
