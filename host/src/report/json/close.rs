//! What a derived schema lacks to be one that finds undocumented fields: every object is closed, and the descriptions read well
//! outside of the source.

use serde_json::Value;

/// The keywords by which a schema is made of others, each of which may name properties.
const COMBINED: [&str; 4] = ["anyOf", "oneOf", "allOf", "$ref"];

/// The same schema with every object closed: a property that no schema describes makes a document invalid.
pub fn closed(mut schema: Value) -> Value {
    close(&mut schema, false);
    schema
}

/// `within`: the object is described by this schema together with the one around it, which is the one to close it.
fn close(schema: &mut Value, within: bool) {
    let Value::Object(keywords) = schema else { return };
    if let Some(Value::String(text)) = keywords.get_mut("description") {
        *text = plain(text);
    }
    let named = keywords.contains_key("properties");
    let combined = named && COMBINED.iter().any(|keyword| keywords.contains_key(*keyword));
    if combined || within {
        keywords.remove("additionalProperties");
    }
    if named && !within && !keywords.contains_key("additionalProperties") {
        // Only `unevaluatedProperties` sees what the schemas beside it describe.
        let keyword = if combined { "unevaluatedProperties" } else { "additionalProperties" };
        keywords.insert(keyword.into(), false.into());
    }
    for (keyword, inner) in keywords.iter_mut() {
        match (keyword.as_str(), inner) {
            ("properties" | "$defs", Value::Object(schemas)) => {
                schemas.values_mut().for_each(|schema| close(schema, false));
            }
            ("anyOf" | "oneOf" | "allOf", Value::Array(schemas)) => {
                schemas.iter_mut().for_each(describe_variant);
                schemas.iter_mut().for_each(|schema| close(schema, combined || within));
            }
            ("items" | "additionalProperties", schema @ Value::Object(_)) => close(schema, false),
            ("prefixItems", Value::Array(schemas)) => schemas.iter_mut().for_each(|schema| close(schema, false)),
            _ => {}
        }
    }
}

/// What is said of a variant of an enum is said of the property that holds it; one that names the variant says so.
fn describe_variant(schema: &mut Value) {
    let description = schema["description"].clone();
    let Some(properties) = schema.get_mut("properties").and_then(Value::as_object_mut) else { return };
    let (names, holds): (Vec<&mut Value>, Vec<&mut Value>) = properties
        .values_mut()
        .filter(|property| property.is_object())
        .partition(|property| property.get("const").is_some());
    for name in names {
        name["description"] = "Which of these it is.".into();
    }
    if let ([one], true) = (holds.into_iter().collect::<Vec<_>>().as_mut_slice(), description.is_string())
        && one.get("description").is_none()
    {
        one["description"] = description;
    }
}

/// A doc comment in one line, its links as mere words and its values as JSON has them.
fn plain(comment: &str) -> String {
    let words = comment.split_whitespace().collect::<Vec<_>>().join(" ").replace("`None`", "null");
    let (mut text, mut rest) = (String::new(), words.as_str());
    while let Some((before, linked)) = rest.split_once('[') {
        let Some((label, after)) = linked.split_once(']') else { break };
        let target = after.strip_prefix('(').and_then(|target| target.split_once(')'));
        text += before;
        // `[backup]` is a section of lockgate.toml, or a link whose target follows from its label.
        text += &if target.is_some() || label.starts_with('`') { label.to_owned() } else { format!("[{label}]") };
        rest = target.map_or(after, |(_, after)| after);
    }
    text + rest
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn objects_are_closed_and_so_are_those_within_them() {
        let open = json!({ "properties": { "a": { "type": "array", "items": { "properties": { "b": true } } } } });
        let schema = closed(open);
        assert_eq!(schema["additionalProperties"], false);
        assert_eq!(schema["properties"]["a"]["items"]["additionalProperties"], false);
    }

    #[test]
    fn a_map_stays_a_map() {
        let map = json!({ "type": "object", "additionalProperties": { "type": "string" } });
        assert_eq!(closed(map.clone()), map);
    }

    #[test]
    fn an_object_of_several_schemas_is_closed_around_all_of_them() {
        let open = json!({
            "properties": { "a": true },
            "oneOf": [{ "properties": { "b": true }, "additionalProperties": false }, { "properties": { "c": true } }],
        });
        let schema = closed(open);
        assert_eq!(schema["unevaluatedProperties"], false);
        assert_eq!(schema["additionalProperties"], Value::Null);
        for i in [0, 1] {
            assert_eq!(schema["oneOf"][i]["additionalProperties"], Value::Null, "it knows nothing of `a`");
        }
    }

    #[test]
    fn a_property_that_holds_a_variant_is_described_as_the_variant() {
        let of = |variant| closed(json!({ "oneOf": [variant] }))["oneOf"][0]["properties"].clone();
        let tagged = of(json!({ "description": "A.", "properties": { "is": { "const": "a" }, "why": {} } }));
        assert_eq!(
            (&tagged["is"]["description"], &tagged["why"]["description"]),
            (&"Which of these it is.".into(), &"A.".into())
        );
        let several = of(json!({ "description": "A.", "properties": { "x": {}, "y": {} } }));
        assert_eq!(several, json!({ "x": {}, "y": {} }), "each must say for itself what it is");
    }

    #[test]
    fn comments_become_plain_text() {
        assert_eq!(
            plain("See [`Health::role`];\nat most [`N`](super::N) of [backup]."),
            "See `Health::role`; at most `N` of [backup]."
        );
        assert_eq!(plain("a [ b"), "a [ b");
    }
}
