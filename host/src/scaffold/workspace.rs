//! The cargo workspace of a checkout, which lists its members by name.

use std::{fs, path::Path};

use toml_edit::{Array, DocumentMut, Value};

/// Puts a new crate of `plugins` among the members. Where that cannot be, returns what the author has to do.
pub(super) fn join(checkout: &Path, crate_name: &str) -> Option<String> {
    let (path, member) = (checkout.join("Cargo.toml"), format!("plugins/{crate_name}"));
    let text = fs::read_to_string(&path).ok();
    let joined = text.as_deref().and_then(|text| with_member(text, &member));
    match joined {
        Some(joined) if fs::write(&path, &joined).is_ok() => None,
        _ => Some(format!("# add \"{member}\" to `members` under [workspace] in {}", path.display())),
    }
}

/// The manifest with one member more and every other character as it was; `None` where it has no list of members.
fn with_member(text: &str, member: &str) -> Option<String> {
    let mut manifest: DocumentMut = text.parse().ok()?;
    let members = manifest.get_mut("workspace")?.get_mut("members")?.as_array_mut()?;
    if names(members).any(|name| name == member || name == "plugins/*") {
        return Some(text.to_owned());
    }
    // Beside its like, and indented as it.
    let like = names(members).collect::<Vec<_>>().iter().rposition(|name| name.starts_with("plugins/"));
    let like = like.or_else(|| members.len().checked_sub(1))?;
    let mut new = Value::from(member);
    if let Some(decor) = members.get(like).map(Value::decor) {
        let indent: String = decor.prefix().and_then(|raw| raw.as_str()).unwrap_or_default().to_owned();
        // A comment that begins there is about the neighbour.
        let indent = indent.rfind('\n').map_or(indent.as_str(), |line| &indent[line..]);
        new.decor_mut().set_prefix(indent);
    }
    members.insert_formatted(like + 1, new);
    Some(manifest.to_string())
}

fn names(members: &Array) -> impl Iterator<Item = &str> {
    members.iter().map(|member| member.as_str().unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_member_is_put_beside_its_like() {
        for (before, after) in [
            (
                "[workspace]\nmembers = [\"a\", \"plugins/b\", \"c\"]\n",
                "[workspace]\nmembers = [\"a\", \"plugins/b\", \"plugins/x\", \"c\"]\n",
            ),
            ("[workspace]\nmembers = [\"plugins/*\"]\n", "[workspace]\nmembers = [\"plugins/*\"]\n"),
            (
                "[workspace]\nmembers = [\n  # one\n  \"a\",\n]\n",
                "[workspace]\nmembers = [\n  # one\n  \"a\",\n  \"plugins/x\",\n]\n",
            ),
        ] {
            assert_eq!(with_member(before, "plugins/x").as_deref(), Some(after));
        }
    }

    #[test]
    fn where_there_is_no_list_the_author_is_told() {
        for text in ["", "[workspace]\n", "[workspace]\nmembers = 1\n", "["] {
            let root = tempfile::tempdir().unwrap();
            fs::write(root.path().join("Cargo.toml"), text).unwrap();
            assert!(join(root.path(), "x").unwrap().starts_with("# add \"plugins/x\" to `members`"));
            assert_eq!(fs::read_to_string(root.path().join("Cargo.toml")).unwrap(), text);
        }
    }
}
