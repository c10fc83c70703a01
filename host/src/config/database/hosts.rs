//! The servers of the settings `host`, `hostaddr` and `port`, each of which may be a list.

use std::net::IpAddr;

use crate::{
    error::{Error, Result},
    postgres::Host,
};

/// Where nothing is said.
const DEFAULT_HOST: &str = "localhost";
const DEFAULT_PORT: u16 = 5432;

/// A setting's value and its source.
pub(super) type Given<'a> = Option<(&'a str, &'static str)>;

/// The servers, in order.
///
/// # Errors
/// [`Error::Configuration`], naming the source: an item that is none, or lists of different lengths.
pub(super) fn hosts(names: Given<'_>, addresses: Given<'_>, ports: Given<'_>) -> Result<Vec<Host>> {
    let items = |given: Given<'_>| {
        given.map(|(text, _)| text.split(',').map(|item| item.trim().to_owned()).collect::<Vec<_>>())
    };
    let source = |given: Given<'_>| given.map_or("default", |(_, source)| source);
    let addresses_of =
        |items: &[String]| items.iter().map(|item| address(item, source(addresses))).collect::<Result<Vec<_>>>();
    let addressed = items(addresses).map(|items| addresses_of(&items)).transpose()?;
    let named = match (items(names), &addressed) {
        (Some(named), Some(addressed)) if named.len() != addressed.len() => {
            return Err(Error::configuration(
                format!(
                    "there are {} hosts ({}) and {} addresses ({})",
                    named.len(),
                    source(names),
                    addressed.len(),
                    source(addresses)
                ),
                "name one address for each host; an empty one is looked up",
            ));
        }
        (Some(named), _) => named.iter().map(|item| name(item, source(names))).collect::<Result<Vec<_>>>()?,
        (None, Some(addressed)) => {
            let all: Option<Vec<String>> =
                addressed.iter().map(|address| Some(address.as_ref()?.to_string())).collect();
            all.ok_or_else(|| {
                Error::configuration(
                    format!("{} has an empty item", source(addresses)),
                    "name an address, or the hosts as well",
                )
            })?
        }
        (None, None) => vec![DEFAULT_HOST.to_owned()],
    };
    let ports_of = items(ports).unwrap_or_default();
    if ports_of.len() > 1 && ports_of.len() != named.len() {
        return Err(Error::configuration(
            format!(
                "there are {} ports ({}) for {} ({})",
                ports_of.len(),
                source(ports),
                count(named.len()),
                source(names.or(addresses))
            ),
            "name one port for all hosts, or one for each",
        ));
    }
    let port_of = |n: usize| match ports_of.get(n).or_else(|| ports_of.first().filter(|_| ports_of.len() == 1)) {
        Some(text) => port(text, source(ports), ports_of.len() > 1),
        None => Ok(DEFAULT_PORT),
    };
    let mut hosts = Vec::new();
    for (n, name) in named.into_iter().enumerate() {
        let address = addressed.as_ref().and_then(|all| *all.get(n)?);
        hosts.push(Host { name, address, port: port_of(n)? });
    }
    Ok(hosts)
}

fn count(hosts: usize) -> String {
    if hosts == 1 { "1 host".to_owned() } else { format!("{hosts} hosts") }
}

fn name(item: &str, source: &str) -> Result<String> {
    let bare = item.strip_prefix('[').and_then(|item| item.strip_suffix(']')).unwrap_or(item);
    let is_socket = bare.starts_with('/');
    if bare.is_empty() {
        return Err(Error::configuration(format!("{source} has an empty item"), "write hosts as `a,b`"));
    }
    if bare.starts_with('@') {
        return Err(Error::configuration(
            format!("{source}=`{item}` is an abstract socket, which Lockgate cannot reach"),
            "name the folder of the socket's file, or connect by TCP",
        ));
    }
    // `fe80::1%eth0` names the network card, too.
    let is_address = |text: &str| text.split('%').next().unwrap_or_default().parse::<IpAddr>().is_ok();
    if !is_socket && bare.contains(':') && !is_address(bare) {
        return Err(Error::configuration(
            format!("{source}=`{item}` is neither a host nor an IPv6 address"),
            "name the port in DB_PORT, or in a URL",
        ));
    }
    Ok(bare.to_owned())
}

