//! `lint`: the rules over files, with what the database tells of it, where there is one.

use std::path::PathBuf;

use serde::Serialize;
use uuid::Uuid;

use super::Run;
use crate::{
    config::Config,
    error::{Problem, Result},
    lint::{self, Asked, Report, Subject},
    locks::Relations,
    source,
};

/// What the rules found.
#[derive(Debug, Clone, Serialize, schemars::JsonSchema)]
pub struct Linted {
    /// The findings.
    #[serde(flatten)]
    pub report: Report,
    /// What is wrong with the folder, for which no rule is needed.
    pub problems: Vec<Problem>,
}

/// Asks every rule about these files, or about the whole folder where none is named. `online`: the database is asked for its version and
/// its sizes.
///
/// # Errors
/// When a file or the folder cannot be read, or the database not reached.
pub async fn lint(config: &Config, run_id: Uuid, files: &[PathBuf], online: bool) -> Result<Linted> {
    let folder = match source::of(config) {
        // Files that were named are looked at wherever they are.
        Err(_) if !files.is_empty() => source::Folder::default(),
        folder => folder?,
    };
    let run = if online { Some(Run::begin(config, run_id).await?) } else { None };
    let server = run.as_ref().map(|run| run.session.server.major());
    let asked = Asked::of(server, &config.lint);
    let (subjects, problems): (Vec<Subject>, Vec<Problem>) = if files.is_empty() {
        let unfit = folder.migrations.iter().flat_map(|migration| migration.problems().to_vec());
        let problems = folder.problems_beside(|_| false).into_iter().chain(unfit).collect();
        (Subject::of_all(&folder.migrations.iter().collect::<Vec<_>>(), asked), problems)
    } else {
        (Subject::of_files(&folder.migrations, files, asked)?, Vec::new())
    };
    let relations = match &run {
        Some(run) => Some(Relations::read(&run.session, lint::locks(&subjects)).await?),
        None => None,
    };
    Ok(Linted { report: lint::check(&subjects, asked, relations.as_ref()), problems })
}
