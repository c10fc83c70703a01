//! The forms of `ALTER TABLE`: a statement takes the strongest lock that any of its forms needs.
//!
//! Source: PostgreSQL manual, "ALTER TABLE", which says "An ACCESS EXCLUSIVE lock is acquired unless explicitly noted", and the
//! server's `AlterTableGetLockLevel`, which is what it does.

use squawk_syntax::ast::{self, AlterColumnOption, AlterTableAction, AstNode, Constraint};

use super::{Lock, Locks, Mode, Reach, RelationName, Work};

pub(super) fn locks(statement: &ast::AlterTable) -> Locks {
    let Some(name) = statement.table_relation_name() else {
        return Locks::unknown("it alters every table of a tablespace");
    };
    of_actions(RelationName::in_node(name.syntax()), statement.actions())
}

/// The locks of `ALTER TABLE`, or `ALTER FOREIGN TABLE`, of this name.
pub(super) fn of_actions(table: Option<RelationName>, actions: impl Iterator<Item = AlterTableAction>) -> Locks {
    let Some(table) = table else { return Locks::default() };
    let mut own: Option<Lock> = None;
    let mut others = Vec::new();
    for action in actions {
        let (mode, work, reach) = need(&action);
        own = Some(match own {
            None => Lock::new(table.clone(), mode, work).reaching(reach),
            Some(lock) => Lock {
                mode: lock.mode.max(mode),
                work: lock.work.max(work),
                reach: if lock.reach == Reach::Itself { reach } else { lock.reach },
                relation: lock.relation,
            },
        });
        others.extend(other_ends(&action));
    }
    let mut taken: Vec<Lock> = own.into_iter().collect();
    taken.extend(others.into_iter().filter(|lock| lock.relation != table));
    Locks { taken, unknown: None }
}

/// What a form needs of the table itself.
fn need(action: &AlterTableAction) -> (Mode, Work, Reach) {
    use AlterTableAction as A;
    let itself = |mode, work| (mode, work, Reach::Itself);
    match action {
        A::AlterColumn(column) => match column.option() {
            Some(AlterColumnOption::SetType(_) | AlterColumnOption::SetExpression(_)) => {
                itself(Mode::AccessExclusive, Work::Rewrite)
            }
            Some(AlterColumnOption::SetNotNull(_)) => itself(Mode::AccessExclusive, Work::Scan),
            Some(
                AlterColumnOption::SetStatistics(_)
                | AlterColumnOption::SetOptions(_)
                | AlterColumnOption::ResetOptions(_)
                | AlterColumnOption::SetOptionsList(_),
            ) => itself(Mode::ShareUpdateExclusive, Work::Brief),
            _ => itself(Mode::AccessExclusive, Work::Brief),
        },
        A::AddColumn(column) => {
            let work = column.constraints().map(|constraint| work_of_new_column(&constraint)).max();
            itself(Mode::AccessExclusive, work.unwrap_or(Work::Brief))
        }
        A::AddConstraint(add) => match add.constraint() {
            Some(foreign @ (Constraint::ForeignKeyConstraint(_) | Constraint::ReferencesConstraint(_))) => {
                let work = if foreign.is_not_valid() { Work::Brief } else { Work::Scan };
                itself(Mode::ShareRowExclusive, work)
            }
            Some(Constraint::UniqueConstraint(unique)) if unique.using_index().is_some() => {
                itself(Mode::AccessExclusive, Work::Brief)
            }
            Some(Constraint::PrimaryKeyConstraint(primary)) if primary.using_index().is_some() => {
                itself(Mode::AccessExclusive, Work::Brief)
            }
            Some(
                Constraint::UniqueConstraint(_)
                | Constraint::PrimaryKeyConstraint(_)
                | Constraint::ExcludeConstraint(_),
            ) => itself(Mode::AccessExclusive, Work::Rewrite),
            Some(constraint) if constraint.is_not_valid() => itself(Mode::AccessExclusive, Work::Brief),
            _ => itself(Mode::AccessExclusive, Work::Scan),
        },
        A::ValidateConstraint(_) => (Mode::ShareUpdateExclusive, Work::Scan, Reach::Itself),
        A::DropConstraint(_) | A::AlterConstraint(_) => (Mode::AccessExclusive, Work::Brief, Reach::OfOneConstraint),
        A::DisableTrigger(_) | A::EnableTrigger(_) | A::EnableReplicaTrigger(_) | A::EnableAlwaysTrigger(_) => {
            itself(Mode::ShareRowExclusive, Work::Brief)
        }
        A::ClusterOn(_) | A::SetWithoutCluster(_) => itself(Mode::ShareUpdateExclusive, Work::Brief),
        A::SetOptions(options) => itself(storage_parameters(options.syntax()), Work::Brief),
        A::ResetOptions(options) => itself(storage_parameters(options.syntax()), Work::Brief),
        A::SetTablespace(_) | A::SetLogged(_) | A::SetUnlogged(_) | A::SetAccessMethod(_) => {
            itself(Mode::AccessExclusive, Work::Rewrite)
        }
        A::AttachPartition(_) => itself(Mode::ShareUpdateExclusive, Work::Brief),
        A::DetachPartition(detach) => match detach.detach_partition_option() {
            Some(_) => itself(Mode::ShareUpdateExclusive, Work::Brief),
            None => itself(Mode::AccessExclusive, Work::Brief),
        },
        A::MergePartitions(_) | A::SplitPartition(_) => itself(Mode::AccessExclusive, Work::Rewrite),
        _ => itself(Mode::AccessExclusive, Work::Brief),
    }
}

