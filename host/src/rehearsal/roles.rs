//! The roles of the target's server, made anew on a server of the rehearsal's own, so that owners and privileges mean what they mean there.

use crate::{
    error::Result,
    postgres::{Secret, Session, quote_ident, quote_literal, set_clause},
    throwaway::SUPERUSER,
};

/// The roles of a server, without their passwords.
#[derive(Debug, Clone, Default)]
pub(super) struct Roles {
    roles: Vec<Role>,
    /// Who is a member of whom.
    memberships: Vec<Membership>,
}

/// A role as a member of another. Who granted it makes no difference to what it may do.
#[derive(Debug, Clone)]
struct Membership {
    role: String,
    member: String,
    admin: bool,
    /// Whether it has its privileges without asking, and whether it may become it: both are said from 16 on.
    inherits: Option<bool>,
    may_set: Option<bool>,
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
        // From 16 on there is a row for each grantor.
        let members = "SELECT r.rolname, m.rolname, bool_or(a.admin_option)::text, bool_or((to_jsonb(a) ->> 'inherit_option')::bool)::text,
                bool_or((to_jsonb(a) ->> 'set_option')::bool)::text
            FROM pg_catalog.pg_auth_members a
            JOIN pg_catalog.pg_roles r ON r.oid = a.roleid JOIN pg_catalog.pg_roles m ON m.oid = a.member GROUP BY 1, 2 ORDER BY 1, 2";
        let roles = session.texts(DOING, roles).await?.into_iter().filter_map(|row| {
            let [Some(name), attributes, settings] = <[Option<String>; 3]>::try_from(row).ok()? else { return None };
            let settings = settings.and_then(|text| serde_json::from_str(&text).ok()).unwrap_or_default();
            Some(Role { name, attributes: attributes.unwrap_or_default(), settings })
        });
        let roles = roles.collect();
        let memberships = session.texts(DOING, members).await?.into_iter().filter_map(|row| match row.as_slice() {
            [Some(role), Some(member), admin, inherits, may_set] => Some(Membership {
                role: role.clone(),
                member: member.clone(),
                admin: admin.as_deref() == Some("true"),
                inherits: inherits.as_ref().map(|text| text == "true"),
                may_set: may_set.as_ref().map(|text| text == "true"),
            }),
            _ => None,
        });
        Ok(Self { roles, memberships: memberships.collect() })
    }
}

impl Membership {
    /// The statement that makes it, on a server of this major version.
    fn sql(&self, major: u32) -> String {
        let option = |name: &str, is: Option<bool>| is.filter(|_| major >= 16).map(|is| format!("{name} {is}"));
        let options: Vec<String> = [
            self.admin.then(|| "ADMIN OPTION".to_owned()),
            option("INHERIT", self.inherits),
            option("SET", self.may_set),
        ]
        .into_iter()
        .flatten()
        .collect();
        let with = if options.is_empty() { String::new() } else { format!(" WITH {}", options.join(", ")) };
        format!("GRANT {} TO {}{with}", quote_ident(&self.role), quote_ident(&self.member))
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
    let major = admin.server.major();
    let memberships = roles.memberships.iter().map(|membership| membership.sql(major));
    let settings = roles.roles.iter().flat_map(|role| {
        role.settings.iter().filter_map(|setting| {
            let (name, value) = setting.split_once('=')?;
            Some(format!("ALTER ROLE {} {}", quote_ident(&role.name), set_clause(name, value)))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_membership_is_made_as_the_server_understands_it() {
        let of_15 = Membership { role: "r".into(), member: "m".into(), admin: true, inherits: None, may_set: None };
        assert_eq!(of_15.sql(15), r#"GRANT "r" TO "m" WITH ADMIN OPTION"#);
        assert_eq!(Membership { admin: false, ..of_15.clone() }.sql(18), r#"GRANT "r" TO "m""#);
        let of_16 = Membership { inherits: Some(false), may_set: Some(true), ..of_15 };
        assert_eq!(of_16.sql(16), r#"GRANT "r" TO "m" WITH ADMIN OPTION, INHERIT false, SET true"#);
        assert_eq!(of_16.sql(15), r#"GRANT "r" TO "m" WITH ADMIN OPTION"#);
    }
}
