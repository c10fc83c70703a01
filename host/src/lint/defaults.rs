//! Which of squawk's rules are asked unless `lockgate.toml` says otherwise, of which scripts, and why the rest is not.

use squawk_linter::Rule as R;

use super::Level::{self, Off, Warn};

/// What a rule is about, which decides of which scripts it is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum About {
    /// Locks and what they are held for: of both ways.
    Locks,
    /// What breaks programs that still run on the old schema: of the way up only. To remove things is what a way down is for.
    Compatibility,
    /// Taste: of the way up only.
    Style,
}

use About::{Compatibility, Locks, Style};

/// Every rule that can be asked here.
///
/// None of them stops a run unless somebody says so: they know neither how large a table is nor which programs use it, and a folder
/// that was fine yesterday must not be refused for having been taken over. Those that squawk itself has off are off, and so is taste.
pub(super) const SQUAWK: [(R, Level, About); 71] = [
    (R::RequireConcurrentIndexCreation, Warn, Locks),
    (R::RequireConcurrentIndexDeletion, Warn, Locks),
    (R::RequireConcurrentPartitionDetach, Warn, Locks),
    (R::RequireConcurrentReindex, Warn, Locks),
    (R::ConstraintMissingNotValid, Warn, Locks),
    (R::AddingFieldWithDefault, Warn, Locks),
    (R::AddingForeignKeyConstraint, Warn, Locks),
    (R::AddingNotNullableField, Warn, Locks),
    (R::AddingSerialPrimaryKeyField, Warn, Locks),
    (R::DisallowedUniqueConstraint, Warn, Locks),
    (R::ChangingColumnType, Warn, Locks),
    (R::BanAlterDomainWithAddConstraint, Warn, Locks),
    (R::BanCreateDomainWithConstraint, Off, Style),
    (R::PreferRepack, Off, Style),
    (R::AddingRequiredField, Warn, Compatibility),
    (R::RenamingColumn, Warn, Compatibility),
    (R::RenamingTable, Warn, Compatibility),
    (R::RenamingObject, Warn, Compatibility),
    (R::BanSetSchema, Warn, Compatibility),
    (R::BanDropColumn, Warn, Compatibility),
    (R::BanDropTable, Warn, Compatibility),
    (R::BanDropView, Warn, Compatibility),
    (R::BanDropFunction, Warn, Compatibility),
    (R::BanDropType, Warn, Compatibility),
    (R::BanDropDomain, Warn, Compatibility),
    (R::BanDropSchema, Warn, Compatibility),
    (R::BanDropSequence, Warn, Compatibility),
    (R::BanDropExtension, Warn, Compatibility),
    (R::BanDropDatabase, Warn, Compatibility),
    (R::BanDropNotNull, Warn, Compatibility),
    (R::BanDropDefault, Warn, Compatibility),
    (R::BanDropConstraint, Warn, Compatibility),
    (R::BanDropGeneratedExpression, Warn, Compatibility),
    (R::BanAlterIdentity, Warn, Compatibility),
    (R::BanTruncateCascade, Warn, Compatibility),
    (R::BanDuplicateColumnAssignments, Warn, Compatibility),
    (R::IdentifierTooLong, Warn, Compatibility),
    (R::BanDropTrigger, Off, Compatibility),
    (R::BanDropIndex, Off, Compatibility),
    (R::BanDropPolicy, Off, Compatibility),
    (R::BanAlterGeneratedExpression, Off, Compatibility),
    (R::BanSetDefault, Off, Compatibility),
    (R::BanDisableTrigger, Off, Compatibility),
    (R::BanReplicaIdentity, Off, Compatibility),
    (R::BanRevoke, Off, Compatibility),
    (R::BanReplaceViewFunction, Off, Compatibility),
    (R::BanAlterPolicyCondition, Off, Compatibility),
    (R::BanAlterPolicyRoles, Off, Compatibility),
    (R::BanCreatePolicy, Off, Compatibility),
    (R::BanAlterFunctionOptions, Off, Compatibility),
    (R::BanAlterViewOptions, Off, Compatibility),
    (R::BanAlterRoleOptions, Off, Compatibility),
    (R::BanAlterDatabaseOptions, Off, Compatibility),
    (R::BanAlterRowLevelSecurity, Off, Compatibility),
    (R::BanNewWriteRestriction, Off, Compatibility),
    (R::BanAddEnumValue, Off, Compatibility),
    (R::BanAddCompositeAttribute, Off, Compatibility),
    (R::BanAddColumn, Off, Compatibility),
    (R::BanDetachInheritance, Off, Compatibility),
    (R::BanAlterSequenceValues, Off, Compatibility),
    (R::BanAlterSystemOptions, Off, Compatibility),
    (R::BanAlterExtension, Off, Compatibility),
    (R::BanCharField, Off, Style),
    (R::PreferBigintOverInt, Off, Style),
    (R::PreferBigintOverSmallint, Off, Style),
    (R::PreferIdentity, Off, Style),
    (R::PreferTextField, Off, Style),
    (R::PreferTimestampTz, Off, Style),
    (R::RequireEnumValueOrdering, Off, Style),
    (R::RequireTableSchema, Off, Style),
    // A run is one transaction, or keeps its place: a statement need not stand a second run.
    (R::PreferRobustStmts, Off, Style),
];

const TIMEOUTS: &str =
    "Lockgate sets both time-outs itself: `[statements]` in lockgate.toml, `-- lockgate: lock-timeout=…` in a file";
const TRANSACTIONS: &str =
    "the transactions are Lockgate's, and what a file does about them is looked at when it is read";

/// Rules that have nothing to say here, and why.
pub(super) const NOT_HERE: [(R, &str); 6] = [
    (R::RequireLockTimeout, TIMEOUTS),
    (R::RequireStatementTimeout, TIMEOUTS),
    (R::RequireTimeoutSettings, TIMEOUTS),
    (R::TransactionNesting, TRANSACTIONS),
    (R::BanUncommittedTransaction, TRANSACTIONS),
    (
        R::BanConcurrentIndexCreationInTransaction,
        "Lockgate finds statements that cannot run in a transaction and runs them outside",
    ),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_rule_that_squawk_asks_by_itself_is_either_here_or_said_not_to_be() {
        for rule in squawk_linter::Linter::with_default_rules().rules {
            let here = SQUAWK.iter().any(|(known, ..)| *known == rule);
            let not = NOT_HERE.iter().any(|(known, _)| *known == rule);
            assert!(here ^ not || rule == R::UnusedIgnore, "{rule}");
        }
    }

    #[test]
    fn no_rule_of_squawks_stops_a_run_by_itself() {
        assert!(SQUAWK.iter().all(|(_, level, _)| matches!(level, Warn | Off)));
        let mut names: Vec<String> = SQUAWK.iter().map(|(rule, ..)| rule.to_string()).collect();
        names.sort();
        names.dedup();
        assert_eq!(names.len(), SQUAWK.len(), "each is here once");
    }
}
