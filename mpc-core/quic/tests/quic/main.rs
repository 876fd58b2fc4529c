//! Everything that is tested from outside, in one program. (What floods do to a process's memory is a program of its own: `flood`.)

#[path = "../common/mod.rs"]
mod common;
mod hostile;
mod killed;
mod mesh;
