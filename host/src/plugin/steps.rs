//! A component's plan, as the host runs it: checked as a whole before anything of it runs.

use std::collections::HashSet;

use super::{
    bindings::exports::lockgate::migration::program as wit,
    limits::{Limits, Reached},
};
use crate::{
    error::{Problem, ProgramError},
    sql::{Origin, Script, check_outside, check_query},
    step::{OutsideStep, Step},
};

/// Takes over a plan.
///
/// # Errors
/// The component is at fault: the plan is empty or too large, or a step of it cannot be run; with the number of the step.
pub(super) fn from_guest(steps: Vec<wit::Step>, limits: &Limits) -> Result<Vec<Step>, ProgramError> {
    if steps.is_empty() {
        return Err(ProgramError::plugin("its plan has no steps"));
    }
    if steps.len() > limits.plan_max_steps {
        return Err(ProgramError::plugin(Reached::plan_steps(limits).to_string()));
    }
    if steps.iter().map(bytes).sum::<usize>() > limits.plan_max_bytes {
        return Err(ProgramError::plugin(Reached::plan_bytes(limits).to_string()));
    }
    let mut batched = HashSet::new();
    let checked = steps.into_iter().enumerate().map(|(i, step)| {
        let step = step_from_guest(step).and_then(|step| match &step {
            // A checkpoint is kept by the name of its step.
            Step::Batched(name) if !batched.insert(name.clone()) => {
                Err(format!("the name `{name}` is that of an earlier `batched` step"))
            }
            _ => Ok(step),
        });
        step.map_err(|what| ProgramError::plugin(format!("step {} of its plan: {what}", i + 1)))
    });
    checked.collect()
}

fn bytes(step: &wit::Step) -> usize {
    match step {
        wit::Step::Sql(text) | wit::Step::Code(text) | wit::Step::Batched(text) => text.len(),
        wit::Step::OutsideTransaction(step) => step.statement.len() + step.probe.len(),
    }
}

fn step_from_guest(step: wit::Step) -> Result<Step, String> {
    Ok(match step {
        wit::Step::Sql(text) => {
            let script = script(&text)?;
            if script.statements().next().is_none() {
                return Err("its SQL has no statement".into());
            }
            Step::Sql(script)
        }
        wit::Step::OutsideTransaction(step) => Step::OutsideTransaction(outside_step(&step)?),
        wit::Step::Code(name) => Step::Code(checked_name(name)?),
        wit::Step::Batched(name) => Step::Batched(checked_name(name)?),
    })
}

fn outside_step(step: &wit::OutsideStep) -> Result<OutsideStep, String> {
    let statement = script(&step.statement)?;
    match statement.statements().count() {
        1 => {}
        0 => return Err("it has no statement to run outside the transaction".into()),
        n => return Err(format!("it has {n} statements to run outside the transaction; give each a step of its own")),
    }
    check_outside(&step.statement).map_err(|refusal| format!("{refusal}; {}", refusal.next()))?;
    let probe = script(&step.probe).map_err(|what| format!("its probe: {what}"))?;
    match probe.statements().count() {
        1 => {}
        0 => return Err("it has no probe, the query that tells whether its statement has taken effect".into()),
        n => return Err(format!("its probe has {n} statements; it is one query")),
    }
    check_query(&step.probe).map_err(|refusal| format!("its probe: {refusal}"))?;
    Ok(OutsideStep { statement, probe: Some(step.probe.clone()) })
}

/// What a name may hold: it is kept in the journal and printed.
const NAME_CHARS_MAX: usize = 200;

fn checked_name(name: String) -> Result<String, String> {
    if name.trim().is_empty() {
        return Err("its name is empty".into());
    }
    if name.chars().count() > NAME_CHARS_MAX || name.chars().any(crate::printable::is_unfit) {
        return Err(format!("its name has more than {NAME_CHARS_MAX} characters, or control characters"));
    }
    Ok(name)
}

