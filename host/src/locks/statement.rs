//! The locks of each kind of statement, but for `ALTER TABLE`.
//!
//! Source: PostgreSQL manual, 13.3.1 "Table-Level Locks", and the pages of the commands. Locks that a statement takes to read what
//! others may go on reading and writing are left out: nobody but a change of the schema waits for those.

use squawk_syntax::{
    SyntaxNode,
    ast::{self, AstNode, CommentObject, Stmt},
};

use super::{Case, Lock, Locks, Mode, Reach, RelationName, Work, alter_table, case::called};

pub(super) fn locks(statement: &Stmt) -> Locks {
    match statement {
        Stmt::AlterTable(alter) => alter_table::locks(alter),
        Stmt::AlterForeignTable(alter) => alter_table::of_actions(named(alter.table_relation_name()), alter.actions()),
        Stmt::CreateTable(create) => create_table(create.syntax()),
        Stmt::CreateForeignTable(create) => create_table(create.syntax()),
        Stmt::Truncate(truncate) => {
            let reach = if cascades(truncate.syntax()) { Reach::Referencing } else { Reach::Itself };
            let names = truncate.table_list().into_iter().flat_map(|list| list.table_relation_names());
            descending(all(names, Mode::AccessExclusive, reach))
        }
        Stmt::Lock(lock) => {
            let mode = lock.lock_mode_clause().and_then(|clause| clause.lock_mode());
            let mode = mode.map_or(Mode::AccessExclusive, |mode| mode_of(&mode));
            let names = lock.relation_list().into_iter().flat_map(|list| list.relation_names());
            descending(all(names, mode, Reach::Itself))
        }
        Stmt::CommentOn(comment) => commented(comment.comment_object()),
        Stmt::Do(_) => Locks::unknown("what the code of a DO block does is not known"),
        Stmt::Call(_) => Locks::unknown("what a procedure does is not known"),
        Stmt::Execute(_) => Locks::unknown("what a prepared statement does is not known"),
        Stmt::AlterDomain(_) => Locks::unknown("the tables that use a domain are not looked up"),
        Stmt::AlterType(_) => {
            Locks::unknown_if(cascades(statement.syntax()), "the tables that use a type are not looked up")
        }
        Stmt::DropSchema(_) | Stmt::DropOwned(_) | Stmt::DropExtension(_) => {
            Locks::unknown("what it drops with it is not looked up")
        }
        Stmt::DropType(_)
        | Stmt::DropDomain(_)
        | Stmt::DropFunction(_)
        | Stmt::DropProcedure(_)
        | Stmt::DropRoutine(_)
            if cascades(statement.syntax()) =>
        {
            Locks::unknown("what it drops with it is not looked up")
        }
        Stmt::CreateExtension(_) | Stmt::AlterExtension(_) => {
            Locks::unknown("what the script of an extension does is not known")
        }
        Stmt::ImportForeignSchema(_) | Stmt::Reassign(_) => Locks::unknown("what it works on is not looked up"),
        other => indexes(other).or_else(|| drops(other)).or_else(|| rows(other)).unwrap_or_else(|| upkeep(other)),
    }
}

