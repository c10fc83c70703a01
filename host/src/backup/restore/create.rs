//! An empty database like another, and then what neither a dump nor a rename carries over: privileges, settings, connection limit.
//!
//! Every statement is built here, from names and values that are quoted here: the properties may come from a file.

use crate::{
    backup::{Privilege, Properties, Setting},
    error::Result,
    failpoint::Failpoint,
    postgres::{Session, quote_ident, quote_literal, set_clause},
};

/// Makes the database and gives it its settings. What could not be set is returned.
///
/// It is closed until it carries the mark by which the next restore knows it: so one that does not carry it holds nothing.
///
/// # Errors
/// When there is no new database.
pub(super) async fn create(
    admin: &Session,
    fresh: &str,
    properties: &Properties,
    owner: &str,
    mark: &str,
) -> Result<Vec<String>> {
    const DOING: &str = "making the new database";
    admin.batch(DOING, &create_sql(admin.server.major(), fresh, properties, owner)).await?;
    Failpoint::DatabaseMade.pass();
    let name = quote_ident(fresh);
    // Nobody but who fills it gets in: the login that the session began with, where that is not the owner.
    let open = format!(
        "BEGIN; COMMENT ON DATABASE {name} IS {}; REVOKE ALL ON DATABASE {name} FROM PUBLIC;
         GRANT CONNECT, TEMPORARY ON DATABASE {name} TO SESSION_USER;
         ALTER DATABASE {name} ALLOW_CONNECTIONS true; COMMIT",
        quote_literal(mark)
    );
    admin.batch(DOING, &open).await?;
    Failpoint::DatabaseMarked.pass();
    Ok(set(admin, fresh, &properties.settings).await)
}

/// Gives it settings. What could not be set is returned.
pub(super) async fn set(admin: &Session, fresh: &str, settings: &[Setting]) -> Vec<String> {
    try_each(admin, settings.iter().map(|setting| Statement::of(fresh, setting))).await
}

/// Gives it its privileges and its connection limit, which would be in the way of whoever fills it.
pub(super) async fn dress(admin: &Session, fresh: &str, properties: &Properties) -> Vec<String> {
    // What PostgreSQL gives where nobody says otherwise. Until now nobody was let in.
    let usual =
        ["CONNECT", "TEMPORARY"].map(|word| Privilege { grantee: None, privilege: word.into(), grantable: false });
    let privileges = properties.privileges.as_deref().unwrap_or(&usual);
    let not_the_owners = format!(
        "DO $do$ BEGIN IF session_user <> {} THEN REVOKE ALL ON DATABASE {} FROM SESSION_USER; END IF; END $do$",
        quote_literal(&properties.owner),
        quote_ident(fresh)
    );
    let mut statements = vec![not_the_owners];
    statements.extend(privileges.iter().filter_map(|privilege| grant_sql(fresh, privilege)));
    if properties.connection_limit >= 0 {
        let limit = properties.connection_limit;
        statements.push(format!("ALTER DATABASE {} CONNECTION LIMIT {limit}", quote_ident(fresh)));
    }
    try_each(admin, statements.into_iter().map(Statement::open)).await
}

/// A statement, and what may be told of it.
struct Statement {
    sql: String,
    told: String,
    /// What must never be told. May be empty.
    secret: String,
}

impl Statement {
    fn open(sql: String) -> Self {
        Self { told: sql.clone(), sql, secret: String::new() }
    }

    /// The value of a setting may be a password: its name is told, and no more.
    fn of(fresh: &str, setting: &Setting) -> Self {
        let told = format!("ALTER {} SET {}", altered(fresh, setting), quote_ident(&setting.name));
        Self { sql: setting_sql(fresh, setting), told, secret: setting.value.clone() }
    }

    /// What the server says of it may quote the value.
    fn without_secret(&self, cause: &str) -> String {
        if self.secret.is_empty() { cause.to_owned() } else { cause.replace(&self.secret, "…") }
    }
}

/// What only a superuser may set, or what names a role that is not there, is told; the data matters more.
async fn try_each(admin: &Session, statements: impl Iterator<Item = Statement>) -> Vec<String> {
    let mut failed = Vec::new();
    for statement in statements {
        if let Err(error) = admin.batch("setting up the new database", &statement.sql).await {
            let (told, cause) = (&statement.told, statement.without_secret(&error.report().causes.join("; ")));
            tracing::warn!(cause, "not carried over: {told}");
            failed.push(format!("not carried over: {told} ({cause})"));
        }
    }
    failed
}

