//! The closed list of kinds: the one place where kinds meet. Everything here is dispatch.

use std::collections::{BTreeMap, BTreeSet};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::flow::Stance;
use super::permissions::Permits;
use super::snapshot::Facts;
use super::{
    Common, Context, Crew, Delta, Draft, Field, Hold, Loan, Member, Needs, Read, Resource, Seen, Stamps, Wrap,
};
use super::{elastic_ip, host_firewall, instance, key_pair, load_balancer, security_group};
use crate::model::{Address, CloudId, Kind, Output, Owner, Query, Reference, Region, TagEdit, Tags, Target};

/// Declares the enums over all kinds, and their dispatch to the columns.
macro_rules! kinds {
    ($($variant:ident is $column:ident::$marker:ident;)*) => {
        /// What the spec wants of one resource, by kind.
        #[derive(Debug, Clone, PartialEq, Eq)]
        pub enum Want {
            $(#[doc = concat!("A `", stringify!($column), "`.")] $variant(<$column::$marker as Resource>::Desired),)*
        }

        /// What was listed of one object, by kind.
        #[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
        #[serde(rename_all = "snake_case")]
        pub enum Body {
            $(#[doc = concat!("A `", stringify!($column), "`.")] $variant(<$column::$marker as Resource>::Observed),)*
        }

        /// One provider call, by kind.
        #[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
        #[serde(rename_all = "snake_case")]
        pub enum Action {
            $(#[doc = concat!("On a `", stringify!($column), "`.")] $variant(<$column::$marker as Resource>::Action),)*
        }

        impl Want {
            /// Its kind.
            #[must_use]
            pub const fn kind(&self) -> Kind {
                match self { $(Self::$variant(_) => $column::$marker::KIND,)* }
            }

            /// How many characters a generated name may have.
            #[must_use]
            pub const fn longest_name(&self) -> usize {
                match self { $(Self::$variant(_) => $column::$marker::LONGEST_NAME,)* }
            }

            /// What it names.
            #[must_use]
            pub fn references(&self) -> Vec<Reference> {
                match self { $(Self::$variant(want) => $column::$marker::references(want),)* }
            }

            /// What must be read to compare it, beside the listings that every plan needs.
            #[must_use]
            pub fn reads(&self) -> Vec<Read> {
                match self { $(Self::$variant(want) => $column::$marker::reads(want),)* }
            }

            /// Resources whose every change may be a change here.
            #[must_use]
            pub fn watches(&self) -> Vec<Address> {
                match self { $(Self::$variant(want) => $column::$marker::watches(want),)* }
            }

            /// Questions about instances that it depends on.
            #[must_use]
            pub fn queries(&self) -> Vec<Query> {
                match self { $(Self::$variant(want) => $column::$marker::queries(want),)* }
            }

            /// The foreign object that it is made on.
            #[must_use]
            pub fn ground(&self) -> Option<CloudId> {
                match self { $(Self::$variant(want) => $column::$marker::ground(want),)* }
            }

            /// What a new one brings that a reader must see.
            #[must_use]
            pub fn introduces(&self, cx: &Context<'_>) -> Vec<Field> {
                match self { $(Self::$variant(want) => $column::$marker::introduces(want, cx),)* }
            }

            /// What it takes to make one.
            #[must_use]
            pub fn create(&self, cx: &Context<'_>) -> Vec<Draft<Action>> {
                match self {
                    $(Self::$variant(want) => lift($column::$marker::create(want, cx), Action::$variant),)*
                }
            }

            /// What it takes to make `have` what is wanted; none when that is of another kind.
            #[must_use]
            pub fn diff(&self, have: &Object, cx: &Context<'_>) -> Option<Delta<Action>> {
                match (self, &have.body) {
                    $((Self::$variant(want), Body::$variant(body)) => {
                        let delta = $column::$marker::diff(want, &have.seen(body), cx);
                        Some(Delta {
                            fields: delta.fields,
                            drafts: lift(delta.drafts, Action::$variant),
                            renews: delta.renews,
                        })
                    })*
                    $((Self::$variant(_), _) => None,)*
                }
            }

            /// What goes around an interruption of an object that `have` sends traffic to.
            #[must_use]
            pub fn wraps(&self, have: &Object, member: &CloudId, cx: &Context<'_>) -> Option<Wrap<Action>> {
                match (self, &have.body) {
                    $((Self::$variant(want), Body::$variant(body)) => {
                        let wrap = $column::$marker::wraps(want, &have.seen(body), member, cx)?;
                        Some(Wrap {
                            before: lift(wrap.before, Action::$variant),
                            after: lift(wrap.after, Action::$variant),
                        })
                    })*
                    $((Self::$variant(_), _) => None,)*
                }
            }

            /// Those it sends traffic to.
            #[must_use]
            pub fn crew(&self) -> Option<Crew> {
                match self { $(Self::$variant(want) => $column::$marker::crew(want),)* }
            }

            /// Outputs that it has before it is made.
            #[must_use]
            pub fn foretold(&self, cx: &Context<'_>) -> BTreeMap<Output, String> {
                match self { $(Self::$variant(want) => $column::$marker::foretold(want, cx),)* }
            }

            /// Outputs of others that it decides.
            #[must_use]
            pub fn lends(&self) -> Vec<Loan> {
                match self { $(Self::$variant(want) => $column::$marker::lends(want),)* }
            }

            /// Outputs that one made as wanted never has, unless another lends them.
            #[must_use]
            pub fn withholds(&self) -> Vec<Output> {
                match self { $(Self::$variant(want) => $column::$marker::withholds(want),)* }
            }

            /// What it takes that only one object may have.
            #[must_use]
            pub fn slots(&self, cx: &Context<'_>) -> BTreeSet<String> {
                match self { $(Self::$variant(want) => $column::$marker::slots(want, cx),)* }
            }

            /// Tags of ours that say what no listing tells.
            #[must_use]
            pub fn stamps(&self) -> Stamps {
                match self { $(Self::$variant(want) => $column::$marker::stamps(want),)* }
            }

            /// Which API actions it takes.
            pub fn permits(&self, common: &Common, permits: &mut Permits) {
                match self { $(Self::$variant(want) => $column::$marker::permits(want, common, permits),)* }
            }

            /// What will be there, in one line.
            #[must_use]
            pub fn summary(&self) -> String {
                match self { $(Self::$variant(want) => $column::$marker::summary(want),)* }
            }
        }

        $(impl<'a> TryFrom<&'a Body> for &'a <$column::$marker as Resource>::Observed {
            type Error = Kind;

            /// What a kind lists of an object; another kind's where it is of another.
            fn try_from(body: &'a Body) -> Result<Self, Kind> {
                match body {
                    Body::$variant(body) => Ok(body),
                    other => Err(other.kind()),
                }
            }
        })*

        /// Which API actions it takes to list the objects of a kind.
        pub fn listing(kind: Kind, permits: &mut Permits) {
            match kind { $(Kind::$variant => $column::$marker::listing(permits),)* }
        }

        impl Body {
            /// Its kind.
            #[must_use]
            pub const fn kind(&self) -> Kind {
                match self { $(Self::$variant(_) => $column::$marker::KIND,)* }
            }
        }

        impl Object {
            /// Its kind.
            #[must_use]
            pub const fn kind(&self) -> Kind {
                self.body.kind()
            }

            /// What it takes to remove it.
            #[must_use]
            pub fn delete(&self, cx: &Context<'_>) -> Vec<Draft<Action>> {
                match &self.body {
                    $(Body::$variant(body) => lift($column::$marker::delete(&self.seen(body), cx), Action::$variant),)*
                }
            }

            /// What it tells.
            #[must_use]
            pub fn outputs(&self) -> BTreeMap<Output, String> {
                match &self.body { $(Body::$variant(body) => $column::$marker::outputs(&self.seen(body)),)* }
            }

            /// What it keeps from going.
            #[must_use]
            pub fn holds(&self) -> Vec<Hold> {
                match &self.body { $(Body::$variant(body) => $column::$marker::holds(body),)* }
            }

            /// Outputs that it never has of its own.
            #[must_use]
            pub fn lacks(&self, facts: &Facts) -> Vec<Output> {
                match &self.body { $(Body::$variant(body) => $column::$marker::lacks(&self.seen(body), facts),)* }
            }

            /// Objects whose outputs it decides now.
            #[must_use]
            pub fn lent(&self) -> Vec<(CloudId, Vec<Output>)> {
                match &self.body { $(Body::$variant(body) => $column::$marker::lent(body),)* }
            }

            /// Whom it sends traffic to.
            #[must_use]
            pub fn members(&self) -> Vec<Member> {
                match &self.body { $(Body::$variant(body) => $column::$marker::members(body),)* }
            }

            /// What it is to those who talk to each other.
            #[must_use]
            pub fn stance(&self) -> Option<Stance> {
                match &self.body { $(Body::$variant(body) => $column::$marker::stance(&self.seen(body)),)* }
            }

            /// What is to be said of it beyond its outputs and members, line by line.
            #[must_use]
            pub fn describe(&self) -> Vec<String> {
                match &self.body { $(Body::$variant(body) => $column::$marker::describe(body),)* }
            }

            /// Whether it is on its way out already.
            #[must_use]
            pub fn going(&self) -> bool {
                match &self.body { $(Body::$variant(body) => $column::$marker::going(body),)* }
            }

            /// The action that waits until it is gone.
            #[must_use]
            pub fn await_gone(&self) -> Option<Action> {
                match &self.body { $(Body::$variant(_) => $column::$marker::await_gone().map(Action::$variant),)* }
            }

            /// What it has that only one object may have.
            #[must_use]
            pub fn occupies(&self) -> BTreeSet<String> {
                match &self.body { $(Body::$variant(body) => $column::$marker::occupies(&self.seen(body)),)* }
            }

            /// The object without what changes by itself.
            #[must_use]
            pub fn settled(&self) -> Self {
                let body = match &self.body {
                    $(Body::$variant(body) => Body::$variant($column::$marker::settled(body)),)*
                };
                Self { id: self.id.clone(), region: self.region.clone(), tags: self.tags.clone(), body }
            }

            /// Whether an `adopt` clause names it.
            #[must_use]
            pub fn is_called(&self, adopt: &str) -> bool {
                self.id.as_str() == adopt
                    || match &self.body { $(Body::$variant(body) => $column::$marker::is_called(&self.seen(body), adopt),)* }
            }
        }

        impl Action {
            /// The kind it acts on.
            #[must_use]
            pub const fn kind(&self) -> Kind {
                match self { $(Self::$variant(_) => $column::$marker::KIND,)* }
            }

            /// The call that changes an object's tags.
            #[must_use]
            pub fn retag(kind: Kind, edit: TagEdit) -> Self {
                match kind { $(Kind::$variant => Self::$variant($column::$marker::retag(edit)),)* }
            }

            /// The call that only reads what an object of a kind tells.
            #[must_use]
            pub fn look(kind: Kind) -> Option<Self> {
                match kind { $(Kind::$variant => $column::$marker::look().map(Self::$variant),)* }
            }

            /// The call that only tries whether a host answers.
            #[must_use]
            pub fn reach(kind: Kind, target: &Target) -> Option<Self> {
                match kind { $(Kind::$variant => $column::$marker::reach(target).map(Self::$variant),)* }
            }

            /// Whether the object is read again before it.
            #[must_use]
            pub fn rechecks(&self) -> bool {
                match self { $(Self::$variant(action) => $column::$marker::rechecks(action),)* }
            }

            /// Whether it was read from a place that leaves secrets out, and lacks one.
            #[must_use]
            pub fn withholds_secret(&self) -> bool {
                match self { $(Self::$variant(action) => $column::$marker::withholds_secret(action),)* }
            }

            /// What must exist before it.
            #[must_use]
            pub fn needs(&self) -> Needs {
                match self { $(Self::$variant(action) => $column::$marker::needs(action),)* }
            }

            /// Why it must not be carried out on `now`, when the plan saw `seen`.
            #[must_use]
            pub fn stale(&self, seen: &Object, now: &Object) -> Option<String> {
                match (self, &seen.body, &now.body) {
                    $((Self::$variant(action), Body::$variant(seen), Body::$variant(now)) => {
                        $column::$marker::stale(action, seen, now)
                    })*
                    $((Self::$variant(_), _, _) => Some("it is of another kind now".to_owned()),)*
                }
            }
        }
    };
}

kinds! {
    KeyPair is key_pair::KeyPair;
    SecurityGroup is security_group::SecurityGroup;
    ElasticIp is elastic_ip::ElasticIp;
    Instance is instance::Instance;
    LoadBalancer is load_balancer::LoadBalancer;
    HostFirewall is host_firewall::HostFirewall;
}

/// What the spec wants of one resource.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Desired {
    /// What every resource has.
    pub common: Common,
    /// What its kind has.
    pub want: Want,
}

/// A real object, as listed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Object {
    /// Its id.
    pub id: CloudId,
    /// Where it lives.
    pub region: Region,
    /// Its tags.
    #[serde(default)]
    pub tags: Tags,
    /// What its kind lists of it.
    pub body: Body,
}

