//! The host with faults planted in it, for the tests of the checker; see `planted.rs`.

use std::process::ExitCode;

fn main() -> ExitCode {
    callgate::cli::main()
}
