use lockgate_plugin::{Finding, Reader, Result};

use crate::{
    ids::Ids,
    phone::{self, Reading},
    users,
};

/// Looks whether `up` would succeed. Before `down`, when `up` has been here, there is nothing to look for.
pub fn look(db: &Reader) -> Result<Vec<Finding>> {
    let state = db.query_one(
        "SELECT to_regclass('users') IS NOT NULL AS users,
                to_regclass('users_phone_originals') IS NOT NULL AS originals,
                EXISTS (SELECT FROM pg_constraint
                        WHERE conrelid = to_regclass('users') AND conname = 'users_phone_is_e164') AS applied,
                EXISTS (SELECT FROM pg_class
                        WHERE oid = to_regclass('users') AND pg_has_role(relowner, 'USAGE')) AS owned",
        &[],
    )?;
    if !state.get::<bool>("users")? {
        let finding = Finding::block("no-users", "there is no table `users`");
        return Ok(vec![finding.hint("apply migration 001 first; its schema must be in the search_path")]);
    }
    if state.get("applied")? {
        return Ok(Vec::new());
    }
    let mut findings = Vec::new();
    if !state.get::<bool>("owned")? {
        let finding = Finding::block("not-owner", "this role does not own `users` and cannot add a constraint to it");
        findings.push(finding.hint("run the migrations as the owner of the schema"));
    }
    if state.get("originals")? {
        let finding = Finding::block("originals-exist", "there is a table `users_phone_originals` already");
        findings.push(finding.hint("see whose it is; then rename or drop it"));
    }
    findings.extend(Survey::of(db)?.findings());
    Ok(findings)
}

/// What `up` would meet.
#[derive(Debug, Default)]
struct Survey {
    numbers: usize,
    with_extension: usize,
    unparseable: Ids,
}

impl Survey {
    fn of(db: &Reader) -> Result<Self> {
        let mut survey = Self::default();
        users::pages(db, "SELECT users.id, users.phone FROM users WHERE users.phone IS NOT NULL", |rows| {
            for row in rows {
                match phone::read(row.get("phone")?) {
                    Reading::Blank => {}
                    Reading::Number { had_extension, .. } => {
                        survey.numbers += 1;
                        survey.with_extension += usize::from(had_extension);
                    }
                    Reading::Unparseable => survey.unparseable.push(row.get("id")?),
                }
            }
            Ok(())
        })?;
        Ok(survey)
    }

    fn findings(&self) -> Vec<Finding> {
        let Self { numbers, with_extension, unparseable } = self;
        let mut findings = Vec::new();
        if !unparseable.is_empty() {
            let message = format!("no valid phone number: {unparseable}");
            let hint = format!(
                "look at them with `SELECT id, phone FROM users WHERE id IN ({})`; correct each number or set it to \
                 NULL, then run again. Without a country code, a number is read as one of the United States",
                unparseable.literals()
            );
            findings.push(Finding::block("unparseable-phone", message).hint(hint));
        }
        if *with_extension > 0 {
            let message = format!("{with_extension} of {numbers} numbers have an extension, which E.164 cannot hold");
            let hint = "the whole text stays in users_phone_originals";
            findings.push(Finding::info("phone-extension", message).hint(hint));
        }
        findings
    }
}

#[cfg(test)]
mod tests {
    use lockgate_plugin::{Severity, Uuid};

    use super::*;

    #[test]
    fn a_clean_table_has_no_findings() {
        let survey = Survey { numbers: 9, ..Survey::default() };
        assert_eq!(survey.findings(), []);
    }

    #[test]
    fn an_unparseable_phone_stops_the_run() {
        let mut survey = Survey::default();
        survey.unparseable.push(Uuid(7));
        let findings = survey.findings();
        assert_eq!(findings.len(), 1);
        assert_eq!((findings[0].severity, &*findings[0].code), (Severity::Block, "unparseable-phone"));
        assert!(findings[0].hint.as_ref().is_some_and(|hint| hint.contains("'00000000-0000-0000-0000-000000000007'")));
    }

    #[test]
    fn an_extension_is_worth_a_line() {
        let survey = Survey { numbers: 9, with_extension: 2, ..Survey::default() };
        let severities: Vec<_> = survey.findings().iter().map(|finding| finding.severity).collect();
        assert_eq!(severities, [Severity::Info]);
    }
}
