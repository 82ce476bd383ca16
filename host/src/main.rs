//! Callgate: Kafka records in, calls of sandboxed WebAssembly components, replies out.

use std::process::ExitCode;

fn main() -> ExitCode {
    callgate::cli::main()
}