fn address(item: &str, source: &str) -> Result<Option<IpAddr>> {
    if item.is_empty() {
        return Ok(None);
    }
    item.parse().map(Some).map_err(|_| {
        Error::configuration(
            format!("{source}=`{item}` is no address"),
            "write an IPv4 or IPv6 address, or use the setting for hosts",
        )
    })
}

fn port(item: &str, source: &str, of_several: bool) -> Result<u16> {
    // As libpq: an empty item of a list is the usual port.
    if item.is_empty() && of_several {
        return Ok(DEFAULT_PORT);
    }
    item.parse().ok().filter(|port| *port != 0).ok_or_else(|| {
        // Of a URL that lacks its host it would be the password.
        let what = match source.ends_with("PORT") {
            true => format!("{source}=`{item}` is no port"),
            false => format!("the port in {source} is no port"),
        };
        Error::configuration(what, "use a number from 1 to 65535")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(names: &str, addresses: &str, ports: &str) -> Result<String> {
        let given = |text: &'static str, source| Some((text, source)).filter(|(text, _)| !text.is_empty());
        let leak = |text: &str| -> &'static str { Box::leak(text.to_owned().into_boxed_str()) };
        let (names, addresses, ports) = (leak(names), leak(addresses), leak(ports));
        let hosts = hosts(given(names, "DB_HOST"), given(addresses, "DB_HOSTADDR"), given(ports, "DB_PORT"))?;
        let shown = hosts.iter().map(|host| match host.address {
            Some(address) => format!("{host}@{address}"),
            None => host.to_string(),
        });
        Ok(shown.collect::<Vec<_>>().join(" "))
    }

    #[test]
    fn lists_are_read_item_by_item() {
        for (names, addresses, ports, hosts) in [
            ("", "", "", "localhost:5432"),
            ("a", "", "1", "a:1"),
            ("a,b", "", "", "a:5432 b:5432"),
            ("a,b", "", "1", "a:1 b:1"),
            ("a, b", "", "1,2", "a:1 b:2"),
            ("a,b", "", ",2", "a:5432 b:2"),
            ("::1", "", "", "[::1]:5432"),
            ("[::1],b", "", "1,2", "[::1]:1 b:2"),
            ("/run/postgresql", "", "1", "/run/postgresql:1"),
            ("a,b", "127.0.0.1,", "", "a:5432@127.0.0.1 b:5432"),
            ("", "127.0.0.1", "", "127.0.0.1:5432@127.0.0.1"),
        ] {
            assert_eq!(read(names, addresses, ports).unwrap(), hosts);
        }
    }

    #[test]
    fn what_cannot_be_meant_is_told_with_its_source() {
        for (names, addresses, ports, words) in [
            ("a,b", "", "1,2,3", "there are 3 ports (DB_PORT) for 2 hosts (DB_HOST)"),
            ("", "", "1,2", "there are 2 ports (DB_PORT) for 1 host (default)"),
            ("a,b", "127.0.0.1", "", "there are 2 hosts (DB_HOST) and 1 addresses (DB_HOSTADDR)"),
            ("a,,b", "", "", "DB_HOST has an empty item"),
            ("a:5432", "", "", "DB_HOST=`a:5432` is neither"),
            ("a", "", "http", "DB_PORT=`http` is no port"),
            ("a", "", "0", "DB_PORT=`0` is no port"),
            ("a", "b", "", "DB_HOSTADDR=`b` is no address"),
            ("@a", "", "", "abstract socket"),
        ] {
            let text = read(names, addresses, ports).unwrap_err().report().to_string();
            assert!(text.contains(words), "{words}: {text}");
        }
    }
}
