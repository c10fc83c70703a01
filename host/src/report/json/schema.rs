//! JSON schemas (draft 2020-12) of what commands print, made from the types themselves and what is said of them there.

use schemars::{JsonSchema, Schema, SchemaGenerator, generate::SchemaSettings};
use serde_json::{Map, Value, json};

use super::{FORMAT, Failure, close::closed};

/// What one command prints.
pub struct Document {
    command: &'static str,
    about: &'static str,
    generator: SchemaGenerator,
    results: Vec<Value>,
}

impl Document {
    /// Of the command of this name, of which nothing is said yet.
    pub fn of(command: &'static str, about: &'static str) -> Self {
        Self { command, about, generator: generator(), results: Vec::new() }
    }

    /// The command's name, such as `backup list`.
    pub fn command(&self) -> &'static str {
        self.command
    }

    /// It may print one of these.
    #[must_use]
    pub fn prints<T: JsonSchema>(mut self) -> Self {
        self.results.push(self.generator.subschema_for::<T>().to_value());
        self
    }

    /// The schema: one of what it prints, or a failure, in the envelope.
    pub fn schema(self) -> Value {
        let mut whole = self.prints::<Failure>();
        let result = json!({ "description": "What came of it.", "anyOf": whole.results });
        let properties = json!({
            "format": { "description": "The version of this format.", "const": FORMAT },
            "command": { "description": "The command that printed it.", "const": whole.command },
            "result": result,
        });
        let object = json!({
            "type": "object",
            "properties": properties,
            "required": ["format", "command", "result"],
        });
        let title = format!("lockgate {} --output json", whole.command);
        finished(&title, whole.about, object, whole.generator.take_definitions(true))
    }
}

/// The schema of a single type, such as a line of the events.
pub fn of_one<T: JsonSchema>(title: &str, about: &str) -> Value {
    let mut generator = generator();
    let root = Schema::to_value(T::json_schema(&mut generator));
    finished(title, about, root, generator.take_definitions(true))
}

fn generator() -> SchemaGenerator {
    SchemaSettings::draft2020_12().for_serialize().into_generator()
}

/// The root, with its head and the types that it names.
fn finished(title: &str, about: &str, root: Value, definitions: Map<String, Value>) -> Value {
    let mut object = Map::new();
    object.insert("$schema".into(), "https://json-schema.org/draft/2020-12/schema".into());
    object.insert("title".into(), title.into());
    if let Value::Object(root) = root {
        object.extend(root);
    }
    object.insert("description".into(), about.into());
    object.insert("$defs".into(), definitions.into());
    closed(object.into())
}
