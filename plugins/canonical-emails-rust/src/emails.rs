//! From an address as it was typed to the one form that all spellings of a mailbox share. Pure: no database here.

/// Providers whose users are told apart by the whole address, and often mistype the domain.
const WELL_KNOWN: [&str; 5] = ["gmail.com", "hotmail.com", "icloud.com", "outlook.com", "yahoo.com"];

/// Lower case, without a tag; at Gmail, whose users may put dots anywhere, without dots. `None`: not readable.
pub fn canonical(address: &str) -> Option<String> {
    let lower = address.to_ascii_lowercase();
    let (local, domain) = lower.rsplit_once('@')?;
    let domain = domain.strip_suffix('.').unwrap_or(domain);
    if !is_atom(local) || !domain.contains('.') || !domain.split('.').all(is_label) {
        return None;
    }
    let local = local.split('+').next().filter(|local| !local.is_empty())?;
    match domain {
        "gmail.com" | "googlemail.com" => {
            Some(local.replace('.', "")).filter(|local| !local.is_empty()).map(|local| local + "@gmail.com")
        }
        _ => Some(format!("{local}@{domain}")),
    }
}

fn is_atom(local: &str) -> bool {
    let fits = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b"!#$%&'*+/=?^_`{|}~.-".contains(&b);
    (1..=64).contains(&local.len()) && local.bytes().all(fits)
}

fn is_label(label: &str) -> bool {
    let fits = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    (1..=63).contains(&label.len()) && label.bytes().all(fits) && !label.starts_with('-') && !label.ends_with('-')
}

/// One slip of the finger away from a well-known domain.
pub fn is_mistyped(domain: &str) -> bool {
    WELL_KNOWN.iter().any(|known| one_slip_apart(domain.as_bytes(), known.as_bytes()))
}

/// A character too many, missing or wrong, or two that changed places.
fn one_slip_apart(mut a: &[u8], mut b: &[u8]) -> bool {
    while let ([x, rest_a @ ..], [y, rest_b @ ..]) = (a, b)
        && x == y
    {
        (a, b) = (rest_a, rest_b);
    }
    while let ([rest_a @ .., x], [rest_b @ .., y]) = (a, b)
        && x == y
    {
        (a, b) = (rest_a, rest_b);
    }
    match (a, b) {
        ([a, b], [c, d]) => (a, b) == (d, c),
        _ => a.len().max(b.len()) == 1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_spellings_of_a_mailbox_are_one() {
        for address in ["ada@example.org", "Ada@EXAMPLE.org", "ada+news@example.org", "ada@example.org."] {
            assert_eq!(canonical(address).as_deref(), Some("ada@example.org"), "{address}");
        }
        for address in ["ada.lovelace@gmail.com", "AdaLovelace+x+y@googlemail.com"] {
            assert_eq!(canonical(address).as_deref(), Some("adalovelace@gmail.com"), "{address}");
        }
        assert_eq!(canonical("a.b@example.org").as_deref(), Some("a.b@example.org"));
    }

    #[test]
    fn what_is_not_readable_stays_away() {
        let long = format!("ada@{}.org", "x".repeat(64));
        for address in [
            "",
            "ada",
            "@example.org",
            "+tag@example.org",
            "ada@localhost",
            "ada@-x.org",
            "ada@x..org",
            "ada@exämple.org",
            "\"a b\"@example.org",
            "a@b@example.org",
            &long,
            "\u{212a}@example.org",
        ] {
            assert_eq!(canonical(address), None, "{address}");
        }
    }

    #[test]
    fn one_slip() {
        for domain in ["gmial.com", "gmal.com", "gmaill.com", "gmaik.com"] {
            assert!(is_mistyped(domain), "{domain}");
        }
        for domain in ["gmail.com", "example.org", "mail.com.gmail", "gmial.con"] {
            assert!(!is_mistyped(domain), "{domain}");
        }
        assert!(!one_slip_apart(b"aa", b"aaab"));
    }
}
