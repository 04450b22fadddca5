//! The whole pipeline over the fakes, in virtual time: what a user is promised, one claim a test.

mod cancel;
mod crash;
mod events;
mod evidence;
mod exclusivity;
mod faults;
mod house;
mod images;
mod requests;
mod sources;
mod statuses;
mod store_faults;
mod success;
