//! A `postgres://` URL as libpq's settings (PostgreSQL manual, "Connection URIs").

/// Settings of libpq that change nothing of what Lockgate does: it names its sessions itself, and keeps connections alive itself.
pub const IGNORED: [&str; 9] = [
    "application_name",
    "fallback_application_name",
    "client_encoding",
    "keepalives",
    "keepalives_idle",
    "keepalives_interval",
    "keepalives_count",
    "tcp_user_timeout",
    "gssencmode",
];

/// The settings that a URL names, by libpq's names for them. Several hosts, and their ports, are lists with commas.
///
/// # Errors
/// What is wrong, without the URL's own text, which may hold a password.
pub fn parse_url(url: &str, known: impl Fn(&str) -> bool) -> Result<Vec<(String, String)>, String> {
    let rest = url.strip_prefix("postgres://").or_else(|| url.strip_prefix("postgresql://"));
    let rest = rest.ok_or("it does not begin with `postgres://`")?;
    let (base, query) = rest.split_once('?').unwrap_or((rest, ""));
    let (authority, database) = base.split_once('/').unwrap_or((base, ""));
    if authority.matches('@').count() > 1 || database.contains('@') {
        return Err("a `@` in the password is written %40, and a `/` %2F".into());
    }
    let (login, hosts) = authority.split_once('@').unwrap_or(("", authority));
    let (user, password) = login.split_once(':').map_or((login, None), |(user, password)| (user, Some(password)));
    let mut settings = Vec::new();
    let mut add = |name: &str, value: &str| -> Result<(), String> {
        let value = decode(value)?;
        settings.retain(|(other, _)| other != name);
        if !value.is_empty() {
            settings.push((name.to_owned(), value));
        }
        Ok(())
    };
    add("user", user)?;
    add("password", password.unwrap_or_default())?;
    add("dbname", database)?;
    let (hosts, ports) = split_hosts(hosts)?;
    add("host", &hosts)?;
    add("port", &ports)?;
    for (name, value) in query.split('&').filter(|p| !p.is_empty()).map(|p| p.split_once('=').unwrap_or((p, ""))) {
        match name {
            // As JDBC writes it, and libpq reads it.
            "ssl" if value == "true" => add("sslmode", "require")?,
            name if known(name) => add(name, value)?,
            name if IGNORED.contains(&name) => {}
            // Not echoed: a `?` in a password would end up here.
            _ => return Err("it has a parameter that is not known (docs/connections.md has those that are)".into()),
        }
    }
    Ok(settings)
}

/// `a:1,[::1],c:3` as `a,::1,c` and `1,,3`.
fn split_hosts(hosts: &str) -> Result<(String, String), String> {
    let mut names = Vec::new();
    let mut ports = Vec::new();
    for host in hosts.split(',') {
        let (name, port) = match host.strip_prefix('[') {
            Some(address) => {
                let (address, rest) = address.split_once(']').ok_or("an address in brackets does not end")?;
                match rest.strip_prefix(':') {
                    Some(port) => (address, port),
                    None if rest.is_empty() => (address, ""),
                    None => return Err("something stands between an address in brackets and its port".into()),
                }
            }
            None if host.matches(':').count() > 1 => {
                return Err("an IPv6 address is written in brackets, as in [::1]:5432".into());
            }
            None => host.split_once(':').unwrap_or((host, "")),
        };
        names.push(name);
        ports.push(port);
    }
    if names.iter().all(|name| name.is_empty()) && names.len() == 1 {
        return Ok((String::new(), ports.concat()));
    }
    let ports = if ports.iter().all(|port| port.is_empty()) { String::new() } else { ports.join(",") };
    Ok((names.join(","), ports))
}

/// Undoes `%20` and the like.
fn decode(text: &str) -> Result<String, String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, tail @ ..] = rest {
        if *first != b'%' {
            bytes.push(*first);
            rest = tail;
            continue;
        }
        let digit = |at: usize| tail.get(at).and_then(|c| char::from(*c).to_digit(16));
        let (Some(high), Some(low)) = (digit(0), digit(1)) else {
            return Err("a `%` is not followed by two hexadecimal digits; itself it is written %25".into());
        };
        bytes.push(u8::try_from(high * 16 + low).unwrap_or_default());
        rest = tail.get(2..).unwrap_or_default();
    }
    match String::from_utf8(bytes) {
        Ok(text) if text.contains('\0') => Err("%00 stands for no character".into()),
        Ok(text) => Ok(text),
        Err(_) => Err("what `%` stands for is not UTF-8".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(url: &str) -> Result<String, String> {
        let settings = parse_url(url, |name| ["host", "options", "sslmode"].contains(&name))?;
        Ok(settings.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join(" "))
    }

    #[test]
    fn every_part_is_read() {
        for (url, settings) in [
            ("postgres://", ""),
            ("postgresql:///d", "dbname=d"),
            ("postgres://h", "host=h"),
            ("postgres://u@h:1/d", "user=u dbname=d host=h port=1"),
            ("postgres://u:p%40%2F%25@h/d", "user=u password=p@/% dbname=d host=h"),
            ("postgres://a:1,b:2/d", "dbname=d host=a,b port=1,2"),
            ("postgres://a,b:2/d", "dbname=d host=a,b port=,2"),
            ("postgres://[::1]:5433,[2001:db8::1]/d", "dbname=d host=::1,2001:db8::1 port=5433,"),
            ("postgres://%2Frun%2Fpostgresql/d", "dbname=d host=/run/postgresql"),
            ("postgres:///d?host=/run/postgresql", "dbname=d host=/run/postgresql"),
            ("postgres://a/d?host=b", "dbname=d host=b"),
            ("postgres://h/d?options=-c%20a%3Db&sslmode=require", "dbname=d host=h options=-c a=b sslmode=require"),
            ("postgres://h/d?ssl=true&application_name=x", "dbname=d host=h sslmode=require"),
        ] {
            assert_eq!(parse(url).as_deref(), Ok(settings), "{url}");
        }
    }

    #[test]
    fn what_is_wrong_is_told_without_the_url() {
        for bad in [
            "mysql://me:hush@h/d",
            "postgres://me:hu@sh@h/d",
            "postgres://me:hu/sh@h/d",
            "postgres://me:hush?x@h/d",
            "postgres://me:hush%zz@h/d",
            "postgres://me:hush%00@h/d",
            "postgres://me:hush@::1/d",
            "postgres://me:hush@[::1/d",
            "postgres://me:hush@[::1]5432/d",
        ] {
            let text = parse(bad).unwrap_err();
            assert!(!text.contains("hu") && !text.contains("sh@"), "{bad}: {text}");
        }
    }
}
