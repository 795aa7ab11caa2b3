//! Who is who: renames, adoption, keeping, protection, twins, origins, strangers.

use super::generate::material;
use super::spec::{
    Lab, Resources, With, box_, check, eip, from_group, group, key, net, refusals, rule, stack, text, told,
};
use super::{at, here, policy};
use crate::model::id::ImageId;
use crate::model::tags::{ADDRESS, GENERATION, STACK};
use crate::model::{CloudId, Name, Output, Tags};
use crate::plan::policy::{Consent, Policy};
use crate::plan::{Plan, Verb};
use crate::resources::instance::state::{ImageChoice, State};
use crate::resources::registry::{Body, Desired, Object};
use crate::resources::security_group::state::{Direction, ObservedRule, Peer, Wish};
use crate::resources::snapshot::Unseen;

fn previously(name: &'static str) -> impl Fn(Desired) -> Desired {
    move |want| want.common(|common| common.previously = Some(Name::written(name).unwrap()))
}

fn member(index: u32) -> Desired {
    box_().member("web", index, 1)
}

fn whole(lab: &Lab, plan: &Plan) -> String {
    lab.named(&format!("{}{}", told(plan), refusals(plan)))
}

/// Where each object stood before and stands now.
fn moves(before: Resources, after: Resources) -> String {
    let lab = Lab::with(before);
    let plan = lab.plan(after.clone());
    let text = whole(&lab, &plan);
    lab.apply(&stack(after));
    text
}

#[test]
fn renames_only_retag() {
    let group_renamed = moves(
        vec![("security_group.old", group()), ("instance.m", box_().groups(&["security_group.old"]))],
        vec![
            ("security_group.new", previously("old")(group())),
            ("instance.m", box_().groups(&["security_group.new"])),
        ],
    );
    check(
        &group_renamed,
        r#"
  security_group.new Update [tags.portcullis:address InPlace] : tag
"#,
    );
    let members = |name: &'static str, index| box_().member(name, index, 1);
    let group_of_members = moves(
        vec![("instance.old-0", members("old", 0)), ("instance.old-1", members("old", 1))],
        vec![
            ("instance.web-0", previously("old")(member(0))),
            ("instance.web-1", previously("old")(member(1))),
            ("instance.web-2", previously("old")(member(2))),
        ],
    );
    check(
        &group_of_members,
        r#"
  instance.web-0 Update [tags.portcullis:address InPlace] : tag
  instance.web-1 Update [tags.portcullis:address InPlace] : tag
  instance.web-2 Create [] : run, await running
"#,
    );
    let single_to_members = moves(
        vec![("instance.web", box_())],
        vec![("instance.web-0", previously("web")(member(0))), ("instance.web-1", previously("web")(member(1)))],
    );
    check(
        &single_to_members,
        r#"
  instance.web-0 Update [tags.portcullis:address InPlace] : tag
  instance.web-1 Create [] : run, await running
"#,
    );
    let members_to_single = moves(
        vec![("instance.web-0", member(0)), ("instance.web-1", member(1))],
        vec![("instance.one", previously("web")(box_()))],
    );
    check(
        &members_to_single,
        r#"
  instance.one Update [tags.portcullis:address InPlace] : tag
  instance.web-1 Delete Orphan [] downtime: terminate, await terminated
"#,
    );
}

/// Takes our tags off an object, as `forget` does.
fn forgotten(lab: &Lab, address: &str) -> CloudId {
    let world = lab.sim.world();
    let object =
        world.objects().find(|object| object.owner().is_some_and(|owner| owner.address == at(address))).unwrap();
    lab.sim.meddle(|world| world.meddle(&here(), &object.id, |object| object.tags.retain(|key, _| key == "Name")));
    object.id.clone()
}

fn adopting(want: Desired, id: &CloudId) -> Desired {
    want.common(|common| common.adopt = Some(id.to_string()))
}

