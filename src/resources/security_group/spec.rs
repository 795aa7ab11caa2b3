//! What a user may write of a security group, and what AWS would refuse of it.

mod peer;
mod rule;
mod rule_shape;

use schemars::JsonSchema;

use super::state::{Desired, Direction, Rule, RuleMode, Rules};
use crate::diagnostic::{Diagnostic, Diagnostics};

use crate::model::tree::{Node, Span, Value};
use crate::model::{Output, Reference};
use crate::resources::decode::{At, Fields, one_of, within, wrong_type};
use crate::resources::spec::{Claim, Lowered, Lowering, Outline, Written};
use crate::resources::values::not_plain;
use crate::resources::{Choice, VpcChoice, shape};
use rule::{RuleSpec, lower_rule};

/// AWS's limit of rules a direction, unless the account has another
/// (<https://docs.aws.amazon.com/vpc/latest/userguide/amazon-vpc-limits.html>).
const RULE_QUOTA: u32 = 60;

/// A security group.
#[derive(Debug, JsonSchema)]
#[schemars(rename = "security_group", deny_unknown_fields)]
pub struct Spec {
    /// A description, at most 255 characters; `portcullis <stack> <name>` when absent. AWS never changes it: another one
    /// is another group.
    #[schemars(with = "Option<String>", length(max = 255))]
    description: Option<At<String>>,
    /// Where it lives; the network's VPC when absent.
    #[schemars(with = "Option<shape::VpcText>")]
    vpc: Option<At<VpcChoice>>,
    /// A literal name; a generated one when absent.
    #[schemars(with = "Option<String>", length(min = 1, max = 255))]
    name: Option<At<String>>,
    /// What happens to rules that others made: `exclusive` removes them, `additive` leaves them.
    #[schemars(with = "Option<RuleModeShape>")]
    rules: Option<RuleMode>,
    /// What may come in; nothing when absent.
    #[schemars(with = "Option<Vec<rule_shape::IngressRule>>")]
    ingress: Option<RuleList>,
    /// What may go out; everything when absent, nothing when empty.
    #[schemars(with = "Option<Vec<rule_shape::EgressRule>>")]
    egress: Option<RuleList>,
    /// The account's limit of rules a direction, where it is not AWS's 60.
    #[schemars(with = "Option<u32>", range(min = 1, max = 1000))]
    rule_quota: Option<u32>,
}

/// Rules as written, with the place of the list.
#[derive(Debug)]
struct RuleList {
    rules: Vec<RuleSpec>,
    span: Span,
}

shape::shapes! {
    /// Whose rules a group holds.
    RuleModeShape = { "type": "string", "enum": ["exclusive", "additive"] };
}

impl Written for Spec {
    type Desired = Desired;
    const WHAT: &'static str = "a security group";
    const OUTPUTS: &'static [Output] = &[];
    const MANY: bool = false;
    const FOR_OTHERS: bool = true;

    fn read(fields: &mut Fields<'_>, problems: &mut Diagnostics) -> Option<Self> {
        let spec = Self {
            description: fields.optional("description", problems),
            vpc: fields.optional("vpc", problems),
            name: fields.optional("name", problems),
            rules: fields.node("rules").and_then(|node| read_mode(node, problems)),
            ingress: fields.node("ingress").and_then(|node| read_rules(node, Direction::Ingress, problems)),
            egress: fields.node("egress").and_then(|node| read_rules(node, Direction::Egress, problems)),
            rule_quota: fields.node("rule_quota").and_then(|node| within(node, "a rule quota", 1..=1000, problems)),
        };
        spec.check_texts(problems);
        Some(spec)
    }

    fn outline(&self) -> Outline {
        Outline { vpc: self.vpc.as_ref().map(|vpc| vpc.value.clone()), ..Outline::default() }
    }

    fn lower(&self, cx: &Lowering<'_>, problems: &mut Diagnostics) -> Vec<Lowered<Desired>> {
        let vpc = self.vpc.as_ref().map_or_else(|| cx.network.vpc.clone(), |vpc| vpc.value.clone());
        let rule_quota = self.rule_quota.unwrap_or(RULE_QUOTA);
        let want = Desired {
            description: self
                .description
                .as_ref()
                .map_or_else(|| format!("portcullis {} {}", cx.stack, cx.name), |text| text.value.clone()),
            mode: self.rules.unwrap_or(RuleMode::Exclusive),
            ingress: lower_rules(self.ingress.as_ref(), Direction::Ingress, rule_quota, cx, problems),
            egress: self
                .egress
                .as_ref()
                .map(|list| lower_rules(Some(list), Direction::Egress, rule_quota, cx, problems)),
            name: self.name.as_ref().map(|name| name.value.clone()),
            rule_quota,
            vpc,
        };
        let claims = self.name.iter().map(|name| Claim {
            what: format!(
                "the group name `{}` in {} of {}",
                name.value.to_ascii_lowercase(),
                words(&want.vpc),
                cx.region
            ),
            at: name.span,
        });
        let claims = claims.collect();
        vec![Lowered { name: cx.name.clone(), region: None, want, claims }]
    }
}

