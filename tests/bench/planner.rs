//! The planner alone at several sizes: time, peak memory, and how both grow. Then one host's firewall: for many addresses of
//! the spec, and for a fleet whose instances come and go.
//!
//! Without arguments it runs itself once for each size, so that a size's peak memory is its own. With a size it measures and
//! prints one line; `addresses` or `fleet` before it says what of a firewall.

#![allow(
    clippy::print_stdout,
    clippy::as_conversions,
    clippy::cast_precision_loss,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a benchmark prints figures, and stops where something is wrong"
)]

use std::process::Command;
use std::sync::Arc;
use std::time::Instant;

use portcullis::apply::{self, Limits, Stop, journal::Nowhere};
use portcullis::cli::session;
use portcullis::model::Region;
use portcullis::plan::policy::Policy;
use portcullis::plan::{self};
use portcullis::provider::sim::Sim;
use portcullis::rehearsal;
use portcullis::resources::world::{Limits as WorldLimits, World};
use portcullis::spec::{self, Environment, Files, Format, Inputs, Source, Stack};

/// As in the binary.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const SIZES: [usize; 3] = [1_000, 10_000, 100_000];
const ADDRESSES: [usize; 3] = [1_000, 10_000, 60_000];
const FLEETS: [usize; 3] = [100, 1_000, 10_000];
/// The most instances that one block of a spec makes.
const MOST: usize = 500;
/// Regions that cells take turns in: the subnets of one hold some twelve thousand instances.
const REGIONS: [&str; 8] =
    ["eu-west-1", "eu-west-2", "eu-central-1", "us-east-1", "us-east-2", "us-west-1", "us-west-2", "sa-east-1"];
/// Resources in one cell: 2 groups, 6 instances, 2 addresses.
const CELL: usize = 10;

struct Nothing;

impl Files for Nothing {
    fn read(&self, _: usize, path: &str) -> Result<Vec<u8>, String> {
        Err(path.to_owned())
    }
}

impl Environment for Nothing {
    fn variable(&self, _: &str) -> Option<String> {
        None
    }
}

fn main() {
    // `cargo bench` hands its own flags over.
    let words: Vec<String> = std::env::args().skip(1).filter(|word| !word.starts_with('-')).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    match (words.as_slice(), words.last().and_then(|size| size.parse().ok())) {
        ([_], Some(size)) => measure(size),
        (["addresses", _], Some(size)) => measure_addresses(size),
        (["fleet", _], Some(size)) => measure_fleet(size),
        _ => {
            println!(
                "resources  calls  plan from nothing (s)  plan of no change (s)  rehearsal (s)  peak memory (MiB)"
            );
            compare(&[], &SIZES, ["from nothing", "of no change", "rehearsal"]);
            println!(
                "\none host: addresses  calls  from nothing (s)  of no change (s)  all others (s)  peak memory (MiB)"
            );
            compare(&["addresses"], &ADDRESSES, ["from nothing", "of no change", "all others"]);
            println!("\none host: instances  calls  all come (s)  of no change (s)  all go (s)  peak memory (MiB)");
            compare(&["fleet"], &FLEETS, ["all come", "of no change", "all go"]);
        }
    }
}

/// Runs every size in a process of its own, and says how the times grow.
fn compare(what: &[&str], sizes: &[usize], names: [&str; 3]) {
    let mut last: Option<(usize, Vec<f64>)> = None;
    let mut growth = Vec::new();
    for size in sizes {
        let me = std::env::current_exe().expect("the benchmark's own path");
        let output = Command::new(me).args(what).arg(size.to_string()).output().expect("the benchmark runs itself");
        let line = String::from_utf8(output.stdout).expect("text");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        print!("{line}");
        let figures: Vec<f64> = line.split_whitespace().filter_map(|word| word.parse().ok()).collect();
        // Size and calls stand before the times, the memory behind them.
        let times = figures[2..figures.len() - 1].to_vec();
        if let Some((before, earlier)) = last {
            let exponents = names.iter().zip(times.iter().zip(&earlier)).map(|(name, (now, then))| {
                format!("{:.2} {name}", (now / then).ln() / (*size as f64 / before as f64).ln())
            });
            growth.push(format!("{before} -> {size}: {}", exponents.collect::<Vec<_>>().join(", ")));
        }
        last = Some((*size, times));
    }
    println!("growth exponents (1 is linear):");
    for line in growth {
        println!("  {line}");
    }
}

