//! What a user may write of the firewall of a host.

mod lower;
mod query;
mod rule;
mod setting;
mod shapes;
mod source;
mod transport;

use std::collections::BTreeSet;
use std::net::IpAddr;

use schemars::JsonSchema;

use super::host::Backend;
use super::ruleset::{Established, Mode};
use super::state::{Desired, OnRegionError};
use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::model::duration::Seconds;
use crate::model::tree::Value;
use crate::model::{Family, Output, Target};
use crate::resources::decode::{At, Fields, one_of};
use crate::resources::shape;
use crate::resources::spec::{HostOutline, Lowered, Lowering, Outline, Written};
use crate::resources::values::seconds_within;
use rule::{RuleSpec, Sort};
use setting::{AdoptSpec, AttachSpec, CommitSpec, Percent};

/// Ten years: addresses that nobody saw for so long are none.
const LONGEST_STALE: u64 = 10 * 365 * 24 * 3600;

/// The firewall of a host: a part of its packet filter that is ours, among that of others.
#[derive(Debug, JsonSchema)]
#[schemars(rename = "host_firewall", deny_unknown_fields)]
pub struct Spec {
    /// How the host is reached.
    #[schemars(with = "shapes::TransportShape")]
    transport: Option<At<Target>>,
    /// Whether it shall be there: `present` (default), or `absent`, which takes everything of ours off the host. A block that
    /// is simply taken out of the spec cannot be noticed, as nobody knows any more how its host is reached: write `absent`,
    /// apply, and take it out then.
    #[schemars(with = "Option<shapes::PresenceShape>")]
    state: Option<Presence>,
    /// The host's own addresses, one or a list: what `from = "host_firewall.x"` means on other hosts.
    #[schemars(with = "Option<shapes::HostAddressShape>")]
    address: Option<Vec<IpAddr>>,
    /// The dialect: `auto` (default), which fits the host, `nftables`, or `iptables`, which is its nft flavour.
    #[schemars(with = "Option<shapes::BackendShape>")]
    backend: Option<At<Option<Backend>>>,
    /// What becomes of what no rule accepts: others decide (`allow`); it is dropped where rules name its traffic (`guard`,
    /// default); it is dropped (`deny`).
    #[schemars(with = "Option<shapes::ModeShape>")]
    mode: Option<Mode>,
    /// The families that are filtered; both when absent.
    #[schemars(with = "Option<shapes::FamiliesShape>")]
    families: Option<At<BTreeSet<Family>>>,
    /// What becomes of connections that stand when their source is withdrawn: `keep` (default) or `cut`.
    #[schemars(with = "Option<shapes::EstablishedShape>")]
    established: Option<Established>,
    /// How a change is confirmed, and whether it outlives a boot.
    commit: Option<CommitSpec>,
    /// Rules of others that are taken over.
    adopt: Option<AdoptSpec>,
    /// With iptables: the chain from which ours is called, `INPUT` when absent.
    attach: Option<AttachSpec>,
    /// What becomes of the addresses of a region that cannot be listed: they stay (`keep`, default), or nothing is planned
    /// for this host (`fail`).
    #[schemars(with = "Option<shapes::OnRegionErrorShape>")]
    on_region_error: Option<OnRegionError>,
    /// After how long addresses that stay so are a warning on each run; `24h` when absent.
    #[schemars(with = "Option<shape::DurationText>")]
    stale_after: Option<Seconds>,
    /// How much of a rule's addresses may go at once without `--accept shrink`; `50%` when absent.
    #[schemars(with = "Option<shapes::PercentShape>")]
    max_shrink: Option<u8>,
    /// Who is let in whatever else is said: you. Best from networks that no other resource tells.
    #[schemars(with = "Option<Vec<shapes::AlwaysRuleShape>>", length(max = 1000))]
    always_allow: Option<Rules>,
    /// Who is let in.
    #[schemars(with = "Option<Vec<shapes::NamedRuleShape>>", length(max = 1000))]
    rules: Option<Rules>,
}

/// Rules as written.
#[derive(Debug)]
struct Rules {
    /// Those that could be read.
    list: Vec<RuleSpec>,
    /// Whether any was written: one that could not be read is one.
    any: bool,
}

/// Whether it shall be there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Presence {
    Present,
    Absent,
}

