//! When is a job due? Pure functions of a schedule and an instant.
