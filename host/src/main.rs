//! Callgate: Kafka records in, calls of sandboxed WebAssembly components, replies out.

use std::process::ExitCode;

use mimalloc::MiMalloc;

#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

fn main() -> ExitCode {
    callgate::cli::main()
}
