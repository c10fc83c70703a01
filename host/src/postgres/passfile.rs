//! libpq's password file (PostgreSQL manual, "The Password File").

use std::{env, fs, os::unix::fs::PermissionsExt, path::PathBuf};

use super::{Secret, Target};

/// The password of the first line that fits. A file that others may read is ignored, as libpq ignores it.
pub fn lookup(target: &Target) -> Option<Secret> {
    let path = match env::var_os("PGPASSFILE") {
        Some(path) => PathBuf::from(path),
        None => PathBuf::from(env::var_os("HOME")?).join(".pgpass"),
    };
    let mode = fs::metadata(&path).ok()?.permissions().mode();
    if mode & 0o077 != 0 {
        tracing::warn!(path = %path.display(), "the password file is ignored: others may read it; `chmod 600` it");
        return None;
    }
    find(&fs::read_to_string(path).ok()?, target)
}

/// A file for a program of ours, which connects nowhere else.
pub(crate) fn line(password: &Secret) -> String {
    format!("*:*:*:*:{}\n", escape(password.reveal()))
}

fn escape(field: &str) -> String {
    field.replace('\\', "\\\\").replace(':', "\\:")
}

fn find(file: &str, target: &Target) -> Option<Secret> {
    let wanted = [target.host.as_str(), &target.port.to_string(), &target.database, &target.user];
    file.lines().filter(|line| !line.starts_with('#')).find_map(|line| {
        let fields = split(line);
        let [fields @ .., password] = fields.as_slice() else { return None };
        let fits = fields.len() == 4 && fields.iter().zip(wanted).all(|(field, want)| field == "*" || field == want);
        fits.then(|| Secret::new(password))
    })
}

fn split(line: &str) -> Vec<String> {
    let mut fields = vec![String::new()];
    let mut chars = line.chars();
    while let Some(c) = chars.next() {
        match c {
            ':' if fields.len() < 5 => fields.push(String::new()),
            '\\' => fields.last_mut().into_iter().for_each(|f| f.extend(chars.next())),
            c => fields.last_mut().into_iter().for_each(|f| f.push(c)),
        }
    }
    fields
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::postgres::TlsMode;

    fn target() -> Target {
        Target {
            host: "db".into(),
            port: 5432,
            database: "auth".into(),
            user: "me".into(),
            role: None,
            password: None,
            tls: TlsMode::Prefer,
            root_cert: None,
        }
    }

    #[test]
    fn the_first_line_that_fits_wins() {
        let file = "# x\nother:*:*:*:no\n*:5432:auth:me:a\\:b\\\\c\n*:*:*:*:late\n";
        assert_eq!(find(file, &target()).unwrap().reveal(), "a:b\\c");
        assert!(find("db:5433:*:*:x\n", &target()).is_none());
    }

    #[test]
    fn a_line_that_we_write_is_read_back() {
        let secret = Secret::new("p:a\\ss");
        assert_eq!(find(&line(&secret), &target()), Some(secret));
    }
}
