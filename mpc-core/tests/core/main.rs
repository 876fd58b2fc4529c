//! Everything that is tested from outside, in one program.

mod columns;
mod prss;
mod rings;
mod sessions;
