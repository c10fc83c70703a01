//! Settings of roles and databases, as statements set them again.

use super::{quote_ident, quote_literal};

/// Settings whose value is a list of names, which the catalog keeps quoted. Source: `variable_is_guc_list_quote` of `pg_dump`.
const LISTS: [&str; 6] = [
    "local_preload_libraries",
    "search_path",
    "session_preload_libraries",
    "shared_preload_libraries",
    "temp_tablespaces",
    "unix_socket_directories",
];

/// What follows `ALTER ROLE …` or `ALTER DATABASE …` to set it to the value that the catalog has of it, as `pg_dumpall` writes it: a list is
/// taken apart, because one literal would be one name.
pub fn set_clause(name: &str, value: &str) -> String {
    let value = match LISTS.contains(&name.to_ascii_lowercase().as_str()) {
        true => names_of(value).iter().map(|name| quote_literal(name)).collect::<Vec<_>>().join(", "),
        false => quote_literal(value),
    };
    format!("SET {} TO {value}", quote_ident(name))
}

/// The names in a list such as `"$user", public`; one empty name for an empty list.
fn names_of(list: &str) -> Vec<String> {
    let mut names = vec![String::new()];
    let (mut quoted, mut chars) = (false, list.chars().peekable());
    while let Some(c) = chars.next() {
        let name = names.last_mut().expect("there is at least one");
        match c {
            '"' if quoted && chars.peek() == Some(&'"') => {
                chars.next();
                name.push('"');
            }
            '"' => quoted = !quoted,
            ',' if !quoted => names.push(String::new()),
            c if !quoted && c.is_whitespace() => {}
            c => name.push(c),
        }
    }
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_of_names_are_taken_apart_and_quoted_again() {
        for (list, names) in [
            ("\"$user\", public", vec!["$user", "public"]),
            ("\"a\"\"b\", \"c, d\"", vec!["a\"b", "c, d"]),
            ("", vec![""]),
            ("\"\"", vec![""]),
        ] {
            assert_eq!(names_of(list), names, "{list}");
        }
        assert_eq!(set_clause("search_path", "\"it's\", pg_temp"), "SET \"search_path\" TO 'it''s', 'pg_temp'");
        assert_eq!(set_clause("Temp_Tablespaces", "\"\""), "SET \"Temp_Tablespaces\" TO ''");
        assert_eq!(set_clause("DateStyle", "ISO, MDY"), "SET \"DateStyle\" TO 'ISO, MDY'");
    }
}
