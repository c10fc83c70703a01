//! What a statement makes and what it drops.

use squawk_syntax::{
    SyntaxKind, SyntaxNode,
    ast::{self, AlterTableAction as A, AstNode, Stmt},
};

use crate::locks::RelationName;

/// What kind of thing it is, as far as names are concerned: two of one kind cannot have the same name in a schema.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// Tables, views, sequences and whatever else is a relation, but for indexes.
    Relation,
    Index,
    Column,
    Constraint,
    Trigger,
    Policy,
    Rule,
    Routine,
    Type,
    Schema,
    Extension,
    Publication,
    Statistics,
}

impl Kind {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Relation => "relation",
            Self::Index => "index",
            Self::Column => "column",
            Self::Constraint => "constraint",
            Self::Trigger => "trigger",
            Self::Policy => "policy",
            Self::Rule => "rule",
            Self::Routine => "function",
            Self::Type => "type",
            Self::Schema => "schema",
            Self::Extension => "extension",
            Self::Publication => "publication",
            Self::Statistics => "statistics",
        }
    }
}

/// Something with a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Object {
    pub(super) kind: Kind,
    /// `None` where the server is to choose it.
    pub(super) name: Option<RelationName>,
    /// The table that it belongs to.
    pub(super) of: Option<RelationName>,
    /// Where the statement stands for itself: `IF NOT EXISTS`, `OR REPLACE`, `IF EXISTS`.
    pub(super) if_need_be: bool,
}

/// What one statement does to the schema.
#[derive(Debug, Clone, Default)]
pub(super) struct Objects {
    pub(super) made: Vec<Object>,
    pub(super) dropped: Vec<Object>,
    /// Whether it may do more than can be read from it.
    pub(super) unknown: bool,
    /// Whether it takes along what depends on what it drops.
    pub(super) cascades: bool,
}

impl Objects {
    pub(super) fn unknown() -> Self {
        Self { unknown: true, ..Self::default() }
    }

    fn make(&mut self, kind: Kind, name: Option<RelationName>, of: Option<RelationName>, if_need_be: bool) {
        self.made.push(Object { kind, name, of, if_need_be });
    }

    fn drop(&mut self, kind: Kind, name: Option<RelationName>, of: Option<RelationName>, if_need_be: bool) {
        if name.is_some() {
            self.dropped.push(Object { kind, name, of, if_need_be });
        }
    }
}

impl std::fmt::Display for Object {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.name {
            Some(name) => write!(f, "{} `{name}`", self.kind.as_str())?,
            None => write!(f, "{} without a name", self.kind.as_str())?,
        }
        match (&self.of, self.kind) {
            (Some(of), Kind::Column | Kind::Constraint | Kind::Trigger | Kind::Policy | Kind::Rule) => {
                write!(f, " of `{of}`")
            }
            _ => Ok(()),
        }
    }
}

fn path<N: AstNode>(node: Option<N>) -> Option<RelationName> {
    RelationName::in_node(node?.syntax())
}

/// A name that is no path, such as that of a trigger.
fn word<N: AstNode>(node: Option<N>) -> Option<RelationName> {
    RelationName::of_word(node?.syntax())
}

fn has<N: AstNode>(statement: &SyntaxNode) -> bool {
    statement.children().any(|node| N::can_cast(node.kind()))
}

/// What a statement makes and drops.
pub(super) fn objects(statement: &Stmt) -> Objects {
    let syntax = statement.syntax();
    let need = has::<ast::IfNotExists>(syntax) || has::<ast::OrReplace>(syntax) || has::<ast::IfExists>(syntax);
    let mut objects = Objects {
        cascades: syntax.descendants().any(|node| ast::Cascade::can_cast(node.kind())),
        ..Objects::default()
    };
    match statement {
        Stmt::AlterTable(alter) => alter_table(&mut objects, alter),
        Stmt::Do(_) | Stmt::Call(_) | Stmt::Execute(_) | Stmt::ImportForeignSchema(_) | Stmt::DropOwned(_) => {
            objects.unknown = true;
        }
        Stmt::Select(_) | Stmt::CompoundSelect(_) | Stmt::ParenSelect(_) => {
            objects.unknown = syntax.descendants().any(|node| ast::CallExpr::can_cast(node.kind()));
        }
        _ => {
            makes(&mut objects, statement, need);
            drops(&mut objects, statement, need);
            renames(&mut objects, statement);
        }
    }
    objects
}

