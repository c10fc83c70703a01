//! The roles that a restore needs: the one that it runs as, and those that the backup speaks of.

use std::collections::BTreeSet;

use crate::{
    backup::{Content, Encoding, Manifest, Properties, store::Location},
    error::{Error, NOTHING_CHANGED, Result},
    postgres::{Session, quote_ident, quote_literal},
};

/// Whether the session's role may make such a database, and give it the name of the one that it replaces.
///
/// # Errors
/// [`Error::Backup`], with what a superuser is to run.
pub(in crate::backup) async fn may_make(admin: &Session, database: &str, owner: &str, replaces: bool) -> Result<()> {
    let sql = format!(
        "SELECT rolcreatedb OR rolsuper,
                (SELECT pg_has_role(oid, 'USAGE') FROM pg_catalog.pg_roles WHERE rolname = {})
         FROM pg_catalog.pg_roles WHERE rolname = current_user",
        quote_literal(owner)
    );
    let rows = admin.texts("checking privileges", &sql).await?;
    let user = quote_ident(&admin.server.user);
    let refuse = |cause: String, grant: String| {
        Err(Error::Backup {
            what: "a new database is needed".into(),
            cause,
            state: NOTHING_CHANGED.into(),
            next: format!("run `{grant}` as a superuser, then try again"),
        })
    };
    let told = rows.first().map(|row| row.iter().map(Option::as_deref).collect::<Vec<_>>()).unwrap_or_default();
    match told.as_slice() {
        [Some("f"), _] => {
            refuse(format!("role {user} may not create databases"), format!("ALTER ROLE {user} CREATEDB"))
        }
        // A role that is not there is told with all others.
        [_, Some("t") | None] => Ok(()),
        _ if replaces => refuse(
            format!("role {user} does not own the database `{database}`"),
            format!("ALTER DATABASE {} OWNER TO {user}", quote_ident(database)),
        ),
        _ => refuse(
            format!("role {user} may not make a database for its owner {}", quote_ident(owner)),
            format!("GRANT {} TO {user}", quote_ident(owner)),
        ),
    }
}

/// Looks whether the server has the roles that own what is to be restored, the database among it, and returns a warning for each of those
/// that are only given something. `listing` is that of `pg_restore`.
///
/// # Errors
/// [`Error::Refused`], naming all that are missing, and where they are kept.
pub(super) async fn check(
    admin: &Session,
    manifest: &Manifest,
    location: &Location,
    properties: &Properties,
    owner: &str,
    listing: &str,
) -> Result<Vec<String>> {
    let rows = admin.texts("looking at the roles", "SELECT rolname FROM pg_catalog.pg_roles").await?;
    let there: BTreeSet<String> = rows.into_iter().filter_map(|mut row| row.pop().flatten()).collect();
    let mut missing = owners_that_are_missing(listing, &there);
    if !there.contains(owner) {
        missing.insert(owner.to_owned());
    }
    let quoted = |roles: &BTreeSet<String>| roles.iter().map(|r| quote_ident(r)).collect::<Vec<_>>().join(", ");
    if !missing.is_empty() {
        return Err(Error::Refused {
            what: format!("this server has no role {}, who owns what backup `{}` holds", quoted(&missing), manifest.id),
            next: format!("{}, then restore again", make_them(manifest, location)),
        });
    }
    let grantees = properties.privileges.iter().flatten().filter_map(|privilege| privilege.grantee.as_ref());
    let named = grantees.chain(properties.settings.iter().filter_map(|setting| setting.role.as_ref()));
    let strangers: BTreeSet<String> = named.filter(|role| !there.contains(*role)).cloned().collect();
    let mut warnings = subscriptions_left_out(listing);
    if strangers.is_empty() {
        return Ok(warnings);
    }
    let warning = format!(
        "this server has no role {}, to whom the database gave privileges or settings; {}",
        quoted(&strangers),
        make_them(manifest, location)
    );
    tracing::warn!("{warning}");
    warnings.push(warning);
    Ok(warnings)
}

/// A subscription goes on where its slot on the other server stands, which is not where the backup was taken: it is to be made anew.
fn subscriptions_left_out(listing: &str) -> Vec<String> {
    let names = listing.lines().filter_map(|line| line.split_once(" SUBSCRIPTION - ")?.1.rsplit_once(' '));
    names
        .map(|(name, _)| {
            format!("the subscription `{name}` is not restored: make it anew, with `copy_data` as it fits")
        })
        .collect()
}

/// What is to be added to the words of a `pg_restore` that failed for a role that is not there.
pub(super) fn hint(manifest: &Manifest, location: &Location, complaint: &str) -> String {
    if complaint.contains("role \"") && complaint.contains("does not exist") {
        return format!("{complaint}\nnext: {}", make_them(manifest, location));
    }
    complaint.to_owned()
}

