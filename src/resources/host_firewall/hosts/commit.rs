//! Carrying out a change so that the host still answers afterwards: the host takes it back by itself unless it is confirmed
//! over a new connection. Nothing here must go well for that: whoever stands by, stands by on the host.

use std::time::Duration;

use tokio::time::Instant;

use super::{Attempt, Host, token};
use crate::model::Target;
use crate::model::duration::Seconds;
use crate::port::{Class, ProviderError, Shell, ShellError};
use crate::resources::host_firewall::script::change::{self, Decision, Ended, Job, State, Verdict, Which};
use crate::resources::registry::Call;

const DOING: &str = "changing the packet filter";
/// The longest that one attempt to confirm may take.
const ATTEMPT: Duration = Duration::from_secs(20);
/// How long after its time a change may take to be taken back.
const TAKING_BACK: Duration = Duration::from_secs(90);
/// The pause between two looks.
const PAUSE: Duration = Duration::from_millis(500);

/// What whoever is on the other side of a connection may do about a change that was taken back.
const LET_IN: &str = "see whether the rules let a new connection from here in";
/// What whoever sits at the host may do.
const LOG_IN: &str =
    "log in anew and confirm it in time; from cron nobody can, and `confirm_within = \"0s\"` asks nobody";

impl<S: Shell> Host<'_, S> {
    /// Carries out a job, and has it confirmed where that is asked.
    pub(super) async fn carry_out(&self, job: &Job, call: &Call) -> Result<Attempt, ProviderError> {
        let nonce = token();
        let begun = Instant::now();
        let text = change::apply(&self.setting(&nonce), job);
        let limit = Seconds(call.timeout.0.max(60));
        let ended = match self.run(DOING, text, limit, false).await {
            Ok(printed) => self
                .sections(DOING, &printed, &nonce)
                .and_then(|sections| Ended::read(&sections).map_err(|why| self.fault(Class::Invalid, DOING, why))),
            Err(error) if never_began(&error) => return Err(self.shell_fault(DOING, &error)),
            Err(error) => Err(self.shell_fault(DOING, &error)),
        };
        match (ended, job.within) {
            (Ok(Ended::Waits { until }), Some(within)) => {
                self.tell_local(job, call, until);
                self.confirmed(job, begun, within, until).await
            }
            // Whoever carried it out may have been cut off by the very change, so the host is asked.
            (Err(_), Some(within)) => self.confirmed(job, begun, within, None).await,
            (Err(error), None) => self.outcome(job, error).await,
            (Ok(ended), _) => self.ended(ended),
        }
    }

    fn ended(&self, ended: Ended) -> Result<Attempt, ProviderError> {
        let fault = |class, detail: String| self.fault(class, DOING, detail);
        Err(match ended {
            Ended::Applied => return Ok(Attempt::Done),
            Ended::Changed => {
                return Ok(Attempt::Again(fault(Class::WrongState, "another change was faster".to_owned())));
            }
            // A rule of others that was to go may have gone already; what is there is read again.
            Ended::Failed { program, why } => {
                let detail = format!("{} refused its input, and nothing changed: {why}", program_name(&program));
                return Ok(Attempt::Again(fault(Class::Invalid, detail)));
            }
            Ended::Waits { until } => self.unknown(DOING, "the change waits to be confirmed", until),
            Ended::Unsettled(why) => self.unsettled(&why),
            Ended::Pending(waiting) => self.pending(DOING, &waiting),
            Ended::Busy => fault(Class::InUse, "another run of portcullis is changing it".to_owned()),
            Ended::Missing(tool) => {
                fault(Class::WrongState, format!("`{tool}` is missing there; nothing was changed")).hint("install it")
            }
            Ended::Unwritable(why) => {
                let hint =
                    "nothing was changed; make room, or say `persist = false` in `commit` where it is about a boot";
                fault(Class::WrongState, why).hint(hint)
            }
            Ended::Unarmed(why) => {
                let hint = "nothing was changed; `confirm_within = \"0s\"` applies without a way back";
                fault(Class::WrongState, why).hint(hint)
            }
            Ended::Stuck(why) => self.stuck(&why),
        })
    }

    /// The rules stand, and a boot restores others.
    fn unsettled(&self, why: &str) -> ProviderError {
        let detail = format!("the rules stand, yet what a boot restores could not be changed: {why}");
        let error = self.fault(Class::WrongState, DOING, detail);
        ProviderError { ambiguous: true, ..error.hint("plan again: only that is left to do") }
    }

    fn stuck(&self, why: &str) -> ProviderError {
        let detail = format!("a change failed, and what stood before could not be brought back: {why}");
        ProviderError {
            ambiguous: true,
            ..self.fault(Class::WrongState, DOING, detail).hint("look at the host by hand")
        }
    }

    /// What became of a job that need not be confirmed, when the answer was lost.
    async fn outcome(&self, job: &Job, lost: ProviderError) -> Result<Attempt, ProviderError> {
        // A job that went well leaves no folder, and neither does one that never began: only reading tells.
        match self.ask(DOING, Which::Id(&job.id), Verdict::Ask, Seconds(30)).await {
            Ok(Decision { state: State::Gone, .. }) => Ok(Attempt::Again(ProviderError { ambiguous: true, ..lost })),
            Ok(_) | Err(_) => Err(ProviderError { ambiguous: true, ..lost }),
        }
    }

    /// Has a change confirmed, by us over a new connection, or where there is none by somebody who logs in.
    async fn confirmed(
        &self,
        job: &Job,
        begun: Instant,
        within: Seconds,
        until: Option<i64>,
    ) -> Result<Attempt, ProviderError> {
        let verdict = match self.target {
            Target::Local { .. } => Verdict::Ask,
            Target::Ssh { .. } | Target::Command { .. } => Verdict::Confirm,
        };
        // Until then it can be confirmed, as far as we know; the host's own count decides.
        let confirmable = begun + Duration::from_secs(within.0);
        let end = confirmable + TAKING_BACK;
        let mut until = until;
        let mut last = None;
        while Instant::now() < end {
            let asked = if Instant::now() < confirmable { verdict } else { Verdict::Ask };
            let limit = Seconds(ATTEMPT.as_secs().min(within.0.max(5)) + 1);
            match self.ask(DOING, Which::Id(&job.id), asked, limit).await {
                Ok(decision) => {
                    until = until.or(Some(decision.waiting.until).filter(|until| *until > 0));
                    if let Some(attempt) = self.decided(&decision, last.as_ref()) {
                        return attempt;
                    }
                }
                Err(error) => last = Some(error),
            }
            tokio::time::sleep(PAUSE).await;
        }
        let why = last.map_or_else(|| "it is not decided yet".to_owned(), |error: ProviderError| error.detail);
        Err(self.unknown(DOING, &format!("whether the change stands is not known: {why}"), until))
    }

    /// What a look says; none while it is not decided.
    fn decided(&self, decision: &Decision, last: Option<&ProviderError>) -> Option<Result<Attempt, ProviderError>> {
        Some(match (decision.state, &decision.unsettled) {
            (State::Confirmed, None) => Ok(Attempt::Done),
            (State::Confirmed, Some(why)) => Err(self.unsettled(why)),
            (State::Applying | State::Pending | State::RollingBack | State::SameSession, _) => return None,
            (State::RolledBack, _) => {
                let by_hand = decision.clock < decision.waiting.until;
                let (why, hint) = match (by_hand, self.target.is_remote(), last) {
                    (true, _, _) => ("somebody took it back by hand".to_owned(), "ask who did, and why"),
                    (false, true, Some(error)) => {
                        (format!("the host did not answer over a new connection: {}", error.detail), LET_IN)
                    }
                    (false, true, None) => ("the host did not answer over a new connection in time".to_owned(), LET_IN),
                    (false, false, _) => ("nobody confirmed it in time".to_owned(), LOG_IN),
                };
                Err(self.rolled_back(DOING, &why, hint))
            }
            (State::Stuck, _) => Err(self.stuck(&decision.why)),
            (State::Undone, _) => {
                Ok(Attempt::Again(self.fault(Class::WrongState, DOING, "it failed, and nothing changed")))
            }
            (State::Gone | State::None, _) => {
                let why = "the host knows nothing of it: it never began, or the host was restarted";
                Err(self.rolled_back(DOING, why, "plan again"))
            }
        })
    }

    /// Says to whoever sits at the host what is expected of him.
    fn tell_local(&self, job: &Job, call: &Call, until: Option<i64>) {
        if self.target.is_remote() {
            return;
        }
        let when = until.map(|until| format!(" by {}", super::fault::time(until))).unwrap_or_default();
        (self.tell)(&format!(
            "{at}: change {id} waits to be confirmed{when}: log in anew, to prove that one still can, and run `portcullis \
             firewall confirm SPEC {at}`; otherwise it is taken back",
            at = call.at,
            id = job.id
        ));
    }
}

/// Whether a script that a shell could not run surely never began. A connection that broke ends like one that never came
/// about, and only ssh's words tell the two apart.
fn never_began(error: &ShellError) -> bool {
    const NEVER: [&str; 5] = [
        "ssh: connect to host",
        "ssh: Could not resolve hostname",
        "Host key verification failed",
        "Permission denied (",
        "Too many authentication failures",
    ];
    !error.reached && (error.code.is_none() || NEVER.iter().any(|words| error.detail.contains(words)))
}

/// The program behind the ending of an input.
fn program_name(ending: &str) -> &str {
    match ending {
        "v4" => "iptables-nft-restore",
        "v6" => "ip6tables-nft-restore",
        other => other,
    }
}
