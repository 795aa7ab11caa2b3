//! The top level of a spec: whose it is, where it lives, and the defaults of everything in it.

use std::collections::{BTreeMap, BTreeSet};

use schemars::JsonSchema;

use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::model::secret::Secret;
use crate::model::tree::{Entry, Node, Span, Value};
use crate::model::{AccountId, Kind, LeasePlace, Region, StackName};
use crate::resources::decode::{At, Decode, Fields, by_rule, wrong_type};
use crate::resources::spec::Network;
use crate::resources::values::TagTable;
use crate::resources::{Choice, SubnetChoice, VpcChoice, shape};
use crate::spec::Inputs;

use super::lock::{self, LockShape};

/// The fields of the top level.
pub(super) struct Top {
    /// The stack; absent when it is missing or wrong, which is an error.
    pub(super) stack: Option<StackName>,
    /// Where the spec comes from.
    pub(super) origin: Option<At<String>>,
    /// The default region.
    pub(super) region: Option<Region>,
    /// Regions that discovery always looks at.
    pub(super) regions: BTreeSet<Region>,
    /// The account that must be the one.
    pub(super) account: Option<AccountId>,
    /// Tags of every object.
    pub(super) tags: TagTable,
    /// Tags that others may add.
    pub(super) ignore_tags: Vec<String>,
    /// The key of fingerprints of sensitive data.
    pub(super) fingerprint_key: Option<Secret>,
    /// Where the lock is kept that runners on several machines share.
    pub(super) lock: Option<LeasePlace>,
    networks: BTreeMap<Region, Network>,
    plain: Network,
}

/// A kind's table: the names in it, and what stands under each.
pub(super) type Tables<'a> = Vec<(Kind, &'a [Entry])>;

impl Top {
    /// Reads the top level, and finds the tables of the kinds.
    pub(super) fn read<'a>(
        root: &'a Node,
        inputs: &Inputs<'_>,
        problems: &mut Diagnostics,
    ) -> Option<(Self, Tables<'a>)> {
        let mut fields = Fields::of(root, "the spec", problems)?;
        fields.node("$schema");
        let stack = if let Some(node) = fields.node("stack") {
            by_rule(node, "stack", StackName::new, problems)
        } else {
            let start = Span { end: root.span.start, ..root.span };
            let problem = Diagnostic::error("missing-key", start, "the spec needs `stack`");
            problems.fail(problem.hint("name the owner of everything it makes: stack = \"shop\""))
        };
        let region = fields.optional("region", problems).or_else(|| inputs.region.clone());
        let variable: Option<KeySource> = fields.optional("fingerprint_key", problems);
        let regions: Option<Vec<Region>> = fields.optional("regions", problems);
        let network: Option<NetworkSpec> = fields.optional("network", problems);
        let (plain, networks) = network.unwrap_or_default().per_region(region.as_ref(), problems);
        let top = Self {
            stack,
            origin: fields
                .node("origin")
                .and_then(|node| by_rule(node, "origin", origin, problems).map(|value| At { value, span: node.span })),
            account: fields.node("account").and_then(|node| by_rule(node, "account", AccountId::new, problems)),
            regions: regions.unwrap_or_default().into_iter().collect(),
            tags: fields.optional("tags", problems).unwrap_or_default(),
            ignore_tags: fields.optional("ignore_tags", problems).map(patterns).unwrap_or_default(),
            fingerprint_key: variable.and_then(|source| source.key(inputs, problems)),
            lock: fields.node("lock").and_then(|node| lock::read(node, problems)),
            networks,
            plain,
            region,
        };
        let tables = tables(&mut fields, problems);
        fields.finish(problems);
        Some((top, tables))
    }

    /// The network that applies in a region.
    pub(super) fn network(&self, region: &Region) -> &Network {
        self.networks.get(region).unwrap_or(&self.plain)
    }
}

/// The table of every kind that has one.
fn tables<'a>(fields: &mut Fields<'a>, problems: &mut Diagnostics) -> Tables<'a> {
    let mut tables = Vec::with_capacity(Kind::ALL.len());
    for kind in Kind::ALL {
        match fields.node(kind.word()).map(|node| (node.span, &node.value)) {
            Some((_, Value::Table(entries))) => tables.push((kind, entries.as_slice())),
            Some((span, other)) => {
                problems.push(wrong_type(span, &format!("a table of names, [{kind}.NAME],"), other));
            }
            None => {}
        }
    }
    tables
}

