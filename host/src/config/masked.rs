//! What stands in the place of a secret, wherever a setting or an argument is shown.

/// The place of a secret.
pub const HIDDEN: &str = "***";

/// Words in the names of settings that hold secrets.
const TELLING: [&str; 6] = ["password", "passwd", "secret", "token", "credential", "key"];

/// The URL with `***` for its password and for parameters that may hold a secret; nothing where it is no URL.
pub fn url(text: &str) -> Option<String> {
    let (scheme, rest) = text.split_once("://")?;
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let mut hidden = rest.to_owned();
    // The last `@`: some write one into a password.
    if let Some((login, _)) = authority.rsplit_once('@')
        && let Some((name, _)) = login.split_once(':')
    {
        hidden = format!("{name}:{HIDDEN}{}", &rest[login.len()..]);
    }
    if let Some((before, parameters)) = hidden.split_once('?') {
        let parameters: Vec<String> = parameters
            .split('&')
            .map(|pair| match pair.split_once('=') {
                // `sslkey` is a path.
                Some((key, _)) if key == "options" || (is_telling(key) && key != "sslkey") => format!("{key}={HIDDEN}"),
                _ => pair.to_owned(),
            })
            .collect();
        hidden = format!("{before}?{}", parameters.join("&"));
    }
    Some(format!("{scheme}://{hidden}"))
}

/// What a session starts with, as libpq's `options`: the settings by their names, and the values of PostgreSQL's own. A setting of
/// somebody else's (`app.key`) may be a secret, and so may anything that is written in another way than `-c name=value`.
pub fn options(text: &str) -> String {
    let mut shown = Vec::new();
    let mut words = text.split_whitespace();
    while let Some(word) = words.next() {
        let (lead, setting) = match (word, word.strip_prefix("--"), word.strip_prefix("-c")) {
            ("-c", ..) => match words.next() {
                Some(setting) => ("-c ", setting),
                None => return HIDDEN.to_owned(),
            },
            (_, Some(setting), _) => ("--", setting),
            (.., Some(setting)) => ("-c ", setting),
            // Also the rest of a value with an escaped blank in it, of which the first part has been shown already.
            _ => return HIDDEN.to_owned(),
        };
        match setting.split_once('=') {
            Some((name, value)) if name.contains('.') || is_telling(name) || value.ends_with('\\') => {
                shown.push(format!("{lead}{name}={HIDDEN}"));
                if value.ends_with('\\') {
                    // Where it ends is the server's business.
                    break;
                }
            }
            Some(_) => shown.push(format!("{lead}{setting}")),
            None => return HIDDEN.to_owned(),
        }
    }
    shown.join(" ")
}

/// Whether a setting of this name may be a secret.
pub fn is_telling(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    TELLING.iter().any(|word| name.contains(word))
}

/// An argument with `***` for what may be a password in it; nothing where it has none. It may be a URL that cannot be read, so more is
/// hidden rather than less.
pub fn argument(text: &str) -> Option<String> {
    let mut shown = text.to_owned();
    if let Some(value) = value_of_password(text) {
        shown.truncate(value);
        shown += HIDDEN;
    }
    let (scheme, rest) = shown.split_once("://").map_or(("", shown.as_str()), |(scheme, rest)| (scheme, rest));
    let lead = &shown[..shown.len() - rest.len()];
    let masked = match rest.rsplit_once('@') {
        Some((login, place)) => login.split_once(':').map(|(name, _)| format!("{lead}{name}:{HIDDEN}@{place}")),
        // `postgres://name:password`, which is to be a host and its port.
        None if !scheme.is_empty() => without_port(rest).map(|rest| format!("{lead}{rest}")),
        None => None,
    };
    let shown = masked.unwrap_or(shown);
    (shown != text).then_some(shown)
}

/// Where the value of `password=…` begins.
fn value_of_password(text: &str) -> Option<usize> {
    let lower = text.to_ascii_lowercase();
    lower.match_indices("password").find_map(|(at, word)| {
        let behind = &lower[at + word.len()..];
        let value = behind.trim_start().strip_prefix('=')?.trim_start();
        (!value.is_empty()).then(|| lower.len() - value.len())
    })
}

/// `name:***` of `name:password`; nothing where all ports are numbers.
fn without_port(rest: &str) -> Option<String> {
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let (authority, behind) = rest.split_at(end);
    let is_port = |host: &str| {
        let name = host.rsplit_once(']').map_or(host, |(_, behind)| behind);
        name.split_once(':').is_none_or(|(_, port)| port.bytes().all(|b| b.is_ascii_digit()))
    };
    if authority.split(',').all(is_port) {
        return None;
    }
    let (name, _) = authority.split_once(':')?;
    // What looks like the end of the authority may be a part of the password.
    Some(if behind.is_empty() { format!("{name}:{HIDDEN}") } else { format!("{name}:{HIDDEN}/{HIDDEN}") })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_shown_without_its_secrets() {
        for (text, shown) in [
            (
                "postgres://me:hush@db/x?sslmode=require&password=hush",
                "postgres://me:***@db/x?sslmode=require&password=***",
            ),
            ("postgres://me:hu@sh@db/x", "postgres://me:***@db/x"),
            ("postgres://me@db/x?options=-c%20app.key%3Dhush", "postgres://me@db/x?options=***"),
            ("postgres://db/x?sslkey=/k&sslpassword=hush", "postgres://db/x?sslkey=/k&sslpassword=***"),
            ("s3://bucket/prefix", "s3://bucket/prefix"),
        ] {
            assert_eq!(url(text).as_deref(), Some(shown));
        }
        assert_eq!(url("backups"), None);
    }

    #[test]
    fn of_options_the_names_are_shown_and_the_values_that_are_no_secrets() {
        for (text, shown) in [
            ("-c geqo=off -cwork_mem=5MB", "-c geqo=off -c work_mem=5MB"),
            ("-c app.tenant=hush --geqo=off", "-c app.tenant=*** --geqo=off"),
            ("-c some_password=hush", "-c some_password=***"),
            ("-c app.key=hu\\ sh -c geqo=off", "-c app.key=***"),
            ("-c search_path=hu\\ sh", "-c search_path=***"),
            ("-c geqo", "***"),
            ("hush", "***"),
            ("-c", "***"),
            ("", ""),
        ] {
            assert_eq!(options(text), shown, "{text}");
        }
    }

    #[test]
    fn an_argument_is_shown_without_its_password() {
        for (text, shown) in [
            ("postgres://me:hush@db/x", "postgres://me:***@db/x"),
            ("--layout=postgres://me:hush@db/x", "--layout=postgres://me:***@db/x"),
            ("postgres://me:hu/s@h@db/x", "postgres://me:***@db/x"),
            ("postgres://me:hush", "postgres://me:***"),
            ("postgres://me:hu/sh", "postgres://me:***/***"),
            ("me:hush@db/x", "me:***@db/x"),
            ("host=db password=hush user=me", "host=db password=***"),
            ("PGPASSWORD='hu sh'", "PGPASSWORD=***"),
            ("host=db password = hush", "host=db password = ***"),
            ("postgres://db/x?password=hush&a=b", "postgres://db/x?password=***"),
        ] {
            assert_eq!(argument(text).as_deref(), Some(shown), "{text}");
        }
        for text in
            ["up", "--password-prompt", "postgres://me@a:5432,[::1]:5433/x", "C:/x", "s3://bucket/a", "password="]
        {
            assert_eq!(argument(text), None, "{text}");
        }
    }
}
