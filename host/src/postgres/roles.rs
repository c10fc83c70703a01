//! The roles of a database that is migrated with few privileges, as SQL for a superuser to run.

use super::{history, history::History, journal, progress, quote_ident, quote_literal, seal, tables};

/// The names of the roles.
#[derive(Debug, Clone)]
pub struct Roles {
    /// Logs in for runs, and may do nothing but take on `owner` and `backup`.
    pub runner: String,
    /// Owns what migrations make.
    pub owner: String,
    /// Owns the history and the journal.
    pub history: String,
    /// Reads everything.
    pub backup: String,
    /// Logs in for restores, and owns the database.
    pub restore: String,
}

impl Roles {
    /// `<prefix>_runner`, `<prefix>_owner` and so on; the owner may be one that there is already.
    pub fn named(prefix: &str, owner: Option<&str>) -> Self {
        let name = |purpose: &str| format!("{prefix}_{purpose}");
        Self {
            runner: name("runner"),
            owner: owner.map_or_else(|| name("owner"), str::to_owned),
            history: name("history"),
            backup: name("backup"),
            restore: name("restore"),
        }
    }

    /// The statements that make the roles, give each what it needs, and hand the tables of the history over to their own role. They
    /// can be run again; the tables are made, or brought up to date, where they are not.
    pub fn sql(&self, history: &History) -> String {
        let Self { runner, owner, history: keeper, backup, restore } = self;
        let [runner_, owner_, keeper_, backup_, restore_] =
            [runner, owner, keeper, backup, restore].map(|role| quote_ident(role));
        let [runner_text, owner_text, keeper_text, backup_text, restore_text] =
            [runner, owner, keeper, backup, restore].map(|role| quote_literal(role));
        let schema = quote_ident(history.schema());
        let schema_text = quote_literal(history.schema());
        let table = |name: &str| format!("{schema}.{}", quote_ident(name));
        let (rows, journal, progress, seal) =
            (table(history::TABLE), table(journal::TABLE), table(progress::TABLE), table(seal::TABLE));
        let tables = [&rows, &journal, &progress, &seal].map(String::as_str).join(", ");
        // The name that the server gives to the sequence of an identity column; a backup reads it.
        let sequence = table(&format!("{}_id_seq", journal::TABLE));
        let alter = |kind: &str, name: &str| format!("ALTER {kind} {name} OWNER TO {keeper_};\n");
        let handed_over: String = [&rows, &journal, &progress, &seal].map(|name| alter("TABLE", name)).concat()
            + &journal::FUNCTIONS.map(|name| alter("FUNCTION", &format!("{schema}.{name}()"))).concat();
        format!(
            "-- Roles for lockgate {version}. Run this as a superuser in the database that is to be migrated, and again after an update of
-- lockgate. What there is already stays; passwords are yours to set: \\password {runner}, \\password {restore}.

BEGIN;
SET LOCAL client_min_messages = warning;

DO $do$
DECLARE role record;
BEGIN
    FOR role IN SELECT * FROM (VALUES
        ({runner_text}, 'logs in for migrations; may only take on the roles of owner and backup'),
        ({owner_text}, 'owns what migrations make'),
        ({keeper_text}, 'owns the history and the journal of migrations'),
        ({backup_text}, 'reads everything, for backups'),
        ({restore_text}, 'logs in for restores; owns the database')) AS wanted (name, purpose)
    WHERE NOT EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname = wanted.name)
    LOOP
        EXECUTE format('CREATE ROLE %I', role.name);
        EXECUTE format('COMMENT ON ROLE %I IS %L', role.name, role.purpose);
    END LOOP;
    -- Whoever owns the database owns its schema public, and could drop the history there.
    EXECUTE format('ALTER DATABASE %I OWNER TO %I', current_database(), {restore_text});
    EXECUTE format('GRANT CONNECT ON DATABASE %I TO %I', current_database(), {runner_text});
    EXECUTE format('GRANT CREATE, TEMPORARY ON DATABASE %I TO %I', current_database(), {owner_text});
END $do$;

ALTER ROLE {runner_} LOGIN NOINHERIT;
ALTER ROLE {backup_} BYPASSRLS;
ALTER ROLE {restore_} LOGIN CREATEDB;
GRANT {owner_}, {backup_} TO {runner_};
GRANT pg_read_all_data TO {backup_};
-- pg_restore gives everything back to its owner; the swap ends the sessions of others.
GRANT {owner_}, {keeper_}, pg_signal_backend TO {restore_};
GRANT USAGE, CREATE ON SCHEMA public TO {owner_};

-- The history, the journal, the progress and the seal.
CREATE SCHEMA IF NOT EXISTS {schema};
DO $do$ BEGIN
    IF {schema_text} <> 'public' AND (SELECT nspowner = current_user::regrole FROM pg_catalog.pg_namespace WHERE nspname = {schema_text}) THEN
        ALTER SCHEMA {schema} OWNER TO {keeper_};
    ELSIF (SELECT pg_has_role({owner_text}, nspowner, 'USAGE') FROM pg_catalog.pg_namespace WHERE nspname = {schema_text}) THEN
        RAISE WARNING 'the schema % belongs to %, who can drop the history in it', {schema_text}, {owner_text};
    END IF;
END $do$;
{ddl}
{handed_over}REVOKE ALL ON {tables} FROM PUBLIC, {owner_}, {runner_}, {backup_};
GRANT USAGE ON SCHEMA {schema} TO {owner_}, {backup_};
-- DELETE, because down takes the row away that up has written. Nobody may change a row.
GRANT SELECT, INSERT, DELETE ON {rows}, {seal} TO {owner_};
GRANT SELECT, INSERT ON {journal} TO {owner_}, {backup_};
GRANT SELECT ON SEQUENCE {sequence} TO {owner_};
GRANT SELECT, INSERT, UPDATE, DELETE ON {progress} TO {owner_};
COMMIT;
",
            version = env!("CARGO_PKG_VERSION"),
            ddl = tables::ddl(history),
        )
    }
}
