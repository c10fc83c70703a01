//! The life of a migration from one end to the other: what `lockgate plugin test` does.

use std::{fmt::Write as _, time::Instant};

use serde::Serialize;

use super::{Database, Failure, Plugin, Result, Trial};
use crate::{
    error::{self, Error, Finding},
    migration::Direction,
    runner::Outcome,
};

/// What became of a plugin, stage by stage. It ends with the first that failed.
#[derive(Debug, Clone, Serialize, schemars::JsonSchema)]
pub struct Cycle {
    /// The plugin's title, in its author's words.
    pub title: Option<String>,
    /// Whether all went well.
    pub passed: bool,
    /// What was done, in order.
    pub stages: Vec<Stage>,
    #[serde(skip)]
    failure: Option<Failure>,
}

/// A part of a [`Cycle`].
#[derive(Debug, Clone, Serialize, schemars::JsonSchema)]
pub struct Stage {
    /// Such as `preflight`, `plan up`, `down`, `compare`.
    pub name: &'static str,
    /// How long it took, in milliseconds.
    pub duration_ms: u128,
    /// The steps that were planned.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub steps: Vec<String>,
    /// What a check found.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub findings: Vec<Finding>,
    /// Why it was left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub left_out: Option<String>,
    /// Why it failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failure: Option<String>,
}

impl Cycle {
    /// Preflight, plan, up, verify; then plan, down, and a comparison with the state from before; then up again, because what has
    /// been reverted must be applicable. A plugin that says of itself that it cannot be reverted is spared everything after verify.
    pub async fn run(plugin: &Plugin, database: &Database) -> Self {
        Self::run_ignoring(plugin, database, &[]).await
    }

    /// The same, whatever the rows of some tables are after down.
    pub async fn run_ignoring(plugin: &Plugin, database: &Database, contents: &[String]) -> Self {
        let mut cycle = Self { title: None, passed: false, stages: Vec::new(), failure: None };
        match cycle.through(plugin, &plugin.on(database), contents).await {
            Ok(()) => cycle.passed = true,
            Err(failure) => cycle.failure = Some(failure),
        }
        cycle
    }

    /// Why it did not pass.
    pub fn failure(&self) -> Option<&Failure> {
        self.failure.as_ref()
    }

    /// A line a stage, with what it planned or found below it.
    pub fn text(&self) -> String {
        let mut text = String::new();
        for stage in &self.stages {
            let Stage { name, duration_ms, steps, findings, left_out, failure } = stage;
            let _ = match (left_out, failure) {
                (Some(why), _) => writeln!(text, "skip  {name}: {why}"),
                (None, Some(_)) => writeln!(text, "FAIL  {name} ({duration_ms} ms)"),
                (None, None) => writeln!(text, "ok    {name} ({duration_ms} ms)"),
            };
            for step in steps {
                let _ = writeln!(text, "        {step}");
            }
            for Finding { severity, message, code, .. } in findings {
                let _ = writeln!(text, "        {severity}: {message} [{code}]");
            }
        }
        text + if self.passed { "passed\n" } else { "failed\n" }
    }

    async fn through(&mut self, plugin: &Plugin, trial: &Trial<'_>, contents: &[String]) -> Result<()> {
        let description = plugin.describe().await?.clone();
        self.title = description.title;
        self.stage("preflight", async |stage| {
            stage.findings = trial.preflight().await?.to_vec();
            Ok(())
        })
        .await?;
        self.stage("plan up", async |stage| {
            stage.steps = trial.plan(Direction::Up).await?;
            Ok(())
        })
        .await?;
        self.stage("up", async |stage| {
            stage.findings = ran(trial.up().await?)?;
            Ok(())
        })
        .await?;
        self.stage("verify up", async |stage| {
            stage.findings = trial.verify(Direction::Up).await?.to_vec();
            lets_pass(trial, &stage.findings)
        })
        .await?;
        if let Some(why) = description.irreversible {
            self.stages.push(Stage { left_out: Some(why), ..Stage::named("down") });
            return Ok(());
        }
        self.stage("plan down", async |stage| {
            stage.steps = trial.plan(Direction::Down).await?;
            Ok(())
        })
        .await?;
        self.stage("down", async |stage| {
            stage.findings = ran(trial.down().await?)?;
            Ok(())
        })
        .await?;
        self.stage("compare", async |_| trial.left_nothing_behind_but_in(contents).await).await?;
        self.stage("up again", async |stage| {
            stage.findings = ran(trial.up().await?)?;
            Ok(())
        })
        .await
    }

    async fn stage(&mut self, name: &'static str, work: impl AsyncFnOnce(&mut Stage) -> Result<()>) -> Result<()> {
        let mut stage = Stage::named(name);
        let begin = Instant::now();
        let result = work(&mut stage).await;
        stage.duration_ms = begin.elapsed().as_millis();
        stage.failure = result.as_ref().err().map(ToString::to_string);
        self.stages.push(stage);
        result
    }
}

impl Stage {
    fn named(name: &'static str) -> Self {
        Self { name, duration_ms: 0, steps: Vec::new(), findings: Vec::new(), left_out: None, failure: None }
    }
}

/// What a run found. One that had nothing to do has tested nothing.
fn ran(outcome: Outcome) -> Result<Vec<Finding>> {
    if outcome.done.is_empty() {
        return Err(Error::system("running the plugin", "the runner found nothing to do").into());
    }
    Ok(outcome.findings)
}

/// A verification that let the commit pass must not object right after it.
fn lets_pass(trial: &Trial<'_>, findings: &[Finding]) -> Result<()> {
    let Some(version) = trial.version().filter(|_| error::blocks(findings)) else { return Ok(()) };
    let stage = error::Stage::Verify(version.clone(), Direction::Up);
    Err(Error::Checks { stage, findings: findings.to_vec(), state: "it is committed".into() }.into())
}
