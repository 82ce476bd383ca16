//! Callgate's decisions: how a record becomes a request, what an outcome means, what a reply and a dead letter
//! hold, when a record may be tried again, and which offset may be committed.
//!
//! Everything here is a pure function or a state machine. Time, randomness and the answers of the broker come in as
//! arguments; nothing here reads a clock, does I/O, or knows the Kafka client or the WebAssembly runtime. So each
//! promise of the product can be tested in microseconds, and by properties.
//!
//! The modules in the order in which a record meets them: [`route`], [`request`], [`response`], [`disposition`],
//! [`retry`], [`reply`], [`dead_letter`]; [`chain`] is what passes between middleware and handler, [`origin`] and
//! [`address`] say whom they may call besides; [`order`], [`offsets`] and [`metadata`] keep a record's place while it is on
//! its way, and [`trace`] its trace; [`transaction`] judges what could not be written together; [`breaker`] keeps a route
//! from failing at everything, and [`stop`] names what else keeps a partition from going on.

pub mod address;
pub mod breaker;
pub mod budget;
pub mod chain;
mod cloudevents;
pub mod dead_letter;
pub mod disposition;
mod encoded;
pub mod failure;
pub mod fair;
mod field;
mod incomplete;
pub mod limits;
pub mod metadata;
pub mod offsets;
pub mod order;
pub mod origin;
mod percent;
pub mod printable;
pub mod record;
pub mod reply;
pub mod request;
pub mod response;
pub mod retry;
pub mod route;
pub mod stop;
pub mod trace;
pub mod transaction;

#[cfg(test)]
mod testing;
