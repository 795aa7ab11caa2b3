//! JSON Schemas of values that are read by hand, so that an editor knows what the decoder takes.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};

use super::decode::{At, OneOrMany};

impl<T: JsonSchema> JsonSchema for At<T> {
    fn schema_name() -> Cow<'static, str> {
        T::schema_name()
    }

    fn inline_schema() -> bool {
        T::inline_schema()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        T::json_schema(generator)
    }
}

impl<T: JsonSchema> JsonSchema for OneOrMany<T> {
    fn schema_name() -> Cow<'static, str> {
        format!("OneOrMany{}", T::schema_name()).into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let one = generator.subschema_for::<T>();
        json_schema!({ "anyOf": [one, { "type": "array", "items": one }] })
    }
}

/// Declares a type that stands for nothing but a schema.
macro_rules! shapes {
    ($($(#[doc = $doc:literal])* $name:ident = $schema:tt;)*) => {$(
        $(#[doc = $doc])*
        #[derive(Debug)]
        pub(crate) struct $name;

        impl schemars::JsonSchema for $name {
            fn schema_name() -> std::borrow::Cow<'static, str> {
                stringify!($name).into()
            }

            fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
                schemars::json_schema!($schema)
            }
        }
    )*};
}

pub(crate) use shapes;

shapes! {
    /// A region.
    RegionText = { "type": "string", "pattern": "^[a-z]+(-[a-z]+){1,3}-[0-9]{1,2}$", "description": "an AWS region, `eu-west-1`" };
    /// A resource's name.
    NameText = { "type": "string", "pattern": "^[a-z][a-z0-9-]{0,30}$", "description": "the name of a resource" };
    /// A duration.
    DurationText = { "type": "string", "pattern": "^[0-9]+[smh]$", "description": "a duration, `30s`, `5m`, `1h`" };
    /// A size.
    SizeText = { "type": "string", "pattern": "^[0-9]+(GiB|TiB)$", "description": "a size, `20GiB`" };
    /// A VPC by id or lookup.
    VpcText = {
        "description": "a VPC: its id, or the tags that only it has",
        "anyOf": [
            { "type": "string", "pattern": "^vpc-[0-9a-f]{8,17}$" },
            {
                "type": "object",
                "properties": {
                    "tags": { "type": "object", "additionalProperties": { "type": "string" }, "minProperties": 1 }
                },
                "required": ["tags"],
                "additionalProperties": false
            }
        ]
    };
    /// A subnet by id or lookup.
    SubnetText = {
        "description": "a subnet: its id, or the tags that only it has",
        "anyOf": [
            { "type": "string", "pattern": "^subnet-[0-9a-f]{8,17}$" },
            {
                "type": "object",
                "properties": {
                    "tags": { "type": "object", "additionalProperties": { "type": "string" }, "minProperties": 1 }
                },
                "required": ["tags"],
                "additionalProperties": false
            }
        ]
    };
    /// A date.
    DateText = { "type": "string", "pattern": "^[0-9]{4}-[0-9]{2}-[0-9]{2}$", "description": "a date, `2027-01-31`" };
    /// A text, or a file that holds it.
    TextOrFileShape = {
        "anyOf": [
            { "type": "string" },
            {
                "type": "object",
                "properties": { "file": { "type": "string", "description": "a path, relative to this document" } },
                "required": ["file"],
                "additionalProperties": false
            }
        ]
    };
}