fn makes(objects: &mut Objects, statement: &Stmt, need: bool) {
    match statement {
        Stmt::CreateTable(s) => {
            // A partition goes with the table that it is a part of.
            let parent = s.syntax().descendants().find_map(ast::PartitionOf::cast);
            let parent = path(parent.and_then(|of| of.table_name_ref()));
            objects.make(Kind::Relation, path(s.table_name()), parent, need);
        }
        Stmt::CreateForeignTable(s) => {
            let name = s.syntax().children().find_map(ast::TableName::cast);
            objects.make(Kind::Relation, path(name), None, need);
        }
        Stmt::CreateTableAs(s) => objects.make(Kind::Relation, path(s.table_name()), None, need),
        Stmt::SelectInto(s) => {
            let name = s.into_clause().and_then(|into| into.table_name());
            objects.make(Kind::Relation, path(name), None, need);
        }
        Stmt::CreateView(s) => objects.make(Kind::Relation, path(s.view()), None, need),
        Stmt::CreateMaterializedView(s) => objects.make(Kind::Relation, path(s.view()), None, need),
        Stmt::CreateSequence(s) => objects.make(Kind::Relation, path(s.sequence()), None, need),
        Stmt::CreateIndex(s) => {
            objects.make(Kind::Index, path(s.index()), path(s.table_relation_name()), need);
        }
        Stmt::CreateTrigger(s) => objects.make(Kind::Trigger, word(s.trigger()), path(s.on_relation()), need),
        Stmt::CreatePolicy(s) => objects.make(Kind::Policy, word(s.policy()), path(s.on_table()), need),
        Stmt::CreateRule(s) => {
            let on = s.rule_on().and_then(|on| on.relation_name_ref());
            objects.make(Kind::Rule, word(s.rule()), path(on), need);
        }
        Stmt::CreateFunction(s) => objects.make(Kind::Routine, path(s.name()), None, need),
        Stmt::CreateProcedure(s) => objects.make(Kind::Routine, path(s.name()), None, need),
        Stmt::CreateType(s) => objects.make(Kind::Type, path(s.type_name()), None, need),
        Stmt::CreateDomain(s) => objects.make(Kind::Type, path(s.domain()), None, need),
        Stmt::CreateSchema(s) => {
            let name = s.schema_name().and_then(|node| RelationName::of_word(&node));
            objects.make(Kind::Schema, name, None, need);
        }
        Stmt::CreateExtension(s) => objects.make(Kind::Extension, word(s.extension()), None, need),
        Stmt::CreatePublication(s) => objects.make(Kind::Publication, word(s.publication()), None, need),
        Stmt::CreateStatistics(s) => objects.make(Kind::Statistics, path(s.statistics()), path(s.from_table()), need),
        _ => {}
    }
}

fn drops(objects: &mut Objects, statement: &Stmt, need: bool) {
    let mut all = |kind: Kind, names: Vec<Option<RelationName>>| {
        names.into_iter().for_each(|name| objects.drop(kind, name, None, need));
    };
    match statement {
        Stmt::DropTable(s) => all(Kind::Relation, s.table_name_refs().map(|name| path(Some(name))).collect()),
        Stmt::DropForeignTable(s) => all(Kind::Relation, s.table_name_refs().map(|name| path(Some(name))).collect()),
        Stmt::DropView(s) => all(Kind::Relation, s.view_refs().map(|name| path(Some(name))).collect()),
        Stmt::DropMaterializedView(s) => all(Kind::Relation, s.view_refs().map(|name| path(Some(name))).collect()),
        Stmt::DropSequence(s) => all(Kind::Relation, s.sequence_refs().map(|name| path(Some(name))).collect()),
        Stmt::DropIndex(s) => all(Kind::Index, s.index_refs().map(|name| path(Some(name))).collect()),
        Stmt::DropFunction(s) => {
            let list = s.function_sig_list().into_iter().flat_map(|list| list.function_sigs());
            all(Kind::Routine, list.map(|sig| path(sig.function_name_ref())).collect());
        }
        Stmt::DropProcedure(s) => {
            let list = s.procedure_sig_list().into_iter().flat_map(|list| list.procedure_sigs());
            all(Kind::Routine, list.map(|sig| path(Some(sig))).collect());
        }
        Stmt::DropRoutine(s) => {
            let list = s.routine_sig_list().into_iter().flat_map(|list| list.routine_sigs());
            all(Kind::Routine, list.map(|sig| path(Some(sig))).collect());
        }
        Stmt::DropType(s) => all(Kind::Type, s.type_name_refs().map(|name| path(Some(name))).collect()),
        Stmt::DropDomain(s) => all(Kind::Type, s.domain_refs().map(|name| path(Some(name))).collect()),
        Stmt::DropSchema(s) => all(Kind::Schema, s.schema_refs().map(|name| word(Some(name))).collect()),
        Stmt::DropExtension(s) => all(Kind::Extension, s.extension_refs().map(|name| word(Some(name))).collect()),
        Stmt::DropPublication(s) => all(Kind::Publication, s.publication_refs().map(|name| word(Some(name))).collect()),
        Stmt::DropStatistics(s) => all(Kind::Statistics, s.statistics_refs().map(|name| path(Some(name))).collect()),
        Stmt::DropTrigger(s) => objects.drop(Kind::Trigger, word(s.trigger_ref()), path(s.on_relation()), need),
        Stmt::DropPolicy(s) => objects.drop(Kind::Policy, word(s.policy_ref()), path(s.on_table()), need),
        Stmt::DropRule(s) => objects.drop(Kind::Rule, word(s.rule_ref()), path(s.on_relation()), need),
        _ => {}
    }
}

