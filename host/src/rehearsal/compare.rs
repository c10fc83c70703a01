//! What differs between two moments that should be alike, as faults.

use super::{Fault, FaultCode, bench::Moment, contents::Contents};
use crate::schema::{Change, Changed};

/// After a way down: everything should be as before the way up.
pub(super) fn after_down(before: &Moment, back: &Moment, ignored: &[String]) -> Vec<Fault> {
    let changes = before.schema.until(&back.schema);
    let mut faults: Vec<Fault> = changes
        .into_iter()
        .filter(|change| !is_only_validated(change))
        .map(|change| disabled(&change).unwrap_or_else(|| of_down(change)))
        .collect();
    faults.extend(rows(before, ignored).until(&rows(back, ignored)).into_iter().map(|(relation, what)| {
        Fault {
            code: FaultCode::DataNotRestored,
            what: format!("its way down does not bring all rows back: {what}"),
            change: None,
            relation: Some(relation),
            advice:
                "keep what is needed to bring them back, or say that there is no way back: `-- lockgate: irreversible`"
                    .into(),
        }
    }));
    faults
}

/// Whether a constraint that was NOT VALID is valid, and the same otherwise: that every row was found to hold it is nothing to take back.
fn is_only_validated(change: &Change) -> bool {
    let (Some(before), Some(back)) = (&change.before, &change.after) else { return false };
    ["constraint", "column"].contains(&change.kind) && before.strip_suffix(" NOT VALID") == Some(back)
}

/// A constraint that is there and no longer enforced, where it was.
fn disabled(change: &Change) -> Option<Fault> {
    (change.kind == "disabled constraint" && change.how == Changed::New).then(|| Fault {
        code: FaultCode::LeftBehind,
        what: format!("the constraint `{}` is not enforced after its way down: its triggers are disabled", change.name),
        change: Some(change.clone()),
        relation: None,
        advice: "let the way down enable them: `ALTER TABLE … ENABLE TRIGGER ALL`".into(),
    })
}

/// What counts: no transaction takes back what a sequence has given, and what a materialized view holds follows from tables.
fn rows(moment: &Moment, ignored: &[String]) -> Contents {
    moment.contents.clone().without_sequences().without_derived().without(ignored)
}

fn of_down(change: Change) -> Fault {
    let object = format!("{} `{}`", change.kind, change.name);
    let (code, what, advice) = match change.how {
        Changed::New => (
            FaultCode::LeftBehind,
            format!("its way down leaves the {object} behind, which its way up makes"),
            "let the way down remove it",
        ),
        Changed::Gone => (
            FaultCode::DropsTooMuch,
            format!("its way down removes the {object}, or does not bring it back: it was there before the way up"),
            "let the way down make it again, or leave it alone",
        ),
        Changed::Altered => (
            FaultCode::NotRestored,
            format!("its way down brings the {object} back as another than it was"),
            "let the way down make it as it was",
        ),
    };
    Fault { code, what, change: Some(change), relation: None, advice: advice.into() }
}

/// After the way up was gone once more: the schema should be the same. Rows may well differ in what comes from the clock, and are compared by
/// their number. What the way down has spoilt, as `known` tells, is not told again.
pub(super) fn after_up_again(
    first: &Moment,
    again: &Moment,
    resumed: bool,
    known: &[Fault],
    ignored: &[String],
) -> Vec<Fault> {
    let code = if resumed { FaultCode::NotResumable } else { FaultCode::UpDiffers };
    let when = match resumed {
        true => "after it was cut off half-way and taken up again",
        false => "the second time",
    };
    let is_known = |change: &Change| {
        let of = known.iter().filter_map(|fault| fault.change.as_ref());
        of.into_iter().any(|known| (known.kind, &known.name) == (change.kind, &change.name))
    };
    let changes: Vec<Change> =
        first.schema.until(&again.schema).into_iter().filter(|change| !is_known(change)).collect();
    let spoilt = |relation: &str| {
        let tables = changes.iter().chain(known.iter().filter_map(|fault| fault.change.as_ref()));
        tables.into_iter().any(|change| {
            change.name == relation || change.name.strip_prefix(relation).is_some_and(|rest| rest.starts_with('.'))
        }) || known.iter().any(|fault| fault.relation.as_deref() == Some(relation))
    };
    let differences = rows(first, ignored).by_number().until(&rows(again, ignored).by_number());
    let rows: Vec<Fault> = differences
        .into_iter()
        .filter(|(relation, _)| !spoilt(relation))
        .map(|(relation, what)| Fault {
            code,
            what: format!("its way up brings about something else {when}: {what}"),
            change: None,
            relation: Some(relation),
            advice: "let it write the same rows whenever it runs".into(),
        })
        .collect();
    let schema = changes.into_iter().map(|change| Fault {
        code,
        what: format!("its way up brings about something else {when}: {} `{}`", change.kind, change.name),
        change: Some(change),
        relation: None,
        advice: "let it make the same whenever it runs".into(),
    });
    schema.chain(rows).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_that_a_constraint_was_found_to_hold_needs_not_be_taken_back() {
        let altered = |kind, before: &str, after: &str| Change {
            kind,
            name: "t.c".into(),
            how: Changed::Altered,
            before: Some(before.into()),
            after: Some(after.into()),
        };
        let (loose, strict) = ("ADD CONSTRAINT c CHECK (a > 0) NOT VALID", "ADD CONSTRAINT c CHECK (a > 0)");
        assert!(is_only_validated(&altered("constraint", loose, strict)));
        assert!(is_only_validated(&altered(
            "column",
            "ADD COLUMN c int NOT NULL NOT VALID",
            "ADD COLUMN c int NOT NULL"
        )));
        for (kind, before, back) in [
            ("constraint", strict, loose),
            ("constraint", loose, "ADD CONSTRAINT c CHECK (a > 1)"),
            ("constraint", strict, strict),
            ("column", "ADD COLUMN c int", "ADD COLUMN c int NOT NULL"),
            ("default", "DEFAULT 1 NOT VALID", "DEFAULT 1"),
        ] {
            assert!(!is_only_validated(&altered(kind, before, back)), "{kind} {before}");
        }
    }
}