/// An origin is kept in a tag.
fn origin(text: &str) -> Result<String, String> {
    match text.chars().count() {
        0 => Err("`origin` is empty: leave it out".to_owned()),
        1..=256 => Ok(text.to_owned()),
        _ => Err("an origin has at most 256 characters, as it is kept in a tag".to_owned()),
    }
}

fn patterns(mut patterns: Vec<String>) -> Vec<String> {
    patterns.sort();
    patterns.dedup();
    patterns
}

/// `{ env = "…" }`.
struct KeySource {
    env: At<String>,
}

impl KeySource {
    /// The key; a variable that is not set is no error, as who only validates need not know the secret.
    fn key(&self, inputs: &Inputs<'_>, problems: &mut Diagnostics) -> Option<Secret> {
        let key = inputs.environment.variable(&self.env.value).filter(|key| !key.is_empty());
        if key.is_none() {
            let message = format!("`{}` is not set: sensitive user data is not compared", self.env.value);
            problems.push(Diagnostic::warning("variable", self.env.span, message).hint("set it where plans are made"));
        }
        key.map(Secret::new)
    }
}

impl Decode for KeySource {
    fn decode(node: &Node, problems: &mut Diagnostics) -> Option<Self> {
        if let Value::String(_) = &node.value {
            return problems.fail(
                Diagnostic::error("secret", node.span, "a key does not belong in a spec")
                    .hint("name the variable that holds it: { env = \"…\" }"),
            );
        }
        let mut fields = Fields::of(node, "a fingerprint key", problems)?;
        let env: Option<At<String>> = fields.required("env", problems);
        fields.finish(problems);
        let env = env?;
        if env.value.is_empty() || env.value.contains(['=', '\0']) {
            return problems.fail(Diagnostic::error("variable", env.span, "this is no name of a variable"));
        }
        Some(Self { env })
    }
}

/// The network as written.
#[derive(Default)]
struct NetworkSpec {
    plain: Option<(Network, Span)>,
    regions: BTreeMap<Region, (Network, Span)>,
}

impl NetworkSpec {
    /// What applies where: the table itself in the default region, its `region` tables in others.
    fn per_region(self, default: Option<&Region>, problems: &mut Diagnostics) -> (Network, BTreeMap<Region, Network>) {
        let everywhere = Network { vpc: Choice::Default, subnets: Vec::new() };
        let mut networks: BTreeMap<Region, (Network, Span)> = self.regions;
        if let (Some((_, span)), None) = (&self.plain, default) {
            problems.push(
                Diagnostic::error("no-region", *span, "this is the network of the default region, and there is none")
                    .hint("write `region` at the top of the spec, or [network.region.NAME]"),
            );
        }
        if let (Some((network, span)), Some(region)) = (self.plain, default) {
            match networks.get(region) {
                Some((_, other)) => problems.push(
                    Diagnostic::error("combination", span, format!("the network of {region} stands here twice"))
                        .hint("keep one of them")
                        .also(*other, "the other one"),
                ),
                None => {
                    networks.insert(region.clone(), (network, span));
                }
            }
        }
        (everywhere, networks.into_iter().map(|(region, (network, _))| (region, network)).collect())
    }
}

impl Decode for NetworkSpec {
    fn decode(node: &Node, problems: &mut Diagnostics) -> Option<Self> {
        let mut fields = Fields::of(node, "a network", problems)?;
        let plain = read_network(&mut fields, problems);
        let mut regions = BTreeMap::new();
        match fields.node("region").map(|node| (node.span, &node.value)) {
            Some((_, Value::Table(entries))) => {
                for entry in entries {
                    match Region::written(&entry.key) {
                        Ok(region) => {
                            let network = Fields::of(&entry.node, "a network", problems).map(|mut fields| {
                                let network = read_network(&mut fields, problems);
                                fields.finish(problems);
                                network.unwrap_or(Network { vpc: Choice::Default, subnets: Vec::new() })
                            });
                            regions.extend(network.map(|network| (region, (network, entry.key_span))));
                        }
                        Err(why) => problems.push(Diagnostic::error("region", entry.key_span, why)),
                    }
                }
            }
            Some((span, other)) => problems.push(wrong_type(span, "a table of regions", other)),
            None => {}
        }
        fields.finish(problems);
        Some(Self { plain: plain.map(|network| (network, node.span)), regions })
    }
}