/// What gets another name, or another schema, is dropped under the old one and made under the new.
fn renames(objects: &mut Objects, statement: &Stmt) {
    if let Stmt::AlterIndex(s) = statement
        && let Some(ast::AlterIndexAction::IndexRenameTo(to)) = s.action()
    {
        objects.drop(Kind::Index, path(s.index_ref()), None, true);
        objects.make(Kind::Index, path(to.index()), None, true);
        return;
    }
    let alters = matches!(
        statement,
        Stmt::AlterView(_)
            | Stmt::AlterMaterializedView(_)
            | Stmt::AlterSequence(_)
            | Stmt::AlterForeignTable(_)
            | Stmt::AlterFunction(_)
            | Stmt::AlterProcedure(_)
            | Stmt::AlterRoutine(_)
            | Stmt::AlterType(_)
            | Stmt::AlterDomain(_)
            | Stmt::AlterSchema(_)
            | Stmt::AlterTrigger(_)
            | Stmt::AlterPolicy(_)
            | Stmt::AlterRule(_)
    );
    // Which of them gives a new name is not told apart: a name that changed is not held against anybody.
    let words = statement.syntax().descendants_with_tokens().filter_map(|element| element.into_token());
    if alters && words.into_iter().any(|token| matches!(token.kind(), SyntaxKind::RENAME_KW | SyntaxKind::SCHEMA_KW)) {
        objects.unknown = true;
    }
}

fn alter_table(objects: &mut Objects, alter: &ast::AlterTable) {
    let table = path(alter.table_relation_name());
    for action in alter.actions() {
        match action {
            A::AddColumn(add) => {
                let need = add.if_not_exists().is_some();
                objects.make(Kind::Column, word(add.column_name()), table.clone(), need);
                // Its constraints get names that the server chooses.
                if add.constraints().next().is_some() {
                    objects.make(Kind::Constraint, None, table.clone(), true);
                    objects.make(Kind::Index, None, table.clone(), true);
                }
            }
            A::DropColumn(drop) => {
                objects.drop(Kind::Column, word(drop.column_name_ref()), table.clone(), drop.if_exists().is_some());
            }
            A::AddConstraint(add) => {
                let name = add.constraint().and_then(|constraint| constraint.constraint_name());
                let name = word(name);
                // An index that it takes over is from then on the constraint's, and has its name.
                let taken_over = match add.constraint() {
                    Some(ast::Constraint::UniqueConstraint(unique)) => unique.using_index(),
                    Some(ast::Constraint::PrimaryKeyConstraint(primary)) => primary.using_index(),
                    _ => None,
                };
                objects.drop(Kind::Index, path(taken_over.and_then(|using| using.index_ref())), table.clone(), false);
                // The index behind it has the same name.
                objects.make(Kind::Index, name.clone(), table.clone(), true);
                objects.make(Kind::Constraint, name, table.clone(), false);
            }
            A::DropConstraint(drop) => {
                let name = drop.constraint_name_ref();
                objects.drop(Kind::Constraint, path(name), table.clone(), drop.if_exists().is_some());
            }
            A::TableRenameTo(to) => {
                objects.drop(Kind::Relation, table.clone(), None, true);
                objects.make(Kind::Relation, path(to.table_name()), None, true);
            }
            A::RenameColumn(rename) => {
                objects.drop(Kind::Column, word(rename.column_name_ref()), table.clone(), true);
                objects.make(Kind::Column, word(rename.column_name()), table.clone(), true);
            }
            A::RenameConstraint(_) | A::SetSchema(_) => objects.unknown = true,
            _ => {}
        }
    }
}
