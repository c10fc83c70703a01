//! libpq's password file (PostgreSQL manual, "The Password File").

use std::{env, fs, io, path::PathBuf};

use super::{Host, Secret, Target};
use crate::files::Others;

/// The folders of sockets that PostgreSQL is built with, by Debian and by itself: there a file's `localhost` fits as well.
const SOCKET_FOLDERS: [&str; 3] = ["/var/run/postgresql", "/run/postgresql", "/tmp"];

/// Where the file is: where it was said to be, or where libpq looks for it.
pub(crate) fn path(target: &Target) -> Option<PathBuf> {
    target.passfile.clone().or_else(|| env::var_os("HOME").map(|home| PathBuf::from(home).join(".pgpass")))
}

/// The password of the first line that fits a server. A file that others may read is ignored, as libpq ignores it; but for root's that its
/// group may read: so does systemd hand it out.
pub(super) fn lookup(target: &Target, host: &Host) -> Option<Secret> {
    let path = path(target)?;
    let ignored = |why: &str| {
        tracing::warn!(path = %path.display(), "the password file is ignored: {why}");
        None
    };
    let file = match fs::metadata(&path) {
        Ok(file) => file,
        Err(e) if e.kind() == io::ErrorKind::NotFound && target.passfile.is_none() => return None,
        Err(e) => return ignored(&e.to_string()),
    };
    if !file.is_file() {
        return ignored("it is no regular file");
    }
    if Others::of(&file) != Others::Nothing {
        return ignored("others may read it; `chmod 600` it");
    }
    match fs::read_to_string(&path) {
        Ok(text) => find(&text, target, host),
        Err(e) => ignored(&e.to_string()),
    }
}

/// A file for a program of ours, which connects nowhere else.
pub(crate) fn line(password: &Secret) -> String {
    format!("*:*:*:*:{}\n", escape(password.reveal()))
}

/// Whether a password can stand in such a file, which has a line for each: what reaches the server must reach its programs as well.
///
/// # Errors
/// What is wrong with it, in words that follow a subject.
pub(crate) fn fits(password: &str) -> Result<(), &'static str> {
    if password.contains(['\n', '\r', '\0']) { Err("has more than one line") } else { Ok(()) }
}

/// The line with which a password file fits every database of a server.
pub(crate) fn line_of_all(target: &Target, host: &Host) -> String {
    format!("{}:{}:*:{}:…", escape(&host.name), host.port, escape(&target.user))
}

fn escape(field: &str) -> String {
    field.replace('\\', "\\\\").replace(':', "\\:")
}

fn find(file: &str, target: &Target, host: &Host) -> Option<Secret> {
    let port = host.port.to_string();
    let is_host = |field: &str| {
        field == host.name || (field == "localhost" && SOCKET_FOLDERS.contains(&host.name.trim_end_matches('/')))
    };
    let fits = |fields: &[String]| match fields {
        [name, rest @ ..] if rest.len() == 3 => {
            let wanted = [port.as_str(), &target.database, &target.user];
            (name == "*" || is_host(name)) && rest.iter().zip(wanted).all(|(field, want)| field == "*" || field == want)
        }
        _ => false,
    };
    file.lines().filter(|line| !line.starts_with('#')).find_map(|line| {
        let fields = split(line);
        let [fields @ .., password] = fields.as_slice() else { return None };
        fits(fields).then(|| Secret::new(password))
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

    fn target() -> Target {
        Target::of_ours("db", 5432, "auth", "me", Secret::new(""))
    }

    fn found(file: &str, name: &str, port: u16) -> Option<String> {
        let host = Host { name: name.to_owned(), address: None, port };
        find(file, &target(), &host).map(|secret| secret.reveal().to_owned())
    }

    #[test]
    fn the_first_line_that_fits_wins() {
        let file = "# x\nother:*:*:*:no\n*:5432:auth:me:a\\:b\\\\c\n*:*:*:*:late\n";
        assert_eq!(found(file, "db", 5432).as_deref(), Some("a:b\\c"));
        assert_eq!(found("db:5433:*:*:x\n", "db", 5432), None);
    }

    #[test]
    fn each_of_several_servers_has_its_own() {
        let file = "a:5432:*:*:one\nb:5433:*:*:two\n\\:\\:1:*:*:*:six\nlocalhost:*:*:*:local\n";
        for (name, port, password) in [
            ("a", 5432, Some("one")),
            ("a", 5433, None),
            ("b", 5433, Some("two")),
            ("::1", 5432, Some("six")),
            ("/var/run/postgresql", 5432, Some("local")),
            ("/elsewhere", 5432, None),
        ] {
            assert_eq!(found(file, name, port).as_deref(), password, "{name}");
        }
    }

    #[test]
    fn a_file_that_others_may_read_is_ignored_but_for_roots_that_is_handed_out() {
        use std::os::unix::fs::{MetadataExt, PermissionsExt};
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("pgpass");
        fs::write(&path, "*:*:*:*:hush\n").unwrap();
        let of_root = fs::metadata(&path).unwrap().uid() == 0;
        let target = Target { password: None, passfile: Some(path.clone()), ..target() };
        for (mode, taken) in [(0o600, true), (0o440, of_root), (0o444, false), (0o620, false)] {
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
            assert_eq!(lookup(&target, &target.host()).is_some(), taken, "{mode:o}");
        }
    }

    #[test]
    fn a_line_for_every_database_is_one_of_the_file() {
        let host = Host { name: "::1".into(), address: None, port: 5432 };
        let line = line_of_all(&target(), &host);
        assert_eq!(line, "\\:\\:1:5432:*:me:…");
        assert!(find(&line, &target().with_database("postgres"), &host).is_some());
    }

    #[test]
    fn a_line_that_we_write_is_read_back() {
        let secret = Secret::new("p:a\\ss");
        assert_eq!(found(&line(&secret), "db", 5432).as_deref(), Some(secret.reveal()));
    }
}
