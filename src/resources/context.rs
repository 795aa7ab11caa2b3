//! What a kind sees of the plan that is being made, and how it asks, refuses and warns.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use jiff::Timestamp;
use jiff::civil::Date;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::registry::Object;
use super::snapshot::{Answer, Facts, Fleet, Question};
use super::{Common, Impact, Note, Refusal, RefusalKind, VpcChoice};
use crate::model::id::VpcId;
use crate::model::text::Part;
use crate::model::{Address, CloudId, Known, Link, Output, Reference, Region, StackName, Tags};

/// What a kind may ask while it plans one resource.
pub struct Context<'a> {
    /// Whose turn it is.
    pub at: &'a Address,
    /// What every resource has.
    pub common: &'a Common,
    /// The stack.
    pub stack: &'a StackName,
    /// The account, as far as it is known.
    pub account: &'a str,
    /// The day on which the plan is made, in UTC.
    pub today: Date,
    /// The moment at which the plan is made.
    pub now: Timestamp,
    /// The network of the region.
    pub facts: &'a Facts,
    /// What was asked in an earlier round.
    pub answers: &'a BTreeMap<Question, Answer>,
    /// Whether what has no bulk API is read and compared too.
    pub verify: bool,
    /// Whether another object takes the place of the one that is removed.
    pub succeeded: bool,
    /// Objects of the stack, whatever becomes of them.
    pub mine: &'a BTreeSet<CloudId>,
    /// Every instance of the regions that queries look at.
    pub fleet: &'a BTreeMap<Region, Fleet>,
    /// What it stands on, or would.
    pub ground: Ground<'a>,
    /// Which risks the operator accepts.
    pub accepted: Accepted,
    /// Who is who.
    pub identities: &'a dyn Identities,
    /// What is to be asked in the next round.
    pub questions: &'a RefCell<BTreeSet<Question>>,
    /// What stands in the way.
    pub refusals: &'a RefCell<Vec<Refusal>>,
    /// What the reader must know.
    pub notes: &'a RefCell<Vec<Note>>,
}

/// The foreign object that something is made on.
#[derive(Debug, Clone, Copy)]
pub enum Ground<'a> {
    /// It needs none.
    None,
    /// It is there.
    Seen(&'a Object),
    /// Nobody knows, and why.
    Unseen(&'a str),
}

/// Which risks the operator accepts.
#[expect(clippy::struct_excessive_bools, reason = "each is a consent of its own")]
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Accepted {
    /// Whoever carries out the plan may be locked out.
    pub lockout: bool,
    /// More addresses may be withdrawn at once than the spec allows.
    pub shrink: bool,
    /// A region that was never seen counts as empty.
    pub partial: bool,
    /// Even addresses that are kept because a region cannot be seen are too much.
    pub nothing_kept: bool,
}

/// How names become objects, in the round of planning that is under way.
pub trait Identities {
    /// The object at an address: the one that stays, or the one this plan makes.
    fn link(&self, address: &Address) -> Option<Link>;
    /// What is known of an output.
    fn output(&self, address: &Address, output: Output) -> Known;
    /// The objects at an address that go because another stands there or takes their place.
    fn formers(&self, address: &Address) -> Vec<CloudId>;
    /// Whether somebody sends the object at an address traffic, and can do without it for a while.
    fn spared(&self, address: &Address) -> bool;
    /// Where an object at an address lives, and the user's tags that it will have.
    fn nature(&self, address: &Address) -> Option<(Region, Tags)>;
    /// The objects of the stack that have an address now, and lose it by this plan or go.
    fn tellers(&self, address: IpAddr) -> Vec<CloudId>;
    /// Whether this plan removes an object of the stack.
    fn goes(&self, id: &CloudId) -> bool;
    /// What an object would be that is made at an address now.
    fn fresh(&self, address: &Address) -> Fresh;
}

/// What a new object at an address would be.
#[derive(Debug, Clone, Default)]
pub struct Fresh {
    /// Which of the objects made at the address it would be.
    pub generation: u32,
    /// Its generated name.
    pub name: String,
    /// All its tags, ownership included.
    pub tags: Tags,
}

impl Context<'_> {
    /// What an object would be that is made here now.
    #[must_use]
    pub fn fresh(&self) -> Fresh {
        self.identities.fresh(self.at)
    }

    /// A reference by identity.
    #[must_use]
    pub fn link(&self, reference: &Reference) -> Link {
        match reference {
            Reference::Existing(id) => Link::Existing(id.clone()),
            Reference::Address(address) => {
                self.identities.link(address).unwrap_or_else(|| Link::Planned(address.clone()))
            }
        }
    }

    /// What is known of an output.
    #[must_use]
    pub fn output(&self, address: &Address, output: Output) -> Known {
        self.identities.output(address, output)
    }

    /// Whether somebody sends the object here traffic, and can do without it for a while.
    #[must_use]
    pub fn is_spared(&self) -> bool {
        self.identities.spared(self.at)
    }

    /// What stands for an output in a text: its value, or a hole for whoever will tell it; refuses one that never comes.
    #[must_use]
    pub fn part(&self, address: &Address, output: Output) -> Part {
        match self.output(address, output) {
            Known::Now(value) => Part::Literal(value),
            Known::Later(address, output) => Part::Hole { address, output },
            Known::Never(why) => {
                let message = format!("its user data reads `{address}.{output}`: {why}");
                let hint = "read its private address, or give it an Elastic IP";
                self.refuse(Refusal::new(RefusalKind::Lookup, self.at, message).hint(hint));
                Part::Hole { address: address.clone(), output }
            }
        }
    }

    /// The answer to a question; asks it when nobody did.
    #[must_use]
    pub fn ask(&self, question: Question) -> Option<&Answer> {
        let answer = self.answers.get(&question);
        if answer.is_none() {
            self.questions.borrow_mut().insert(question);
        }
        answer
    }

    /// Says that the plan cannot be carried out.
    pub fn refuse(&self, refusal: Refusal) {
        self.refusals.borrow_mut().push(refusal);
    }

    /// Tells the reader something.
    pub fn note(&self, impact: Impact, text: impl Into<String>) {
        self.notes.borrow_mut().push(Note::new(impact, text));
    }

    /// The VPC that a choice means; refuses when that is not exactly one.
    #[must_use]
    pub fn vpc(&self, choice: &VpcChoice) -> Option<VpcId> {
        match self.facts.vpc(choice) {
            Ok(vpc) => Some(vpc),
            Err(why) => {
                self.refuse(Refusal::new(RefusalKind::Lookup, self.at, why.message).hint(why.hint));
                None
            }
        }
    }
}
