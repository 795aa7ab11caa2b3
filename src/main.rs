//! The binary: everything is in the library.

use std::process::ExitCode;

/// Plans are millions of small allocations; the C library's own allocator slows down as they grow.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    portcullis::cli::main().into()
}
