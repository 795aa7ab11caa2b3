//! The plan as a document: what `--format json` prints, what `--out` keeps, and all that the other renderers see.

use std::collections::BTreeSet;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::model::duration::Seconds;
use crate::model::{AccountId, Address, CloudId, LeasePlace, Region, StackName};
use crate::plan::policy::{Goal, Options};
use crate::plan::reads::Reads;
use crate::plan::rehearsed::Rehearsal;
use crate::plan::{Because, Change, LeftOver, Plan, Roll, StepId, Verb};
use crate::resources::scope::Scope;
use crate::resources::snapshot::Unseen;
use crate::resources::{Field, Impact, Note, Refusal, Wave};

/// The version of the document. Readers refuse a higher one.
pub const FORMAT_VERSION: u32 = 2;

/// A plan for readers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PlanDoc {
    /// The version of this document.
    pub format_version: u32,
    /// SHA-256 over everything else in this document, in hexadecimal: who approves it approves this plan and no other.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hash: Option<String>,
    /// The tool that made it.
    pub tool_version: String,
    /// Whether it is about the simulated world or about AWS. A plan of the one is never applied to the other.
    pub world: World,
    /// Whether the stack is brought to what the spec says, or taken away.
    pub goal: GoalDoc,
    /// The stack.
    pub stack: StackName,
    /// Where the spec comes from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub origin: Option<String>,
    /// The account.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub account: Option<AccountId>,
    /// The regions that were looked at.
    pub regions: BTreeSet<Region>,
    /// Counts, and how hard it hits.
    pub summary: Summary,
    /// Why the plan must not be carried out; empty when it may.
    pub refusals: Vec<Refusal>,
    /// Everything that hurts somebody, worst first.
    pub risks: Vec<Risk>,
    /// Moments at which more or less is reachable than before and after.
    pub exposures: Vec<String>,
    /// Members that change in turns, by who sends them traffic.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rolls: Vec<Roll>,
    /// What changes. What does not is only counted.
    pub changes: Vec<ChangeDoc>,
    /// What is to be known of what does not change.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub remarks: Vec<Remark>,
    /// Protected addresses that a destroy leaves, with what they need.
    pub retained: Vec<Address>,
    /// What could not be seen.
    pub unseen: Vec<Unseen>,
    /// What a rehearsal found; absent when there was none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rehearsal: Option<Rehearsal>,
    /// The calls, with what each waits for.
    pub steps: Vec<StepDoc>,
    /// What it stands on. Without it a plan can be read and not be applied.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub basis: Option<Basis>,
}

/// What a plan stands on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Basis {
    /// SHA-256 over the texts of the spec's files, in hexadecimal.
    pub spec: String,
    /// What was asked of the planner.
    pub options: Options,
    /// What was looked at.
    pub scope: Scope,
    /// Where the stack's lock is kept, beside the one on the machine.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lock: Option<LeasePlace>,
    /// What was found there, as far as the plan depends on it.
    pub reads: Reads,
}

/// Which world a plan is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum World {
    /// Amazon Web Services, or an endpoint that speaks like it.
    Aws,
    /// A file that plays AWS.
    Simulated,
}

/// What a plan is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum GoalDoc {
    /// The stack is as the spec says.
    Converge,
    /// Nothing of the stack is left.
    Destroy,
}

/// A plan in numbers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Summary {
    /// Resources that are made.
    pub create: usize,
    /// Foreign objects that are taken over.
    pub adopt: usize,
    /// Resources changed where they stand.
    pub update: usize,
    /// Resources that another takes the place of.
    pub replace: usize,
    /// Objects that are removed.
    pub delete: usize,
    /// Objects that stay and are no longer owned.
    pub release: usize,
    /// Resources of which nothing is known, as what they stand on could not be seen.
    #[serde(default, skip_serializing_if = "is_none")]
    pub unknown: usize,
    /// Resources that are as they should be.
    pub unchanged: usize,
    /// Resources that a filter leaves out.
    pub left_out: usize,
    /// Calls.
    pub steps: usize,
    /// Calls in the longest chain.
    pub longest_chain: usize,
    /// How hard it hits.
    pub impact: Impact,
}

/// Something that is to be known of a resource that does not change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Remark {
    /// Which resource.
    pub address: Address,
    /// What.
    pub text: String,
}

/// Something that hurts somebody.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Risk {
    /// How hard.
    pub impact: Impact,
    /// Whom.
    pub address: Address,
    /// How, in words.
    pub text: String,
}

/// What becomes of one address.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ChangeDoc {
    /// Which resource.
    pub address: Address,
    /// Where.
    pub region: Region,
    /// What becomes of it.
    pub verb: Verb,
    /// The object that is there now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub object: Option<CloudId>,
    /// What will be there, in one line.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub summary: String,
    /// Why the object is left over, where it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub left_over: Option<LeftOver>,
    /// Every difference.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub fields: Vec<Field>,
    /// How hard it hits.
    pub impact: Impact,
    /// What the reader must know.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<Note>,
    /// Resources that name this one and are not changed themselves.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub affected: Vec<Address>,
}

/// One call.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct StepDoc {
    /// Its number, counting from 1.
    pub step: usize,
    /// What it does, in words.
    pub title: String,
    /// Whom or what of the object it is about, in words.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub about: String,
    /// For which resource.
    pub address: Address,
    /// Where.
    pub region: Region,
    /// When in the order of things.
    pub wave: Wave,
    /// On which object; absent for the one that is made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on: Option<CloudId>,
    /// The call, by kind and name. What nobody may see is left out.
    pub call: serde_json::Value,
    /// How long it may wait, in seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout: Option<Seconds>,
    /// Whether its object is read once more before it, and must be as the plan saw it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub rereads: bool,
    /// What it waits for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub after: Vec<WaitDoc>,
}