/// Statements on indexes.
fn indexes(statement: &Stmt) -> Option<Locks> {
    Some(match statement {
        Stmt::CreateIndex(create) => {
            let table = named(create.table_relation_name());
            match create.concurrently_token() {
                Some(_) => Locks::one(table, Mode::ShareUpdateExclusive, Work::Scan),
                None => {
                    let mut locks = Locks::one(table, Mode::Share, Work::Rewrite);
                    let only = create.table_relation_name().and_then(|name| name.only_token());
                    let cases = only.map(|_| (Work::Rewrite, Case::OnlyTheParent));
                    locks.taken.iter_mut().for_each(|lock| lock.cases.extend(cases.clone()));
                    locks
                }
            }
        }
        Stmt::DropIndex(drop) => {
            let mode = match drop.concurrently_token() {
                Some(_) => Mode::ShareUpdateExclusive,
                None => Mode::AccessExclusive,
            };
            all(drop.index_refs(), mode, Reach::TableOfIndex)
        }
        Stmt::AlterIndex(alter) => {
            let Some(index) = named(alter.index_ref()) else {
                return Some(Locks::unknown("it alters every index of a tablespace"));
            };
            let (mode, work) = match alter.action() {
                Some(ast::AlterIndexAction::SetTablespace(_)) => (Mode::AccessExclusive, Work::Rewrite),
                Some(ast::AlterIndexAction::AttachIndexPartition(_)) => (Mode::AccessExclusive, Work::Brief),
                _ => (Mode::ShareUpdateExclusive, Work::Brief),
            };
            Locks::one(Some(index), mode, work)
        }
        Stmt::Reindex(reindex) => {
            let concurrently = reindex.is_concurrently();
            let (mode, work) = match concurrently {
                true => (Mode::ShareUpdateExclusive, Work::Scan),
                false => (Mode::Share, Work::Rewrite),
            };
            match reindex.reindex_target() {
                Some(ast::ReindexTarget::ReindexTargetTable(target)) => {
                    Locks::one(named(target.table_name_ref()), mode, work)
                }
                Some(ast::ReindexTarget::ReindexTargetIndex(target)) => {
                    let mut locks = Locks::one(named(target.index_ref()), mode, work);
                    locks.taken.iter_mut().for_each(|lock| lock.reach = Reach::TableOfIndex);
                    locks
                }
                _ => Locks::unknown("it works on every table of a schema or of the database"),
            }
        }
        _ => return None,
    })
}

/// Statements that drop relations, or what belongs to one.
fn drops(statement: &Stmt) -> Option<Locks> {
    let exclusive = |name: Option<RelationName>| Locks::one(name, Mode::AccessExclusive, Work::Brief);
    Some(match statement {
        Stmt::DropTable(drop) => {
            let reach = if cascades(drop.syntax()) { Reach::BothEnds } else { Reach::Referenced };
            all(drop.table_name_refs(), Mode::AccessExclusive, reach)
        }
        Stmt::DropForeignTable(drop) => all(drop.table_name_refs(), Mode::AccessExclusive, Reach::Itself),
        Stmt::DropView(drop) => all(drop.view_refs(), Mode::AccessExclusive, Reach::Itself),
        Stmt::DropMaterializedView(drop) => all(drop.view_refs(), Mode::AccessExclusive, Reach::Itself),
        Stmt::DropSequence(drop) => all(drop.sequence_refs(), Mode::AccessExclusive, Reach::Itself),
        Stmt::CreateTrigger(create) => {
            let mut locks = Locks::one(named(create.on_relation()), Mode::ShareRowExclusive, Work::Brief);
            let other = create.from_table().and_then(|from| RelationName::in_node(from.syntax()));
            locks.taken.extend(other.map(|other| Lock::new(other, Mode::AccessShare, Work::Brief)));
            locks
        }
        Stmt::DropTrigger(drop) => exclusive(named(drop.on_relation())),
        Stmt::AlterTrigger(alter) => exclusive(named(alter.on_relation())),
        Stmt::CreateRule(create) => {
            let on = create.syntax().children().find_map(ast::RuleOn::cast);
            exclusive(on.and_then(|on| named(on.relation_name_ref())))
        }
        Stmt::DropRule(drop) => exclusive(named(drop.on_relation())),
        Stmt::AlterRule(alter) => exclusive(named(alter.on_relation())),
        Stmt::CreatePolicy(create) => exclusive(named(create.on_table())),
        Stmt::AlterPolicy(alter) => exclusive(named(alter.on_table())),
        Stmt::DropPolicy(drop) => exclusive(named(drop.on_table())),
        _ => return None,
    })
}

/// Statements that write rows.
fn rows(statement: &Stmt) -> Option<Locks> {
    let rows = |name: Option<RelationName>| Locks::one(name, Mode::RowExclusive, Work::Rows);
    Some(match statement {
        Stmt::Insert(insert) => rows(named(insert.relation_name_ref())),
        Stmt::Update(update) => descending(rows(named(update.relation_name()))),
        Stmt::Delete(delete) => descending(rows(named(delete.relation_name()))),
        Stmt::Merge(merge) => rows(named(merge.table_relation_name())),
        Stmt::Copy(copy) => match copy.copy_direction() {
            Some(ast::CopyDirection::CopyFrom(_)) => rows(named(copy.copy_table())),
            _ => Locks::default(),
        },
        Stmt::Select(_) | Stmt::SelectInto(_) | Stmt::CompoundSelect(_) | Stmt::ParenSelect(_) => {
            Locks::unknown_if(calls_something(statement.syntax()), "what the functions that it calls do is not known")
        }
        _ => return None,
    })
}

