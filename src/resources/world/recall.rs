//! A world built from what was observed: everything that a snapshot says, and answers as they were given. Of what stands
//! beside that nothing is known but that it exists.

use std::collections::{BTreeMap, BTreeSet};

use super::{Limits, RegionWorld, World, dispatch};
use crate::model::id::VpcId;
use crate::model::{CloudId, Kind, Region, StackName};
use crate::resources::flow::Stance;
use crate::resources::host_firewall;
use crate::resources::host_firewall::sim::Host;
use crate::resources::registry::{Body, Object};
use crate::resources::snapshot::{self, Answer, Fleet, Question, Snapshot, Vpc};

/// What was observed and is no object of the world.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Recall {
    /// Instances of regions, whoever owns them.
    fleet: BTreeMap<Region, Fleet>,
    /// What was answered.
    answers: BTreeMap<Question, Answer>,
}

impl World {
    /// The world that a snapshot shows, as far as it does, to a stack.
    ///
    /// What the snapshot does not hold is a stranger there: it exists, it does whatever a call asks of it, and nothing is
    /// known of it. The account's quotas are not known either, and so never in the way.
    #[must_use]
    pub fn from_snapshot(snapshot: &Snapshot, stack: &StackName) -> Self {
        let no_limit = usize::MAX;
        let limits = Limits {
            rules_per_group: no_limit,
            addresses: no_limit,
            groups_per_interface: no_limit,
            balancers: no_limit,
        };
        let mut world = Self { limits, ..Self::default() };
        if let Some(account) = &snapshot.account {
            world.account = account.clone();
        }
        for (region, facts) in &snapshot.facts {
            world.region_mut(region).set_facts(whole(facts.clone(), snapshot, region));
        }
        for region in snapshot.fleet.keys() {
            world.region_mut(region);
        }
        for place in world.regions.values_mut() {
            place.recall_default_groups(&snapshot.answers);
        }
        for object in &snapshot.objects {
            world.recall(object, stack);
        }
        for place in world.regions.values_mut() {
            place.know_only(snapshot);
        }
        for (id, why) in &snapshot.unreached {
            world.host_mut(id).unreachable = Some(why.clone());
        }
        for unseen in &snapshot.unseen {
            world.region_mut(&unseen.region).set_unavailable(Some(unseen.why.clone()));
        }
        world.recall = Recall { fleet: snapshot.fleet.clone(), answers: snapshot.answers.clone() }.into();
        world
    }

    /// What an object, or a host to a stack, is to those who talk to each other.
    #[must_use]
    pub fn stance(&self, region: &Region, id: &CloudId, stack: &StackName) -> Option<Stance> {
        if region.is_hosts() {
            return self.host(id).map(|host| host_firewall::sim::stance(host, stack));
        }
        self.object(region, id).and_then(Object::stance)
    }

    /// What changed, came or went since the last look, in a world that was built from a snapshot; hosts are left out.
    pub fn take_changed(&mut self) -> Vec<(Region, CloudId)> {
        let changed = self.regions.iter_mut().flat_map(|(name, place)| {
            place.take_changed().into_iter().map(|id| (name.clone(), id)).collect::<Vec<_>>()
        });
        changed.collect()
    }

    fn recall(&mut self, object: &Object, stack: &StackName) {
        if let Body::HostFirewall(body) = &object.body {
            self.hosts.insert(object.id.clone(), Host::recalled(&object.tags, body, stack));
            return;
        }
        self.put(object.clone());
        let place = self.region_mut(&object.region);
        dispatch::recall(place, &object.id);
        for member in dispatch::ailing(object) {
            place.unlisted_mut(&member).unhealthy = true;
        }
    }
}

/// A region's network with every VPC that something of it lies in: a listing that had no need to look leaves them out.
fn whole(mut facts: snapshot::Facts, snapshot: &Snapshot, region: &Region) -> snapshot::Facts {
    let of_objects = snapshot.objects.iter().filter(|object| object.region == *region).filter_map(dispatch::vpc);
    let named: BTreeSet<VpcId> = facts.subnets.iter().map(|subnet| &subnet.vpc).chain(of_objects).cloned().collect();
    for id in named {
        if facts.vpcs.iter().all(|vpc| vpc.id != id) {
            facts.vpcs.push(Vpc { id, default: false, tags: crate::model::Tags::new(), ipv6: false });
        }
    }
    facts
}

impl Recall {
    /// What was listed of a region's instances; none for a region that was not asked.
    pub(super) fn fleet(&self, region: &Region) -> Option<&Fleet> {
        self.fleet.get(region)
    }

    /// What was answered to a question that no call can change the answer of, or about something that nothing else is known
    /// of.
    pub(super) fn answer(&self, question: &Question, place: &RegionWorld) -> Option<&Answer> {
        let answer = self.answers.get(question)?;
        let still = match (question, answer) {
            (Question::Image { .. } | Question::NewestImage { .. } | Question::InstanceType { .. }, _) => true,
            (Question::Named { .. }, Answer::Named(Some(id))) => place.is_stranger(id),
            _ => false,
        };
        still.then_some(answer)
    }
}

impl RegionWorld {
    /// Gives each VPC's `default` group the id that AWS told.
    fn recall_default_groups(&mut self, answers: &BTreeMap<Question, Answer>) {
        for (question, answer) in answers {
            if let (Question::Named { kind: Kind::SecurityGroup, region, vpc, name }, Answer::Named(Some(id))) =
                (question, answer)
                && region == self.name()
                && name == "default"
                && let Some(slot) = dispatch::name_slot(Kind::SecurityGroup, vpc.clone(), name)
                && let Some(made_up) = self.first(&slot).cloned()
                && let Some(object) = self.remove(&made_up)
            {
                self.insert(Object { id: id.clone(), ..object });
            }
        }
    }

    /// Takes what is known of single instances from listings and answers; from now on whatever nobody told of is a stranger.
    fn know_only(&mut self, snapshot: &Snapshot) {
        let mine = |object: &&Object| object.region == *self.name();
        let known: BTreeSet<CloudId> = snapshot.objects.iter().filter(mine).map(|object| object.id.clone()).collect();
        if let Some(Fleet::Seen(machines)) = snapshot.fleet.get(self.name()) {
            for machine in machines.iter().filter(|machine| known.contains(&machine.id)) {
                self.unlisted_mut(&machine.id).ipv6.clone_from(&machine.ipv6);
            }
        }
        for (question, answer) in &snapshot.answers {
            match (question, answer) {
                (Question::UserData { region, id }, Answer::UserData(bytes)) if region == self.name() => {
                    self.unlisted_mut(id).user_data = bytes.clone().map(super::Bytes);
                }
                (Question::TerminationProtection { region, id }, Answer::TerminationProtection(on))
                    if region == self.name() =>
                {
                    self.unlisted_mut(id).termination_protection = *on;
                }
                _ => {}
            }
        }
        self.know(known);
    }
}
