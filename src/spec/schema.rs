//! One JSON Schema of the whole document, for editors and for people.

use schemars::generate::SchemaSettings;
use schemars::{JsonSchema, SchemaGenerator};
use serde_json::{Map, Value, json};

use super::resolve::TopShape;
use crate::model::Kind;
use crate::resources::registry;
use crate::resources::values::CommonSpec;

/// The schema of a spec, JSON Schema draft 2020-12.
#[must_use]
pub fn schema() -> Value {
    let mut generator = SchemaSettings::draft2020_12().into_generator();
    let mut root = TopShape::json_schema(&mut generator).to_value();
    let common = CommonSpec::json_schema(&mut generator).to_value();
    for kind in Kind::ALL {
        let table = table(kind, &common, &mut generator);
        if let Some(properties) = root.get_mut("properties").and_then(Value::as_object_mut) {
            properties.insert(kind.word().to_owned(), table);
        }
    }
    let definitions = generator.take_definitions(true);
    if let Some(root) = root.as_object_mut() {
        root.insert("$schema".to_owned(), json!("https://json-schema.org/draft/2020-12/schema"));
        root.insert("title".to_owned(), json!("A Portcullis spec"));
        root.insert(
            "description".to_owned(),
            json!(
                "What a stack wants of AWS and of hosts: groups, load balancers, instances, addresses, keys, firewalls."
            ),
        );
        root.insert("$defs".to_owned(), Value::Object(definitions));
    }
    without_null(&mut root);
    root
}

/// The table of a kind: names, and under each the fields of the kind beside those of every resource.
fn table(kind: Kind, common: &Value, generator: &mut SchemaGenerator) -> Value {
    let mut resource = registry::schema(kind, generator).to_value();
    let description = resource.get("description").cloned();
    let fields = |schema: &Value| schema.get("properties").and_then(Value::as_object).cloned().unwrap_or_default();
    let mut properties: Map<String, Value> = fields(common);
    properties.retain(|key, _| !registry::on_host(kind) || CommonSpec::is_on_hosts(key));
    properties.extend(fields(&resource));
    if let Some(resource) = resource.as_object_mut() {
        resource.insert("properties".to_owned(), Value::Object(properties));
        resource.remove("title");
    }
    json!({
        "type": "object",
        "description": description,
        "propertyNames": { "pattern": "^[a-z][a-z0-9-]{0,30}$" },
        "additionalProperties": resource
    })
}

/// An absent field is left out, never null: the decoder takes none.
fn without_null(schema: &mut Value) {
    match schema {
        Value::Object(object) => {
            for key in ["anyOf", "type"] {
                if let Some(Value::Array(options)) = object.get_mut(key) {
                    options.retain(|option| *option != json!({ "type": "null" }) && *option != json!("null"));
                }
            }
            if let Some([one]) = object.get("type").and_then(Value::as_array).map(Vec::as_slice) {
                let one = one.clone();
                object.insert("type".to_owned(), one);
            }
            if let Some([one]) = object.get("anyOf").and_then(Value::as_array).map(Vec::as_slice) {
                let one = one.clone();
                object.remove("anyOf");
                if let Value::Object(one) = one {
                    for (key, value) in one {
                        object.entry(key).or_insert(value);
                    }
                }
            }
            object.values_mut().for_each(without_null);
        }
        Value::Array(items) => items.iter_mut().for_each(without_null),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}