/// All the rest.
fn upkeep(statement: &Stmt) -> Locks {
    match statement {
        Stmt::Refresh(refresh) => {
            let mode = match refresh.concurrently_token() {
                Some(_) => Mode::Exclusive,
                None => Mode::AccessExclusive,
            };
            Locks::one(named(refresh.view_ref()), mode, Work::Rewrite)
        }
        Stmt::Cluster(cluster) => {
            let legacy = cluster.cluster_legacy().and_then(|legacy| legacy.on_path());
            match named(cluster.table_name_ref()).or_else(|| named(legacy)) {
                Some(table) => Locks::one(Some(table), Mode::AccessExclusive, Work::Rewrite),
                None => Locks::unknown("it works on every table that was clustered before"),
            }
        }
        Stmt::Vacuum(vacuum) => {
            let (mode, work) = match vacuum.is_full() {
                true => (Mode::AccessExclusive, Work::Rewrite),
                false => (Mode::ShareUpdateExclusive, Work::Scan),
            };
            tables_of(vacuum.table_and_columns_list(), mode, work)
        }
        Stmt::Analyze(analyze) => tables_of(analyze.table_and_columns_list(), Mode::ShareUpdateExclusive, Work::Brief),
        Stmt::Repack(repack) => tables_of(repack.table_and_columns_list(), Mode::AccessExclusive, Work::Rewrite),
        Stmt::CreateStatistics(create) => {
            Locks::one(named(create.from_table()), Mode::ShareUpdateExclusive, Work::Brief)
        }
        Stmt::CreateView(create) if create.or_replace().is_some() => {
            Locks::one(named(create.view()), Mode::AccessExclusive, Work::Brief)
        }
        Stmt::AlterView(alter) => Locks::one(named(alter.view_ref()), Mode::AccessExclusive, Work::Brief),
        Stmt::AlterMaterializedView(alter) => match named(alter.view_ref()) {
            Some(view) => Locks::one(Some(view), Mode::AccessExclusive, Work::Brief),
            None => Locks::unknown("it alters every materialized view of a tablespace"),
        },
        Stmt::AlterSequence(alter) => Locks::one(named(alter.sequence_ref()), Mode::ShareRowExclusive, Work::Brief),
        Stmt::CreatePublication(_) | Stmt::AlterPublication(_) => {
            let tables = statement.syntax().descendants().filter_map(ast::TableRelationName::cast);
            all(tables, Mode::ShareUpdateExclusive, Reach::Itself)
        }
        _ => Locks::default(),
    }
}

fn create_table(create: &SyntaxNode) -> Locks {
    let name = create.children().find_map(ast::TableName::cast).and_then(|name| RelationName::in_node(name.syntax()));
    let mut taken: Vec<Lock> = Vec::new();
    let mut take = |node: &SyntaxNode, mode, reach| {
        if let Some(other) = RelationName::in_node(node).filter(|other| name.as_ref() != Some(other))
            && !taken.iter().any(|lock| lock.relation == other)
        {
            taken.push(Lock::new(other, mode, Work::Brief).reaching(reach));
        }
    };
    for node in create.descendants() {
        if let Some(key) = ast::ForeignKeyConstraint::cast(node.clone()).and_then(|key| key.table_name_ref()) {
            take(key.syntax(), Mode::ShareRowExclusive, Reach::Itself);
        } else if let Some(key) = ast::ReferencesConstraint::cast(node.clone()).and_then(|key| key.table()) {
            take(key.syntax(), Mode::ShareRowExclusive, Reach::Itself);
        } else if let Some(parent) = ast::PartitionOf::cast(node.clone()).and_then(|of| of.table_name_ref()) {
            take(parent.syntax(), Mode::AccessExclusive, Reach::DefaultPartition);
        } else if let Some(inherits) = ast::Inherits::cast(node) {
            for parent in inherits.table_name_refs() {
                take(parent.syntax(), Mode::ShareUpdateExclusive, Reach::Itself);
            }
        }
    }
    Locks { taken, ..Locks::default() }
}

