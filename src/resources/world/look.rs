//! What the simulated world lists: regions, the instances that queries look at, and hosts.

use std::collections::{BTreeMap, BTreeSet};

use super::World;
use crate::model::query::Regions;
use crate::model::{CloudId, Region, StackName, Target, tags};
use crate::resources::Read;
use crate::resources::registry::Object;
use crate::resources::scope::{Scope, Wanted};
use crate::resources::snapshot::{Fleet, Snapshot, Unseen};

impl World {
    /// Lists what a scope asks for.
    pub fn observe(&mut self, scope: &Scope) -> Snapshot {
        observe(self, scope)
    }
}

fn observe(world: &mut World, scope: &Scope) -> Snapshot {
    let mut regions = scope.regions.clone();
    regions.extend(scope.named.iter().map(|wanted| wanted.region.clone()));
    if scope.all_regions {
        regions.extend(world.regions().cloned());
    }
    regions.retain(|region| !region.is_hosts());
    let mut snapshot = Snapshot { account: Some(world.account().clone()), ..Snapshot::default() };
    for region in regions {
        match world.list(&region, |object| is_wanted(object, &scope.stack, &scope.named)) {
            Ok(listing) => {
                let objects = listing.objects.into_iter();
                let told =
                    |object| if scope.reads.contains(&Read::Health) { world.with_health(object) } else { object };
                snapshot.objects.extend(objects.map(told));
                snapshot.facts.insert(region, listing.facts);
            }
            Err(why) => snapshot.unseen.push(Unseen { region, kind: None, why }),
        }
    }
    snapshot.fleet = fleet(world, scope);
    let targets: BTreeMap<CloudId, &Target> = scope.hosts.values().map(|target| (target.id(), target)).collect();
    for (id, target) in targets {
        match world.read_host(target, &scope.stack) {
            Ok(object) => snapshot.objects.push(object),
            Err(why) => {
                snapshot.unreached.insert(id, why);
            }
        }
    }
    snapshot.objects.sort_by(|a, b| (&a.region, a.kind(), &a.id).cmp(&(&b.region, b.kind(), &b.id)));
    snapshot
}

/// Every instance of the regions that queries look at. All regions are those that were used, and those of the scope.
fn fleet(world: &World, scope: &Scope) -> BTreeMap<Region, Fleet> {
    let mut regions: BTreeSet<&Region> = BTreeSet::new();
    for asked in &scope.fleet {
        match asked {
            Regions::These(these) => regions.extend(these),
            Regions::AllBut(_) => {
                let known = world.regions().chain(&scope.regions);
                regions.extend(known.filter(|region| asked.contains(region)));
            }
        }
    }
    let seen = |region: &Region| match world.fleet(region) {
        Ok(machines) => Fleet::Seen(machines),
        Err(why) => Fleet::Unseen(why),
    };
    regions.into_iter().filter(|region| !region.is_hosts()).map(|region| (region.clone(), seen(region))).collect()
}

/// Whether an object is the stack's, or one that the spec names.
fn is_wanted(object: &Object, stack: &StackName, named: &BTreeSet<Wanted>) -> bool {
    let is_named =
        |called: String| named.contains(&Wanted { kind: object.kind(), region: object.region.clone(), called });
    object.tags.get(tags::STACK).is_some_and(|owner| owner == stack.as_str())
        || (!named.is_empty() && (is_named(object.id.to_string()) || World::names(object).into_iter().any(is_named)))
}
