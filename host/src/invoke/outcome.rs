//! What an ended call means: a failure with a sentence for a person, or the host's own lack of room.

use std::borrow::Cow;
use std::fmt::Write as _;
use std::time::Duration;

use callgate_core::failure::{Failure, Reason};
use callgate_core::limits::CallLimits;
use wasmtime::{PoolConcurrencyLimitError, Trap, WasmBacktrace};
use wasmtime_wasi::I32Exit;

use super::CallError;
use super::memory::Memory;
use super::meter::Overrun;

/// Bytes of a trap's description: it travels in a header of the dead letter.
const TRAP_BYTES: usize = 4 << 10;

/// A call that took too long.
pub(super) fn overrun(overrun: Overrun, limits: &CallLimits) -> CallError {
    let message = match overrun {
        Overrun::Waited(waited) => {
            return CallError::Overload(format!("others had the worker for {waited:.1?} of its time"));
        }
        Overrun::Deadline => format!(
            "ran {} without an end: deadline of the route (raise `deadline`, at most the tenant's `max_deadline`)",
            duration(limits.deadline)
        ),
        Overrun::Cpu => format!("computed for {} without an end: the tenant's `max_cpu`", duration(limits.max_cpu)),
    };
    Failure::new(Reason::Deadline, message).into()
}

/// A call that needs more memory than there is for it.
pub(super) fn out_of_memory(limits: &CallLimits) -> Failure {
    let message = format!("wanted more than {} bytes of memory: the tenant's `max_memory`", limits.max_memory);
    Failure::new(Reason::OutOfMemory, message)
}

/// A call that ended with an error of wasmtime's: from the guest, or from what the host does for it.
pub(super) fn error(error: &wasmtime::Error, memory: &Memory, limits: &CallLimits) -> CallError {
    if let Some(&over) = error.downcast_ref::<Overrun>() {
        return overrun(over, limits);
    }
    if let Some(full) = error.downcast_ref::<PoolConcurrencyLimitError>() {
        return CallError::Overload(full.to_string());
    }
    let trap = Some(describe(error));
    // What a refused allocation leads to differs by language: an `unreachable`, an exception, an exit.
    if memory.refused() {
        return Failure { trap, ..out_of_memory(limits) }.into();
    }
    if let Some(Trap::NoAsyncResult) = error.downcast_ref() {
        return Failure::new(Reason::NoResponse, "the handler returned without a response").into();
    }
    let (reason, message) = match error.downcast_ref::<I32Exit>() {
        Some(I32Exit(0)) => {
            let message = "called `exit(0)`: a call ends when the handler returns, with a response";
            return Failure::new(Reason::NoResponse, message).into();
        }
        Some(I32Exit(status)) => (Reason::Trap, format!("exited with status {status}")),
        None => (Reason::Trap, what(error)),
    };
    Failure { trap, ..Failure::new(reason, message) }.into()
}

/// Whether code of the guest has led to an error, and not only what wasmtime found in its types.
pub(super) fn is_of_guest(error: &wasmtime::Error, memory: &Memory) -> bool {
    memory.refused() || error.is::<PoolConcurrencyLimitError>() || error.is::<Trap>() || error.is::<WasmBacktrace>()
}

/// The trap's kind in one line.
fn what(error: &wasmtime::Error) -> String {
    match error.downcast_ref::<Trap>() {
        Some(Trap::StackOverflow) => "the guest's stack overflowed".to_owned(),
        Some(trap) => {
            let text = trap.to_string();
            format!("trapped: {}", text.strip_prefix("wasm trap: ").unwrap_or(&text))
        }
        None => format!("trapped in a call to the host: {}", error.root_cause()),
    }
}

/// The trap's kind and the functions that led to it, innermost first.
fn describe(error: &wasmtime::Error) -> String {
    let mut text = what(error);
    if let Some(trace) = error.downcast_ref::<WasmBacktrace>() {
        // Writing to a `String` cannot fail.
        let _ = write!(text, "\n{trace}");
    }
    if text.len() > TRAP_BYTES {
        text.truncate(text.floor_char_boundary(TRAP_BYTES - 3));
        text.push_str("...");
    }
    text
}

/// `5s`, `250ms`: as it is written in a manifest.
fn duration(duration: Duration) -> String {
    match duration.subsec_millis() {
        0 => format!("{}s", duration.as_secs()),
        _ => format!("{}ms", duration.as_millis()),
    }
}

/// What wasmtime says of a component that it refuses, in one line for people: the last reason, since the ones before say
/// only where in the compiler it was found.
pub(super) fn sentence(error: &wasmtime::Error) -> String {
    plain(&error.root_cause().to_string())
}

/// A message of wasmtime's or wasmparser's, with the words that a person knows from other tools.
pub(super) fn plain(message: &str) -> String {
    let message =
        match message.strip_prefix("Invalid input WebAssembly code at offset ").and_then(|m| m.split_once(": ")) {
            Some((offset, message)) => format!("{message} (at offset {offset})"),
            None => message.replace(" in the pooling allocator", ""),
        };
    message.split_whitespace().map(decimal).collect::<Vec<_>>().join(" ")
}

/// `0x9a)` as `154)`.
fn decimal(word: &str) -> Cow<'_, str> {
    let Some(hexadecimal) = word.strip_prefix("0x") else { return word.into() };
    let digits = hexadecimal.trim_end_matches(|letter: char| !letter.is_ascii_hexdigit());
    u64::from_str_radix(digits, 16)
        .map_or(word.into(), |number| format!("{number}{}", &hexadecimal[digits.len()..]).into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_for_people() {
        for (message, expected) in [
            ("unexpected end-of-file (at offset 0x1f)", "unexpected end-of-file (at offset 31)"),
            (
                "Invalid input WebAssembly code at offset 181: type mismatch: expected i32, found f64",
                "type mismatch: expected i32, found f64 (at offset 181)",
            ),
            ("size of 4 which exceeds the limit of 0x10 bytes", "size of 4 which exceeds the limit of 16 bytes"),
            (
                "33 instances, which exceeds the maximum of 32 in the pooling allocator",
                "33 instances, which exceeds the maximum of 32",
            ),
            ("unknown binary version:    0x1000e", "unknown binary version: 65550"),
            ("0x and `0xyz`", "0x and `0xyz`"),
        ] {
            assert_eq!(plain(message), expected);
        }
    }
}