impl Object {
    /// Who owns it, as its tags say.
    #[must_use]
    pub fn owner(&self) -> Option<Owner> {
        Owner::read(&self.tags)
    }

    /// The object with its kind's part.
    const fn seen<'a, T>(&'a self, body: &'a T) -> Seen<'a, T> {
        Seen { id: &self.id, region: &self.region, tags: &self.tags, body }
    }
}

/// One provider call: what, on which object, for whom.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Call {
    /// For which resource.
    pub at: Address,
    /// Where.
    pub region: Region,
    /// On which object; absent for the one that is made at the address.
    pub on: Option<CloudId>,
    /// What.
    pub action: Action,
    /// How long it may wait, in seconds.
    pub timeout: crate::model::duration::Seconds,
}

fn lift<A>(drafts: Vec<Draft<A>>, into: impl Fn(A) -> Action) -> Vec<Draft<Action>> {
    drafts
        .into_iter()
        .map(|draft| Draft {
            action: into(draft.action),
            title: draft.title,
            about: draft.about,
            on: draft.on,
            wave: draft.wave,
            after: draft.after,
            provides: draft.provides,
            frees: draft.frees,
            reach: draft.reach,
            readies: draft.readies,
            ends: draft.ends,
            interrupts: draft.interrupts,
            serves: draft.serves,
            quits: draft.quits,
            admits: draft.admits,
            shuts: draft.shuts,
            timeout: draft.timeout,
        })
        .collect()
}

