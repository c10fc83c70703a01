//! What a statement is written to do with a table, form by form, with the names that an advice needs.

use squawk_syntax::ast::{self, AlterColumnOption, AlterTableAction, AstNode, Constraint, Stmt};

use crate::locks::{RelationName, parse};

/// A statement.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Statement {
    /// The table that it names first, as it is written.
    pub(super) table: Option<RelationName>,
    pub(super) forms: Vec<Form>,
}

/// One thing that a statement does.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// `ALTER COLUMN … TYPE`
    NewType { column: String, to: String },
    /// `ALTER COLUMN … SET NOT NULL`
    SetNotNull { column: String },
    /// `ADD … CHECK`, the constraint as it is written.
    AddCheck { constraint: String, name: Option<String> },
    /// `ADD FOREIGN KEY`, the constraint as it is written, and the table that it points at.
    AddForeignKey { constraint: String, name: Option<String>, references: Option<RelationName> },
    /// `ADD UNIQUE`, `ADD PRIMARY KEY`, `ADD EXCLUDE`
    AddIndexed { constraint: &'static str, name: Option<String> },
    /// `ADD COLUMN`
    AddColumn { column: String, kind: String },
    /// `SET TABLESPACE` and the like: writes a table anew by its nature.
    Anew(&'static str),
    /// `CREATE INDEX`
    CreateIndex { text: String },
    /// `REINDEX`
    Reindex,
    /// `VALIDATE CONSTRAINT`
    Validate,
    /// `TRUNCATE`
    Truncate,
    /// `UPDATE`, `DELETE`, `INSERT`, `MERGE`, `COPY`
    Rows(&'static str),
}

impl Statement {
    pub(super) fn of(sql: &str) -> Self {
        let Ok(statement) = parse(sql) else { return Self::default() };
        let named = |node: Option<ast::TableRelationName>| node.and_then(|node| RelationName::in_node(node.syntax()));
        let whole = || RelationName::in_node(statement.syntax());
        let one = |table, form| Self { table, forms: vec![form] };
        match &statement {
            Stmt::AlterTable(alter) => Self {
                table: named(alter.table_relation_name()),
                forms: alter.actions().flat_map(|action| forms(&action)).collect(),
            },
            Stmt::CreateIndex(create) => {
                one(named(create.table_relation_name()), Form::CreateIndex { text: text(create.syntax()) })
            }
            Stmt::Reindex(_) => one(None, Form::Reindex),
            Stmt::Cluster(_) => one(whole(), Form::Anew("CLUSTER")),
            Stmt::Vacuum(_) => one(None, Form::Anew("VACUUM FULL")),
            Stmt::Refresh(_) => one(whole(), Form::Anew("REFRESH MATERIALIZED VIEW")),
            Stmt::Truncate(_) => one(whole(), Form::Truncate),
            Stmt::Update(_) => one(whole(), Form::Rows("UPDATE")),
            Stmt::Delete(_) => one(whole(), Form::Rows("DELETE")),
            Stmt::Insert(_) => one(whole(), Form::Rows("INSERT")),
            Stmt::Merge(_) => one(whole(), Form::Rows("MERGE")),
            Stmt::Copy(_) => one(whole(), Form::Rows("COPY")),
            _ => Self::default(),
        }
    }
}

fn forms(action: &AlterTableAction) -> Vec<Form> {
    let AlterTableAction::AddColumn(column) = action else { return form(action).into_iter().collect() };
    let name = column.column_name().map(|name| text(name.syntax())).unwrap_or_default();
    let kind = column.ty().map(|ty| text(ty.syntax())).unwrap_or_default();
    let of_column = column.constraints().filter_map(|written| match constraint(&written)? {
        // Written behind the column, it does not say which column it is of.
        Form::AddForeignKey { constraint, name: named, references } => {
            let from = constraint.to_ascii_uppercase().find("REFERENCES").unwrap_or(0);
            let constraint = format!("FOREIGN KEY ({name}) {}", &constraint[from..]);
            Some(Form::AddForeignKey { constraint, name: named, references })
        }
        // No row has a value in it yet.
        Form::SetNotNull { .. } => None,
        form => Some(form),
    });
    let of_column: Vec<Form> = of_column.collect();
    [Form::AddColumn { column: name, kind }].into_iter().chain(of_column).collect()
}

fn form(action: &AlterTableAction) -> Option<Form> {
    use AlterTableAction as A;
    Some(match action {
        A::AlterColumn(column) => {
            let name = column.column_name_ref().map(|name| text(name.syntax())).unwrap_or_default();
            match column.option()? {
                AlterColumnOption::SetType(set) => {
                    let to = set.ty().map(|ty| text(ty.syntax())).unwrap_or_default();
                    Form::NewType { column: name, to }
                }
                AlterColumnOption::SetNotNull(_) => Form::SetNotNull { column: name },
                AlterColumnOption::SetExpression(_) => Form::Anew("SET EXPRESSION"),
                _ => return None,
            }
        }
        A::AddConstraint(add) => constraint(&add.constraint()?)?,
        A::ValidateConstraint(_) => Form::Validate,
        A::SetTablespace(_) => Form::Anew("SET TABLESPACE"),
        A::SetLogged(_) => Form::Anew("SET LOGGED"),
        A::SetUnlogged(_) => Form::Anew("SET UNLOGGED"),
        A::SetAccessMethod(_) => Form::Anew("SET ACCESS METHOD"),
        A::MergePartitions(_) => Form::Anew("MERGE PARTITIONS"),
        A::SplitPartition(_) => Form::Anew("SPLIT PARTITION"),
        _ => return None,
    })
}

fn constraint(constraint: &Constraint) -> Option<Form> {
    let name = constraint.syntax().descendants().find_map(ast::ConstraintName::cast).map(|name| text(name.syntax()));
    let written = text(constraint.syntax());
    Some(match constraint {
        _ if constraint.is_not_valid() => return None,
        Constraint::CheckConstraint(_) => Form::AddCheck { constraint: written, name },
        Constraint::ForeignKeyConstraint(key) => {
            let references = key.table_name_ref().and_then(|table| RelationName::in_node(table.syntax()));
            Form::AddForeignKey { constraint: written, name, references }
        }
        Constraint::ReferencesConstraint(key) => {
            let references = key.table().and_then(|table| RelationName::in_node(table.syntax()));
            Form::AddForeignKey { constraint: written, name, references }
        }
        Constraint::UniqueConstraint(unique) if unique.using_index().is_none() => {
            Form::AddIndexed { constraint: "UNIQUE", name }
        }
        Constraint::PrimaryKeyConstraint(primary) if primary.using_index().is_none() => {
            Form::AddIndexed { constraint: "PRIMARY KEY", name }
        }
        Constraint::ExcludeConstraint(_) => Form::AddIndexed { constraint: "EXCLUDE", name },
        Constraint::NotNullConstraint(_) => {
            let column = constraint.syntax().descendants().find_map(ast::ColumnNameRef::cast);
            Form::SetNotNull { column: column.map(|column| text(column.syntax())).unwrap_or_default() }
        }
        _ => return None,
    })
}

/// On one line.
fn text(node: &squawk_syntax::SyntaxNode) -> String {
    node.text().to_string().split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn forms(sql: &str) -> Vec<Form> {
        Statement::of(sql).forms
    }

    #[test]
    fn each_form_of_a_statement_has_its_names() {
        let check = Form::AddCheck { constraint: "CONSTRAINT c CHECK (n > 0)".into(), name: Some("c".into()) };
        assert_eq!(
            forms("ALTER TABLE t ALTER n TYPE bigint, ALTER COLUMN m SET NOT NULL, ADD CONSTRAINT c CHECK (n > 0)"),
            [Form::NewType { column: "n".into(), to: "bigint".into() }, Form::SetNotNull { column: "m".into() }, check]
        );
        assert_eq!(Statement::of("ALTER TABLE app.t SET UNLOGGED").table.unwrap().to_string(), "app.t");
        assert_eq!(forms("ALTER TABLE t ADD CHECK (n > 0) NOT VALID"), []);
        assert_eq!(forms("ALTER TABLE t ADD UNIQUE USING INDEX i"), []);
        assert_eq!(forms("TRUNCATE t"), [Form::Truncate]);
    }

    #[test]
    fn a_foreign_key_behind_a_column_is_written_so_that_it_can_stand_alone() {
        let users = Some(RelationName::bare("users"));
        let column = Form::AddColumn { column: "u".into(), kind: "int".into() };
        let constraint = "FOREIGN KEY (u) REFERENCES users (id)".to_owned();
        let key =
            Form::AddForeignKey { constraint: constraint.clone(), name: Some("k".into()), references: users.clone() };
        assert_eq!(forms("ALTER TABLE t ADD COLUMN u int CONSTRAINT k REFERENCES users (id)"), [column, key]);
        let key = Form::AddForeignKey { constraint, name: None, references: users };
        assert_eq!(forms("ALTER TABLE t ADD FOREIGN KEY (u) REFERENCES users (id)"), [key]);
    }

    #[test]
    fn rows_are_told_by_the_head_of_a_statement() {
        let sql = format!("INSERT INTO t VALUES {}(0)", "(1, 'x'), ".repeat(1_000));
        assert_eq!(forms(&sql[..5 * 1024]), [Form::Rows("INSERT")]);
    }
}