impl Written for Spec {
    type Desired = Desired;
    const WHAT: &'static str = "a host firewall";
    const OUTPUTS: &'static [Output] = &[];
    const MANY: bool = false;
    const FOR_OTHERS: bool = false;
    const ON_HOST: bool = true;

    fn read(fields: &mut Fields<'_>, problems: &mut Diagnostics) -> Option<Self> {
        const PRESENCES: [(&str, Presence); 2] = [("present", Presence::Present), ("absent", Presence::Absent)];
        const ESTABLISHED: [(&str, Established); 2] =
            [(Established::Keep.word(), Established::Keep), (Established::Cut.word(), Established::Cut)];
        const ON_ERROR: [(&str, OnRegionError); 2] = [("keep", OnRegionError::Keep), ("fail", OnRegionError::Fail)];
        let backend = fields.node("backend").and_then(|node| setting::backend(node, problems));
        let spec = Self {
            transport: read_transport(fields, problems),
            state: fields.node("state").and_then(|node| one_of(node, &PRESENCES, problems)),
            address: fields.node("address").map(|node| setting::addresses(node, problems)),
            mode: fields.node("mode").and_then(|node| setting::mode(node, problems)),
            families: fields.node("families").and_then(|node| setting::families(node, problems)),
            established: fields.node("established").and_then(|node| one_of(node, &ESTABLISHED, problems)),
            commit: fields.node("commit").and_then(|node| CommitSpec::read(node, problems)),
            adopt: fields.node("adopt").and_then(|node| AdoptSpec::read(node, problems)),
            attach: read_attach(fields, backend.as_ref(), problems),
            on_region_error: fields.node("on_region_error").and_then(|node| one_of(node, &ON_ERROR, problems)),
            stale_after: fields
                .node("stale_after")
                .and_then(|node| seconds_within(node, "`stale_after`", 1..=LONGEST_STALE, problems)),
            max_shrink: fields.optional::<Percent>("max_shrink", problems).map(|percent| percent.0),
            always_allow: read_rules(fields, Sort::Always, problems),
            rules: read_rules(fields, Sort::Named, problems),
            backend,
        };
        Some(spec)
    }

    fn outline(&self) -> Outline {
        let host = self.transport.as_ref().map(|transport| HostOutline {
            target: transport.value.clone(),
            at: transport.span,
            addresses: self.address.clone(),
        });
        Outline { host, ..Outline::default() }
    }

    fn lower(&self, cx: &Lowering<'_>, problems: &mut Diagnostics) -> Vec<Lowered<Desired>> {
        lower::lower(self, cx, problems)
    }
}

fn read_transport(fields: &mut Fields<'_>, problems: &mut Diagnostics) -> Option<At<Target>> {
    let span = fields.span();
    let Some(node) = fields.node("transport") else {
        let problem = Diagnostic::error("missing-key", span, "a host firewall needs `transport`");
        return problems.fail(problem.hint("write \"local\", or { ssh = \"user@host\" }"));
    };
    let value = transport::read(node, problems)?;
    Some(At { value, span: node.span })
}

/// Only a chain of iptables can be called from another of its table.
fn read_attach(
    fields: &mut Fields<'_>,
    backend: Option<&At<Option<Backend>>>,
    problems: &mut Diagnostics,
) -> Option<AttachSpec> {
    let node = fields.node("attach")?;
    if let Some(backend) = backend.filter(|backend| backend.value == Some(Backend::Nftables)) {
        let message = "`attach` is for iptables: a table of nftables is called by the kernel";
        problems.push(
            Diagnostic::error("combination", node.span, message)
                .hint("leave it out, or write `backend = \"iptables\"`")
                .also(backend.span, "the backend"),
        );
    }
    AttachSpec::read(node, problems)
}

fn read_rules(fields: &mut Fields<'_>, sort: Sort, problems: &mut Diagnostics) -> Option<Rules> {
    let node = fields.node(match sort {
        Sort::Always => "always_allow",
        Sort::Named => "rules",
    })?;
    let any = !matches!(&node.value, Value::Array(items) if items.is_empty());
    Some(Rules { list: rule::read_list(node, sort, problems), any })
}

impl Spec {
    /// The rules of one of the lists.
    fn list(rules: Option<&Rules>) -> &[RuleSpec] {
        rules.map_or(&[], |rules| rules.list.as_slice())
    }
}
