//! `lockgate plugin pin`

use std::fmt::Write as _;

use crate::{
    cli::Context,
    error::{ExitCode, Result},
    plugin::pin::{self, Change, Pinning},
};

pub async fn run(context: &Context) -> Result<ExitCode> {
    context.print(&pin::pin(&context.config).await?, |list| text(list))?;
    Ok(ExitCode::Done)
}

fn text(list: &[Pinning]) -> String {
    let mut text = String::new();
    for Pinning { name, change, digest, before, newly_wanted, .. } in list {
        let _ = match (change, before) {
            (Change::New, _) => writeln!(text, "new        {name} {digest}"),
            (Change::Changed, Some(before)) => writeln!(text, "changed    {name} {digest}, was {before}"),
            (Change::Changed, None) => writeln!(text, "changed    {name} {digest}"),
            (Change::Unchanged, _) => writeln!(text, "unchanged  {name} {digest}"),
            (Change::Removed, _) => writeln!(text, "removed    {name} {digest}"),
        };
        for grant in newly_wanted {
            let _ = writeln!(text, "           it asks for {grant}");
        }
    }
    if list.is_empty() { "no component is there to pin\n".to_owned() } else { text }
}