/// What a constraint of a new column makes of the rows that are there.
fn work_of_new_column(constraint: &Constraint) -> Work {
    match constraint {
        // Each row gets a number, or a value that must be worked out.
        Constraint::GeneratedConstraint(generated) => {
            let virtual_ = generated.syntax().descendants_with_tokens().filter_map(|e| e.into_token());
            let mut words = virtual_.map(|token| token.text().to_ascii_lowercase());
            if words.any(|word| word == "virtual") { Work::Brief } else { Work::Rewrite }
        }
        Constraint::UniqueConstraint(_) | Constraint::PrimaryKeyConstraint(_) | Constraint::ExcludeConstraint(_) => {
            Work::Rewrite
        }
        Constraint::CheckConstraint(_) | Constraint::ReferencesConstraint(_) => Work::Scan,
        // One value for all rows that are there, kept in the catalog; unless every row needs one of its own.
        Constraint::DefaultConstraint(default) => {
            const VOLATILE: [&str; 9] = [
                "random",
                "clock_timestamp",
                "timeofday",
                "nextval",
                "gen_random_uuid",
                "uuidv4",
                "uuidv7",
                "uuid_generate_v4",
                "gen_random_bytes",
            ];
            let tokens = default.syntax().descendants_with_tokens().filter_map(|e| e.into_token());
            let mut words = tokens.map(|token| token.text().to_ascii_lowercase());
            if words.any(|word| VOLATILE.contains(&word.as_str())) { Work::Rewrite } else { Work::Brief }
        }
        _ => Work::Brief,
    }
}

/// Fillfactor, autovacuum and the like change no result, so that nobody has to wait for them; the rest does.
fn storage_parameters(options: &squawk_syntax::SyntaxNode) -> Mode {
    let names = options.descendants().filter_map(ast::AttributeOption::cast).map(|option| {
        let name = option.name().map(|name| name.syntax().text().to_string().trim().to_ascii_lowercase());
        name.unwrap_or_default()
    });
    let is_harmless = |name: String| {
        name.starts_with("autovacuum_")
            || name.starts_with("log_autovacuum_")
            || name.starts_with("vacuum_")
            || ["fillfactor", "toast_tuple_target", "parallel_workers", "n_distinct"].contains(&name.as_str())
    };
    let mut names = names.peekable();
    if names.peek().is_some() && names.all(is_harmless) { Mode::ShareUpdateExclusive } else { Mode::AccessExclusive }
}

/// The other relations that a form names.
fn other_ends(action: &AlterTableAction) -> Vec<Lock> {
    use AlterTableAction as A;
    let of = |node: Option<ast::TableNameRef>, mode, work| {
        node.and_then(|node| RelationName::in_node(node.syntax())).map(|name| Lock::new(name, mode, work))
    };
    match action {
        A::AddConstraint(add) => match add.constraint() {
            Some(ref constraint @ Constraint::ForeignKeyConstraint(ref key)) => {
                // To look every value up needs no more than to read the other table.
                let work = if constraint.is_not_valid() { Work::Brief } else { Work::Scan };
                of(key.table_name_ref(), Mode::ShareRowExclusive, work).into_iter().collect()
            }
            _ => Vec::new(),
        },
        A::AddColumn(column) => column
            .constraints()
            .filter_map(|constraint| match constraint {
                Constraint::ReferencesConstraint(key) => of(key.table(), Mode::ShareRowExclusive, Work::Scan),
                _ => None,
            })
            .collect(),
        A::AttachPartition(attach) => {
            of(attach.table_name_ref(), Mode::AccessExclusive, Work::Scan).into_iter().collect()
        }
        A::DetachPartition(detach) => {
            of(detach.table_name_ref(), Mode::AccessExclusive, Work::Brief).into_iter().collect()
        }
        A::InheritTable(inherit) => {
            of(inherit.table_name_ref(), Mode::ShareUpdateExclusive, Work::Brief).into_iter().collect()
        }
        A::NoInheritTable(inherit) => {
            of(inherit.table_name_ref(), Mode::AccessShare, Work::Brief).into_iter().collect()
        }
        _ => Vec::new(),
    }
}
