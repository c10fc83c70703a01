//! libpq's service file: settings under a name (PostgreSQL manual, "The Connection Service File").

use std::{
    env, fs, io,
    path::{Path, PathBuf},
};

use super::url::IGNORED;

/// The folders of the whole machine's file: what PostgreSQL is built with, by Debian and by itself.
const FOLDERS: [&str; 2] = ["/etc/postgresql-common", "/usr/local/pgsql/etc"];

/// Why a service's settings cannot be had.
#[derive(Debug, PartialEq, Eq)]
pub struct Unfit {
    /// What is wrong.
    pub what: String,
    /// What to do.
    pub next: String,
}

/// The settings of a service, by libpq's names for them, from the first file that has it: the user's, then the machine's.
///
/// # Errors
/// No file has it, or one cannot be read.
pub fn look_up(service: &str, known: impl Fn(&str) -> bool) -> Result<Vec<(String, String)>, Unfit> {
    let home = || env::var_os("HOME").map(|home| PathBuf::from(home).join(".pg_service.conf"));
    let own = env::var_os("PGSERVICEFILE").filter(|path| !path.is_empty()).map(PathBuf::from).or_else(home);
    let machine = match env::var_os("PGSYSCONFDIR").filter(|folder| !folder.is_empty()) {
        Some(folder) => vec![PathBuf::from(folder)],
        None => FOLDERS.map(PathBuf::from).to_vec(),
    };
    let files = own.into_iter().chain(machine.into_iter().map(|folder| folder.join("pg_service.conf")));
    let mut looked = Vec::new();
    for path in files {
        match fs::read_to_string(&path) {
            Ok(text) => {
                if let Some(settings) = find(&text, service, &path, &known)? {
                    return Ok(settings);
                }
                looked.push(format!("`{}`", path.display()));
            }
            Err(e) if e.kind() == io::ErrorKind::NotFound => {}
            Err(e) => {
                return Err(Unfit {
                    what: format!("the service file `{}` cannot be read: {e}", path.display()),
                    next: "make it readable for this user".into(),
                });
            }
        }
    }
    let looked = if looked.is_empty() {
        "there is no service file".to_owned()
    } else {
        format!("it is not in {}", looked.join(", "))
    };
    Err(Unfit {
        what: format!("the service `{service}` is not defined: {looked}"),
        next: "define it in ~/.pg_service.conf, or name the file in PGSERVICEFILE".into(),
    })
}

fn find(
    text: &str,
    service: &str,
    path: &Path,
    known: impl Fn(&str) -> bool,
) -> Result<Option<Vec<(String, String)>>, Unfit> {
    let mut settings: Option<Vec<(String, String)>> = None;
    for (number, line) in text.lines().enumerate().map(|(i, line)| (i + 1, line.trim())) {
        // The line itself may hold a password.
        let wrong = |why: String, next: &str| Unfit {
            what: format!("the service file `{}`, line {number}: {why}", path.display()),
            next: next.to_owned(),
        };
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        if line.starts_with('[') {
            if settings.is_some() {
                break;
            }
            if line.strip_prefix('[').and_then(|line| line.strip_suffix(']')) == Some(service) {
                settings = Some(Vec::new());
            }
            continue;
        }
        let Some(settings) = &mut settings else { continue };
        let (name, value) =
            line.split_once('=').ok_or_else(|| wrong("it has no `=`".into(), "write name=value, without blanks"))?;
        match name {
            "service" => return Err(wrong("a service cannot name another".into(), "take the line out")),
            name if known(name) => {
                if settings.iter().all(|(other, _)| other != name) {
                    settings.push((name.to_owned(), value.to_owned()));
                }
            }
            name if IGNORED.contains(&name) => {}
            name if name.chars().all(|c| c.is_ascii_lowercase() || c == '_') => {
                let next = "take the line out, or give Lockgate its settings in another way; docs/connections.md has those that it knows";
                return Err(wrong(format!("Lockgate does not know the setting `{name}`"), next));
            }
            _ => return Err(wrong("that is no name of a setting".into(), "write name=value, without blanks")),
        }
    }
    Ok(settings)
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = "# ours\n[a]\nhost=h1\n\n[b]\n host=h2\nport=5433\nhost=late\noptions=-c a=b\nkeepalives=1\n[b]\nport=1\n[bad]\nrequire_auth=md5\n[worse]\nhush\n";

    fn look(service: &str) -> Result<Option<Vec<(String, String)>>, Unfit> {
        find(FILE, service, Path::new("/services"), |name| ["host", "port", "options"].contains(&name))
    }

    #[test]
    fn the_first_section_of_the_name_counts() {
        let settings = look("b").unwrap().unwrap();
        let settings: Vec<String> = settings.iter().map(|(name, value)| format!("{name} {value}")).collect();
        assert_eq!(settings, ["host h2", "port 5433", "options -c a=b"]);
        assert_eq!(look("c"), Ok(None));
    }

    #[test]
    fn what_is_not_known_is_told_with_its_line() {
        assert!(
            look("bad")
                .unwrap_err()
                .what
                .ends_with("`/services`, line 14: Lockgate does not know the setting `require_auth`")
        );
        let text = look("worse").unwrap_err().what;
        assert!(text.contains("line 16") && !text.contains("hush"), "{text}");
    }
}