/// The command that makes the roles that the backup keeps beside the dump.
fn make_them(manifest: &Manifest, location: &Location) -> String {
    let Some(globals) = manifest.parts.iter().find(|part| part.content == Content::Globals) else {
        return "make the roles; the backup was taken without them".into();
    };
    let path = match location {
        Location::Folder(folder) => folder.join(&globals.file).display().to_string(),
        Location::S3 { .. } => globals.file.clone(),
    };
    let fetch = match location {
        Location::Folder(_) => String::new(),
        Location::S3 { .. } => format!(" (fetch it from {location} first)"),
    };
    let decode = match globals.encoding {
        Encoding::None => format!("cat {path}"),
        Encoding::Zstd => format!("zstd -dc {path}"),
        Encoding::ZstdAge => format!("age -d -i KEYFILE {path} | zstd -d"),
    };
    format!("make the roles of that server, as a superuser: `{decode} | psql -d postgres`{fetch}")
}

/// The last word of a line is the owner. It may have spaces in it, and so may what comes before.
fn owners_that_are_missing(listing: &str, there: &BTreeSet<String>) -> BTreeSet<String> {
    // `pg_restore --list` keeps every entry on one line.
    let there: BTreeSet<String> = there.iter().map(|role| role.replace(['\n', '\r'], " ")).collect();
    let entries = listing.lines().filter(|line| !line.starts_with(';') && !line.trim().is_empty());
    let missing = entries.filter_map(|line| {
        let word = line.rsplit(' ').next().filter(|word| !word.is_empty())?;
        let is_there = there.contains(word) || there.iter().any(|role| line.ends_with(&format!(" {role}")));
        (!is_there).then(|| word.to_owned())
    });
    missing.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backup::{Part, manifest::tests::manifest};

    const LISTING: &str = ";\n; Archive created at 2026-01-01\n;\n3361; 1262 16388 DATABASE - auth_0 lockgate_owner\n\
        2; 3079 16389 EXTENSION - pgcrypto \n3362; 0 0 COMMENT - EXTENSION pgcrypto \n\
        215; 1259 16426 TABLE public a table the owner\n3354; 0 16426 TABLE DATA public a table the owner\n";

    fn roles(names: &[&str]) -> BTreeSet<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    #[test]
    fn an_owner_is_found_whatever_its_name() {
        assert_eq!(owners_that_are_missing(LISTING, &roles(&["lockgate_owner", "the owner"])), roles(&[]));
        assert_eq!(owners_that_are_missing(LISTING, &roles(&["the owner"])), roles(&["lockgate_owner"]));
        assert_eq!(owners_that_are_missing(LISTING, &roles(&["lockgate_owner"])), roles(&["owner"]));
        assert_eq!(owners_that_are_missing(LISTING, &roles(&["lockgate_owner", "the\nowner"])), roles(&[]));
        let no_owner = "2; 3079 16389 EXTENSION - pgcrypto \n3362; 0 0 COMMENT - EXTENSION pgcrypto \n";
        assert_eq!(owners_that_are_missing(no_owner, &roles(&[])), roles(&[]), "nobody owns an extension's entry");
    }

    #[test]
    fn a_subscription_that_is_left_out_is_told() {
        let told =
            subscriptions_left_out("3470; 6100 16400 SUBSCRIPTION - from north postgres\n2; 0 0 TABLE public a b\n");
        assert_eq!(told.len(), 1);
        assert!(told[0].starts_with("the subscription `from north` is not restored"), "{told:?}");
    }

    #[test]
    fn the_way_to_the_roles_fits_how_they_are_kept() {
        let globals = |encoding: Encoding| Part {
            content: Content::Globals,
            file: format!("a.globals.sql{}", encoding.extension()),
            encoding,
            bytes: 1,
            sha256: String::new(),
            plain_bytes: 1,
            plain_sha256: String::new(),
        };
        let said = |parts, place: &str| make_them(&manifest("a", 1, parts), &Location::parse(place).unwrap());
        let text = said(vec![globals(Encoding::Zstd)], "kept");
        assert!(text.ends_with("`zstd -dc kept/a.globals.sql.zst | psql -d postgres`"), "{text}");
        let text = said(vec![globals(Encoding::ZstdAge)], "s3://b");
        assert!(text.contains("`age -d -i KEYFILE a.globals.sql.zst.age | zstd -d | psql"), "{text}");
        assert!(text.contains("fetch it from s3://b"), "{text}");
        assert!(said(vec![], "kept").contains("taken without them"));
    }
}
