//! What the spec and the columns say to each other: all that a column must be told to turn what was written into what is
//! desired.
//!
//! It knows no kind, and reads no file, environment or clock: who asks gives them.

use std::fmt;
use std::net::IpAddr;

use super::decode::{At, Fields};
use super::values::TagCharacters;
use super::{SubnetChoice, VpcChoice};
use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::model::id::ZoneName;
use crate::model::secret::Secret;
use crate::model::text::Text;
use crate::model::tree::Span;
use crate::model::{Address, Kind, Name, Output, Region, StackName, Target};

/// What a column's spec says of itself.
pub trait Written: Sized {
    /// What it becomes.
    type Desired;
    /// What one is called in messages, with the article.
    const WHAT: &'static str;
    /// What templates may print of one.
    const OUTPUTS: &'static [Output];
    /// Whether `count` can make several of one.
    const MANY: bool;
    /// Whether one does nothing by itself, and is there for others to name.
    const FOR_OTHERS: bool;
    /// Whether one is on a host: in no region, and without tags of AWS.
    const ON_HOST: bool = false;
    /// What its tags may consist of, where that is less than EC2 takes.
    const TAG_CHARACTERS: Option<TagCharacters> = None;

    /// Reads the kind's own fields.
    fn read(fields: &mut Fields<'_>, problems: &mut Diagnostics) -> Option<Self>;

    /// What others must know of it before they are resolved.
    fn outline(&self) -> Outline;

    /// Fills in defaults and names, and gives every object that is wanted.
    fn lower(&self, cx: &Lowering<'_>, problems: &mut Diagnostics) -> Vec<Lowered<Self::Desired>>;
}

/// What others must know of a resource before they are resolved.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Outline {
    /// How many members; absent for a single one.
    pub count: Option<u32>,
    /// The regions it is copied to; absent for one that lives in its own region.
    pub regions: Option<Vec<Region>>,
    /// How many members may be down at a time.
    pub max_unavailable: u32,
    /// The VPC it says it lives in; absent for the network's.
    pub vpc: Option<VpcChoice>,
    /// The zones that its members take turns in, where it says so.
    pub zones: Option<Vec<ZoneName>>,
    /// The host that it is on.
    pub host: Option<HostOutline>,
}

/// What others must know of a host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostOutline {
    /// How it is reached.
    pub target: Target,
    /// Where the spec says so.
    pub at: Span,
    /// Its addresses; absent when the spec does not say them, empty when what it says is wrong.
    pub addresses: Option<Vec<IpAddr>>,
}

/// One object that is wanted.
#[derive(Debug)]
pub struct Lowered<D> {
    /// Its name, the member's or regional copy's where it is one.
    pub name: Name,
    /// Its region, where that is not the resource's own.
    pub region: Option<Region>,
    /// What is wanted.
    pub want: D,
    /// What only one resource of a spec may have.
    pub claims: Vec<Claim>,
}

impl<D> Lowered<D> {
    /// The same object with its body put into another type.
    #[must_use]
    pub fn map<E>(self, into: impl FnOnce(D) -> E) -> Lowered<E> {
        Lowered { name: self.name, region: self.region, want: into(self.want), claims: self.claims }
    }
}

/// Something that only one resource of a spec may have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claim {
    /// What it is, for people: "the group name `web` in eu-west-1". Equal texts clash.
    pub what: String,
    /// Where it is claimed.
    pub at: Span,
}

/// What a column is told to lower one resource.
pub struct Lowering<'a> {
    /// The resource's name in the spec.
    pub name: &'a Name,
    /// Its kind.
    pub kind: Kind,
    /// Where its name stands.
    pub at: Span,
    /// Where it lives.
    pub region: &'a Region,
    /// The stack.
    pub stack: &'a StackName,
    /// The network that applies there.
    pub network: &'a Network,
    /// Every name of the spec.
    pub names: &'a dyn Names,
    /// Files and templates.
    pub texts: &'a dyn Texts,
    /// The key of fingerprints of sensitive data.
    pub fingerprint_key: Option<&'a Secret>,
}

/// The network defaults of one region.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Network {
    /// Which VPC.
    pub vpc: VpcChoice,
    /// Which of its subnets; empty means any.
    pub subnets: Vec<SubnetChoice>,
}

/// A resource of the spec, as others see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// Its name.
    pub name: Name,
    /// Where it stands.
    pub at: Span,
    /// Where it lives.
    pub region: Region,
    /// Its members and copies.
    pub outline: Outline,
}

impl Listed {
    /// The addresses of all that it stands for: its members, or itself.
    #[must_use]
    pub fn addresses(&self, kind: Kind) -> Vec<Address> {
        match self.outline.count {
            None => vec![Address::new(kind, self.name.clone())],
            Some(count) => (0..count).map(|index| Address::new(kind, self.name.member(index))).collect(),
        }
    }
}