fn commented(object: Option<CommentObject>) -> Locks {
    let brief = |name: Option<RelationName>| Locks::one(name, Mode::ShareUpdateExclusive, Work::Brief);
    match object {
        Some(CommentObject::ObjectTable(object)) => brief(RelationName::in_node(object.syntax())),
        Some(CommentObject::ObjectView(object)) => brief(RelationName::in_node(object.syntax())),
        Some(CommentObject::ObjectMaterializedView(object)) => brief(RelationName::in_node(object.syntax())),
        Some(CommentObject::ObjectSequence(object)) => brief(RelationName::in_node(object.syntax())),
        Some(CommentObject::ObjectColumn(object)) => brief(RelationName::before_column(object.syntax())),
        Some(CommentObject::ObjectConstraint(object)) => brief(named(object.table_name_ref())),
        Some(CommentObject::ObjectTrigger(object)) => brief(named(object.relation_name_ref())),
        _ => Locks::default(),
    }
}

fn tables_of(list: Option<ast::TableAndColumnsList>, mode: Mode, work: Work) -> Locks {
    let Some(list) = list else { return Locks::unknown("it works on every table of the database") };
    let names = list.table_and_columnss().filter_map(|table| named(table.table_relation_name()));
    Locks { taken: names.map(|name| Lock::new(name, mode, work)).collect(), ..Locks::default() }
}

fn named<N: AstNode>(node: Option<N>) -> Option<RelationName> {
    RelationName::in_node(node?.syntax())
}

fn all<N: AstNode>(nodes: impl Iterator<Item = N>, mode: Mode, reach: Reach) -> Locks {
    let names = nodes.filter_map(|node| RelationName::in_node(node.syntax()));
    let taken = names.map(|name| Lock::new(name, mode, Work::Brief).reaching(reach)).collect();
    Locks { taken, ..Locks::default() }
}

/// The same of the tables that inherit from each.
fn descending(mut locks: Locks) -> Locks {
    locks.taken.iter_mut().for_each(|lock| lock.descends = true);
    locks
}

/// The relations whose rows a statement reads when it runs: not those of a view or a function that it makes.
pub(super) fn reads(statement: &Stmt) -> Vec<Lock> {
    let reads_now = matches!(
        statement,
        Stmt::Select(_)
            | Stmt::SelectInto(_)
            | Stmt::CompoundSelect(_)
            | Stmt::ParenSelect(_)
            | Stmt::Table(_)
            | Stmt::CreateTableAs(_)
            | Stmt::CreateMaterializedView(_)
            | Stmt::Insert(_)
            | Stmt::Update(_)
            | Stmt::Delete(_)
            | Stmt::Merge(_)
            | Stmt::Copy(_)
    );
    let leaves_it_empty = statement.syntax().descendants().any(|node| ast::WithNoData::can_cast(node.kind()));
    if !reads_now || leaves_it_empty {
        return Vec::new();
    }
    let nodes = || statement.syntax().descendants();
    let in_with: Vec<RelationName> =
        nodes().filter_map(ast::CteName::cast).filter_map(|name| RelationName::of_word(name.syntax())).collect();
    let copied = match statement {
        Stmt::Copy(copy) if matches!(copy.copy_direction(), Some(ast::CopyDirection::CopyTo(_))) => {
            named(copy.copy_table())
        }
        Stmt::Table(table) => named(table.relation_name()),
        _ => None,
    };
    let from = nodes().filter_map(ast::RelationFromItem::cast).filter_map(|item| named(item.relation_name_ref()));
    let read = |name| Lock { descends: true, ..Lock::new(name, Mode::AccessShare, Work::Scan) };
    from.chain(copied).filter(|name| !in_with.contains(name)).map(read).collect()
}

fn cascades(statement: &SyntaxNode) -> bool {
    statement.descendants().any(|node| ast::Cascade::can_cast(node.kind()))
}

/// Whether a query calls a function; `count(*)` and the like do no harm, but which do is not for us to say. These do what their names
/// say, on no table.
fn calls_something(query: &SyntaxNode) -> bool {
    const HARMLESS: [&str; 6] = ["setval", "nextval", "currval", "set_config", "current_setting", "pg_notify"];
    called(query).any(|name| !HARMLESS.contains(&name.as_str()))
}

