//! A judge of JSON documents by a JSON Schema: of draft 2020-12, the part that our schema uses.
//!
//! It is stricter than the draft: what a schema does not name must not be there, and a keyword that it does not know is no
//! schema.

use serde_json::{Map, Value};

/// A schema with definitions.
pub struct Schema {
    root: Value,
}

impl Schema {
    /// From its text.
    ///
    /// # Panics
    /// If it is not JSON.
    #[must_use]
    pub fn new(text: &str) -> Self {
        Self {
            root: serde_json::from_str(text).expect("a schema is JSON"),
        }
    }

    /// What is wrong with `document`, which should be the one of that name; nothing if it is.
    #[must_use]
    pub fn complaints(&self, name: &str, document: &Value) -> Vec<String> {
        self.judge(self.definition(name), document, name)
    }

    fn definition(&self, name: &str) -> &Value {
        let found = &self.root["$defs"][name];
        assert!(!found.is_null(), "the schema has no {name}");
        found
    }

    fn judge(&self, schema: &Value, value: &Value, path: &str) -> Vec<String> {
        let keywords = match schema {
            Value::Bool(true) => return Vec::new(),
            Value::Object(keywords) => keywords,
            Value::Null
            | Value::Bool(false)
            | Value::Number(_)
            | Value::String(_)
            | Value::Array(_) => panic!("{path}: {schema} is no schema"),
        };
        let mut complaints = Vec::new();
        for (keyword, wanted) in keywords {
            match keyword.as_str() {
                "$ref" => {
                    let name = wanted.as_str().and_then(|it| it.strip_prefix("#/$defs/"));
                    let definition = self.definition(name.expect("a definition of this schema"));
                    complaints.extend(self.judge(definition, &without(value, keywords), path));
                }
                "type" => {
                    let types = wanted.as_array().cloned().unwrap_or(vec![wanted.clone()]);
                    if !types
                        .iter()
                        .any(|it| it.as_str().is_some_and(|it| is(value, it)))
                    {
                        complaints.push(format!("{path}: {value} is not {wanted}"));
                    }
                }
                "const" if wanted != value => {
                    complaints.push(format!("{path}: {value} is not {wanted}"))
                }
                "enum" if !wanted.as_array().is_some_and(|all| all.contains(value)) => {
                    complaints.push(format!("{path}: {value} is none of {wanted}"));
                }
                "minimum" if value.is_number() && value.as_f64() < wanted.as_f64() => {
                    complaints.push(format!("{path}: {value} is less than {wanted}"));
                }
                "maximum" if value.is_number() && value.as_f64() > wanted.as_f64() => {
                    complaints.push(format!("{path}: {value} is more than {wanted}"));
                }
                "anyOf" | "oneOf" => complaints.extend(self.any(keywords, wanted, value, path)),
                "items" => {
                    for (index, item) in value.as_array().into_iter().flatten().enumerate() {
                        complaints.extend(self.judge(wanted, item, &format!("{path}[{index}]")));
                    }
                }
                "required" => {
                    let missing = |name: &&Value| {
                        value.is_object() && value.get(name.as_str().unwrap_or_default()).is_none()
                    };
                    let missing = wanted.as_array().into_iter().flatten().filter(missing);
                    complaints.extend(missing.map(|name| format!("{path} has no {name}")));
                }
                "properties"
                | "additionalProperties"
                | "const"
                | "enum"
                | "minimum"
                | "maximum"
                | "title"
                | "description"
                | "format"
                | "default" => {}
                other => panic!("{path}: the judge does not know the keyword {other}"),
            }
        }
        if let Some(fields) = value.as_object() {
            complaints.extend(self.fields(keywords, fields, path));
        }
        complaints
    }

    /// One of several schemas; what is required beside them is a part of each.
    fn any(
        &self,
        beside: &Map<String, Value>,
        choices: &Value,
        value: &Value,
        path: &str,
    ) -> Vec<String> {
        let mut best: Option<Vec<String>> = None;
        for choice in choices.as_array().into_iter().flatten() {
            let mut choice = choice.clone();
            if let (Some(to), Some(from)) = (
                choice.as_object_mut(),
                beside.get("properties").and_then(Value::as_object),
            ) {
                let into = to
                    .entry("properties")
                    .or_insert_with(|| Value::Object(Map::new()));
                if let Some(into) = into.as_object_mut() {
                    into.extend(from.clone());
                }
            }
            let complaints = self.judge(&choice, value, path);
            if best
                .as_ref()
                .is_none_or(|best| complaints.len() < best.len())
            {
                best = Some(complaints);
            }
        }
        best.unwrap_or_default()
    }

