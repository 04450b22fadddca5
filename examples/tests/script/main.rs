//! Starts the real programs, as a person does: their output, their exit codes, and what is left when they are killed.

#![cfg(unix)]

mod bad_input;
mod cloud;
mod crash;
mod embed;
mod flags;
mod http;
mod inspect;
mod interrupt;
mod output;
mod program;
mod provision;
mod push_image;
mod question;
mod rebuild;
mod servers;
mod sources;
mod terminal;
mod verify_image;
mod world;
