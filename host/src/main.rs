//! The command `lockgate`.

use std::process::ExitCode;

fn main() -> ExitCode {
    ExitCode::from(lockgate::cli::main())
}