fn script(text: &str) -> Result<Script, String> {
    let list = |problems: Vec<Problem>| {
        let list: Vec<String> = problems.iter().map(|p| format!("{}: {}", p.at, p.what)).collect();
        list.join("; ")
    };
    Script::parse(text, Origin::Plugin).map_err(list)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(steps: Vec<wit::Step>, limits: &Limits) -> String {
        match from_guest(steps, limits) {
            Ok(steps) => panic!("it was taken: {steps:?}"),
            Err(error) => error.cause.to_string(),
        }
    }

    fn sql(text: &str) -> wit::Step {
        wit::Step::Sql(text.into())
    }

    fn outside(statement: &str, probe: &str) -> wit::Step {
        wit::Step::OutsideTransaction(wit::OutsideStep { statement: statement.into(), probe: probe.into() })
    }

    #[test]
    fn a_good_plan_is_taken_whole() {
        let steps = vec![
            sql("CREATE TABLE t (); INSERT INTO t DEFAULT VALUES;"),
            sql("(SELECT 1)"),
            outside("CREATE INDEX CONCURRENTLY i ON t (a)", "SELECT to_regclass('i') IS NOT NULL"),
            wit::Step::Code("fill".into()),
            wit::Step::Batched("fill".into()),
            wit::Step::Code("fill".into()),
        ];
        assert_eq!(from_guest(steps, &Limits::default()).unwrap().len(), 6);
    }

    #[test]
    fn what_cannot_be_run_is_refused_with_the_number_of_its_step() {
        let probe = "SELECT true";
        for (step, words) in [
            (sql(""), "its SQL has no statement"),
            (sql(" -- nothing\n ; /* at all */"), "its SQL has no statement"),
            (sql("COMMIT"), "`COMMIT` would end the transaction"),
            (sql("COPY t FROM STDIN"), "`COPY` moves data past the host"),
            (sql("SELECT '"), "a string that never ends"),
            (wit::Step::Code(" ".into()), "its name is empty"),
            (wit::Step::Batched(String::new()), "its name is empty"),
            (wit::Step::Code("a\u{1b}[31m".into()), "control characters"),
            (wit::Step::Code("x".repeat(201)), "more than 200 characters"),
            (outside("", probe), "no statement to run outside"),
            (outside("VACUUM a; VACUUM b", probe), "2 statements to run outside"),
            (outside("SET ROLE x", probe), "`SET ROLE` would change the session"),
            (outside("DROP DATABASE x", probe), "`DROP DATABASE` would change the server"),
            (outside("VACUUM", " ; "), "it has no probe"),
            (outside("VACUUM", "SELECT 1; SELECT 2"), "its probe has 2 statements"),
            (outside("VACUUM", "DELETE FROM t RETURNING true"), "its probe: `DELETE` is no query"),
            (outside("VACUUM", "ROLLBACK"), "its probe: "),
        ] {
            let text = refusal(vec![sql("SELECT 1"), step], &Limits::default());
            assert!(text.contains("step 2 of its plan: ") && text.contains(words), "{text}");
        }
    }

    #[test]
    fn two_batched_steps_of_one_name_are_refused() {
        let steps = vec![wit::Step::Batched("fill".into()), wit::Step::Batched("fill".into())];
        assert!(refusal(steps, &Limits::default()).contains("step 2 of its plan: the name `fill`"));
    }

    #[test]
    fn a_plan_that_is_empty_or_too_large_is_refused() {
        let limits = Limits { plan_max_steps: 2, plan_max_bytes: 20, ..Limits::default() };
        assert!(refusal(vec![], &limits).contains("no steps"));
        assert!(refusal(vec![sql("SELECT 1"); 3], &limits).contains("`plan_max_steps`"));
        assert!(refusal(vec![outside("VACUUM verbose", "SELECT true")], &limits).contains("`plan_max_bytes`"));
    }
}