fn measure(size: usize) {
    let stack = stack(size);
    let policy = Policy::on(jiff::civil::date(2026, 1, 1));
    let mut world = World::default();
    world.set_limits(WorldLimits { addresses: 1_000_000, ..WorldLimits::default() });
    let sim = Arc::new(Sim::in_memory(world));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let (made, empty, rehearsed, memory) = runtime.block_on(async {
        let (whole, snapshot) = session::plan_for(&stack, &policy, false, sim.as_ref()).await.expect("a plan");
        assert!(whole.refusals().is_empty(), "{:?}", whole.refusals().first());
        let made = best(|| plan::plan(&stack, &snapshot, &policy));
        // Stack, snapshot and two plans; what follows needs a world, which is not the planner's.
        let memory = peak_memory();
        let begin = Instant::now();
        let rehearsal = rehearsal::rehearse(&stack, &snapshot, &policy, false, &whole).expect("a rehearsal");
        let rehearsed = begin.elapsed().as_secs_f64();
        assert!(rehearsal.findings.is_empty(), "{:?}", rehearsal.findings.first());
        let (_hold, mut stop) = tokio::sync::watch::channel(Stop::No);
        let outcome = apply::apply(&whole, &sim, &mut Nowhere, Limits { parallelism: 16 }, &mut stop, &mut |_| {})
            .await
            .expect("an apply");
        assert!(outcome.complete());
        drop((whole, outcome));
        let (again, snapshot) = session::plan_for(&stack, &policy, false, sim.as_ref()).await.expect("a plan");
        assert!(again.is_empty());
        (made, best(|| plan::plan(&stack, &snapshot, &policy)), rehearsed, memory)
    });
    let resources = stack.resources.len();
    println!(
        "{resources:>9}  {:>5}  {:>21.3}  {:>21.3}  {rehearsed:>13.3}  {:>17}",
        made.1,
        made.0,
        empty.0,
        memory / 1024
    );
}

/// One host that lets many addresses in: from nothing, when they stand, and when all of them are to be others.
fn measure_addresses(size: usize) {
    let [stack, others] = [10, 11].map(|first: u32| {
        let list = (0..u32::try_from(size).expect("few enough")).map(|n| {
            let address = std::net::Ipv4Addr::from((first << 24) + 2 * n);
            format!("\"{address}\"")
        });
        read(format!("{{\"stack\": \"bench\", {}}}", firewall(&list.collect::<Vec<_>>().join(","))))
    });
    measure_host(size, &stack, &others);
}

/// One host that lets a fleet of the stack in: when all of it is made, when it stands, and when all of it goes.
fn measure_fleet(size: usize) {
    let stack = |count: usize| {
        let instances = (0..count.div_ceil(MOST)).map(|block| {
            let count = MOST.min(count - block * MOST);
            format!(
                "\"w{block}\": {{\"count\": {count}, \"image\": \"ami-0123456789abcdef0\", \"type\": \"t3.small\"}}"
            )
        });
        let firewall = firewall("{\"instances\": {\"regions\": [\"eu-west-1\"]}}");
        let instances = instances.collect::<Vec<_>>().join(",");
        read(format!("{{\"stack\": \"bench\", \"region\": \"eu-west-1\", \"instance\": {{{instances}}}, {firewall}}}"))
    };
    measure_host(size, &stack(size), &stack(1));
}

/// A host's firewall with one rule for these sources.
fn firewall(from: &str) -> String {
    format!(
        "\"host_firewall\": {{\"gw\": {{\"transport\": {{\"ssh\": \"root@gw.example.com\"}}, \"always_allow\": [{{\"ports\": 22, \
         \"from\": [\"192.0.2.0/24\"]}}], \"rules\": [{{\"name\": \"office\", \"ports\": [22, 80, 443, 694, 8080], \"from\": [{from}]}}]}}}}"
    )
}