fn mode_of(mode: &ast::LockMode) -> Mode {
    match mode {
        ast::LockMode::AccessShare(_) => Mode::AccessShare,
        ast::LockMode::RowShare(_) => Mode::RowShare,
        ast::LockMode::RowExclusive(_) => Mode::RowExclusive,
        ast::LockMode::ShareUpdateExclusive(_) => Mode::ShareUpdateExclusive,
        ast::LockMode::Share(_) => Mode::Share,
        ast::LockMode::ShareRowExclusive(_) => Mode::ShareRowExclusive,
        ast::LockMode::Exclusive(_) => Mode::Exclusive,
        ast::LockMode::AccessExclusive(_) => Mode::AccessExclusive,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `MODE relation` of each lock; `?` for what is not known.
    fn of(sql: &str) -> Vec<String> {
        let Locks { taken, unknown, .. } = Locks::of(sql);
        let taken = taken.iter().map(|lock| format!("{} {} {:?}", lock.mode, lock.relation, lock.work));
        taken.chain(unknown.map(|_| "?".to_owned())).collect()
    }

    #[test]
    fn every_form_of_alter_table_has_its_lock() {
        for (form, lock) in [
            ("ADD COLUMN n int", "ACCESS EXCLUSIVE t Brief"),
            ("ADD COLUMN n int DEFAULT 1", "ACCESS EXCLUSIVE t Brief"),
            ("ADD COLUMN n uuid DEFAULT gen_random_uuid()", "ACCESS EXCLUSIVE t Rewrite"),
            ("ADD COLUMN n int GENERATED ALWAYS AS IDENTITY", "ACCESS EXCLUSIVE t Rewrite"),
            ("ADD COLUMN n bigserial", "ACCESS EXCLUSIVE t Rewrite"),
            ("ADD COLUMN n SERIAL NOT NULL", "ACCESS EXCLUSIVE t Rewrite"),
            ("DROP COLUMN n", "ACCESS EXCLUSIVE t Brief"),
            ("ALTER COLUMN n TYPE bigint", "ACCESS EXCLUSIVE t Rewrite"),
            ("ALTER COLUMN n SET NOT NULL", "ACCESS EXCLUSIVE t Scan"),
            ("ALTER COLUMN n SET DEFAULT 1", "ACCESS EXCLUSIVE t Brief"),
            ("ALTER COLUMN n SET STATISTICS 100", "SHARE UPDATE EXCLUSIVE t Brief"),
            ("ALTER COLUMN n SET STORAGE external", "ACCESS EXCLUSIVE t Brief"),
            ("ADD CONSTRAINT c CHECK (n > 0)", "ACCESS EXCLUSIVE t Scan"),
            ("ADD CONSTRAINT c CHECK (n > 0) NOT VALID", "ACCESS EXCLUSIVE t Brief"),
            ("ADD CONSTRAINT c UNIQUE (n)", "ACCESS EXCLUSIVE t Rewrite"),
            ("ADD CONSTRAINT c UNIQUE USING INDEX i", "ACCESS EXCLUSIVE t Brief"),
            ("VALIDATE CONSTRAINT c", "SHARE UPDATE EXCLUSIVE t Scan"),
            ("DROP CONSTRAINT c", "ACCESS EXCLUSIVE t Brief"),
            ("DISABLE TRIGGER g", "SHARE ROW EXCLUSIVE t Brief"),
            ("SET (fillfactor = 70)", "SHARE UPDATE EXCLUSIVE t Brief"),
            ("SET (user_catalog_table = true)", "ACCESS EXCLUSIVE t Brief"),
            ("RESET (autovacuum_enabled)", "SHARE UPDATE EXCLUSIVE t Brief"),
            ("CLUSTER ON i", "SHARE UPDATE EXCLUSIVE t Brief"),
            ("ENABLE ROW LEVEL SECURITY", "ACCESS EXCLUSIVE t Brief"),
            ("RENAME TO u", "ACCESS EXCLUSIVE t Brief"),
            ("OWNER TO somebody", "ACCESS EXCLUSIVE t Brief"),
            ("SET UNLOGGED", "ACCESS EXCLUSIVE t Rewrite"),
        ] {
            assert_eq!(of(&format!("ALTER TABLE t {form}")), [lock], "{form}");
        }
    }

    #[test]
    fn the_strongest_form_counts() {
        assert_eq!(
            of("ALTER TABLE t VALIDATE CONSTRAINT c, ADD COLUMN n int"),
            ["ACCESS EXCLUSIVE t Scan"],
            "and the longest"
        );
    }

    #[test]
    fn both_ends_of_a_foreign_key_are_locked() {
        let both = ["SHARE ROW EXCLUSIVE a.t Scan", "SHARE ROW EXCLUSIVE b.u Scan"];
        assert_eq!(of("ALTER TABLE a.t ADD FOREIGN KEY (x) REFERENCES b.u (id)"), both);
        let briefly = ["SHARE ROW EXCLUSIVE t Brief", "SHARE ROW EXCLUSIVE u Brief"];
        assert_eq!(of("ALTER TABLE t ADD CONSTRAINT c FOREIGN KEY (x) REFERENCES u NOT VALID"), briefly);
        assert_eq!(
            of("ALTER TABLE t ADD COLUMN x int REFERENCES u"),
            ["ACCESS EXCLUSIVE t Scan", "SHARE ROW EXCLUSIVE u Scan"]
        );
        assert_eq!(
            of("CREATE TABLE t (x int REFERENCES u, y int REFERENCES t, FOREIGN KEY (x) REFERENCES v)"),
            ["SHARE ROW EXCLUSIVE u Brief", "SHARE ROW EXCLUSIVE v Brief"]
        );
    }

    #[test]
    fn partitions_lock_their_parents() {
        assert_eq!(of("CREATE TABLE p PARTITION OF t FOR VALUES IN (1)"), ["ACCESS EXCLUSIVE t Brief"]);
        assert_eq!(
            of("ALTER TABLE t ATTACH PARTITION p FOR VALUES IN (1)"),
            ["SHARE UPDATE EXCLUSIVE t Brief", "ACCESS EXCLUSIVE p Scan"]
        );
        assert_eq!(of("ALTER TABLE t DETACH PARTITION p"), ["ACCESS EXCLUSIVE t Brief", "ACCESS EXCLUSIVE p Brief"]);
        assert_eq!(
            of("ALTER TABLE t DETACH PARTITION p CONCURRENTLY"),
            ["SHARE UPDATE EXCLUSIVE t Brief", "ACCESS EXCLUSIVE p Brief"]
        );
    }

    #[test]
    fn other_statements_have_theirs() {
        for (sql, locks) in [
            ("CREATE INDEX ON t (n)", &["SHARE t Rewrite"][..]),
            ("CREATE INDEX CONCURRENTLY i ON t (n)", &["SHARE UPDATE EXCLUSIVE t Scan"]),
            ("DROP INDEX i", &["ACCESS EXCLUSIVE i Brief"]),
            ("DROP INDEX CONCURRENTLY i", &["SHARE UPDATE EXCLUSIVE i Brief"]),
            ("ALTER INDEX i RENAME TO j", &["SHARE UPDATE EXCLUSIVE i Brief"]),
            ("REINDEX TABLE t", &["SHARE t Rewrite"]),
            ("REINDEX (CONCURRENTLY) TABLE t", &["SHARE UPDATE EXCLUSIVE t Scan"]),
            ("CREATE TRIGGER g AFTER INSERT ON t EXECUTE FUNCTION f()", &["SHARE ROW EXCLUSIVE t Brief"]),
            ("DROP TRIGGER g ON t", &["ACCESS EXCLUSIVE t Brief"]),
            ("CREATE RULE r AS ON INSERT TO t DO INSTEAD NOTHING", &["ACCESS EXCLUSIVE t Brief"]),
            ("CREATE POLICY p ON t USING (true)", &["ACCESS EXCLUSIVE t Brief"]),
            ("TRUNCATE t, ONLY s.u", &["ACCESS EXCLUSIVE t Brief", "ACCESS EXCLUSIVE s.u Brief"]),
            ("DROP TABLE IF EXISTS t, u", &["ACCESS EXCLUSIVE t Brief", "ACCESS EXCLUSIVE u Brief"]),
            ("DROP VIEW v", &["ACCESS EXCLUSIVE v Brief"]),
            ("LOCK t", &["ACCESS EXCLUSIVE t Brief"]),
            ("LOCK TABLE t IN SHARE ROW EXCLUSIVE MODE", &["SHARE ROW EXCLUSIVE t Brief"]),
            ("REFRESH MATERIALIZED VIEW m", &["ACCESS EXCLUSIVE m Rewrite"]),
            ("REFRESH MATERIALIZED VIEW CONCURRENTLY m", &["EXCLUSIVE m Rewrite"]),
            ("CLUSTER t USING i", &["ACCESS EXCLUSIVE t Rewrite"]),
            ("CLUSTER", &["?"]),
            ("VACUUM FULL t", &["ACCESS EXCLUSIVE t Rewrite"]),
            ("VACUUM (FULL) t", &["ACCESS EXCLUSIVE t Rewrite"]),
            ("VACUUM t", &["SHARE UPDATE EXCLUSIVE t Scan"]),
            ("ANALYZE t", &["SHARE UPDATE EXCLUSIVE t Brief"]),
            ("COMMENT ON COLUMN s.t.n IS 'x'", &["SHARE UPDATE EXCLUSIVE s.t Brief"]),
            ("COMMENT ON TABLE t IS 'x'", &["SHARE UPDATE EXCLUSIVE t Brief"]),
            ("INSERT INTO t VALUES (1)", &["ROW EXCLUSIVE t Rows"]),
            ("UPDATE t SET n = 1", &["ROW EXCLUSIVE t Rows"]),
            ("WITH x AS (SELECT 1) DELETE FROM ONLY t", &["ROW EXCLUSIVE t Rows"]),
            ("CREATE TABLE t (n int)", &[]),
            ("CREATE FUNCTION f() RETURNS int LANGUAGE sql AS 'SELECT 1'", &[]),
            ("DO $$ BEGIN END $$", &["?"]),
            ("CALL p()", &["?"]),
            ("SELECT f()", &["?"]),
            ("SELECT setval('sq', 5), pg_catalog.set_config('a.b', 'c', false)", &[]),
            ("SELECT setval('sq', f())", &["?"]),
            ("SELECT 1", &[]),
            ("ALTER TABLE t FROBNICATE", &["?"]),
        ] {
            assert_eq!(of(sql), locks, "{sql}");
        }
    }

    #[test]
    fn what_a_statement_reads_is_known() {
        let of = |sql: &str| Locks::of(sql).reads.iter().map(|lock| lock.relation.to_string()).collect::<Vec<_>>();
        for (sql, read) in [
            ("SELECT 1 FROM t, s.u JOIN v ON true", &["t", "s.u", "v"][..]),
            ("CREATE TABLE n AS SELECT * FROM t", &["t"]),
            ("CREATE TABLE n AS SELECT * FROM t WITH NO DATA", &[]),
            ("CREATE MATERIALIZED VIEW n AS SELECT * FROM t", &["t"]),
            ("CREATE VIEW n AS SELECT * FROM t", &[]),
            ("INSERT INTO n SELECT * FROM t", &["t"]),
            ("UPDATE n SET a = (SELECT max(a) FROM t)", &["t"]),
            ("DELETE FROM n USING t", &["t"]),
            ("WITH x AS (SELECT * FROM t) SELECT * FROM x", &["t"]),
            ("COPY t TO STDOUT", &["t"]),
            ("ALTER TABLE t ADD COLUMN n int", &[]),
        ] {
            assert_eq!(of(sql), read, "{sql}");
        }
    }

    #[test]
    fn what_a_drop_reaches_depends_on_cascade() {
        let reach = |sql: &str| Locks::of(sql).taken[0].reach;
        assert_eq!(reach("DROP TABLE t"), Reach::Referenced);
        assert_eq!(reach("DROP TABLE t CASCADE"), Reach::BothEnds);
        assert_eq!(reach("TRUNCATE t"), Reach::Itself);
        assert_eq!(reach("TRUNCATE t CASCADE"), Reach::Referencing);
        assert_eq!(reach("DROP INDEX i"), Reach::TableOfIndex);
        assert_eq!(reach("ALTER TABLE t DROP CONSTRAINT c"), Reach::OfOneConstraint);
        assert_eq!(reach("ALTER TABLE t DROP COLUMN c"), Reach::OfOneConstraint);
        assert_eq!(reach("CREATE TABLE p PARTITION OF t FOR VALUES IN (1)"), Reach::DefaultPartition);
        assert_eq!(reach("ALTER TABLE t ATTACH PARTITION p FOR VALUES IN (1)"), Reach::DefaultPartition);
    }

    #[test]
    fn megabytes_of_rows_are_told_by_their_head() {
        let rows = format!("INSERT INTO t VALUES {}(0)", "(1, 'x'), ".repeat(200_000));
        assert_eq!(of(&rows), ["ROW EXCLUSIVE t Rows"]);
    }
}
