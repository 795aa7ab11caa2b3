//! The ripple: a replaced object is a new identity, so whoever links to it differs too.
//!
//! Every resource is compared once; when it turns out to be replaced, or to renew an output, whoever names it is compared
//! again. Fates only ever move one way, from kept to replaced and from known to renewed, so this ends.

use std::cell::{OnceCell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use super::claim::Claims;
use super::fresh;
use super::look;
use super::lookup::Lookup;
use super::policy::Policy;
use super::select;
use crate::model::{Address, CloudId, Known, Link, Output, Reference, Region, Tags};
use crate::resources::registry::{Action, Desired, Object};
use crate::resources::snapshot::{Facts, Question, Snapshot};
use crate::resources::stack::Stack;
use crate::resources::{Common, Context, Delta, Edit, Effect, Field, Fresh, Ground, Identities, Note, Refusal};

/// What becomes of the object at an address.
#[derive(Debug, Clone, Copy)]
pub(super) enum Fate<'a> {
    /// There is none, and one is made.
    Made,
    /// It stays, changed or not.
    Kept(&'a Object),
    /// Another takes its place.
    Replaced(&'a Object),
    /// A filter keeps the plan from touching it.
    Frozen(Option<&'a Object>),
}

/// What a comparison said.
#[derive(Debug, Default)]
pub(super) struct Finding {
    pub(super) delta: Delta<Action>,
    pub(super) said: Said,
}

/// What a kind said beside its drafts.
#[derive(Debug, Default)]
pub(super) struct Said {
    pub(super) notes: Vec<Note>,
    pub(super) refusals: Vec<Refusal>,
    pub(super) questions: BTreeSet<Question>,
}

/// Everything that planning one stack looks at.
pub(super) struct Ripple<'a> {
    pub(super) stack: &'a Stack,
    pub(super) snapshot: &'a Snapshot,
    pub(super) policy: &'a Policy,
    pub(super) claims: &'a Claims<'a>,
    pub(super) fates: Lookup<Address, Fate<'a>>,
    pub(super) findings: Lookup<Address, Finding>,
    /// Outputs that change while their object stays.
    renewed: Lookup<(Address, Output), ()>,
    /// Those of them, and of objects made, that only a new reading tells.
    pub(super) unsettled: BTreeSet<(Address, Output)>,
    loans: Lookup<(Address, Output), (Address, Output)>,
    /// Addresses that somebody lends an output.
    borrowers: BTreeSet<Address>,
    dependents: &'a Dependents,
    /// Who sends traffic to an object.
    servers: Lookup<CloudId, Vec<&'a Address>>,
    nowhere: Facts,
    /// The stack's objects by id, once somebody asks.
    owned: OnceCell<BTreeMap<&'a CloudId, &'a Object>>,
    /// At which address each current object stands, once somebody asks.
    seats: OnceCell<BTreeMap<&'a CloudId, &'a Address>>,
    /// Who has which address now, once somebody asks.
    told: OnceCell<BTreeMap<IpAddr, Vec<(&'a Object, Output)>>>,
}

/// Who names whom.
pub(super) type Dependents = BTreeMap<Address, Vec<Address>>;

/// Turns the references of a stack round.
pub(super) fn dependents(stack: &Stack) -> Dependents {
    let mut dependents = Dependents::new();
    for (address, desired) in &stack.resources {
        let named: BTreeSet<Address> = desired
            .want
            .references()
            .into_iter()
            .filter_map(|reference| match reference {
                Reference::Address(named) => Some(named),
                Reference::Existing(_) => None,
            })
            .chain(desired.want.watches())
            .collect();
        for named in named {
            dependents.entry(named).or_default().push(address.clone());
        }
    }
    dependents
}

/// Who sends traffic to whom, as far as it stands in the spec and was observed.
fn servers<'a>(stack: &'a Stack, current: &BTreeMap<Address, &'a Object>) -> Lookup<CloudId, Vec<&'a Address>> {
    let mut servers: BTreeMap<CloudId, Vec<&'a Address>> = BTreeMap::new();
    for (address, desired) in &stack.resources {
        let Some(object) = current.get(address).filter(|_| desired.want.crew().is_some()) else { continue };
        for hold in object.holds() {
            servers.entry(hold.id).or_default().push(address);
        }
    }
    let mut lookup = Lookup::new();
    for (id, by) in servers {
        lookup.insert(id, by);
    }
    lookup
}

impl<'a> Ripple<'a> {
    /// Compares everything until nothing new is renewed.
    pub(super) fn run(
        stack: &'a Stack,
        snapshot: &'a Snapshot,
        policy: &'a Policy,
        claims: &'a Claims<'a>,
        current: &BTreeMap<Address, &'a Object>,
        dependents: &'a Dependents,
        frozen: &dyn Fn(&Address) -> bool,
    ) -> Self {
        let mut ripple = Self {
            stack,
            snapshot,
            policy,
            claims,
            fates: Lookup::new(),
            findings: Lookup::new(),
            renewed: Lookup::new(),
            unsettled: BTreeSet::new(),
            loans: Lookup::new(),
            borrowers: BTreeSet::new(),
            dependents,
            servers: servers(stack, current),
            nowhere: Facts::default(),
            owned: OnceCell::new(),
            told: OnceCell::new(),
            seats: OnceCell::new(),
        };
        for (address, desired) in &stack.resources {
            let object = current.get(address).copied();
            let fate = match object {
                _ if claims.blocked.contains(address) || frozen(address) => Fate::Frozen(object),
                Some(object) => Fate::Kept(object),
                None => Fate::Made,
            };
            ripple.fates.insert(address.clone(), fate);
            if !matches!(fate, Fate::Frozen(_)) {
                for loan in desired.want.lends() {
                    ripple.borrowers.insert(loan.of.clone());
                    ripple.loans.insert((loan.of, loan.output), (address.clone(), loan.mine));
                }
            }
        }
        let mut waiting: Vec<&'a Address> = stack.resources.keys().collect();
        while !waiting.is_empty() {
            ripple.settle(waiting);
            waiting = ripple.unsettle().into_iter().collect();
        }
        ripple
    }

    /// Marks what loans change that begin or end; whoever reads it is to be compared again.
    fn unsettle(&mut self) -> BTreeSet<&'a Address> {
        let mut waiting = BTreeSet::new();
        for (address, output) in look::unsettled(self) {
            if self.unsettled.insert((address.clone(), output)) && self.renewed.insert((address.clone(), output), ()) {
                waiting.extend(self.dependents.get(&address).into_iter().flatten());
            }
        }
        waiting
    }

    /// Whether this plan changes an output while its object stays.
    pub(super) fn renews(&self, address: &Address) -> bool {
        Output::ALL.iter().any(|output| self.renewed.contains(&(address.clone(), *output)))
    }

    /// Compares these, and then whoever is reached, until nothing spreads.
    fn settle(&mut self, first: Vec<&'a Address>) {
        let mut waiting = BTreeSet::new();
        for address in first {
            self.visit(address, &mut waiting);
        }
        while let Some(address) = waiting.pop_first() {
            self.visit(address, &mut waiting);
        }
    }

    fn visit(&mut self, address: &'a Address, waiting: &mut BTreeSet<&'a Address>) {
        let object = match self.fates.get(address) {
            Some(Fate::Kept(object) | Fate::Replaced(object)) => *object,
            Some(Fate::Made | Fate::Frozen(_)) | None => return,
        };
        let Some(desired) = self.stack.resources.get(address) else { return };
        let finding = self.compare(address, desired, object);
        let replaced = finding.delta.fields.iter().any(|field| field.effect == Effect::Replace);
        let mut spreads = false;
        if replaced && !matches!(self.fates.get(address), Some(Fate::Replaced(_))) {
            self.fates.insert(address.clone(), Fate::Replaced(object));
            spreads = true;
        }
        for output in &finding.delta.renews {
            spreads |= self.renewed.insert((address.clone(), *output), ());
        }
        self.findings.insert(address.clone(), finding);
        if spreads {
            waiting.extend(self.dependents.get(address).into_iter().flatten());
            waiting.insert(address);
        }
    }

    fn compare(&self, address: &'a Address, desired: &'a Desired, object: &Object) -> Finding {
        let elsewhere = object.region != desired.common.region;
        let forced = self.policy.replaces.contains(address);
        let (mut delta, said) = self.ask(address, &desired.common, |cx| {
            if elsewhere { Delta::default() } else { desired.want.diff(object, cx).unwrap_or_default() }
        });
        let mut replace = |name: &str, before: Option<String>, after: Option<String>| {
            delta.fields.push(Field {
                name: name.to_owned(),
                edit: Edit::Value { before, after },
                effect: Effect::Replace,
            });
        };
        if elsewhere {
            replace("region", Some(object.region.to_string()), Some(desired.common.region.to_string()));
        }
        if forced {
            replace("--replace", None, Some("asked for".to_owned()));
        }
        Finding { delta, said }
    }

    /// Lets a kind speak, and collects what it says beside its answer.
    pub(super) fn ask<T>(
        &self,
        address: &Address,
        common: &Common,
        speak: impl FnOnce(&Context<'_>) -> T,
    ) -> (T, Said) {
        self.ask_about(address, common, false, speak)
    }

    /// As [`Ripple::ask`], of an object that is removed.
    pub(super) fn ask_about<T>(
        &self,
        address: &Address,
        common: &Common,
        succeeded: bool,
        speak: impl FnOnce(&Context<'_>) -> T,
    ) -> (T, Said) {
        let (questions, refusals, notes) = (RefCell::default(), RefCell::default(), RefCell::default());
        let answer = speak(&Context {
            at: address,
            common,
            stack: &self.stack.name,
            account: &self.policy.account,
            today: self.policy.today,
            now: self.policy.now,
            facts: self.snapshot.facts.get(&common.region).unwrap_or(&self.nowhere),
            answers: &self.snapshot.answers,
            verify: self.policy.verify,
            succeeded,
            mine: &self.claims.mine,
            fleet: &self.snapshot.fleet,
            ground: self.ground(address),
            accepted: self.policy.accepted,
            identities: self,
            questions: &questions,
            refusals: &refusals,
            notes: &notes,
        });
        let said =
            Said { notes: notes.into_inner(), refusals: refusals.into_inner(), questions: questions.into_inner() };
        (answer, said)
    }

    /// Whether what something is made on could not be seen.
    pub(super) fn is_unseen(&self, desired: &Desired) -> bool {
        desired.want.ground().is_some_and(|id| !self.snapshot.objects.iter().any(|object| object.id == id))
    }

    fn owned(&self) -> BTreeMap<&'a CloudId, &'a Object> {
        let mine = self.snapshot.objects.iter().filter(|object| self.claims.mine.contains(&object.id));
        mine.map(|object| (&object.id, object)).collect()
    }

    fn told(&self) -> BTreeMap<IpAddr, Vec<(&'a Object, Output)>> {
        let mut told: BTreeMap<IpAddr, Vec<(&'a Object, Output)>> = BTreeMap::new();
        for object in self.owned.get_or_init(|| self.owned()).values() {
            let outputs = object.outputs();
            for output in [Output::PublicIp, Output::PrivateIp] {
                if let Some(address) = outputs.get(&output).and_then(|text| text.parse().ok()) {
                    told.entry(address).or_default().push((*object, output));
                }
            }
        }
        told
    }

    /// The wanted address at which an object stands and stays.
    pub(super) fn standing(&self, object: &Object) -> Option<&'a Address> {
        let seats =
            self.seats.get_or_init(|| self.claims.current.iter().map(|(at, object)| (&object.id, at)).collect());
        let at = seats.get(&object.id).map(|at| (*at).clone()).or_else(|| Some(object.owner()?.address))?;
        let (address, _) = self.stack.resources.get_key_value(&at)?;
        self.kept(address).is_some_and(|kept| kept.id == object.id).then_some(address)
    }

    /// The foreign object that what is wanted at an address is made on.
    fn ground(&self, address: &Address) -> Ground<'a> {
        let Some(id) = self.stack.resources.get(address).and_then(|desired| desired.want.ground()) else {
            return Ground::None;
        };
        let seen = self.snapshot.objects.iter().find(|object| object.id == id && object.kind() == address.kind);
        match (seen, self.snapshot.unreached.get(&id)) {
            (Some(object), _) => Ground::Seen(object),
            (None, Some(why)) => Ground::Unseen(why),
            (None, None) => Ground::Unseen("it was not looked at"),
        }
    }

    /// The generation that an object made at an address now would be of.
    pub(super) fn generation(&self, address: &Address) -> u32 {
        self.claims.highest.get(address).copied().unwrap_or_default() + 1
    }

    /// The object that a fate leaves in place.
    pub(super) fn kept(&self, address: &Address) -> Option<&'a Object> {
        match self.fates.get(address)? {
            Fate::Kept(object) | Fate::Frozen(Some(object)) => Some(object),
            Fate::Made | Fate::Replaced(_) | Fate::Frozen(None) => None,
        }
    }

    /// Who sends traffic to an object, by what was observed.
    pub(super) fn servers(&self, id: &CloudId) -> &[&'a Address] {
        self.servers.get(id).map_or(&[], Vec::as_slice)
    }

    /// Who names an address.
    pub(super) fn dependents_of(&self, address: &Address) -> &'a [Address] {
        self.dependents.get(address).map_or(&[], Vec::as_slice)
    }
}

impl Identities for Ripple<'_> {
    fn fresh(&self, address: &Address) -> Fresh {
        let desired = self.stack.resources.get(address);
        desired.map(|desired| fresh::fresh(self.stack, address, desired, self.generation(address))).unwrap_or_default()
    }

    fn formers(&self, address: &Address) -> Vec<CloudId> {
        let stays = match self.fates.get(address) {
            Some(Fate::Kept(object)) => Some(&object.id),
            Some(Fate::Replaced(_)) => None,
            Some(Fate::Made | Fate::Frozen(_)) | None => return Vec::new(),
        };
        let others = self.claims.others.get(address).into_iter().flatten();
        let all = self.claims.current.get(address).into_iter().chain(others).map(|object| &object.id);
        all.filter(|id| Some(*id) != stays).cloned().collect()
    }

    fn spared(&self, address: &Address) -> bool {
        let object = match self.fates.get(address) {
            Some(Fate::Kept(object) | Fate::Replaced(object) | Fate::Frozen(Some(object))) => object,
            Some(Fate::Made | Fate::Frozen(None)) | None => return false,
        };
        let crew = |by: &&Address| self.stack.resources.get(*by).and_then(|desired| desired.want.crew());
        self.servers(&object.id).iter().filter_map(crew).any(|crew| crew.spare() > 0)
    }

    fn nature(&self, address: &Address) -> Option<(Region, Tags)> {
        let desired = self.stack.resources.get(address)?;
        let tags = fresh::wanted_tags(self.stack, address, desired, self.generation(address));
        Some((desired.common.region.clone(), tags))
    }

    fn tellers(&self, address: IpAddr) -> Vec<CloudId> {
        let told = self.told.get_or_init(|| self.told());
        let all = told.get(&address).into_iter().flatten();
        let lost = |(object, output): &&(&Object, Output)| {
            let another = |at: &Address| self.output(at, *output) != Known::Now(address.to_string());
            select::removes(self, object) || self.standing(object).is_some_and(another)
        };
        all.filter(lost).map(|(object, _)| object.id.clone()).collect()
    }

    fn goes(&self, id: &CloudId) -> bool {
        let owned = self.owned.get_or_init(|| self.owned());
        owned.get(id).is_some_and(|object| select::removes(self, object))
    }

    fn link(&self, address: &Address) -> Option<Link> {
        match self.fates.get(address)? {
            Fate::Made | Fate::Replaced(_) => Some(Link::Planned(address.clone())),
            Fate::Kept(object) | Fate::Frozen(Some(object)) => Some(Link::Existing(object.id.clone())),
            Fate::Frozen(None) => None,
        }
    }

    fn output(&self, address: &Address, output: Output) -> Known {
        if let Some((lender, mine)) = self.loans.get(&(address.clone(), output)) {
            return self.output(lender, *mine);
        }
        let later = || Known::Later(address.clone(), output);
        if let Some(object) = self.kept(address) {
            if self.renewed.contains(&(address.clone(), output)) {
                let facts = self.snapshot.facts.get(&object.region).unwrap_or(&self.nowhere);
                let bare = !self.borrowers.contains(address) && object.lacks(facts).contains(&output);
                return if bare { Known::Never(format!("it gets no {output} of its own")) } else { later() };
            }
            return match object.outputs().remove(&output) {
                Some(value) => Known::Now(value),
                None => Known::Never(format!("it has no {output} now")),
            };
        }
        let Some(desired) = self.stack.resources.get(address) else { return later() };
        let (mut foretold, _) = self.ask(address, &desired.common, |cx| desired.want.foretold(cx));
        if !self.borrowers.contains(address) && desired.want.withholds().contains(&output) {
            return Known::Never(format!("it gets no {output} of its own"));
        }
        foretold.remove(&output).map_or_else(later, Known::Now)
    }
}