/// Plans a stack from nothing and of no change, and then another in its place.
fn measure_host(size: usize, stack: &Stack, next: &Stack) {
    let mut policy = Policy::on(jiff::civil::date(2026, 1, 1));
    policy.accepted.shrink = true;
    let mut world = World::default();
    world.set_limits(WorldLimits { addresses: 1_000_000, ..WorldLimits::default() });
    let sim = Arc::new(Sim::in_memory(world));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let (whole, snapshot) = session::plan_for(stack, &policy, false, sim.as_ref()).await.expect("a plan");
        assert!(whole.refusals().is_empty(), "{:?}", whole.refusals().first());
        let made = best(|| plan::plan(stack, &snapshot, &policy));
        let (_hold, mut stop) = tokio::sync::watch::channel(Stop::No);
        let limits = Limits { parallelism: 16 };
        let outcome = apply::apply(&whole, &sim, &mut Nowhere, limits, &mut stop, &mut |_| {}).await.expect("an apply");
        assert!(outcome.complete());
        let (again, snapshot) = session::plan_for(stack, &policy, false, sim.as_ref()).await.expect("a plan");
        assert!(again.is_empty());
        let empty = best(|| plan::plan(stack, &snapshot, &policy));
        let (other, snapshot) = session::plan_for(next, &policy, false, sim.as_ref()).await.expect("a plan");
        assert!(other.refusals().is_empty() && !other.is_empty(), "{:?}", other.refusals().first());
        let other = best(|| plan::plan(next, &snapshot, &policy));
        let memory = peak_memory() / 1024;
        println!("{size:>20}  {:>5}  {:>16.4}  {:>16.4}  {:>14.4}  {memory:>17}", made.1, made.0, empty.0, other.0);
    });
}

/// The best time of a few plans, in seconds, and how many calls they have.
fn best(work: impl Fn() -> plan::Plan) -> (f64, usize) {
    let time = || {
        let begin = Instant::now();
        let plan = work();
        (begin.elapsed().as_secs_f64(), plan.steps().len())
    };
    let mut best = time();
    for _ in 0..2 {
        let next = time();
        if next.0 < best.0 {
            best = next;
        }
    }
    best
}

/// The highest resident size of this process so far, in KiB, as Linux tells it.
fn peak_memory() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap_or_default();
    line.split_whitespace().nth(1).and_then(|number| number.parse().ok()).unwrap_or_default()
}

/// A stack of about `size` resources in cells that name one another within.
fn stack(size: usize) -> Stack {
    let mut text = String::from("{\"stack\": \"bench\", \"region\": \"eu-west-1\", \"security_group\": {");
    let cells = size.div_ceil(CELL);
    let list = |entry: &dyn Fn(usize, &str) -> String| {
        (0..cells).map(|c| entry(c, REGIONS[c % REGIONS.len()])).collect::<Vec<_>>().join(",")
    };
    text.push_str(&list(&|c, r| {
        format!(
            "\"p{c}\": {{\"region\": \"{r}\", \"ingress\": [{{\"ports\": [80, 443], \"from\": [\"0.0.0.0/0\", \"::/0\"]}}, {{\"ports\": 22, \"from\": \"203.0.113.0/24\"}}]}}, \
             \"w{c}\": {{\"region\": \"{r}\", \"ingress\": [{{\"ports\": \"8000-8100\", \"from\": \"security_group.p{c}\"}}, {{\"ports\": 9100, \"from\": \"self\"}}]}}"
        )
    }));
    text.push_str("}, \"instance\": {");
    text.push_str(&list(&|c, r| {
        format!(
            "\"w{c}\": {{\"region\": \"{r}\", \"count\": 6, \"image\": \"ami-0123456789abcdef0\", \"type\": \"t3.small\", \"security_groups\": [\"w{c}\"]}}"
        )
    }));
    text.push_str("}, \"elastic_ip\": {");
    text.push_str(&list(&|c, r| format!("\"a{c}\": {{\"region\": \"{r}\", \"instance\": \"w{c}-0\"}}, \"b{c}\": {{\"region\": \"{r}\", \"instance\": \"w{c}-1\"}}")));
    text.push_str("}}");
    read(text)
}

/// The stack of a text.
fn read(text: String) -> Stack {
    let sources = [Source { path: "bench.json".to_owned(), text, format: Format::Json }];
    let inputs = Inputs { files: &Nothing, environment: &Nothing, region: Region::new("eu-west-1").ok() };
    let (stack, problems) = spec::load(&sources, &inputs);
    stack.unwrap_or_else(|| panic!("{:?}", problems.sorted().first()))
}
