//! The real binary before moto, killed (SIGKILL) before and after each of its calls that change something. What it asked for
//! is done or not, and nobody is told; the next apply, or the one after it, comes to the end of an undisturbed run.

use std::collections::BTreeMap;

use super::{Scenario, Way, all, secret};
use crate::support::binary::Stage;
use crate::support::moto;
use crate::support::proxy::{Hold, Proxy};
use crate::support::strangers::{Listed, Strangers, listed};

/// How many applies may follow the one that was killed.
const MORE: usize = 2;

/// A scenario in an account of its own.
struct Killing {
    scenario: &'static Scenario,
    account: &'static str,
}

/// How a run that was to be killed ended.
#[derive(Debug, PartialEq, Eq)]
enum End {
    /// It was killed.
    Killed,
    /// It had no such call, and came to its end.
    Over,
}

/// A part of a scenario's spec, in the words that moto knows.
fn words(stack: &str, text: &str) -> String {
    let there = text.replace("\"shop\"", &format!("\"{stack}\""));
    there.replace("ami-00000001", "ami-0123456789abcdef0").replace("ami-00000002", "ami-0123456789abcdef1")
}

impl Killing {
    fn of(name: &str, account: &'static str) -> Self {
        let scenario = all().find(|scenario| scenario.name == name).expect("a scenario of this name");
        assert_eq!(scenario.by_hand, "", "moto begins with nothing");
        Self { scenario, account }
    }

    /// A stage before a proxy, with what the stack was before.
    async fn stage(&self, stack: &str, proxy: &Proxy) -> Stage {
        let stage = Stage::before(proxy.port);
        stage.write("spec.toml", &words(stack, &[Scenario::HEAD, self.scenario.before].concat()));
        stage.write("change.toml", &words(stack, self.scenario.change));
        for name in ["boot", "boot-2"] {
            stage.write(name, &secret(name).expect("a file"));
        }
        if !self.scenario.before.is_empty() {
            stage.run(&["apply", "spec.toml", "--yes"]).await.exits(0);
        }
        stage
    }

    fn arguments(&self) -> Vec<&'static str> {
        match self.scenario.way {
            Way::Apply => vec!["apply", "spec.toml", "change.toml", "--yes"],
            Way::Destroy => vec!["destroy", "spec.toml", "--yes"],
            Way::Replace(_) => unreachable!("no scenario of these"),
        }
    }

    /// The run that nobody kills: what is there in the end, and how many calls changed something.
    async fn undisturbed(&self, strangers: &Strangers) -> (BTreeMap<String, usize>, usize) {
        let proxy = Proxy::in_account(moto::port(), self.account).await;
        let stage = self.stage("kill-0", &proxy).await;
        proxy.hold_change(usize::MAX, Hold::Before);
        stage.run(&self.arguments()).await.exits(0);
        (standing(self.account, "kill-0", strangers), proxy.changes())
    }

    /// Kills one run at one call, and applies again.
    async fn killed(&self, at: usize, side: Hold, wanted: &BTreeMap<String, usize>, strangers: &Strangers) -> End {
        let stack = format!("kill-{at}{}", if side == Hold::Before { "b" } else { "a" });
        let story = format!("{} in {}: {side:?} change {at}", self.scenario.name, self.account);
        let proxy = Proxy::in_account(moto::port(), self.account).await;
        let stage = self.stage(&stack, &proxy).await;
        proxy.hold_change(at, side);
        let mut child = stage.command(&self.arguments()).spawn().expect("the binary");
        let end = tokio::select! {
            () = proxy.until_held(1) => End::Killed,
            _ = child.wait() => End::Over,
        };
        child.kill().await.expect("killed");
        proxy.send_away();
        let mut told = stage.run(&self.arguments()).await;
        for _ in 1..MORE {
            if told.code != Some(0) {
                told = stage.run(&self.arguments()).await;
            }
        }
        assert_eq!(told.code, Some(0), "{story}: {told}");
        assert_eq!(standing(self.account, &stack, strangers), *wanted, "{story}");
        end
    }

    /// Kills a run at each of its calls.
    async fn everywhere(&self) {
        let strangers = Strangers::settle(self.account, "kill-1b", 8);
        let (wanted, calls) = self.undisturbed(&strangers).await;
        assert!((3..=12).contains(&calls), "{}: {calls} calls", self.scenario.name);
        let mut kills = 0;
        for at in 1..=calls {
            for side in [Hold::Before, Hold::After] {
                kills += usize::from(self.killed(at, side, &wanted, &strangers).await == End::Killed);
            }
        }
        // The undisturbed run may have sent one call twice, as a client does that gets no answer in time.
        assert!(kills + 2 >= 2 * calls, "{}: {kills} kills at {calls} calls", self.scenario.name);
        strangers.are_as_they_were();
        nothing_is_left_over(self.account, &strangers);
    }
}

/// How many objects stand at each address of a stack.
fn standing(account: &str, stack: &str, strangers: &Strangers) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    let ours = |one: &Listed| one.tags.get("portcullis:stack").is_some_and(|owner| owner == stack);
    for one in listed(account).iter().filter(|one| ours(one) && !strangers.contain(one)) {
        *counts.entry(one.tags["portcullis:address"].clone()).or_default() += 1;
    }
    counts
}

/// Demands that everything of an account says whose it is: nothing was made and lost.
fn nothing_is_left_over(account: &str, strangers: &Strangers) {
    for one in listed(account).iter().filter(|one| !one.is_usual() && !strangers.contain(one)) {
        let says = |key: &str| one.tags.contains_key(&format!("portcullis:{key}"));
        assert!(says("stack") && says("address") && says("generation"), "{account}: {one:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn groups_that_name_each_other() {
    Killing::of("two groups name each other", "200000000001").everywhere().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_address_for_a_new_machine() {
    Killing::of("an address is allocated for a new machine, and a rule names it", "200000000002").everywhere().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_machine_of_an_address() {
    Killing::of("the machine of an address is replaced", "200000000003").everywhere().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_machine_that_restarts() {
    Killing::of("a machine is told something else, which takes a restart", "200000000004").everywhere().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_balancer_and_those_behind_it() {
    Killing::of("a balancer is made with those behind it", "200000000005").everywhere().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_end_of_machines_and_their_address() {
    Killing::of("machines and their address are destroyed", "200000000006").everywhere().await;
}
