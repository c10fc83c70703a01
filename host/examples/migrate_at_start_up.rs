//! A service that brings its database up to date before it serves, however many of its kind start at the same time.
//!
//! `DATABASE_URL=postgres://… cargo run --example migrate_at_start_up -- path/to/migrations`

use std::process::ExitCode;

use lockgate::{Lockgate, error::Result};

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let folder = std::env::args().nth(1).unwrap_or_else(|| "migrations".to_owned());
    match migrate(&folder).await {
        Ok(applied) => {
            println!("{applied} migrations applied; serving");
            ExitCode::SUCCESS
        }
        // The report says what failed, where and why, what state the database is in, and what to do next.
        Err(error) => {
            eprintln!("{}", error.report());
            ExitCode::from(error.exit_code() as u8)
        }
    }
}

async fn migrate(folder: &str) -> Result<usize> {
    let lockgate = Lockgate::builder().dir(folder).build()?;
    // An orchestrator that ends the service while it migrates gets a clean end: what was committed stays, the rest is rolled back.
    let stopper = lockgate.stopper();
    tokio::spawn(async move {
        if tokio::signal::ctrl_c().await.is_ok() {
            stopper.stop();
        }
    });
    Ok(lockgate.up().await?.done.len())
}
