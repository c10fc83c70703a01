//! What belongs to a database as a whole, and is in no dump of it: owner, locale, privileges, settings, connection limit, comment.

use serde::{Deserialize, Serialize};

use crate::{
    error::{Error, Result},
    postgres::{Session, quote_literal},
};

/// See the module.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Properties {
    /// The role that owns it.
    pub owner: String,
    /// `UTF8`.
    pub encoding: String,
    /// `LC_COLLATE`.
    pub collate: String,
    /// `LC_CTYPE`.
    pub ctype: String,
    /// `icu` or `builtin`; `None` for the C library's.
    pub locale_provider: Option<String>,
    /// The locale of that provider.
    pub locale: Option<String>,
    /// How many connections it takes; -1 for no limit.
    pub connection_limit: i32,
    /// Its comment.
    pub comment: Option<String>,
    /// Its privileges; `None` where nobody has changed them.
    pub privileges: Option<Vec<Privilege>>,
    /// Settings of the database, and of roles in it.
    pub settings: Vec<Setting>,
}

/// A privilege on the database that is not its owner's own.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Privilege {
    /// The role; `None` for everybody.
    pub grantee: Option<String>,
    /// `CONNECT`, `CREATE` or `TEMPORARY`.
    pub privilege: String,
    /// Whether the role may give it on.
    pub grantable: bool,
}

/// `ALTER DATABASE … SET` or `ALTER ROLE … IN DATABASE … SET`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Setting {
    /// The role; `None` for everybody.
    pub role: Option<String>,
    /// The setting.
    pub name: String,
    /// Its value, as the catalog keeps it.
    pub value: String,
}

impl Properties {
    /// The same with the encoding and the locale of another.
    #[must_use]
    pub(super) fn with_encoding_of(self, other: &Self) -> Self {
        let Self { encoding, collate, ctype, locale_provider, locale, .. } = other.clone();
        Self { encoding, collate, ctype, locale_provider, locale, ..self }
    }

    /// Those of a database of the server; `None` when there is no such database.
    ///
    /// # Errors
    /// When the catalog cannot be read.
    pub async fn of(session: &Session, database: &str) -> Result<Option<Self>> {
        // ICU's locale came with 15 and was renamed in 17, as the built-in provider came.
        let (provider, locale) = match session.server.major() {
            ..15 => ("NULL", "NULL"),
            15 | 16 => ("CASE datlocprovider WHEN 'i' THEN 'icu' END", "daticulocale"),
            _ => ("CASE datlocprovider WHEN 'i' THEN 'icu' WHEN 'b' THEN 'builtin' END", "datlocale"),
        };
        let sql = format!(
            "SELECT json_build_object(
                'owner', pg_get_userbyid(datdba), 'encoding', pg_encoding_to_char(encoding),
                'collate', datcollate, 'ctype', datctype, 'locale_provider', {provider}, 'locale', {locale},
                'connection_limit', datconnlimit, 'comment', shobj_description(oid, 'pg_database'),
                'privileges', CASE WHEN datacl IS NOT NULL THEN
                    (SELECT coalesce(json_agg(json_build_object(
                                'grantee', CASE grantee WHEN 0 THEN NULL ELSE pg_get_userbyid(grantee) END,
                                'privilege', privilege_type, 'grantable', is_grantable)), '[]')
                     FROM aclexplode(datacl) WHERE grantee <> datdba) END,
                'settings', (SELECT coalesce(json_agg(json_build_object(
                                'role', CASE setrole WHEN 0 THEN NULL ELSE pg_get_userbyid(setrole) END,
                                'name', split_part(setting, '=', 1), 'value', substr(setting, strpos(setting, '=') + 1))), '[]')
                             FROM pg_catalog.pg_db_role_setting, unnest(setconfig) AS setting WHERE setdatabase = d.oid))::text
             FROM pg_catalog.pg_database d WHERE datname = {}",
            quote_literal(database)
        );
        const DOING: &str = "reading the database's own settings";
        let rows = session.texts(DOING, &sql).await?;
        let Some(text) = rows.into_iter().next().and_then(|mut row| row.pop().flatten()) else { return Ok(None) };
        serde_json::from_str(&text).map(Some).map_err(|e| Error::system(DOING, e))
    }
}
