//! The roles of the target's server, made anew on a server of the rehearsal's own, so that owners and privileges mean what they mean there.

use crate::{
    error::Result,
    postgres::{Secret, Session, quote_ident, quote_literal},
    throwaway::SUPERUSER,
};

/// The roles of a server, without their passwords.
#[derive(Debug, Clone, Default)]
pub(super) struct Roles {
    roles: Vec<Role>,
    /// Who is a member of whom.
    memberships: Vec<(String, String)>,
}

#[derive(Debug, Clone)]
struct Role {
    name: String,
    /// As `CREATE ROLE` takes them.
    attributes: String,
    /// `ALTER ROLE … SET`, each with its value.
    settings: Vec<String>,
}

impl Roles {
    /// Reads those that the session's role may see: all of them, on every server.
    ///
    /// # Errors
    /// When the catalog cannot be read.
    pub(super) async fn read(session: &Session) -> Result<Self> {
        const DOING: &str = "reading the roles";
        let roles = "SELECT rolname,
                (SELECT string_agg(CASE WHEN has THEN '' ELSE 'NO' END || word, ' ') FROM (VALUES
                    (rolsuper, 'SUPERUSER'), (rolinherit, 'INHERIT'), (rolcreaterole, 'CREATEROLE'), (rolcreatedb, 'CREATEDB'),
                    (rolcanlogin, 'LOGIN'), (rolreplication, 'REPLICATION'), (rolbypassrls, 'BYPASSRLS')) AS attributes (has, word)),
                to_json(coalesce(rolconfig, '{}'))::text
            FROM pg_catalog.pg_roles WHERE rolname !~ '^pg_' ORDER BY rolname";
        let members = "SELECT r.rolname, m.rolname FROM pg_catalog.pg_auth_members a
            JOIN pg_catalog.pg_roles r ON r.oid = a.roleid JOIN pg_catalog.pg_roles m ON m.oid = a.member ORDER BY 1, 2";
        let roles = session.texts(DOING, roles).await?.into_iter().filter_map(|row| {
            let [Some(name), attributes, settings] = <[Option<String>; 3]>::try_from(row).ok()? else { return None };
            let settings = settings.and_then(|text| serde_json::from_str(&text).ok()).unwrap_or_default();
            Some(Role { name, attributes: attributes.unwrap_or_default(), settings })
        });
        let roles = roles.collect();
        let memberships = session.texts(DOING, members).await?.into_iter().filter_map(|row| match row.as_slice() {
            [Some(role), Some(member)] => Some((role.clone(), member.clone())),
            _ => None,
        });
        Ok(Self { roles, memberships: memberships.collect() })
    }
}

/// Makes them; the server's own superuser stays what it is. What cannot be carried over is logged: a setting of an extension that is not there, for one.
///
/// # Errors
/// When a role cannot be made.
pub(super) async fn make(admin: &Session, roles: &Roles) -> Result<()> {
    const DOING: &str = "making the roles of the target on the rehearsal's server";
    let mut making = String::new();
    for Role { name, attributes, .. } in roles.roles.iter().filter(|role| role.name != SUPERUSER) {
        let (quoted, literal) = (quote_ident(name), quote_literal(name));
        making += &format!(
            "DO $do$ BEGIN IF NOT EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname = {literal}) THEN
                 CREATE ROLE {quoted}; END IF; END $do$;
             ALTER ROLE {quoted} {attributes};"
        );
    }
    admin.batch(DOING, &making).await?;
    let memberships = roles
        .memberships
        .iter()
        .map(|(role, member)| format!("GRANT {} TO {}", quote_ident(role), quote_ident(member)));
    let settings = roles.roles.iter().flat_map(|role| {
        role.settings.iter().filter_map(|setting| {
            let (name, value) = setting.split_once('=')?;
            Some(format!("ALTER ROLE {} SET {name} TO {}", quote_ident(&role.name), quote_literal(value)))
        })
    });
    for sql in memberships.chain(settings) {
        if let Err(error) = admin.batch(DOING, &sql).await {
            // The value of a setting may be a secret.
            let what = sql.split(" TO ").next().unwrap_or_default();
            tracing::warn!(cause = error.report().causes.join("; "), "not carried over to the rehearsal: {what}");
        }
    }
    Ok(())
}

/// Lets a role log in with this password.
///
/// # Errors
/// When there is no such role.
pub(super) async fn let_in(admin: &Session, user: &str, password: Option<&Secret>) -> Result<()> {
    let password = quote_literal(password.map_or("", Secret::reveal));
    let sql = format!("ALTER ROLE {} LOGIN PASSWORD {password}", quote_ident(user));
    admin.batch("letting the role of the runs in", &sql).await
}