// What a user may write: decoding, lowering and the schema, by kind.

use super::decode::Fields;
use super::spec::{Lowered, Lowering, Outline, Written};
use super::values::TagCharacters;
use crate::diagnostic::Diagnostics;

/// Declares what a user may write over all kinds, and its dispatch to the columns.
macro_rules! written {
    ($($variant:ident is $column:ident;)*) => {
        /// What the user wrote of one resource, by kind.
        #[derive(Debug)]
        pub enum Spec {
            $(#[doc = concat!("A `", stringify!($column), "`.")] $variant(Box<$column::spec::Spec>),)*
        }

        impl Spec {
            /// Reads the fields of a kind.
            pub fn read(kind: Kind, fields: &mut Fields<'_>, problems: &mut Diagnostics) -> Option<Self> {
                match kind {
                    $(Kind::$variant => {
                        $column::spec::Spec::read(fields, problems).map(|spec| Self::$variant(Box::new(spec)))
                    })*
                }
            }

            /// What others must know of it before they are resolved.
            #[must_use]
            pub fn outline(&self) -> Outline {
                match self { $(Self::$variant(spec) => spec.outline(),)* }
            }

            /// Every object that is wanted.
            pub fn lower(&self, cx: &Lowering<'_>, problems: &mut Diagnostics) -> Vec<Lowered<Want>> {
                match self {
                    $(Self::$variant(spec) => {
                        spec.lower(cx, problems).into_iter().map(|one| one.map(Want::$variant)).collect()
                    })*
                }
            }
        }

        /// What one of a kind is called in messages, with the article.
        #[must_use]
        pub const fn what(kind: Kind) -> &'static str {
            match kind { $(Kind::$variant => <$column::spec::Spec as Written>::WHAT,)* }
        }

        /// What templates may print of one of a kind.
        #[must_use]
        pub const fn printable(kind: Kind) -> &'static [Output] {
            match kind { $(Kind::$variant => <$column::spec::Spec as Written>::OUTPUTS,)* }
        }

        /// Whether `count` can make several of one of a kind, so that its name stands for a list.
        #[must_use]
        pub const fn many(kind: Kind) -> bool {
            match kind { $(Kind::$variant => <$column::spec::Spec as Written>::MANY,)* }
        }

        /// Whether one of a kind does nothing by itself, and is there for others to name.
        #[must_use]
        pub const fn for_others(kind: Kind) -> bool {
            match kind { $(Kind::$variant => <$column::spec::Spec as Written>::FOR_OTHERS,)* }
        }

        /// Whether one of a kind is on a host: in no region, and without tags of AWS.
        #[must_use]
        pub const fn on_host(kind: Kind) -> bool {
            match kind { $(Kind::$variant => <$column::spec::Spec as Written>::ON_HOST,)* }
        }

        /// What the tags of one of a kind may consist of, where that is less than EC2 takes.
        #[must_use]
        pub const fn tag_characters(kind: Kind) -> Option<TagCharacters> {
            match kind { $(Kind::$variant => <$column::spec::Spec as Written>::TAG_CHARACTERS,)* }
        }

        /// The schema of a kind's own fields.
        pub fn schema(kind: Kind, generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
            match kind {
                $(Kind::$variant => <$column::spec::Spec as JsonSchema>::json_schema(generator),)*
            }
        }
    };
}

written! {
    KeyPair is key_pair;
    SecurityGroup is security_group;
    ElasticIp is elastic_ip;
    Instance is instance;
    LoadBalancer is load_balancer;
    HostFirewall is host_firewall;
}
