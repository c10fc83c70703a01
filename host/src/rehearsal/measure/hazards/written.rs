//! What a statement is known to do to a table by how it is written, and what to write instead.

use super::super::{
    forms::{Form, Statement},
    model::TableWork,
};
use crate::rehearsal::HazardCode;

/// What a statement is known to do with each row of a table: a code, what happens, and what to write instead.
pub(super) fn named(statement: &Statement, work: &TableWork) -> Option<(HazardCode, String, String)> {
    use HazardCode as Code;
    let table = &work.relation;
    let forms = || statement.forms.iter();
    if work.rewritten {
        let form = forms().find(|form| matches!(form, Form::NewType { .. } | Form::Anew(_) | Form::AddColumn { .. }));
        return Some(rewrite(form, table));
    }
    for form in forms() {
        let told = match form {
            Form::CreateIndex { text } if work.indexes_built > 0 => (
                Code::IndexNotConcurrent,
                format!("an index of `{table}` is built within the lock"),
                format!("write `{}`; Lockgate runs it outside a transaction", concurrently(text)),
            ),
            Form::AddIndexed { constraint, name } if work.indexes_built > 0 => {
                let name = name.clone().unwrap_or_else(|| format!("{}_key", bare(table)));
                (
                    Code::IndexNotConcurrent,
                    format!("`{constraint}` has an index of `{table}` built within the lock"),
                    match *constraint {
                        "EXCLUDE" => "an index of EXCLUDE cannot be built CONCURRENTLY: run it in a window".to_owned(),
                        constraint => format!(
                            "write `CREATE UNIQUE INDEX CONCURRENTLY {name} ON {table} (…)`, and in a migration after it `ALTER TABLE {table} ADD CONSTRAINT {name} {constraint} USING INDEX {name}`"
                        ),
                    },
                )
            }
            Form::Reindex if work.indexes_built > 0 => (
                Code::IndexNotConcurrent,
                format!("indexes of `{table}` are built anew within the lock"),
                "write `REINDEX … CONCURRENTLY`; Lockgate runs it outside a transaction".to_owned(),
            ),
            Form::SetNotNull { column } if work.scans > 0 => {
                let check = format!("{}_{}_not_null", bare(table), bare(column));
                (
                    Code::NotNullScan,
                    format!("every row of `{table}` is looked at for a NULL in `{column}`"),
                    format!(
                        "write `ALTER TABLE {table} ADD CONSTRAINT {check} CHECK ({column} IS NOT NULL) NOT VALID`; in a second migration `ALTER TABLE {table} VALIDATE CONSTRAINT {check}`, during which reads and writes go on; in a third `ALTER TABLE {table} ALTER COLUMN {column} SET NOT NULL`, which then looks at no row, and `ALTER TABLE {table} DROP CONSTRAINT {check}`"
                    ),
                )
            }
            Form::AddCheck { constraint, name } if work.scans > 0 => (
                Code::CheckScan,
                format!("every row of `{table}` is looked at for a CHECK"),
                not_valid(table, constraint, name.as_deref()),
            ),
            Form::AddForeignKey { constraint, name, .. } if work.scans > 0 => (
                Code::ForeignKeyScan,
                format!(
                    "every row of `{table}` is looked up in the table that its new foreign key points at, which is locked as well"
                ),
                not_valid(table, constraint, name.as_deref()),
            ),
            _ => continue,
        };
        return Some(told);
    }
    // A DO block, a function, a component's code; a column that brings an index along, or whose new type has it built anew.
    (work.indexes_built > 0).then(|| {
        let what = format!("an index of `{table}` is built within the lock");
        let advice =
            "write a `CREATE INDEX CONCURRENTLY` as a statement of its own; Lockgate runs it outside a transaction";
        (Code::IndexNotConcurrent, what, advice.to_owned())
    })
}

fn rewrite(form: Option<&Form>, table: &str) -> (HazardCode, String, String) {
    let by_hand = |column: &str, of: &str| {
        format!(
            "add a new column{of} without a default, have a trigger fill it from then on, fill the rows that are there in batches, and let it take the place of `{column}` in a transaction of its own"
        )
    };
    match form {
        Some(Form::NewType { column, to }) => (
            HazardCode::Rewrite,
            format!("`{table}` is written anew, with all of its indexes, to give `{column}` the type {to}"),
            by_hand(column, &format!(" of type {to}")),
        ),
        Some(Form::AddColumn { column, kind }) => (
            HazardCode::Rewrite,
            format!(
                "`{table}` is written anew, with all of its indexes, to give each row a value of its own in `{column}`"
            ),
            format!(
                "write `ALTER TABLE {table} ADD COLUMN {column} {kind}` without a value, then `ALTER TABLE {table} ALTER COLUMN {column} SET DEFAULT …` for new rows, and fill those that are there in batches"
            ),
        ),
        Some(Form::Anew("REFRESH MATERIALIZED VIEW")) => (
            HazardCode::LongLock,
            format!("`{table}` is filled anew within the lock"),
            format!("give it a unique index and write `REFRESH MATERIALIZED VIEW CONCURRENTLY {table}`"),
        ),
        Some(Form::Anew(what)) => (
            HazardCode::Rewrite,
            format!("`{table}` is written anew, with all of its indexes, by {what}"),
            "run it in a window, or have pg_repack or pg_squeeze do it beside the application".to_owned(),
        ),
        _ => (
            HazardCode::Rewrite,
            format!("`{table}` is written anew, with all of its indexes"),
            "make what is to be changed beside the old, fill it in batches, and swap the two".to_owned(),
        ),
    }
}

fn not_valid(table: &str, constraint: &str, name: Option<&str>) -> String {
    let name = name.unwrap_or("<its name>");
    format!(
        "write `ALTER TABLE {table} ADD {constraint} NOT VALID`, and in a migration after it `ALTER TABLE {table} VALIDATE CONSTRAINT {name}`, during which reads and writes go on"
    )
}

fn concurrently(text: &str) -> String {
    let words: Vec<&str> = text.split(' ').collect();
    let at = words.iter().position(|word| word.eq_ignore_ascii_case("index")).map_or(0, |n| n + 1);
    [&words[..at], &["CONCURRENTLY"], &words[at..]].concat().join(" ")
}

/// Without schema and quotes, as part of another name.
fn bare(name: &str) -> String {
    name.rsplit('.').next().unwrap_or(name).replace('"', "")
}