impl Spec {
    /// What AWS says of names and descriptions
    /// (<https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_CreateSecurityGroup.html>).
    fn check_texts(&self, problems: &mut Diagnostics) {
        for (text, what) in
            self.description.iter().map(|t| (t, "a description")).chain(self.name.iter().map(|t| (t, "a name")))
        {
            check_text(text, what, problems);
        }
        if let Some(text) = self.description.as_ref().filter(|text| text.value.is_empty()) {
            let problem = Diagnostic::error("empty", text.span, "AWS takes no empty description");
            problems.push(problem.hint("leave it out for a default one"));
        }
        let Some(name) = &self.name else { return };
        let lower = name.value.to_ascii_lowercase();
        if lower.starts_with("sg-") {
            problems.push(Diagnostic::error("name", name.span, "names that begin with `sg-` are AWS's own"));
        } else if lower == "default" {
            problems.push(Diagnostic::error("name", name.span, "`default` is the name of the VPC's own group"));
        } else if name.value.is_empty() {
            problems.push(Diagnostic::error("name", name.span, "a name has at least one character"));
        } else if name.value.trim() != name.value {
            problems.push(Diagnostic::error(
                "name",
                name.span,
                "AWS cuts spaces at the ends of a name: leave them out",
            ));
        }
    }
}

/// Length and characters of a name or a description.
fn check_text(text: &At<String>, what: &str, problems: &mut Diagnostics) {
    if text.value.chars().count() > 255 {
        problems.push(Diagnostic::error("too-long", text.span, format!("{what} has at most 255 characters")));
    }
    if let Some(wrong) = not_plain(&text.value) {
        problems.push(
            Diagnostic::error("character", text.span, format!("AWS takes no `{}` in {what}", wrong.escape_debug()))
                .hint("it takes a-z, A-Z, 0-9, space and ._-:/()#,@[]+=&;{}!$*"),
        );
    }
}

fn read_mode(node: &Node, problems: &mut Diagnostics) -> Option<RuleMode> {
    one_of(node, &[("exclusive", RuleMode::Exclusive), ("additive", RuleMode::Additive)], problems)
}

fn read_rules(node: &Node, direction: Direction, problems: &mut Diagnostics) -> Option<RuleList> {
    match &node.value {
        Value::Array(items) => {
            let rules = items.iter().filter_map(|item| RuleSpec::read(item, direction, problems)).collect();
            Some(RuleList { rules, span: node.span })
        }
        other => problems.fail(wrong_type(node.span, "a list of rules", other)),
    }
}

/// All rules of one direction, each once.
fn lower_rules(
    list: Option<&RuleList>,
    direction: Direction,
    quota: u32,
    cx: &Lowering<'_>,
    problems: &mut Diagnostics,
) -> Rules {
    let Some(list) = list else { return Rules::new() };
    let mut places = std::collections::BTreeMap::<Rule<Reference>, Span>::new();
    let mut rules = Rules::new();
    for spec in &list.rules {
        for (rule, wish, at) in lower_rule(spec, cx, problems) {
            match (rules.get(&rule), places.get(&rule)) {
                (Some(before), Some(first)) if *before != wish => problems.push(
                    Diagnostic::error(
                        "contradiction",
                        at,
                        format!("this {} rule is said twice, with another description or `expires`", direction.word()),
                    )
                    .also(*first, "the first time"),
                ),
                (Some(_), _) => {}
                (None, _) => {
                    places.insert(rule.clone(), at);
                    rules.insert(rule, wish);
                }
            }
        }
    }
    if u32::try_from(rules.len()).map_or(true, |count| count > quota) {
        problems.push(
            Diagnostic::error(
                "too-many",
                list.span,
                format!("these are {} {} rules, and a group takes {quota}", rules.len(), direction.word()),
            )
            .hint("join networks, use a prefix list, or say `rule_quota` when AWS gave the account more"),
        );
    }
    rules
}

/// Which VPC, in words that are equal where the choice is.
fn words(vpc: &VpcChoice) -> String {
    match vpc {
        Choice::Default => "the default VPC".to_owned(),
        Choice::Id(id) => id.to_string(),
        Choice::Tags(tags) => format!("the VPC with {tags:?}"),
    }
}
