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
    /// `ADD FOREIGN KEY`, the constraint as it is written.
    AddForeignKey { constraint: String, name: Option<String> },
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
                forms: alter.actions().filter_map(|action| form(&action)).collect(),
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
        A::AddColumn(column) => Form::AddColumn {
            column: column.column_name().map(|name| text(name.syntax())).unwrap_or_default(),
            kind: column.ty().map(|ty| text(ty.syntax())).unwrap_or_default(),
        },
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
        Constraint::ForeignKeyConstraint(_) | Constraint::ReferencesConstraint(_) => {
            Form::AddForeignKey { constraint: written, name }
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