/// Why a call waits for another.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct WaitDoc {
    /// The other's number.
    pub step: usize,
    /// Why, for machines.
    pub because: Because,
    /// Why, in words.
    pub words: String,
}

/// Writes a plan down.
#[must_use]
pub fn document(plan: &Plan, world: World) -> PlanDoc {
    let changed = plan.changes().iter().filter(|change| change.verb != Verb::NoOp);
    PlanDoc {
        format_version: FORMAT_VERSION,
        hash: None,
        tool_version: env!("CARGO_PKG_VERSION").to_owned(),
        world,
        goal: match plan.goal() {
            Goal::Converge => GoalDoc::Converge,
            Goal::Destroy => GoalDoc::Destroy,
        },
        stack: plan.stack().clone(),
        origin: plan.origin().cloned(),
        account: plan.account().cloned(),
        regions: plan.regions().clone(),
        summary: summary(plan),
        refusals: plan.refusals().to_vec(),
        risks: risks(plan),
        exposures: plan.exposures().to_vec(),
        rolls: plan.rolls().to_vec(),
        changes: changed.map(change).collect(),
        remarks: remarks(plan),
        retained: plan.retained().to_vec(),
        unseen: plan.unseen().to_vec(),
        rehearsal: plan.rehearsal().cloned(),
        steps: steps(plan),
        basis: None,
    }
}

impl PlanDoc {
    /// The same with what it stands on, and with its hash.
    #[must_use]
    pub fn sealed(mut self, basis: Option<Basis>) -> Self {
        self.basis = basis;
        self.hash = None;
        self.hash = Some(self.digest());
        self
    }

    /// Whether the hash is that of the rest.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        let bare = Self { hash: None, ..self.clone() };
        self.hash.as_ref().is_some_and(|hash| *hash == bare.digest())
    }

    /// The document as a file keeps it.
    #[must_use]
    pub fn text(&self) -> String {
        // Documents are plain text and numbers with text keys, which always can be written.
        let text = serde_json::to_string_pretty(self).unwrap_or_default();
        format!("{text}\n")
    }

    /// SHA-256 over the whole document, in hexadecimal.
    fn digest(&self) -> String {
        let mut hash = Hashing(Sha256::new());
        // A hasher takes everything, and a plan is plain text and numbers.
        let _ = serde_json::to_writer(&mut hash, self);
        hash.0.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

/// A hash that is written to, so that a large plan is not held twice.
struct Hashing(Sha256);

impl std::io::Write for Hashing {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

fn summary(plan: &Plan) -> Summary {
    let count = |verb: Verb| plan.changes().iter().filter(|change| change.verb == verb).count();
    let left_out = plan.changes().iter().filter(|change| change.left_out).count();
    Summary {
        create: count(Verb::Create),
        adopt: count(Verb::Adopt),
        update: count(Verb::Update),
        replace: count(Verb::Replace),
        delete: count(Verb::Delete),
        release: count(Verb::Release),
        unknown: count(Verb::Unknown),
        unchanged: count(Verb::NoOp) - left_out,
        left_out,
        steps: plan.steps().len(),
        longest_chain: plan.graph().depth(),
        impact: plan.impact(),
    }
}

/// Whether there are none.
const fn is_none(count: &usize) -> bool {
    *count == 0
}

fn remarks(plan: &Plan) -> Vec<Remark> {
    let quiet = plan.changes().iter().filter(|change| change.verb == Verb::NoOp);
    let notes = quiet.flat_map(|change| change.notes.iter().map(move |note| (change, note)));
    notes.map(|(change, note)| Remark { address: change.address.clone(), text: note.text.clone() }).collect()
}

fn risks(plan: &Plan) -> Vec<Risk> {
    let notes = plan.changes().iter().flat_map(|change| change.notes.iter().map(move |note| (change, note)));
    let mut risks: Vec<Risk> = notes
        .filter(|(_, note)| note.impact > Impact::None)
        .map(|(change, note)| Risk { impact: note.impact, address: change.address.clone(), text: note.text.clone() })
        .collect();
    risks.sort_by(|a, b| {
        (b.impact, a.address.kind, &a.text, &a.address).cmp(&(a.impact, b.address.kind, &b.text, &b.address))
    });
    risks
}

fn change(change: &Change) -> ChangeDoc {
    let Change { address, region, verb, object, summary, left_over, left_out: _, fields, impact, notes, affected } =
        change.clone();
    ChangeDoc { address, region, verb, object, summary, left_over, fields, impact, notes, affected }
}

fn steps(plan: &Plan) -> Vec<StepDoc> {
    let mut docs: Vec<StepDoc> = plan
        .steps()
        .iter()
        .map(|step| StepDoc {
            step: number(step.id),
            title: step.title.to_string(),
            about: step.about.clone(),
            address: step.call.at.clone(),
            region: step.call.region.clone(),
            wave: step.wave,
            on: step.call.on.clone(),
            // An action is plain text and numbers, which always can be written.
            call: serde_json::to_value(&step.call.action).unwrap_or_default(),
            timeout: Some(step.call.timeout),
            rereads: step.seen.is_some(),
            after: Vec::new(),
        })
        .collect();
    for edge in plan.graph().edges() {
        if let Some(doc) = docs.get_mut(edge.to.0) {
            let words = edge.because.to_string();
            doc.after.push(WaitDoc { step: number(edge.from), because: edge.because.clone(), words });
        }
    }
    docs
}

const fn number(id: StepId) -> usize {
    id.0 + 1
}
