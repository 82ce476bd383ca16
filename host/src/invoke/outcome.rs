//! What an ended call means: a failure with a sentence for a person, or the host's own lack of room.

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
