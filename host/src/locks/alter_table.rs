//! The forms of `ALTER TABLE`: a statement takes the strongest lock that any of its forms needs.
//!
//! Source: PostgreSQL manual, "ALTER TABLE", which says "An ACCESS EXCLUSIVE lock is acquired unless explicitly noted", and the
//! server's `AlterTableGetLockLevel`, which is what it does.

use squawk_syntax::ast::{self, AlterColumnOption, AlterTableAction, AstNode, Constraint};

use super::{Case, Lock, Locks, Mode, Reach, RelationName, Work, case::called};

pub(super) fn locks(statement: &ast::AlterTable) -> Locks {
    let Some(name) = statement.table_relation_name() else {
        return Locks::unknown("it alters every table of a tablespace");
    };
    let mut locks = of_actions(RelationName::in_node(name.syntax()), statement.actions());
    if name.only_token().is_none() {
        locks.taken.iter_mut().take(1).for_each(|lock| lock.descends = true);
    }
    locks
}

/// The locks of `ALTER TABLE`, or `ALTER FOREIGN TABLE`, of this name.
pub(super) fn of_actions(table: Option<RelationName>, actions: impl Iterator<Item = AlterTableAction>) -> Locks {
    let Some(table) = table else { return Locks::default() };
    let mut own: Option<Lock> = None;
    let mut others = Vec::new();
    for action in actions {
        let (mode, work, reach) = need(&action);
        let lock = own.get_or_insert_with(|| Lock::new(table.clone(), mode, work));
        (lock.mode, lock.work) = (lock.mode.max(mode), lock.work.max(work));
        lock.reach = if lock.reach == Reach::Itself { reach } else { lock.reach };
        lock.cases.extend(cases(&action, work));
        others.extend(other_ends(&action));
    }
    let mut taken: Vec<Lock> = own.into_iter().collect();
    taken.extend(others.into_iter().filter(|lock| lock.relation != table));
    Locks { taken, ..Locks::default() }
}

/// What the work of a form depends on.
fn cases(action: &AlterTableAction, work: Work) -> Vec<(Work, Case)> {
    use AlterTableAction as A;
    match action {
        A::AlterColumn(column) => {
            let name = column.column_name_ref().and_then(|name| RelationName::of_word(name.syntax()));
            let case = match (name, column.option()) {
                (Some(column), Some(AlterColumnOption::SetNotNull(_))) => Case::NotNull(column.name),
                (Some(column), Some(AlterColumnOption::SetType(set)))
                    if set.using_expr().is_none() && set.collate().is_none() =>
                {
                    let to = set.ty().map(|ty| ty.syntax().text().to_string()).unwrap_or_default();
                    Case::NewType { column: column.name, to }
                }
                _ => Case::Always,
            };
            vec![(work, case)]
        }
        A::AddColumn(column) => {
            let kind = column.ty().and_then(|ty| RelationName::in_node(ty.syntax()));
            let of_type = kind.map(|kind| (Work::Rewrite, Case::OfType(kind)));
            let defaults = column.constraints().filter(|one| matches!(one, Constraint::DefaultConstraint(_)));
            let called: Vec<String> =
                defaults.flat_map(|default| called(default.syntax()).collect::<Vec<_>>()).collect();
            let calls = (!called.is_empty()).then_some((Work::Rewrite, Case::Calls(called)));
            [(work, Case::Always)].into_iter().chain(of_type).chain(calls).collect()
        }
        _ => vec![(work, Case::Always)],
    }
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
            let work = column.constraints().map(|constraint| work_of_new_column(&constraint));
            itself(Mode::AccessExclusive, work.chain([work_of_type(column.ty())]).max().unwrap_or(Work::Brief))
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
        // A column that is dropped takes its foreign keys along.
        A::DropConstraint(_) | A::AlterConstraint(_) | A::DropColumn(_) => {
            (Mode::AccessExclusive, Work::Brief, Reach::OfOneConstraint)
        }
        A::DisableTrigger(_) | A::EnableTrigger(_) | A::EnableReplicaTrigger(_) | A::EnableAlwaysTrigger(_) => {
            itself(Mode::ShareRowExclusive, Work::Brief)
        }
        A::ClusterOn(_) | A::SetWithoutCluster(_) => itself(Mode::ShareUpdateExclusive, Work::Brief),
        A::SetOptions(options) => itself(storage_parameters(options.syntax()), Work::Brief),
        A::ResetOptions(options) => itself(storage_parameters(options.syntax()), Work::Brief),
        A::SetTablespace(_) | A::SetLogged(_) | A::SetUnlogged(_) | A::SetAccessMethod(_) => {
            itself(Mode::AccessExclusive, Work::Rewrite)
        }
        A::AttachPartition(_) => (Mode::ShareUpdateExclusive, Work::Brief, Reach::DefaultPartition),
        A::DetachPartition(detach) => match detach.detach_partition_option() {
            Some(_) => itself(Mode::ShareUpdateExclusive, Work::Brief),
            None => itself(Mode::AccessExclusive, Work::Brief),
        },
        A::MergePartitions(_) | A::SplitPartition(_) => itself(Mode::AccessExclusive, Work::Rewrite),
        _ => itself(Mode::AccessExclusive, Work::Brief),
    }
}

/// A column that numbers its rows gives one to each that is there.
fn work_of_type(kind: Option<ast::Type>) -> Work {
    const SERIAL: [&str; 6] = ["serial", "bigserial", "smallserial", "serial2", "serial4", "serial8"];
    let name = kind.and_then(|kind| RelationName::in_node(kind.syntax()));
    let is_serial = name.is_some_and(|name| SERIAL.contains(&name.name.as_str()));
    if is_serial { Work::Rewrite } else { Work::Brief }
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