/// VPC and subnets of one network; nothing when neither is said.
fn read_network(fields: &mut Fields<'_>, problems: &mut Diagnostics) -> Option<Network> {
    let vpc: Option<VpcChoice> = fields.optional("vpc", problems);
    let subnets: Option<At<Vec<At<SubnetChoice>>>> = fields.optional("subnets", problems);
    if let Some(list) = subnets.as_ref().filter(|list| list.value.is_empty()) {
        problems.push(Diagnostic::error("empty", list.span, "`subnets` is empty").hint("leave it out for any subnet"));
    }
    for (at, subnet) in subnets.iter().flat_map(|list| list.value.iter().enumerate()) {
        let before = subnets.iter().flat_map(|list| list.value.iter().take(at));
        if before.into_iter().any(|other| other.value == subnet.value) {
            problems.push(Diagnostic::error("twice", subnet.span, "this subnet stands here twice"));
        }
    }
    if vpc.is_none() && subnets.is_none() {
        return None;
    }
    let subnets = subnets.map(|list| list.value.into_iter().map(|subnet| subnet.value).collect());
    Some(Network { vpc: vpc.unwrap_or(Choice::Default), subnets: subnets.unwrap_or_default() })
}

/// The fields of the top level, for the schema.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields, rename = "Spec")]
#[expect(dead_code, reason = "it is read by hand, and stands here for its schema")]
pub(crate) struct TopShape {
    /// The schema of this document, for editors.
    #[schemars(rename = "$schema")]
    schema: Option<String>,
    /// The owner of everything it made.
    #[schemars(regex(pattern = r"^[a-z][a-z0-9-]{0,31}$"))]
    stack: String,
    /// Where the spec comes from, such as the repository's URL. Objects of the stack with another origin are refused.
    #[schemars(length(min = 1, max = 256))]
    origin: Option<String>,
    /// The default region of each resource; the SDK's when absent.
    region: Option<shape::RegionText>,
    /// Regions that discovery always looks at, beside those that resources name.
    regions: Option<Vec<shape::RegionText>>,
    /// A guard: another account is an error before anything else.
    #[schemars(regex(pattern = r"^[0-9]{12}$"))]
    account: Option<String>,
    /// Tags on every object; a resource's own win.
    tags: Option<BTreeMap<String, String>>,
    /// Patterns of tag keys that others may add to objects of ours.
    ignore_tags: Option<Vec<String>>,
    /// Where the key of fingerprints of sensitive user data comes from.
    fingerprint_key: Option<KeySourceShape>,
    /// What keeps two applies apart that run on different machines; beside it there is always a lock on this machine.
    lock: Option<LockShape>,
    /// The network; the region's default VPC when absent.
    network: Option<NetworkShape>,
}

/// Where a key comes from.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields, rename = "FingerprintKey")]
#[expect(dead_code, reason = "it is read by hand, and stands here for its schema")]
struct KeySourceShape {
    /// A variable of the environment.
    #[schemars(length(min = 1))]
    env: String,
}

/// The network of the default region, and of others.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields, rename = "Network")]
#[expect(dead_code, reason = "it is read by hand, and stands here for its schema")]
struct NetworkShape {
    /// The VPC.
    vpc: Option<shape::VpcText>,
    /// The subnets among which instances are placed.
    #[schemars(length(min = 1))]
    subnets: Option<Vec<shape::SubnetText>>,
    /// The networks of other regions.
    region: Option<BTreeMap<String, RegionNetworkShape>>,
}

/// The network of one region.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields, rename = "RegionNetwork")]
#[expect(dead_code, reason = "it is read by hand, and stands here for its schema")]
struct RegionNetworkShape {
    /// The VPC.
    vpc: Option<shape::VpcText>,
    /// The subnets among which instances are placed.
    #[schemars(length(min = 1))]
    subnets: Option<Vec<shape::SubnetText>>,
}
