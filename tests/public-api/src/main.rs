//! Holds the library's public interface, as rustdoc tells it, against the list of what was promised.
//!
//! `lockgate-public-api RUSTDOC_JSON LIST [--update]`: each line of the list is an item with its signature. What the code has more or less
//! than the list is printed, and the exit code is 1; `--update` writes the list anew.

use std::{collections::BTreeSet, env, fs, process::ExitCode};

fn main() -> ExitCode {
    match run() {
        Ok(code) => code,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::from(2)
        }
    }
}

/// What programs may use; every other module is hidden from the documentation. rustdoc must tell of those as well, for it leaves out what is
/// in one of them even where a promised module has it too.
const PROMISED: [&str; 6] = ["Builder", "Lockgate", "Stopper", "error", "outcome", "testing"];

/// Whether an item is one of them, by the first path of this crate in its signature, which is its own.
fn is_promised(item: &str) -> bool {
    let own = item.split_once("lockgate::").map_or("", |(_, path)| path);
    let end = own.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(own.len());
    PROMISED.contains(&&own[..end])
}

fn run() -> Result<ExitCode, Box<dyn std::error::Error>> {
    let mut arguments = env::args().skip(1);
    let (Some(json), Some(list)) = (arguments.next(), arguments.next()) else {
        return Err("usage: lockgate-public-api RUSTDOC_JSON LIST [--update]".into());
    };
    let api = public_api::Builder::from_rustdoc_json(json)
        .omit_auto_derived_impls(true)
        .omit_auto_trait_impls(true)
        .omit_blanket_impls(true)
        .build()?;
    let present: Vec<String> = api.items().map(ToString::to_string).filter(|item| is_promised(item)).collect();
    if present.len() < 2 {
        return Err("rustdoc tells of no items; a check of nothing would always pass".into());
    }
    if arguments.next().as_deref() == Some("--update") {
        fs::write(&list, present.join("\n") + "\n")?;
        return Ok(ExitCode::SUCCESS);
    }
    let promised = fs::read_to_string(&list)?;
    let promised: BTreeSet<&str> = promised.lines().collect();
    let present: BTreeSet<&str> = present.iter().map(String::as_str).collect();
    let gone: Vec<_> = promised.difference(&present).collect();
    let added: Vec<_> = present.difference(&promised).collect();
    for line in &gone {
        println!("- {line}");
    }
    for line in &added {
        println!("+ {line}");
    }
    if gone.is_empty() && added.is_empty() {
        return Ok(ExitCode::SUCCESS);
    }
    let weight = if gone.is_empty() { "only adds to" } else { "breaks" };
    println!("this {weight} the interface that {list} promises; if that is meant, `just public-api --update`, and say so in the CHANGELOG");
    Ok(ExitCode::from(1))
}
