//! Whoever comes is let in before anybody relies on it, and whoever goes is shut out before the address is somebody else's:
//! the real binary before moto, whose calls are held back while connections show what the gateway does at that moment.

use std::net::IpAddr;

use tokio::process::Child;

use super::gateway::{Office, address_of, between, probe};
use crate::support::binary::Told;
use crate::support::host::until;
use crate::support::moto;
use crate::support::proxy::Hold;

const REGION: &str = "eu-west-1";

/// Machines, addresses, a balancer and the gateway; `more` are further blocks, `from` who is let in.
fn spec(office: &Office, more: &str, from: &str) -> String {
    let machine = |name: &str| {
        format!(
            "[instance.{name}]\nimage = \"ami-0123456789abcdef0\"\ntype = \"t3.small\"\nsecurity_groups = [\"node\"]\n"
        )
    };
    let machines: String = ["web", "stays", "other"].map(machine).concat();
    format!(
        "stack = \"order\"\nregion = \"{REGION}\"\n[security_group.node]\ningress = [{{ ports = 80, from = \"0.0.0.0/0\" }}]\n\
         {machines}[load_balancer.front]\nsecurity_groups = [\"node\"]\nzones = [\"{REGION}a\", \"{REGION}b\", \"{REGION}c\"]\n\
         listeners = [{{ port = 80, protocol = \"http\", instance_port = 80 }}]\ninstances = [\"web\"]\nconnection_draining = \"1s\"\n\
         health_check = {{ target = \"TCP:80\", interval = \"5s\", timeout = \"2s\", unhealthy_after = 2, healthy_after = 2 }}\n\
         {more}[host_firewall.gw]\ntransport = {}\nmode = \"guard\"\nmax_shrink = \"100%\"\n\
         always_allow = [{{ from = \"10.200.0.1/32\", ports = 22 }}]\n\
         rules = [{{ name = \"nodes\", ports = 443, from = [{from}] }}]\n",
        office.transport()
    )
}

/// The owned object of an address, among what `observe` prints.
async fn id_of(office: &Office, at: &str) -> String {
    let seen = office.run(&["observe", "spec.toml", "--format", "json"]).await.exits(0).json();
    let objects = seen["snapshot"]["objects"].as_array().expect("objects");
    let mut owned = objects.iter().filter(|object| object["tags"]["portcullis:address"] == at);
    owned.next_back().and_then(|object| object["id"].as_str()).unwrap_or_else(|| panic!("{at}: {seen:#}")).to_owned()
}

async fn instance(office: &Office, at: &str) -> (String, IpAddr) {
    let id = id_of(office, at).await;
    let address = address_of(REGION, &id).expect("a public address");
    (id, address)
}

async fn elastic_ip(office: &Office, at: &str) -> IpAddr {
    let id = id_of(office, at).await;
    let told = moto::ec2(REGION, &format!("Action=DescribeAddresses&AllocationId.1={id}"));
    between(&told, "<publicIp>").and_then(|text| text.parse().ok()).unwrap_or_else(|| panic!("{told}"))
}

fn start(office: &Office, more: &[&str]) -> Child {
    let words = [&["apply", "spec.toml", "--yes", "--allow-command"], more].concat();
    office.stage.command(&words).spawn().expect("the binary")
}

async fn done(child: Child) {
    Told::of(child.wait_with_output().await.expect("an end")).exits(0);
}

