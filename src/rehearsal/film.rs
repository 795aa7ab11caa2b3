//! What calls did to flows, picture by picture, and what is wrong with any of them.

use std::collections::{BTreeMap, BTreeSet};

use crate::model::{Address, CloudId, Region, StackName};
use crate::plan::policy::{Consent, Policy};
use crate::plan::rehearsed::Trouble;
use crate::plan::{Because, Plan, Step};
use crate::reach::{Change, Gap, Net, Span};
use crate::resources::Impact;
use crate::resources::flow::Stance;
use crate::resources::snapshot::Snapshot;
use crate::resources::world::World;

/// What stands before the first call.
#[derive(Debug, Clone, Default)]
pub(super) struct Scene {
    net: Net,
    /// Objects that decide outputs of others, as an address does of whoever answers on it.
    lent: BTreeSet<CloudId>,
    names: BTreeMap<CloudId, Address>,
}

/// An object after a call.
struct Picture {
    id: CloudId,
    stance: Option<Stance>,
    lends: bool,
}

/// Pictures of an order of calls.
pub(super) struct Film {
    scene: Scene,
    /// By the place of the call in the order.
    frames: Vec<(usize, Vec<Picture>)>,
    /// Whom objects of the end are for, also those that calls make.
    names: BTreeMap<CloudId, Address>,
}

/// Something that must not be, after the call at a place in the order.
pub(super) struct Shot {
    pub(super) at: usize,
    pub(super) trouble: Trouble,
    pub(super) message: String,
    /// Whom it is about, beside whoever made the call.
    about: BTreeSet<Address>,
    /// Whether no order may help.
    both_move: bool,
    /// Whether it can be claimed.
    certain: bool,
}

impl Scene {
    /// What a snapshot shows.
    pub(super) fn new(snapshot: &Snapshot) -> Self {
        let mut scene = Self::default();
        for object in &snapshot.objects {
            scene.net.set(&object.id, object.stance());
            if !object.lent().is_empty() {
                scene.lent.insert(object.id.clone());
            }
            if let Some(owner) = object.owner() {
                scene.names.insert(object.id.clone(), owner.address);
            }
        }
        scene
    }
}

impl Film {
    pub(super) fn new(scene: Scene) -> Self {
        Self { scene, frames: Vec::new(), names: BTreeMap::new() }
    }

    /// Takes a picture of everything that a call changed.
    pub(super) fn shoot(&mut self, at: usize, step: &Step, world: &mut World, stack: &StackName) {
        let mut changed = world.take_changed();
        if step.call.region.is_hosts() {
            changed.extend(World::host_of(&step.call).map(|id| (Region::hosts(), id)));
        }
        let mut pictures = Vec::with_capacity(changed.len());
        for (region, id) in changed {
            let object = world.object(&region, &id);
            if let Some(owner) = object.and_then(crate::resources::registry::Object::owner) {
                self.names.entry(id.clone()).or_insert(owner.address);
            }
            let lends = object.is_some_and(|object| !object.lent().is_empty());
            pictures.push(Picture { stance: world.stance(&region, &id, stack), lends, id });
        }
        if !pictures.is_empty() {
            self.frames.push((at, pictures));
        }
    }

    /// Everything that must not be, in the order of the calls.
    pub(super) fn look(&self) -> Vec<Shot> {
        let mut end = self.scene.net.clone();
        let mut lends = self.scene.lent.clone();
        for picture in self.frames.iter().flat_map(|(_, pictures)| pictures) {
            end.set(&picture.id, picture.stance.clone());
            if picture.lends {
                lends.insert(picture.id.clone())
            } else {
                lends.remove(&picture.id)
            };
        }
        let mut span = Span::new(&self.scene.net, &end);
        let mut here = self.scene.net.clone();
        let mut shots = Vec::new();
        // A gap that lasts is the work of the call that made it.
        let mut known: BTreeSet<(Change, CloudId, bool, String)> = BTreeSet::new();
        for (at, pictures) in &self.frames {
            for picture in pictures {
                here.set(&picture.id, picture.stance.clone());
                if !picture.lends && lends.contains(&picture.id) && self.scene.lent.contains(&picture.id) {
                    shots.push(self.loose(*at, &picture.id));
                }
            }
            let changed = pictures.iter().map(|picture| picture.id.clone()).collect();
            for gap in span.look(&here, &changed) {
                let key = (gap.change, gap.at.clone(), gap.comes, format!("{:?}", gap.whom));
                if known.insert(key) {
                    shots.push(self.gap(*at, &gap));
                }
            }
        }
        shots
    }

    fn address(&self, id: &CloudId) -> Option<&Address> {
        self.scene.names.get(id).or_else(|| self.names.get(id))
    }

    /// An object as a reader knows it: by its address, and by its id where it has one already.
    fn name(&self, id: &CloudId) -> String {
        match (self.scene.names.get(id), self.names.get(id)) {
            (Some(address), _) => format!("{address} ({id})"),
            (None, Some(address)) => address.to_string(),
            (None, None) => id.to_string(),
        }
    }

    fn loose(&self, at: usize, id: &CloudId) -> Shot {
        Shot {
            at,
            trouble: Trouble::Loose,
            message: format!("nobody answers on {}, and somebody does before and after", self.name(id)),
            about: self.address(id).cloned().into_iter().collect(),
            both_move: false,
            certain: true,
        }
    }

    fn gap(&self, at: usize, gap: &Gap) -> Shot {
        let flow = gap.words(|id| self.name(id));
        let (trouble, message) = match gap.change {
            Change::Opened => (Trouble::Exposed, format!("{flow} is open, which neither start nor end allows")),
            Change::Closed => (Trouble::Cut, format!("{flow} is closed, which both start and end allow")),
        };
        let about = gap.ends().filter_map(|id| self.address(id)).cloned().collect();
        Shot { at, trouble, message, about, both_move: gap.both_move, certain: gap.certain }
    }
}

/// What becomes of something that must not be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ruling {
    /// The plan says so itself.
    Printed,
    /// The plan shall say so: no order would help.
    Told,
    /// The operator accepts it.
    Accepted,
    /// Nobody knows enough of it.
    Uncertain,
    /// It refuses the plan.
    Refused,
}

/// What the plan prints of a shot, and what the operator says to it.
pub(super) fn ruling(shot: &Shot, step: &Step, plan: &Plan, policy: &Policy) -> Ruling {
    if !shot.certain {
        return Ruling::Uncertain;
    }
    let concerns = |address: &Address| *address == step.call.at || shot.about.contains(address);
    let at = |id| plan.step(id).map(|step| &step.call.at);
    let touches = |edge: &crate::plan::Edge| [edge.from, edge.to].into_iter().any(|id| at(id).is_some_and(concerns));
    // An order that was given up is told as an exposure.
    if plan.given_up().iter().any(touches) {
        return Ruling::Printed;
    }
    let only_one = |edge: &&crate::plan::Edge| matches!(edge.because, Because::Slot(_));
    let hurts = || {
        let change = plan.changes().iter().find(|change| change.address == step.call.at);
        change.is_some_and(|change| change.impact >= Impact::Reconnect)
    };
    match shot.trouble {
        Trouble::Exposed if policy.exposure == Consent::Given => Ruling::Accepted,
        // What only one may have is given up before another takes it, which the plan counts as an interruption.
        Trouble::Cut | Trouble::Loose if plan.graph().edges().iter().filter(only_one).any(touches) => Ruling::Printed,
        Trouble::Cut if hurts() => Ruling::Printed,
        Trouble::Cut if shot.both_move => Ruling::Told,
        _ => Ruling::Refused,
    }
}