    fn fields(
        &self,
        keywords: &Map<String, Value>,
        fields: &Map<String, Value>,
        path: &str,
    ) -> Vec<String> {
        let known = self.known(keywords);
        let others = keywords.get("additionalProperties");
        let mut complaints = Vec::new();
        for (name, value) in fields {
            let path = format!("{path}.{name}");
            match (
                keywords.get("properties").and_then(|all| all.get(name)),
                others,
            ) {
                (Some(schema), _) => complaints.extend(self.judge(schema, value, &path)),
                (None, Some(schema @ Value::Object(_))) => {
                    complaints.extend(self.judge(schema, value, &path))
                }
                (None, _)
                    if known
                        .as_ref()
                        .is_some_and(|known| !known.iter().any(|it| it == name)) =>
                {
                    complaints.push(format!("{path} is not in the schema"));
                }
                (None, _) => {}
            }
        }
        complaints
    }

    /// The fields that a schema names; `None` where others beside it do.
    fn known(&self, keywords: &Map<String, Value>) -> Option<Vec<String>> {
        if ["$ref", "anyOf", "oneOf"]
            .iter()
            .any(|it| keywords.contains_key(*it))
        {
            let reference = keywords.get("$ref")?.as_str()?.strip_prefix("#/$defs/")?;
            // A tag beside what it names: both name fields.
            let mut all = self.known(self.definition(reference).as_object()?)?;
            all.extend(names(keywords));
            return Some(all);
        }
        Some(names(keywords))
    }
}

/// A tag beside what is referred to is none of its fields.
fn without(value: &Value, keywords: &Map<String, Value>) -> Value {
    let mut value = value.clone();
    if let Some(fields) = value.as_object_mut() {
        fields.retain(|name, _| !names(keywords).contains(name));
    }
    value
}

fn names(keywords: &Map<String, Value>) -> Vec<String> {
    let properties = keywords.get("properties").and_then(Value::as_object);
    properties
        .into_iter()
        .flat_map(|all| all.keys().cloned())
        .collect()
}

fn is(value: &Value, kind: &str) -> bool {
    match kind {
        "null" => value.is_null(),
        "boolean" => value.is_boolean(),
        "integer" => value.is_i64() || value.is_u64(),
        "number" => value.is_number(),
        "string" => value.is_string(),
        "array" => value.is_array(),
        "object" => value.is_object(),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn schema() -> Schema {
        let text = json!({ "$defs": {
            "Part": { "type": "object", "properties": { "n": { "type": "integer", "minimum": 0, "maximum": 9 } }, "required": ["n"] },
            "whole": {
                "type": "object",
                "properties": {
                    "word": { "enum": ["a", "b"] },
                    "part": { "anyOf": [{ "$ref": "#/$defs/Part" }, { "type": "null" }] },
                    "list": { "type": "array", "items": { "type": ["string", "null"] } }
                },
                "required": ["part"]
            },
            "choice": { "oneOf": [
                { "type": "object", "properties": { "kind": { "const": "x" } }, "required": ["kind"], "$ref": "#/$defs/Part" },
                { "type": "object", "properties": { "kind": { "const": "y" } }, "required": ["kind"] }
            ] }
        } });
        Schema::new(&text.to_string())
    }

    #[test]
    fn good_documents_are_good() {
        for (name, document) in [
            ("whole", json!({ "part": null })),
            (
                "whole",
                json!({ "part": { "n": 9 }, "word": "a", "list": ["x", null] }),
            ),
            ("choice", json!({ "kind": "x", "n": 1 })),
            ("choice", json!({ "kind": "y" })),
        ] {
            let complaints = schema().complaints(name, &document);
            assert!(complaints.is_empty(), "{document}: {complaints:?}");
        }
    }

    #[test]
    fn others_are_not() {
        for (name, document) in [
            ("whole", json!({})),
            ("whole", json!([])),
            ("whole", json!({ "part": { "n": 10 } })),
            ("whole", json!({ "part": { "n": -1 } })),
            ("whole", json!({ "part": { "n": "1" } })),
            ("whole", json!({ "part": {} })),
            ("whole", json!({ "part": null, "word": "c" })),
            ("whole", json!({ "part": null, "list": [1] })),
            ("whole", json!({ "part": null, "more": 1 })),
            ("choice", json!({ "kind": "z" })),
            ("choice", json!({ "kind": "x" })),
            ("choice", json!({ "kind": "y", "n": 1 })),
        ] {
            assert!(
                !schema().complaints(name, &document).is_empty(),
                "{document}"
            );
        }
    }
}
