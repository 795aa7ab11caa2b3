//! What each field of each kind does, as text: the contract of `fields.md`.

use std::fmt::Write;

use super::generate::material;
use super::here;
use super::spec::{Lab, With, box_, check, eip, from_group, group, key, net, refusals, rule, stack, text, told};
use crate::model::duration::Gibibytes;
use crate::model::id::{ImageId, SubnetId, VpcId, ZoneName};
use crate::model::{Reference, Region};
use crate::resources::instance::state::{ImageChoice, KeyChoice, MetadataService, OnChange, Shutdown};
use crate::resources::place::Within;
use crate::resources::registry::Desired;
use crate::resources::security_group::state::{RuleMode, Wish};
use crate::resources::{Choice, ImageQuery};

mod load_balancer;

type Case = (&'static str, Box<dyn Fn(Desired) -> Desired>);

fn case(name: &'static str, edit: impl Fn(Desired) -> Desired + 'static) -> Case {
    (name, Box::new(edit))
}

/// Applies one resource, then shows what each change would do to it.
fn table(address: &'static str, start: &Desired, cases: Vec<Case>) -> String {
    let mut out = String::new();
    for (name, edit) in cases {
        let others = || vec![("security_group.other", group()), ("key_pair.other", key())];
        let mut first = others();
        first.push((address, start.clone()));
        let lab = Lab::with(first);
        let mut second = others();
        second.push((address, edit(start.clone())));
        let plan = lab.plan(second.clone());
        let _ = write!(out, "{name}\n{}{}", told(&plan), lab.named(&refusals(&plan)));
        if plan.refusals().is_empty() {
            let mut wanted = stack(second);
            wanted.regions.insert(Region::new("us-east-1").unwrap());
            lab.apply(&wanted);
        }
    }
    out
}

#[test]
fn key_pairs() {
    let start = key().key(|want| want.name = Some("deploy".to_owned()));
    check(
        &table(
            "key_pair.k",
            &start,
            vec![
                case("nothing", |want| want),
                case("public_key, literal name", |want| want.key(|want| want.public_key = material(1))),
                case("name", |want| want.key(|want| want.name = Some("other".to_owned()))),
                case("name generated", |want| want.key(|want| want.name = None)),
                case("region", |want| want.common(|common| common.region = Region::new("us-east-1").unwrap())),
                case("tags", |want| want.common(|common| drop(common.tags.insert("a".to_owned(), "b".to_owned())))),
                case("protect", |want| want.common(|common| common.protect = true)),
                case("keep", |want| want.common(|common| common.keep = true)),
            ],
        ),
        r#"
nothing
public_key, literal name
  key_pair.k Replace [public_key Replace] : import, delete
name
  key_pair.k Replace [name Replace] : import, delete
name generated
region
  key_pair.k Replace [region Replace] : import, delete
tags
  key_pair.k Update [tags.a InPlace] : tag
protect
  key_pair.k Update [protect InPlace] : tag
keep
  key_pair.k Update [keep InPlace] : tag
"#,
    );
}

#[test]
fn security_groups() {
    let start = group()
        .ingress(22, net("10.0.0.0/8"))
        .ingress(80, net("0.0.0.0/0"))
        .group(|want| want.egress = Some([(rule(443, net("0.0.0.0/0")), Wish::default())].into()));
    let past = Wish { expires: Some("2026-05-31".parse().unwrap()), ..Wish::default() };
    let last_day = Wish { expires: Some("2026-06-01".parse().unwrap()), ..Wish::default() };
    let said = Wish { description: Some("said".to_owned()), ..Wish::default() };
    let set = |wish: Wish| {
        move |want: Desired| want.group(|want| drop(want.ingress.insert(rule(22, net("10.0.0.0/8")), wish.clone())))
    };
    check(
        &table(
            "security_group.g",
            &start,
            vec![
                case("nothing", |want| want),
                case("description", |want| want.group(|want| want.description = "another".to_owned())),
                case("name", |want| want.group(|want| want.name = Some("edge".to_owned()))),
                case("vpc", |want| want.group(|want| want.vpc = Choice::Id(VpcId::new("vpc-00000000")))),
                case("ingress more", |want| want.ingress(443, net("0.0.0.0/0"))),
                case("ingress from a group", |want| want.ingress(443, from_group("security_group.other"))),
                case("ingress from self", |want| want.ingress(443, from_group("security_group.g"))),
                case("ingress less", |want| want.group(|want| drop(want.ingress.pop_first()))),
                case("ingress other", |want| {
                    want.group(|want| drop(want.ingress.pop_first())).ingress(22, net("192.0.2.0/24"))
                }),
                case("rule description", set(said)),
                case("expired yesterday", set(past)),
                case("expires today", set(last_day)),
                case("egress absent", |want| want.group(|want| want.egress = None)),
                case("egress none", |want| want.group(|want| want.egress = Some([].into()))),
                case("additive", |want| want.group(|want| want.mode = RuleMode::Additive)),
                case("tags", |want| want.common(|common| drop(common.tags.insert("a".to_owned(), "b".to_owned())))),
            ],
        ),
        r#"
nothing
description
  security_group.g Replace [description Replace] : create, revoke default egress, authorize ingress, authorize egress, delete
name
  security_group.g Replace [name Replace] : create, revoke default egress, authorize ingress, authorize egress, delete
vpc
refused security_group.g (Lookup): no VPC `vpc-00000000` in this region
    hint: name one that exists: there are <vpc>
ingress more
  security_group.g Update [+ingress InPlace] : authorize ingress
ingress from a group
  security_group.g Update [+ingress InPlace] : authorize ingress
ingress from self
  security_group.g Update [+ingress InPlace] : authorize ingress
ingress less
  security_group.g Update [-ingress InPlace] : revoke ingress
ingress other
  security_group.g Update [+ingress InPlace, -ingress InPlace] : authorize ingress, revoke ingress
rule description
  security_group.g Update [ingress InPlace] : describe rules
expired yesterday
  security_group.g Update [-ingress InPlace] : revoke ingress
expires today
egress absent
  security_group.g Update [+egress InPlace, -egress InPlace] : authorize egress, revoke egress
egress none
  security_group.g Update [-egress InPlace] : revoke egress
additive
tags
  security_group.g Update [tags.a InPlace] : tag
"#,
    );
}

#[test]
fn elastic_ips() {
    check(
        &table(
            "elastic_ip.e",
            &eip(None),
            vec![
                case("nothing", |want| want),
                case("public_ip_pool", |want| want.eip(|want| want.public_ip_pool = Some("mine".to_owned()))),
                case("border_group", |want| want.eip(|want| want.border_group = Some("eu-west-1-x".to_owned()))),
                case("tags", |want| want.common(|common| drop(common.tags.insert("a".to_owned(), "b".to_owned())))),
            ],
        ),
        r#"
nothing
public_ip_pool
  elastic_ip.e Replace [public_ip_pool Replace] downtime: allocate, release
border_group
  elastic_ip.e Replace [border_group Replace] downtime: allocate, release
tags
  elastic_ip.e Update [tags.a InPlace] : tag
"#,
    );
}

fn on(edit: impl Fn(&mut crate::resources::instance::Desired) + 'static) -> impl Fn(Desired) -> Desired {
    move |want| want.machine(|want| edit(want))
}

#[test]
fn instances_in_place_and_restarted() {
    let start = box_().runs(vec![text("one")]).machine(|want| want.root_volume.size = Some(Gibibytes(20)));
    check(
        &table(
            "instance.m",
            &start,
            vec![
                case("nothing", |want| want),
                case("type", on(|want| want.instance_type = "m5.large".to_owned())),
                case("type from one with instance store", on(|want| want.instance_type = "m5d.large".to_owned())),
                case("user_data, restart", |want| {
                    want.machine(|want| want.on_user_data_change = OnChange::Restart).runs(vec![text("two")])
                }),
                case("user_data, ignore", |want| {
                    want.machine(|want| want.on_user_data_change = OnChange::Ignore).runs(vec![text("two")])
                }),
                case("security_groups", |want| want.groups(&["security_group.other"])),
                case("iam_profile", on(|want| want.iam_profile = Some("web".to_owned()))),
                case("root_volume.size up", on(|want| want.root_volume.size = Some(Gibibytes(30)))),
                case("root_volume.type", on(|want| want.root_volume.volume_type = Some("gp2".to_owned()))),
                case("root_volume.iops", on(|want| want.root_volume.iops = Some(4000))),
                case("root_volume.throughput", on(|want| want.root_volume.throughput = Some(250))),
                case(
                    "root_volume.delete_on_termination",
                    on(|want| want.root_volume.delete_on_termination = Some(false)),
                ),
                case("metadata_service", on(|want| want.metadata.service = MetadataService::V1)),
                case("metadata_hops", on(|want| want.metadata.hops = 2)),
                case("source_dest_check", on(|want| want.source_dest_check = false)),
                case("monitoring", on(|want| want.detailed_monitoring = true)),
                case("shutdown", on(|want| want.shutdown = Shutdown::Terminate)),
                case(
                    "zones with its own",
                    on(|want| {
                        want.place.within = Within::Zones(["eu-west-1b", "eu-west-1a"].map(ZoneName::new).to_vec());
                    }),
                ),
                case("tags", |want| want.common(|common| drop(common.tags.insert("a".to_owned(), "b".to_owned())))),
            ],
        ),
        r#"
nothing
type
  instance.m Update [type Restart] downtime: stop, await stopped, set type, start, await running
type from one with instance store
  instance.m Update [type Restart] downtime: stop, await stopped, set type, start, await running
user_data, restart
  instance.m Update [ (text)user_data Restart] downtime: stop, await stopped, set user data, start, await running
user_data, ignore
security_groups
  instance.m Update [-security_groups InPlace, +security_groups InPlace] : set security groups
iam_profile
  instance.m Update [iam_profile InPlace] : set instance profile
root_volume.size up
  instance.m Update [root_volume.size InPlace] : modify root volume
root_volume.type
  instance.m Update [root_volume.type InPlace] : modify root volume
root_volume.iops
  instance.m Update [root_volume.iops InPlace] : modify root volume
root_volume.throughput
  instance.m Update [root_volume.throughput InPlace] : modify root volume
root_volume.delete_on_termination
  instance.m Update [root_volume.delete_on_termination InPlace] : set root volume deletion
metadata_service
  instance.m Update [metadata_service InPlace] : set metadata options
metadata_hops
  instance.m Update [metadata_hops InPlace] : set metadata options
source_dest_check
  instance.m Update [source_dest_check InPlace] : set source/dest check
monitoring
  instance.m Update [monitoring InPlace] : set monitoring
shutdown
  instance.m Update [tags.portcullis:shutdown InPlace, shutdown InPlace] : set shutdown behaviour, tag what was set
zones with its own
tags
  instance.m Update [tags.a InPlace] : tag
"#,
    );
}

#[test]
fn instances_replaced() {
    let start = box_().runs(vec![text("one")]).machine(|want| want.root_volume.size = Some(Gibibytes(20)));
    let query = || ImageChoice::Query(ImageQuery { name: "debian-*".to_owned(), owner: None, architecture: None });
    check(
        &table(
            "instance.m",
            &start,
            vec![
                case("image", on(|want| want.image = ImageChoice::Id(ImageId::new("ami-00000002")))),
                case("image by query", on(move |want| want.image = query())),
                case(
                    "type, replace",
                    on(|want| {
                        want.on_type_change = OnChange::Replace;
                        want.instance_type = "m5.large".to_owned();
                    }),
                ),
                case("user_data", |want| want.runs(vec![text("two")])),
                case("user_data none", on(|want| want.user_data = None)),
                case(
                    "key_pair",
                    on(|want| {
                        want.key_pair = Some(KeyChoice::Resource(Reference::Address(super::at("key_pair.other"))));
                    }),
                ),
                case("zones", on(|want| want.place.within = Within::Zones(vec![ZoneName::new("eu-west-1c")]))),
                case(
                    "subnets unknown",
                    on(|want| {
                        want.place.within = Within::Subnets(vec![Choice::Id(SubnetId::new("subnet-00000000"))]);
                    }),
                ),
                case("public_ip", on(|want| want.public_ip = Some(false))),
                case("private_ip", on(|want| want.private_ip = Some("172.31.3.3".parse().unwrap()))),
                case("root_volume.size down", on(|want| want.root_volume.size = Some(Gibibytes(10)))),
                case("root_volume.encrypted", on(|want| want.root_volume.encrypted = Some(true))),
                case("tenancy", on(|want| want.tenancy = Some("dedicated".to_owned()))),
                case("placement_group", on(|want| want.placement_group = Some("near".to_owned()))),
                case("protect and image", |want| {
                    want.common(|common| common.protect = true)
                        .machine(|want| want.image = ImageChoice::Id(ImageId::new("ami-00000002")))
                }),
            ],
        ),
        r#"
image
  instance.m Replace [image Replace] reconnect: run, await running, terminate, await terminated
image by query
  instance.m Replace [image Replace] reconnect: run, await running, terminate, await terminated
type, replace
  instance.m Replace [type Replace] reconnect: run, await running, terminate, await terminated
user_data
  instance.m Replace [ (text)user_data Replace] reconnect: run, await running, terminate, await terminated
user_data none
  instance.m Replace [ (text)user_data Replace] reconnect: run, await running, terminate, await terminated
key_pair
  instance.m Replace [key_pair Replace] reconnect: run, await running, terminate, await terminated
zones
  instance.m Replace [zones Replace] reconnect: run, await running, terminate, await terminated
subnets unknown
refused instance.m (Lookup): no subnet `subnet-00000000` in this region
    hint: name one that exists: there are subnet-3e0e5a05d40bfa6d2 (eu-west-1a), subnet-92e9e22eb3ac173fd (eu-west-1b), subnet-9d9f91640e9672541 (eu-west-1c)
public_ip
  instance.m Replace [public_ip Replace] reconnect: run, await running, terminate, await terminated
private_ip
  instance.m Replace [private_ip Replace] reconnect: run, await running, terminate, await terminated
root_volume.size down
  instance.m Replace [root_volume.size Replace] reconnect: run, await running, terminate, await terminated
root_volume.encrypted
  instance.m Replace [root_volume.encrypted Replace] reconnect: run, await running, terminate, await terminated
tenancy
  instance.m Replace [tenancy Replace] reconnect: run, await running, terminate, await terminated
placement_group
  instance.m Replace [placement_group Replace] reconnect: run, await running, terminate, await terminated
protect and image
  instance.m Replace [image Replace] reconnect: run, await running, terminate, await terminated
refused instance.m (Protected): <instance.m#1> is protected, and `image` cannot change without replacing it
    hint: take the change back, or set `protect = false` first
"#,
    );
    assert_eq!(here().as_str(), "eu-west-1");
}
