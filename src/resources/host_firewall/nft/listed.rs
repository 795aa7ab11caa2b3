//! What `nft -j list ruleset` prints, as far as it is read here (libnftables-json(5)).

use serde_json::Value;

/// A whole ruleset.
#[derive(Debug, Clone, Default)]
pub(in super::super) struct Listed {
    /// Its tables, as `inet filter`.
    pub(in super::super) tables: Vec<String>,
    /// Its chains.
    pub(in super::super) chains: Vec<Chain>,
    /// Its rules, each chain's in order.
    pub(in super::super) rules: Vec<Rule>,
    /// Its sets and maps.
    pub(in super::super) sets: Vec<Set>,
    /// Everything else, with its table.
    pub(in super::super) others: Vec<(String, Value)>,
}

/// A chain.
#[derive(Debug, Clone)]
pub(in super::super) struct Chain {
    /// Its table, as `inet filter`.
    pub(in super::super) table: String,
    /// Its name.
    pub(in super::super) name: String,
    /// The hook, where it is a base chain.
    pub(in super::super) hook: Option<String>,
    /// Its priority on the hook.
    pub(in super::super) priority: i32,
    /// Whether its policy is to drop.
    pub(in super::super) drops: bool,
    /// Its type: `filter`, `nat`, `route`.
    pub(in super::super) kind: Option<String>,
    /// As it was printed.
    pub(in super::super) raw: Value,
}

/// A rule.
#[derive(Debug, Clone)]
pub(in super::super) struct Rule {
    /// Its table.
    pub(in super::super) table: String,
    /// Its chain.
    pub(in super::super) chain: String,
    /// What it looks at and does, in order.
    pub(in super::super) expressions: Vec<Value>,
    /// Its comment.
    pub(in super::super) comment: Option<String>,
    /// As it was printed.
    pub(in super::super) raw: Value,
}

/// A set or a map.
#[derive(Debug, Clone)]
pub(in super::super) struct Set {
    /// Its table.
    pub(in super::super) table: String,
    /// Its name.
    pub(in super::super) name: String,
    /// Its type, where it is a plain set of one.
    pub(in super::super) kind: Option<String>,
    /// What it holds.
    pub(in super::super) elements: Vec<Value>,
    /// As it was printed.
    pub(in super::super) raw: Value,
}

impl Listed {
    /// Reads a listing.
    ///
    /// # Errors
    /// When the text is not one.
    pub(in super::super) fn read(text: &str) -> Result<Self, String> {
        let why = |what: String| format!("`nft -j list ruleset` printed what cannot be read: {what}");
        let Value::Object(mut root) = serde_json::from_str(text).map_err(|error| why(error.to_string()))? else {
            return Err(why("no object".to_owned()));
        };
        let Some(Value::Array(objects)) = root.remove("nftables") else {
            return Err(why("no `nftables` in it".to_owned()));
        };
        let mut listed = Self::default();
        for object in objects {
            let Value::Object(object) = object else { continue };
            for (kind, body) in object {
                listed.take(&kind, body).ok_or_else(|| why(format!("a {kind} without a name")))?;
            }
        }
        Ok(listed)
    }

    fn take(&mut self, kind: &str, mut raw: Value) -> Option<()> {
        let text = |key: &str| raw.get(key).and_then(Value::as_str).map(str::to_owned);
        let family = text("family");
        let name = text("name");
        let table = || Some(format!("{} {}", family.clone()?, text("table")?));
        match kind {
            "metainfo" => {}
            "table" => self.tables.push(format!("{} {}", family?, name?)),
            "chain" => {
                let priority = raw.get("prio").and_then(Value::as_i64).and_then(|prio| i32::try_from(prio).ok());
                let (table, hook, kind) = (table()?, text("hook"), text("type"));
                let drops = text("policy").as_deref() == Some("drop");
                self.chains.push(Chain { table, name: name?, hook, priority: priority.unwrap_or(0), drops, kind, raw });
            }
            "rule" => {
                let (table, chain, comment) = (table()?, text("chain")?, text("comment"));
                let expressions = raw.get("expr").and_then(Value::as_array).cloned().unwrap_or_default();
                self.rules.push(Rule { table, chain, expressions, comment, raw });
            }
            "set" | "map" => {
                let (table, kind) = (table()?, if kind == "set" { text("type") } else { None });
                let elements = match raw.get_mut("elem").map(Value::take) {
                    Some(Value::Array(elements)) => elements,
                    _ => Vec::new(),
                };
                self.sets.push(Set { table, name: name?, kind, elements, raw });
            }
            _ => {
                let raw = serde_json::json!({ kind: raw });
                let inner = raw.get(kind)?;
                let text = |key: &str| inner.get(key).and_then(Value::as_str);
                let table = format!("{} {}", text("family").unwrap_or_default(), text("table").unwrap_or_default());
                self.others.push((table, raw));
            }
        }
        Some(())
    }

    /// The rules of a chain, in order.
    pub(in super::super) fn rules_of(&self, table: &str, chain: &str) -> impl Iterator<Item = &Rule> {
        self.rules.iter().filter(move |rule| rule.table == table && rule.chain == chain)
    }

    /// A set of a table.
    pub(in super::super) fn set(&self, table: &str, name: &str) -> Option<&Set> {
        self.sets.iter().find(|set| set.table == table && set.name == name)
    }
}

impl Rule {
    /// A text for people: its expressions as they were printed, in one line.
    pub(in super::super) fn text(&self) -> String {
        let mut shown: Vec<String> = self.expressions.iter().map(Value::to_string).collect();
        shown.extend(self.comment.as_ref().map(|comment| format!("comment {}", Value::from(comment.as_str()))));
        format!("{}: {}", self.chain, shown.join(" "))
    }
}
