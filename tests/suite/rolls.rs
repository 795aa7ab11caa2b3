//! Members roll on moto, by the real binary, while somebody looks at the balancer all the time: never fewer are in service
//! than the spec says.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::support::binary::Stage;
use crate::support::moto;
use crate::support::proxy::Proxy;

const REGION: &str = "eu-west-1";

/// Who is in service now.
fn serving(port: u16, balancer: &str) -> BTreeSet<String> {
    let form = format!("Version=2012-06-01&Action=DescribeInstanceHealth&LoadBalancerName={balancer}");
    let told = moto::ask_at(port, "elasticloadbalancing", REGION, &form);
    let members = told.split("<member>").skip(1).filter(|member| member.contains("<State>InService</State>"));
    let id = |member: &str| Some(member.split_once("<InstanceId>")?.1.split_once('<')?.0.to_owned());
    members.filter_map(id).collect()
}

/// What was seen while members rolled.
struct Seen {
    /// The fewest in service at any look.
    fewest: usize,
    looks: usize,
    /// Everybody who was in service at some look.
    everyone: BTreeSet<String>,
}

/// Applies an example, then its change, and looks on.
async fn watch(example: &str, stack: &str, options: &[&str]) -> Seen {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples").join(example);
    let proxy = Proxy::before(moto::port()).await;
    let stage = Stage::before(proxy.port);
    stage.copy(&folder);
    let spec = std::fs::read_to_string(folder.join("spec.toml")).expect("a spec");
    let named: Vec<String> = spec
        .lines()
        .map(|line| if line.starts_with("stack = ") { format!("stack = \"{stack}\"") } else { line.to_owned() })
        .collect();
    stage.write("spec.toml", &named.join("\n"));
    stage.run(&["apply", "spec.toml", "--yes"]).await.exits(0);
    let (over, port, balancer) = (Arc::new(AtomicBool::new(false)), proxy.port, format!("{stack}-front-1"));
    let until = Arc::clone(&over);
    let watcher = tokio::task::spawn_blocking(move || {
        let mut seen = Seen { fewest: usize::MAX, looks: 0, everyone: BTreeSet::new() };
        while !until.load(Ordering::Relaxed) {
            let now = serving(port, &balancer);
            seen.fewest = seen.fewest.min(now.len());
            seen.looks += 1;
            seen.everyone.extend(now);
            std::thread::sleep(Duration::from_millis(20));
        }
        seen
    });
    let change = [&["apply", "spec.toml", "change.toml", "--yes"], options].concat();
    let told = stage.run(&change).await;
    over.store(true, Ordering::Relaxed);
    let seen = watcher.await.expect("it was looked at");
    told.exits(0);
    stage.run(&["destroy", "spec.toml", "--yes"]).await.exits(0);
    seen
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_new_image_rolls_and_three_of_four_serve_at_any_moment() {
    let seen = watch("three-tiers", "roll-image", &[]).await;
    assert!(seen.fewest >= 3, "{} served", seen.fewest);
    // Who was looked at all the time was seen, old and new.
    assert_eq!((seen.everyone.len(), seen.looks > 20), (8, true), "{} looks", seen.looks);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_new_type_rolls_and_two_of_three_serve_at_any_moment() {
    let seen = watch("resize", "roll-type", &["--max-impact", "data-loss"]).await;
    assert_eq!((seen.fewest, seen.everyone.len(), seen.looks > 20), (2, 3, true), "{} looks", seen.looks);
}
