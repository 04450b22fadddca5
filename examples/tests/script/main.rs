//! Starts the real `apply` program, as a person does: its output, its exit codes, and what is left when it is killed.

#![cfg(unix)]

mod bad_input;
mod crash;
mod flags;
mod interrupt;
mod output;
mod program;
mod question;
mod terminal;
mod world;
