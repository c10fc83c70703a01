//! What stands in the place of a secret, wherever a setting or an argument is shown.

use std::borrow::Cow;

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

/// A text of ours with `***` for the password of each URL in it: somebody may have written one where a name belongs.
pub fn in_text(text: &str) -> Cow<'_, str> {
    const ENDS: [char; 5] = ['`', '\'', '"', '<', '>'];
    let (mut shown, mut rest) = (String::new(), text);
    while let Some(at) = rest.find("://") {
        let begin = rest[..at]
            .rfind(|c: char| !c.is_ascii_alphanumeric())
            .map_or(0, |at| at + rest[at..].chars().next().map_or(1, char::len_utf8));
        let end = rest[at..].find(|c: char| c.is_whitespace() || ENDS.contains(&c)).map_or(rest.len(), |n| at + n);
        let hidden = argument(&rest[begin..end]);
        shown.push_str(&rest[..begin]);
        shown.push_str(hidden.as_deref().unwrap_or(&rest[begin..end]));
        rest = &rest[end..];
    }
    if shown.is_empty() { Cow::Borrowed(text) } else { Cow::Owned(shown + rest) }
}

/// The URL of a place that takes what is told: without a login, and without what stands behind a question mark, which may be a key.
pub fn place(text: &str) -> String {
    let (place, question) = text.split_once('?').map_or((text, ""), |(place, _)| (place, "?***"));
    let place = match place.split_once("://") {
        Some((scheme, rest)) => match rest.rsplit_once('@') {
            Some((_, place)) => format!("{scheme}://{HIDDEN}@{place}"),
            None => place.to_owned(),
        },
        None => place.to_owned(),
    };
    place + question
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
    fn a_url_within_a_text_is_shown_without_its_password() {
        for (text, shown) in [
            ("DB_HOST=`postgres://u:hush@h/x` is no host", "DB_HOST=`postgres://u:***@h/x` is no host"),
            ("a (http://a:hush@b), https://c/d and e://f:hush@g", "a (http://a:***@b), https://c/d and e://f:***@g"),
            ("`ü://u:hush@h`", "`ü://u:***@h`"),
            ("nothing", "nothing"),
        ] {
            assert_eq!(in_text(text), shown);
        }
    }

    #[test]
    fn a_place_is_shown_without_login_and_keys() {
        for (text, shown) in [
            ("http://gateway:9091/x", "http://gateway:9091/x"),
            ("http://hush@gateway?sig=hush", "http://***@gateway?***"),
            ("https://a:hush@gateway/x", "https://***@gateway/x"),
        ] {
            assert_eq!(place(text), shown);
        }
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
