//! How a bench ends.

use std::fmt::Display;
use std::process::ExitCode;

/// Says on the error output why a bench failed, if it did.
pub(crate) fn ended(bench: &str, outcome: Result<(), impl Display>) -> ExitCode {
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{bench}: {error}");
            ExitCode::FAILURE
        }
    }
}
