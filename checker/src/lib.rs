//! Placeholder essay, replaced as the crate is written.
