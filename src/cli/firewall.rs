//! `firewall`: what becomes of a change of a host's firewall that waits to be confirmed.

use std::path::PathBuf;

use jiff::Timestamp;

use super::args::{Firewall, FirewallVerdict};
use super::console::Console;
use super::exit::Exit;
use super::{load, world};
use crate::model::Address;
use crate::resources::host_firewall::script::change::{Decision, State, Verdict, Waiting};

/// Runs the command.
///
/// # Errors
/// The exit that says what went wrong.
pub async fn run(args: &Firewall, console: &Console) -> Result<Exit, Exit> {
    let Some((address, specs)) = args.words.split_last() else { return Err(Exit::Usage) };
    let address: Address = address.parse().map_err(|why: String| {
        console
            .complain(&why, Some("the address stands last: `portcullis firewall confirm spec.toml host_firewall.gw`"));
        Exit::Usage
    })?;
    if args.world.world.is_some() {
        console.complain("in a simulated world no change waits: it is confirmed or taken back at once", None);
        return Err(Exit::Usage);
    }
    let specs: Vec<PathBuf> = specs.iter().map(PathBuf::from).collect();
    let stack = load::stack(&specs, &args.world, console).await?;
    let Some(target) = stack.hosts.get(&address) else {
        let known: Vec<String> = stack.hosts.keys().map(ToString::to_string).collect();
        let hint = format!("the spec has {}", if known.is_empty() { "none".to_owned() } else { known.join(", ") });
        console.complain(&format!("the spec has no host at `{address}`"), Some(&hint));
        return Err(Exit::Usage);
    };
    let hosts = world::hosts(&args.world, &stack, console);
    let verdict = match args.verdict {
        FirewallVerdict::Pending => Verdict::Ask,
        FirewallVerdict::Confirm => Verdict::Confirm,
        FirewallVerdict::Rollback => Verdict::TakeBack,
    };
    let decision = hosts.decide(target, verdict).await.map_err(|error| console.provider_error(&error))?;
    Ok(say(args.verdict, &address, &decision, console))
}

/// Says what came of it. Confirming or taking back what is not there, or comes too late, is refused.
fn say(verdict: FirewallVerdict, address: &Address, decision: &Decision, console: &Console) -> Exit {
    let Waiting { id, stack, by, until } = &decision.waiting;
    let until = Timestamp::from_second(*until).map_or_else(|_| "an unknown time".to_owned(), |time| time.to_string());
    let what = format!("change {id} of stack `{stack}`, by {by}");
    let refused = |message: &str, hint: Option<&str>| {
        console.complain(&format!("{address}: {message}"), hint);
        Exit::Refused
    };
    match (verdict, decision.state) {
        (FirewallVerdict::Pending, State::None | State::Gone) => {
            console.result(&format!("{address}: no change waits\n"));
            Exit::Done
        }
        (FirewallVerdict::Pending, State::Pending | State::Applying) => {
            console.result(&format!("{address}: {what}, waits to be confirmed until {until}\n"));
            Exit::Done
        }
        (FirewallVerdict::Confirm, State::Confirmed) => {
            console.result(&format!("{address}: confirmed {what}\n"));
            match &decision.unsettled {
                None => Exit::Done,
                Some(why) => {
                    let message =
                        format!("{address}: the rules stand, yet what a boot restores could not be changed: {why}");
                    console.complain(&message, Some("plan and apply again: only that is left to do"));
                    Exit::Partial
                }
            }
        }
        (FirewallVerdict::Rollback, State::RolledBack) => {
            console.result(&format!("{address}: took back {what}\n"));
            Exit::Done
        }
        (_, State::Stuck) => {
            let message = format!("{address}: {what} could not be taken back: {}", decision.why);
            console.complain(&message, Some("look at the host by hand"));
            Exit::Partial
        }
        (_, State::None | State::Gone) => refused("no change waits", None),
        (_, State::SameSession) => refused(
            "whoever made the change is connected just so: that proves nothing",
            Some("log in anew, and confirm from there"),
        ),
        (_, State::Applying | State::Pending) => {
            refused("the change is being carried out still", Some("try again in a moment"))
        }
        (_, State::RollingBack | State::RolledBack | State::Undone) => {
            refused(&format!("too late: {what} is taken back"), None)
        }
        (_, State::Confirmed) => {
            refused(&format!("too late: {what} is confirmed"), Some("plan and apply what shall be instead"))
        }
    }
}