fn create_sql(major: u32, fresh: &str, properties: &Properties, owner: &str) -> String {
    let Properties { encoding, collate, ctype, locale_provider, locale, .. } = properties;
    // Providers came with 15. Left alone, the template's is taken, whatever the locales say.
    let provider = match (locale_provider.as_deref(), locale) {
        _ if major < 15 => String::new(),
        (Some("icu"), Some(locale)) => format!(" LOCALE_PROVIDER icu ICU_LOCALE {}", quote_literal(locale)),
        (Some("builtin"), Some(locale)) => format!(" LOCALE_PROVIDER builtin BUILTIN_LOCALE {}", quote_literal(locale)),
        _ => " LOCALE_PROVIDER libc".into(),
    };
    format!(
        "CREATE DATABASE {} TEMPLATE template0 ENCODING {} LC_COLLATE {} LC_CTYPE {}{provider} OWNER {} ALLOW_CONNECTIONS false",
        quote_ident(fresh),
        quote_literal(encoding),
        quote_literal(collate),
        quote_literal(ctype),
        quote_ident(owner)
    )
}

/// None for a word that is no privilege.
fn grant_sql(fresh: &str, privilege: &Privilege) -> Option<String> {
    let word = ["CONNECT", "CREATE", "TEMPORARY"].into_iter().find(|word| *word == privilege.privilege)?;
    let grantee = privilege.grantee.as_deref().map_or("PUBLIC".to_owned(), quote_ident);
    let on = if privilege.grantable { " WITH GRANT OPTION" } else { "" };
    Some(format!("GRANT {word} ON DATABASE {} TO {grantee}{on}", quote_ident(fresh)))
}

/// Whom a setting is set for.
fn altered(fresh: &str, setting: &Setting) -> String {
    match &setting.role {
        None => format!("DATABASE {}", quote_ident(fresh)),
        Some(role) => format!("ROLE {} IN DATABASE {}", quote_ident(role), quote_ident(fresh)),
    }
}

fn setting_sql(fresh: &str, setting: &Setting) -> String {
    format!("ALTER {} {}", altered(fresh, setting), set_clause(&setting.name, &setting.value))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn setting(role: Option<&str>, name: &str, value: &str) -> Setting {
        Setting { role: role.map(Into::into), name: name.into(), value: value.into() }
    }

    #[test]
    fn a_list_of_names_stays_one() {
        let statement = setting_sql("x", &setting(None, "search_path", "\"it's\", pg_temp"));
        assert_eq!(statement, "ALTER DATABASE \"x\" SET \"search_path\" TO 'it''s', 'pg_temp'");
    }

    #[test]
    fn nothing_that_a_manifest_says_leaves_its_quotes() {
        let evil = "x'; DROP DATABASE y; --";
        let statement = setting_sql("n", &setting(Some("r\"; --"), "work_mem", evil));
        assert_eq!(
            statement,
            "ALTER ROLE \"r\"\"; --\" IN DATABASE \"n\" SET \"work_mem\" TO 'x''; DROP DATABASE y; --'"
        );
        let privilege = Privilege { grantee: None, privilege: evil.into(), grantable: false };
        assert_eq!(grant_sql("n", &privilege), None);
    }

    #[test]
    fn the_value_of_a_setting_is_not_told() {
        let statement = Statement::of("n", &setting(Some("r"), "app.secret", "hush"));
        assert!(statement.sql.ends_with("TO 'hush'"));
        assert_eq!(statement.told, "ALTER ROLE \"r\" IN DATABASE \"n\" SET \"app.secret\"");
        let cause = "invalid value for parameter \"app.secret\": \"hush\"";
        assert_eq!(statement.without_secret(cause), "invalid value for parameter \"app.secret\": \"…\"");
        let empty = Statement::of("n", &setting(None, "app.secret", ""));
        assert_eq!(empty.without_secret(cause), cause);
    }

    #[test]
    fn the_locale_provider_is_said_where_there_are_providers() {
        let mut properties = Properties {
            owner: "o".into(),
            encoding: "UTF8".into(),
            collate: "C".into(),
            ctype: "C".into(),
            ..Properties::default()
        };
        let start = "CREATE DATABASE \"n\" TEMPLATE template0 ENCODING 'UTF8' LC_COLLATE 'C' LC_CTYPE 'C'";
        let end = " OWNER \"o\" ALLOW_CONNECTIONS false";
        assert_eq!(create_sql(14, "n", &properties, "o"), format!("{start}{end}"));
        assert_eq!(create_sql(15, "n", &properties, "o"), format!("{start} LOCALE_PROVIDER libc{end}"));
        (properties.locale_provider, properties.locale) = (Some("icu".into()), Some("de-AT".into()));
        assert_eq!(
            create_sql(15, "n", &properties, "o"),
            format!("{start} LOCALE_PROVIDER icu ICU_LOCALE 'de-AT'{end}")
        );
    }
}