/// The names of a spec.
pub trait Names {
    /// The resource that a name stands for, and which member of it where the name is a member's.
    fn find(&self, kind: Kind, name: &str) -> Option<(&Listed, Option<u32>)>;

    /// Every resource of a kind, in the order of their names.
    fn of_kind(&self, kind: Kind) -> Vec<&Listed>;

    /// A name that was probably meant.
    fn near(&self, kind: Kind, name: &str) -> Option<String>;

    /// Remembers that something uses this resource.
    fn using(&self, kind: Kind, name: &Name);
}

/// A member for which a template is rendered.
#[derive(Debug, Clone, Copy)]
pub struct Member<'a> {
    /// Whose template it is.
    pub address: &'a Address,
    /// Where it lives.
    pub region: &'a Region,
    /// Which member; 0 for a single one.
    pub index: u32,
    /// Its zone, where the spec leaves no choice.
    pub zone: Option<&'a str>,
}

/// Files and templates that a spec names.
pub trait Texts {
    /// The bytes of a file, its path relative to the document that names it.
    fn file(&self, path: &At<String>, problems: &mut Diagnostics) -> Option<Vec<u8>>;

    /// A template's text for one member.
    fn render(&self, path: &At<String>, member: &Member<'_>, problems: &mut Diagnostics) -> Option<Text>;
}

impl Lowering<'_> {
    /// The resource that a name stands for; says so when there is none.
    pub fn find(&self, kind: Kind, name: &At<&str>, problems: &mut Diagnostics) -> Option<(&Listed, Option<u32>)> {
        let found = self.names.find(kind, name.value);
        if let Some((listed, _)) = &found {
            self.names.using(kind, &listed.name);
            return found;
        }
        let text = name.value;
        let problem = Diagnostic::error("unknown-name", name.span, format!("there is no {kind} `{text}` in the spec"));
        let begun = ["sg-", "i-"].into_iter().find(|prefix| text.starts_with(prefix));
        problems.fail(match (self.names.near(kind, text), begun) {
            (Some(near), _) => problem.hint(format!("did you mean `{near}`?")),
            (None, Some(prefix)) => problem.hint(format!(
                "an id is `{prefix}` and 8 or 17 digits of 0-9 and a-f; a name needs a [{kind}.NAME] table"
            )),
            (None, None) => problem.hint(format!("write a [{kind}.NAME] table, or the AWS id of a foreign one")),
        })
    }

    /// The one object that a name stands for: a single resource or a member.
    pub fn one(&self, kind: Kind, name: &At<&str>, problems: &mut Diagnostics) -> Option<Address> {
        let (listed, member) = self.find(kind, name, problems)?;
        match (listed.outline.count, member) {
            (None, _) => Some(Address::new(kind, listed.name.clone())),
            (Some(_), Some(index)) => Some(Address::new(kind, listed.name.member(index))),
            (Some(_), None) => problems.fail(
                Diagnostic::error(
                    "group-not-member",
                    name.span,
                    format!("`{}` is a group of members, and one is wanted here", listed.name),
                )
                .hint(format!("name a member, `{}`", listed.name.member(0)))
                .also(listed.at, "the group"),
            ),
        }
    }

    /// Every object that a name stands for: a single resource, a member, or all members of a group.
    pub fn all(&self, kind: Kind, name: &At<&str>, problems: &mut Diagnostics) -> Option<Vec<Address>> {
        let (listed, member) = self.find(kind, name, problems)?;
        Some(match (listed.outline.count, member) {
            (Some(_), Some(index)) => vec![Address::new(kind, listed.name.member(index))],
            (_, _) => listed.addresses(kind),
        })
    }

    /// Says that a link would cross regions, where it does.
    pub fn same_region(&self, kind: Kind, name: &At<&str>, problems: &mut Diagnostics) {
        let Some((listed, _)) = self.names.find(kind, name.value) else { return };
        if listed.region != *self.region {
            problems.push(
                Diagnostic::error(
                    "other-region",
                    name.span,
                    format!("`{}` lives in {}, and this in {}", listed.name, listed.region, self.region),
                )
                .hint("only addresses in rules and templates may cross regions")
                .also(listed.at, format!("{} is in {}", listed.name, listed.region)),
            );
        }
    }
}

impl<T> At<T> {
    /// The same place with what the value says.
    pub fn as_deref<U: ?Sized>(&self) -> At<&U>
    where
        T: std::ops::Deref<Target = U>,
    {
        At { value: &*self.value, span: self.span }
    }
}

impl fmt::Debug for Lowering<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Lowering({}.{})", self.kind, self.name)
    }
}