#[test]
fn adoption_is_a_no_op_afterwards() {
    let all = || -> [(&'static str, Desired); 4] {
        [
            ("key_pair.k", key().key(|want| want.name = Some("deploy".to_owned()))),
            ("security_group.g", group().ingress(80, net("0.0.0.0/0"))),
            ("elastic_ip.e", eip(Some("instance.m"))),
            ("instance.m", box_().runs(vec![text("hello")]).groups(&["security_group.g"])),
        ]
    };
    let lab = Lab::with(all().to_vec());
    let adopted: Resources =
        all().into_iter().map(|(address, want)| (address, adopting(want, &forgotten(&lab, address)))).collect();
    let plan = lab.plan(adopted.clone());
    check(
        &whole(&lab, &plan),
        r#"
  key_pair.k Adopt [tags.portcullis:address InPlace, tags.portcullis:generation InPlace, tags.portcullis:stack InPlace] : tag
  security_group.g Adopt [tags.portcullis:address InPlace, tags.portcullis:generation InPlace, tags.portcullis:stack InPlace] : tag
  elastic_ip.e Adopt [tags.portcullis:address InPlace, tags.portcullis:generation InPlace, tags.portcullis:stack InPlace] : tag
  instance.m Adopt [tags.portcullis:address InPlace, tags.portcullis:generation InPlace, tags.portcullis:stack InPlace, tags.portcullis:user-data InPlace] : tag, mark user data
"#,
    );
    lab.apply(&stack(adopted.clone()));
    let ids = lab.sim.world().objects().count();
    lab.apply(&stack(all().to_vec()));
    assert_eq!(lab.sim.world().objects().count(), ids);
}

#[test]
fn nothing_is_done_to_what_is_adopted_before_it_is_ours() {
    let stack = |change: fn(&mut crate::resources::instance::Desired)| -> Resources {
        vec![
            ("elastic_ip.e", eip(Some("instance.m"))),
            ("instance.m", box_().machine(change)),
            ("security_group.g", group().ingress(80, net("0.0.0.0/0"))),
        ]
    };
    let lab = Lab::with(vec![("instance.m", box_()), ("security_group.g", group())]);
    let (machine, edge) = (forgotten(&lab, "instance.m"), forgotten(&lab, "security_group.g"));
    let adopted = stack(|want| want.source_dest_check = false).into_iter().map(|(address, want)| match address {
        "instance.m" => (address, adopting(want, &machine)),
        "security_group.g" => (address, adopting(want, &edge)),
        _ => (address, want),
    });
    let plan = lab.plan(adopted.collect());
    check(
        &lab.graph(&plan),
        r#"
1 security_group.g tag
2 security_group.g authorize ingress
    after 1: the same object
3 elastic_ip.e allocate
4 elastic_ip.e associate
    after 3: the same object
    after 5: needs instance.m
5 instance.m tag
6 instance.m set source/dest check
    after 5: the same object
"#,
    );
}

#[test]
fn adoption_never_replaces_and_takes_nobodys() {
    let lab = Lab::with(vec![("instance.m", box_().runs(vec![text("hello")])), ("security_group.g", group())]);
    let id = forgotten(&lab, "instance.m");
    let other = adopting(box_().runs(vec![text("bye")]), &id);
    let owned = lab
        .sim
        .world()
        .objects()
        .find(|o| o.owner().is_some_and(|o| o.address == at("security_group.g")))
        .unwrap()
        .id
        .clone();
    let plan = lab.plan(vec![
        ("instance.m", other),
        ("security_group.g", group()),
        ("security_group.h", adopting(group(), &owned)),
        ("key_pair.k", adopting(key(), &CloudId::new("deploy"))),
    ]);
    check(
        &lab.named(&refusals(&plan)),
        r#"
refused key_pair.k (Adopt): there is no key_pair `deploy` in eu-west-1 to adopt
    hint: check id and region, or take `adopt` away to make a new one
refused security_group.h (Adopt): <security_group.g#1> cannot be adopted: it is `security_group.g` of stack `shop`
    hint: it is this stack's own: write `previously = "g"` instead of `adopt`
refused instance.m (Adopt): <foreign> cannot be adopted as it is: another would have to take its place
    hint: write `user_data` as the object has it
"#,
    );
}

#[test]
fn what_is_kept_is_released_and_what_is_protected_is_refused() {
    let keep = |want: Desired| want.common(|common| common.keep = true);
    let protect = |want: Desired| want.common(|common| common.protect = true);
    let lab = Lab::with(vec![
        ("security_group.a", keep(group())),
        ("security_group.b", protect(group())),
        ("key_pair.k", key()),
    ]);
    check(
        &whole(&lab, &lab.plan(vec![("key_pair.k", key())])),
        r#"
  security_group.a Release Orphan [] : release
  security_group.b Delete Orphan [] : delete
refused security_group.b (Protected): <security_group.b#1> is protected and the spec does not name it any more
    hint: bring it back with `protect = false`, apply, and take it away then; or `portcullis forget` it
"#,
    );
    let changed = protect(group()).group(|want| want.description = "another".to_owned());
    let both = vec![("security_group.a", keep(group())), ("security_group.b", changed), ("key_pair.k", key())];
    check(
        &whole(&lab, &lab.plan(both)),
        r#"
  security_group.b Replace [description Replace] : create, delete
refused security_group.b (Protected): <security_group.b#1> is protected, and `description` cannot change without replacing it
    hint: take the change back, or set `protect = false` first
"#,
    );
    lab.apply(&stack(vec![("security_group.b", protect(group())), ("key_pair.k", key())]));
    let left = lab.sim.world().objects().filter(|object| object.tags.is_empty()).count();
    assert_eq!(left, 2, "the default group and the released one");
}

fn owned_by(stack: &str, address: &str, generation: u32) -> Tags {
    Tags::from(
        [(STACK, stack.to_owned()), (ADDRESS, address.to_owned()), (GENERATION, generation.to_string())]
            .map(|(k, v)| (k.to_owned(), v)),
    )
}

/// A copy of an object under another id.
fn copy(lab: &Lab, address: &str, id: &str, tags: Tags) {
    let world = lab.sim.world();
    let object =
        world.objects().find(|object| object.owner().is_some_and(|owner| owner.address == at(address))).unwrap();
    let mut body = object.body.clone();
    if let Body::SecurityGroup(body) = &mut body {
        body.name = format!("copy-{id}");
    }
    let copy = Object { id: CloudId::new(id), tags, body, region: here() };
    lab.sim.meddle(|world| world.put(copy));
}

#[test]
fn generations_twins_and_other_origins() {
    let spec = || vec![("security_group.g", group())];
    let older = Lab::with(spec());
    copy(&older, "security_group.g", "sg-00000001", owned_by("shop", "security_group.g", 0));
    check(
        &whole(&older, &older.plan(spec())),
        r#"
  security_group.g Delete Superseded [] : delete
"#,
    );
    let newer = Lab::with(spec());
    copy(&newer, "security_group.g", "sg-00000001", owned_by("shop", "security_group.g", 7));
    let plan = newer.plan(spec());
    assert_eq!(plan.steps().len(), 1);
    assert_eq!(plan.steps()[0].seen.as_ref().unwrap().owner().unwrap().generation, 1);
    let twin = Lab::with(spec());
    copy(&twin, "security_group.g", "sg-00000001", owned_by("shop", "security_group.g", 1));
    let plan = twin.plan(spec());
    assert!(plan.is_empty());
    check(
        &twin.named(&refusals(&plan)).replace("sg-00000001", "<copy>"),
        r#"
refused security_group.g (Twin): <security_group.g#1> and <security_group.g#1> all say that they are `security_group.g`, generation 1
    hint: somebody copied it with its tags: take the `portcullis:` tags off the copies (or remove them); nothing is touched until then
"#,
    );
    let lab = Lab::new();
    let mut theirs = stack(spec());
    theirs.origin = Some("https://git.example.com/theirs".to_owned());
    lab.apply(&theirs);
    let mut ours = stack(spec());
    ours.origin = Some("https://git.example.com/ours".to_owned());
    let plan = super::plan_on(lab.sim.as_ref(), &ours, &policy()).0;
    check(
        &lab.named(&refusals(&plan)),
        r#"
refused security_group.g (Origin): <security_group.g#1> belongs to stack `shop` of another origin: https://git.example.com/theirs
    hint: this spec's origin is https://git.example.com/ours: choose another stack name, or `forget` the object there
"#,
    );
}

/// Listings are matched exactly already; this is the planner's own look.
#[test]
fn a_stack_that_is_called_almost_alike_is_another() {
    let lab = Lab::with(vec![("security_group.g", group())]);
    let spec = stack(vec![("security_group.g", group())]);
    let (_, snapshot) = super::plan_on(lab.sim.as_ref(), &spec, &policy());
    let ours = snapshot.objects.iter().find(|object| object.owner().is_some()).unwrap();
    for almost in ["shop2", "shop-", "sho", "Shop", "sh?p", "*", ""] {
        let tags = owned_by(almost, "security_group.g", 7);
        let theirs = Object { id: CloudId::new("sg-00000001"), tags, ..ours.clone() };
        let mut snapshot = snapshot.clone();
        snapshot.objects.push(theirs);
        let plan = crate::plan::plan(&spec, &snapshot, &policy());
        assert!(plan.is_empty() && plan.refusals().is_empty(), "`{almost}`: {}", whole(&lab, &plan));
    }
}

/// A listing that fails is no snapshot at all; where there is one nevertheless, nothing is planned on it.
#[test]
fn a_region_that_was_not_seen_is_not_planned_for() {
    let lab = Lab::with(vec![("security_group.g", group())]);
    let spec = stack(vec![("security_group.g", group())]);
    let (_, mut snapshot) = super::plan_on(lab.sim.as_ref(), &spec, &policy());
    snapshot.objects.clear();
    snapshot.unseen.push(Unseen { region: here(), kind: None, why: "it is closed".to_owned() });
    let plan = crate::plan::plan(&spec, &snapshot, &policy());
    assert!(refusals(&plan).contains("could not be seen: it is closed"), "{}", whole(&lab, &plan));
}

#[test]
fn two_repositories_with_one_name() {
    let lab = Lab::with(vec![("security_group.g", group()), ("key_pair.k", key())]);
    let other = || vec![("security_group.x", group())];
    check(
        &refusals(&lab.plan(other())),
        r#"
refused (Guard): the spec shares no address with what stack `shop` owns, and all 2 of its objects would go
    hint: if two specs use one stack name, rename one; if this is meant, say `--replace-stack`; to add only, `--no-prune`
"#,
    );
    let meant = Policy { replace_stack: Consent::Given, ..policy() };
    assert_eq!(lab.plan_by(other(), &meant).refusals(), []);
}

#[test]
fn strangers_hold_and_have_names() {
    let lab = Lab::with(vec![("security_group.g", group()), ("key_pair.k", key())]);
    let held = lab
        .sim
        .world()
        .objects()
        .find(|o| o.owner().is_some_and(|o| o.address == at("security_group.g")))
        .unwrap()
        .id
        .clone();
    copy(&lab, "security_group.g", "sg-0000000a", Tags::new());
    lab.sim.meddle(|world| {
        world.meddle(&here(), &CloudId::new("sg-0000000a"), |object| {
            let Body::SecurityGroup(body) = &mut object.body else { return };
            body.name = "edge".to_owned();
            let rule = crate::resources::security_group::state::Rule {
                traffic: rule(80, net("0.0.0.0/0")).traffic,
                peer: Peer::Group(held),
            };
            body.rules = vec![ObservedRule {
                id: CloudId::new("sgr-0000000a"),
                direction: Direction::Ingress,
                rule,
                description: None,
                tags: Tags::new(),
            }];
        })
    });
    check(
        &whole(&lab, &lab.plan(vec![("key_pair.k", key())])),
        r#"
  security_group.g Delete Orphan [] : delete
refused security_group.g (Holder): <security_group.g#1> cannot go: it is held by rule of security group <foreign> (<foreign>)
    hint: take the group off what holds it, or keep the group in the spec
"#,
    );
    let named = group().group(|want| want.name = Some("Edge".to_owned()));
    let plan = lab.plan(vec![("security_group.g", group()), ("security_group.x", named), ("key_pair.k", key())]);
    check(
        &refusals(&plan),
        r#"
refused security_group.x (Taken): the group name `Edge` in vpc-91848e2afeb68f2be belongs to sg-0000000a, which this stack does not own
    hint: take it over with `adopt = "sg-0000000a"`, or give another `name`
"#,
    );
}

#[test]
fn a_full_group_changes_its_rules_in_batches() {
    let rules = |net_of: u8| {
        group().group(|want| {
            want.ingress =
                (0..60).map(|n| (rule(80, net(&format!("10.{net_of}.{n}.0/24"))), Wish::default())).collect();
        })
    };
    let lab = Lab::with(vec![("security_group.g", rules(1))]);
    let plan = lab.plan(vec![("security_group.g", rules(2))]);
    let notes: Vec<&str> = plan.changes()[0].notes.iter().map(|note| note.text.as_str()).collect();
    check(
        &format!("{}{notes:?}", lab.graph(&plan)),
        r#"
1 security_group.g revoke ingress
2 security_group.g authorize ingress
    after 1: the same object
3 security_group.g revoke ingress
    after 2: the same object
4 security_group.g authorize ingress
    after 3: the same object
5 security_group.g revoke ingress
    after 4: the same object
6 security_group.g authorize ingress
    after 5: the same object
["60 old rules go before their successors come: the quota of 60 cannot hold both"]
"#,
    );
    lab.apply(&stack(vec![("security_group.g", rules(2))]));
    let over = rules(1).ingress(443, net("0.0.0.0/0"));
    check(
        &refusals(&lab.plan(vec![("security_group.g", over)])),
        r#"
refused security_group.g (Quota): it would have 61 ingress rules, and 60 are allowed
    hint: take rules together, spread them over several groups, or write the account's own limit as `rule_quota`
"#,
    );
}

#[test]
fn stopped_instances_are_started_and_read_again() {
    let spec = || -> Resources {
        let reads = Peer::Output { address: at("instance.m"), output: Output::PublicIp };
        vec![
            ("instance.m", box_()),
            ("security_group.g", group().ingress(80, reads).ingress(22, from_group("security_group.g"))),
            ("key_pair.k", key().key(|want| want.public_key = material(2))),
        ]
    };
    let lab = Lab::with(spec());
    let stop = |state| {
        lab.sim.meddle(|world| {
            let id = world.objects().find(|o| matches!(o.body, Body::Instance(_))).unwrap().id.clone();
            world.meddle(&here(), &id, |object| {
                let Body::Instance(body) = &mut object.body else { return };
                body.state = state;
                body.public_ip = None;
                body.public_dns = None;
            });
        });
    };
    stop(State::Stopped);
    check(
        &lab.graph(&lab.plan(spec())),
        r#"
1 security_group.g authorize ingress
    after 4: reads instance.m.public_ip
2 security_group.g revoke ingress
    after 1: the same object
3 instance.m start
4 instance.m await running
    after 3: the same object
"#,
    );
    lab.apply(&stack(spec()));
    stop(State::Pending);
    check(
        &lab.graph(&lab.plan(spec())),
        r#"
1 security_group.g authorize ingress
    after 3: reads instance.m.public_ip
2 security_group.g revoke ingress
    after 1: the same object
3 instance.m await running
"#,
    );
    let resized = |mut all: Resources| {
        all[0].1 = all[0].1.clone().machine(|want| want.instance_type = "m5.large".to_owned());
        all
    };
    stop(State::Pending);
    let plan = lab.plan(resized(spec()));
    let steps: Vec<&str> = plan.steps().iter().map(|step| &*step.title).collect();
    assert_eq!(
        steps,
        [
            "authorize ingress",
            "revoke ingress",
            "await running",
            "stop",
            "await stopped",
            "set type",
            "start",
            "await running"
        ]
    );
}

#[test]
fn a_superseded_one_that_fits_again_is_current() {
    let spec =
        |image: &str| vec![("instance.m", box_().machine(|want| want.image = ImageChoice::Id(ImageId::new(image))))];
    let lab = Lab::with(spec("ami-00000001"));
    // The apply of the second image was cut off before the old one went, and the spec went back.
    let (plan, _) = super::plan_on(lab.sim.as_ref(), &stack(spec("ami-00000002")), &policy());
    let run = &plan.steps()[0];
    lab.sim.meddle(|world| world.step(&run.call, &crate::port::Bindings::default())).unwrap();
    let plan = lab.plan(spec("ami-00000001"));
    check(
        &lab.graph(&plan),
        r#"
1 instance.m terminate
2 instance.m await terminated
    after 1: the same object
"#,
    );
    assert!(plan.changes().iter().any(|change| change.verb == Verb::NoOp));
    lab.apply(&stack(spec("ami-00000001")));
}

#[test]
fn a_volume_attached_since_the_plan_stops_the_end_of_its_instance() {
    let lab = Lab::with(vec![("instance.m", box_()), ("key_pair.k", key())]);
    let plan = lab.plan(vec![("key_pair.k", key())]);
    let id = plan.steps()[0].call.on.clone().unwrap();
    lab.sim.meddle(|world| {
        world.meddle(&here(), &id, |object| {
            let Body::Instance(body) = &mut object.body else { return };
            let volume = crate::resources::instance::state::FurtherVolume {
                id: CloudId::new("vol-0000000a"),
                delete_on_termination: true,
            };
            body.further_volumes.push(volume);
        })
    });
    let outcome = super::apply_on(&lab.sim, &plan, 1);
    let trouble = super::trouble(&plan, &outcome).join("\n");
    assert!(trouble.contains("Stale(\"somebody attached vol-0000000a to it\")"), "{trouble}");
    assert!(lab.sim.world().object(&here(), &id).is_some());
    // The next plan says what would be lost.
    let next = lab.plan(vec![("key_pair.k", key())]);
    assert_eq!(next.impact(), crate::resources::Impact::DataLoss);
}

#[test]
fn an_address_that_never_comes_is_refused_where_it_is_read() {
    let reads = || Peer::Output { address: at("instance.m"), output: Output::PublicIp };
    let bare = || box_().machine(|want| want.public_ip = Some(false));
    let lab = Lab::with(vec![
        ("instance.m", bare()),
        ("elastic_ip.e", eip(Some("instance.m"))),
        ("security_group.g", group().ingress(80, reads())),
    ]);
    let without = || vec![("instance.m", bare()), ("security_group.g", group().ingress(80, reads()))];
    check(
        &refusals(&lab.plan(without())),
        r#"
refused security_group.g (Lookup): ingress rule for `instance.m`: it gets no public_ip of its own
    hint: name its private address, or give it an Elastic IP
"#,
    );
    // Before it is made, the same is known.
    assert_eq!(Lab::new().plan(without()).refusals().len(), 1);
}
