//! Everything that is tested from outside, in one program: the circuits are generic, and are compiled for each scheme once.

mod arithmetic;
mod bits;
mod circuits;
mod costs;
mod division;
mod faults;
mod relational;
mod shares;
mod vectors;
mod views;
