//! What is durably so: the store's verbs and its engines.