/// Waits until the binary asks for something that is held back.
fn until_asked(office: &Office, api: &str) {
    until(api, || office.proxy.seen(api) > 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn open_before_it_serves_and_shut_before_it_goes() {
    let office = Office::new().await;
    let old_address = "[elastic_ip.vip]\n";
    let from = "\"instance.web\", \"instance.stays\", \"elastic_ip.vip\"";
    office.stage.write("spec.toml", &spec(&office, old_address, from));
    office.run(&["apply", "spec.toml", "--yes"]).await.exits(0);
    let ((first, web), (_, stays)) =
        (instance(&office, "instance.web").await, instance(&office, "instance.stays").await);
    let vip = elastic_ip(&office, "elastic_ip.vip").await;
    for address in [web, stays, vip] {
        office.live_at(address);
        assert!(office.admits(address, 443));
    }
    let permitted = office.pair.client.watch(&[format!("long {}", probe(stays, 443))]);

    // Another instance takes the place of the first.
    office.proxy.count();
    office.proxy.hold("RegisterInstancesWithLoadBalancer", Hold::Before);
    let child = start(&office, &["--replace", "instance.web"]);
    until_asked(&office, "RegisterInstancesWithLoadBalancer");
    let told = moto::ec2(
        REGION,
        "Action=DescribeInstances&Filter.1.Name=tag:portcullis:address&Filter.1.Value.1=instance.web&Filter.2.Name=instance-state-name&Filter.2.Value.1=running&Filter.3.Name=tag:portcullis:stack&Filter.3.Value.1=order",
    );
    let other = |id: &&str| !id.starts_with(first.as_str());
    let next =
        told.split("<instanceId>").skip(1).find(other).and_then(|rest| rest.split('<').next()).expect("the next");
    let next = address_of(REGION, next).expect("a public address");
    office.live_at(next);
    assert!(office.admits(next, 443), "it is let in before the balancer sends it anything");
    office.proxy.hold("TerminateInstances", Hold::Before);
    office.proxy.let_go("RegisterInstancesWithLoadBalancer");
    until_asked(&office, "TerminateInstances");
    assert!(
        !office.admits(web, 443) && office.admits(next, 443),
        "it is shut out before its address is somebody else's"
    );
    let released = office.pair.client.watch(&[format!("short {}", probe(web, 443))]);
    office.proxy.release();
    done(child).await;
    assert_eq!(released.end()[0].open, 0);

    // Another address takes the place of the old one, and is put on a machine.
    let more = "[elastic_ip.next]\ninstance = \"other\"\n";
    let from = "\"instance.web\", \"instance.stays\", \"elastic_ip.next\"";
    office.stage.write("spec.toml", &spec(&office, more, from));
    office.proxy.count();
    for api in ["AssociateAddress", "ReleaseAddress"] {
        office.proxy.hold(api, Hold::Before);
    }
    let child = start(&office, &[]);
    until_asked(&office, "AssociateAddress");
    let address = elastic_ip(&office, "elastic_ip.next").await;
    office.live_at(address);
    assert!(office.admits(address, 443), "it is let in before anything comes from it");
    office.proxy.let_go("AssociateAddress");
    until_asked(&office, "ReleaseAddress");
    assert!(!office.admits(vip, 443), "it is shut out before it is given back");
    let released = office.pair.client.watch(&[format!("short {}", probe(vip, 443))]);
    office.proxy.release();
    done(child).await;
    assert_eq!(released.end()[0].open, 0);

    // A machine is restarted, which gives its public address back.
    let small = "\"t3.small\"\nsecurity_groups = [\"node\"]\n[instance.stays]";
    let larger = spec(&office, more, from).replace(small, &small.replace("t3.small", "t3.medium"));
    office.stage.write("spec.toml", &larger);
    office.proxy.count();
    office.proxy.hold("StopInstances", Hold::Before);
    let child = start(&office, &[]);
    until_asked(&office, "StopInstances");
    assert!(!office.admits(next, 443), "it is shut out before it stops");
    office.proxy.release();
    done(child).await;
    let (_, started) = instance(&office, "instance.web").await;
    if started != next {
        office.live_at(started);
    }
    assert!(office.admits(started, 443), "it is let in as it stands again");
    let counted = permitted.end()[0];
    assert!(counted.closed == 0 && counted.open > 50, "{counted:?}");
    office.run(&["plan", "spec.toml", "--detailed-exitcode"]).await.exits(0);
    office.run(&["destroy", "spec.toml", "--yes", "--max-impact", "data-loss"]).await.exits(0);
}
