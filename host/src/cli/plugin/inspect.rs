//! `lockgate plugin inspect`

use std::{fmt::Write as _, path::PathBuf};

use clap::Args;

use crate::{
    cli::Context,
    error::{ExitCode, Result},
    plugin::inspect::{self, Described, Inspection, Pinned, Steps},
    report,
};

#[derive(Args)]
pub struct Arguments {
    /// The component
    file: PathBuf,
}

pub async fn run(context: &Context, arguments: &Arguments) -> Result<ExitCode> {
    let found = inspect::inspect(&context.config, &arguments.file).await?;
    context.print(&found, text)?;
    // Everything about it was printed; the code says that it would not run.
    Ok(if found.refused.is_empty() { ExitCode::Done } else { ExitCode::Usage })
}

fn text(found: &Inspection) -> String {
    let mut sheet = Sheet(format!("{}\n", found.file));
    sheet.line("size", &report::bytes(found.bytes));
    sheet.line("sha256", found.digest.as_str());
    sheet.line(
        "pinned",
        match found.pinned {
            Pinned::Yes => "yes",
            Pinned::Another => "no: lockgate.lock has another component of this name",
            Pinned::No => "no",
        },
    );
    let anatomy = &found.anatomy;
    let interface = anatomy.interface.as_deref().map_or("none".to_owned(), |v| format!("lockgate:migration {v}"));
    sheet.line("interface", &format!("{interface} (this host offers {})", found.offered));
    sheet.line("sdk", or_none(&anatomy.sdk));
    sheet.line("made with", or_none(&anatomy.tools.join(", ")));
    sheet.line("wasi", if anatomy.wasi { "yes, empty" } else { "no" });
    sheet.list("imports", &anatomy.imports);
    sheet.list("exports", &anatomy.exports);
    if let Some(description) = &found.description {
        describe(&mut sheet, description);
    }
    let limits = serde_json::to_value(&found.limits).unwrap_or_default();
    let limits = limits.as_object().into_iter().flatten().map(|(key, value)| format!("{key} {value}"));
    sheet.list("limits", &limits.collect::<Vec<_>>());
    match &found.steps {
        Steps::Planned(steps) => sheet.list("steps up", steps),
        Steps::Unknown(why) => sheet.line("steps up", &format!("not known: {why}")),
    }
    for problem in &found.refused {
        sheet.line("refused", &format!("{}\nnext: {}", problem.what, problem.next));
    }
    sheet.0
}

fn describe(sheet: &mut Sheet, description: &Described) {
    let Described { title, author, reversible, lock_timeout_ms, statement_timeout_ms, grants } = description;
    sheet.line("title", or_none(title));
    sheet.line("author", or_none(author));
    sheet.line("reversible", if *reversible { "yes" } else { "no" });
    let timeout = |ms: &Option<u32>| ms.map_or("as configured".to_owned(), |ms| format!("{ms} ms"));
    sheet.line("time-outs", &format!("lock {}, statement {}", timeout(lock_timeout_ms), timeout(statement_timeout_ms)));
    let grants = grants.iter().map(|wanted| {
        let need = if wanted.required { "required" } else { "optional" };
        let given = if wanted.granted { "granted" } else { "not granted" };
        format!("{}: {need}, {given}: {}", wanted.grant, wanted.why)
    });
    sheet.list("asks for", &grants.collect::<Vec<_>>());
}

fn or_none(text: &str) -> &str {
    if text.is_empty() { "not said" } else { text }
}

/// Lines with a heading at the left.
struct Sheet(String);

impl Sheet {
    fn line(&mut self, heading: &str, text: &str) {
        for (i, line) in text.lines().enumerate() {
            let _ = writeln!(self.0, "  {:<11} {line}", if i == 0 { heading } else { "" });
        }
    }

    fn list(&mut self, heading: &str, items: &[String]) {
        self.line(heading, &if items.is_empty() { "nothing".to_owned() } else { items.join("\n") });
    }
}
