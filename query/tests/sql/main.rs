//! The executor, whole queries, and SQL as big as the field's: TPC-H, sqllogictest files by construct, and random questions. Whatever Tacit answers is compared with the
//! same SQL in DataFusion on the pooled tables.

mod advice;
mod answers;
mod city;
mod dealt;
mod decided;
mod executor;
mod grammar;
mod many;
mod means;
mod network;
mod orders;
mod percentiles;
mod pool;
mod protect;
mod random;
mod random_tests;
mod relation;
mod schema;
mod search;
mod sizes;
mod slt;
mod town;
mod tpch;
mod unique;
mod valueless;
mod why;
mod words;
