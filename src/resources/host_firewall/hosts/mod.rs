//! Reading and changing the packet filter of a host through a shell: what `aws.rs` is for other kinds.

mod commit;
mod fault;

use std::fmt;

use jiff::Timestamp;

use super::action::{ANSWERS_NOW, Change, Commit, HOST_ANSWERS};
use super::dialect::Reading;
use super::host::{Boot, Ours, Pending};
use super::motion::{self, Aim};
use super::names::Names;
use super::script::change::{self, Decision, Job, Verdict, Which};
use super::script::facts::{Told, facts};
use super::script::{Sections, Setting};
use super::{Action, Observed};
use crate::model::duration::Seconds;
use crate::model::text::Part;
use crate::model::{Output, Region, StackName, Tags, Target};
use crate::port::{Bindings, Class, Outputs, ProviderError, Script, Shell};
use crate::resources::registry::{Body, Call, Object};

pub use fault::{PENDING, ROLLED_BACK, UNREACHABLE};

/// How long reading may take: the listing of 60,000 addresses takes a second, a slow login some.
const READING: Seconds = Seconds(60);
/// How often a change is tried when somebody else changes the host in between.
const TRIES: u32 = 3;

/// A host, and who looks at it.
#[derive(Clone, Copy)]
pub struct Host<'a, S> {
    /// The way there.
    pub shell: &'a S,
    /// Which host.
    pub target: &'a Target,
    /// Whose rules are looked at.
    pub stack: &'a StackName,
    /// Who makes changes, in words: user, machine and process.
    pub by: &'a str,
    /// Where it is said what a change waits for.
    pub tell: &'a (dyn Fn(&str) + Send + Sync),
}

impl<S> fmt::Debug for Host<'_, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Host").field("target", self.target).field("stack", self.stack).finish_non_exhaustive()
    }
}

/// A host as it was read.
struct Look {
    told: Told,
    reading: Reading,
}

impl Look {
    /// What stands of ours, as if it were aimed at.
    fn aim(&self) -> Option<Aim> {
        motion::standing(&self.reading).map(Aim::of)
    }

    /// Whose it is, as its marker says.
    fn tags(&self) -> Tags {
        motion::standing(&self.reading).map(|standing| standing.tags.clone()).unwrap_or_default()
    }
}

/// How an attempt ended.
enum Attempt {
    Done,
    /// Somebody else changed the host meanwhile, as this says: read again.
    Again(ProviderError),
}

impl<S: Shell> Host<'_, S> {
    /// Reads the host. The object's tags say who owns what is ours there; it has none when nothing is.
    ///
    /// # Errors
    /// When it cannot be reached, or something that is there cannot be read.
    pub async fn observe(&self) -> Result<Object, ProviderError> {
        let look = self.look().await?;
        let (tags, body) = (look.tags(), self.observed(&look));
        Ok(Object { id: self.target.id(), region: Region::hosts(), tags, body: Body::HostFirewall(body) })
    }

    /// Carries out one call.
    ///
    /// # Errors
    /// When nothing was changed; when what was changed was taken back; or, `ambiguous`, when that is not known.
    pub async fn perform(&self, call: &Call, action: &Action, known: &Bindings) -> Result<Outputs, ProviderError> {
        match action {
            Action::Edit(edit) => self.repeat(call, edit.commit, |look| self.edit(look, edit, known)).await?,
            Action::Withdraw { target: _, commit } => {
                self.repeat(call, *commit, |look| Ok(self.reach(look, None, &[], change::Boot::Nothing))).await?;
            }
            Action::Tag { edit } => {
                self.repeat(call, Commit::AtOnce, |look| {
                    let mut tags = look.tags();
                    edit.apply(&mut tags);
                    self.retag(look, &tags)
                })
                .await?;
            }
            Action::Reach { target: _ } => {
                self.look().await?;
                let doing = format!("reaching {}", self.target);
                return Err(ProviderError::new(Class::WrongState, doing, ANSWERS_NOW).code(HOST_ANSWERS));
            }
        }
        Ok(Outputs::from([(Output::Id, self.target.id().to_string())]))
    }

    /// Looks at the change that waits, confirms it over a new connection, or takes it back.
    ///
    /// # Errors
    /// When the host cannot be reached.
    pub async fn decide(&self, verdict: Verdict) -> Result<Decision, ProviderError> {
        let doing = match verdict {
            Verdict::Ask => "looking for a change that waits",
            Verdict::Confirm => "confirming a change",
            Verdict::TakeBack => "taking a change back",
        };
        self.ask(doing, Which::Waiting, verdict, Seconds(120)).await
    }

    /// Reads, makes a job of what was read, and carries it out, from the start when somebody else was faster.
    async fn repeat(
        &self,
        call: &Call,
        commit: Commit,
        job: impl Fn(&Look) -> Result<Option<Job>, ProviderError> + Sync,
    ) -> Result<(), ProviderError> {
        let mut last = None;
        for _ in 0..TRIES {
            let look = self.look().await?;
            let Some(mut job) = job(&look)? else { return Ok(()) };
            self.prepare(&look, &mut job, commit);
            match self.carry_out(&job, call).await? {
                Attempt::Done => return Ok(()),
                Attempt::Again(why) => last = Some(why),
            }
        }
        Err(last.unwrap_or_else(|| self.fault(Class::WrongState, "changing rules", "somebody else changes them too")))
    }

    /// What is true of every job.
    fn prepare(&self, look: &Look, job: &mut Job, commit: Commit) {
        job.id = token();
        self.by.clone_into(&mut job.by);
        look.told.serial.clone_into(&mut job.serial);
        // What changes no rule can lock nobody out.
        job.within = match commit {
            Commit::Within(within) if !job.forward.is_empty() => Some(within),
            Commit::Within(_) | Commit::AtOnce => None,
        };
    }

    fn edit(&self, look: &Look, edit: &Change, known: &Bindings) -> Result<Option<Job>, ProviderError> {
        // In the dialect that is meant; where a move to it begins, in the one that is left.
        let there = look.reading.ours.get(&edit.backend).or_else(|| motion::standing(&look.reading));
        let now = there.map(|standing| standing.rules.clone()).unwrap_or_default();
        let tell = |part: &Part| match part {
            Part::Literal(text) => Some(text.clone()),
            Part::Hole { address, output } => known.output(address, *output).map(str::to_owned),
        };
        let next = now.edited(&edit.edit, tell).map_err(|why| self.fault(Class::Invalid, "changing rules", why))?;
        let aim = Aim {
            rules: next,
            tags: edit.tags.clone(),
            backend: edit.backend,
            attach: edit.attach.clone(),
            raise: edit.raise,
        };
        Ok(self.reach(look, Some(&aim), &edit.adopt, self.boot(&aim, edit.persist)))
    }

    fn retag(&self, look: &Look, tags: &Tags) -> Result<Option<Job>, ProviderError> {
        let Some(aim) = look.aim() else {
            return Err(self.fault(Class::NotFound, "changing the marker", "nothing of ours stands there"));
        };
        // A boot goes on to restore what it restored before, with the marker as it is then.
        let boots = self.boot_of(look) == Boot::Current;
        let aim = Aim { tags: tags.clone(), ..aim };
        let boot = if boots { self.boot(&aim, true) } else { change::Boot::AsItIs };
        Ok(self.reach(look, Some(&aim), &[], boot))
    }

    /// The job that leads from what stands to what is aimed at; none when that stands already.
    fn reach(&self, look: &Look, aim: Option<&Aim>, adopt: &[String], boot: change::Boot) -> Option<Job> {
        let motion = motion::change(&look.reading, aim, adopt);
        let settled = match &boot {
            change::Boot::AsItIs => true,
            change::Boot::Nothing => look.told.boot.files.is_empty(),
            wanted => motion::boot_state(wanted, &look.told.boot, self.stack) == Boot::Current,
        };
        if motion.forward.is_empty() && settled {
            return None;
        }
        let settled_absence = settled && matches!(boot, change::Boot::Nothing);
        let boot = if settled_absence { change::Boot::AsItIs } else { boot };
        Some(Job { forward: motion.forward, back: motion.back, boot, ..Job::default() })
    }

    /// What a boot shall restore of what is aimed at.
    fn boot(&self, aim: &Aim, persist: bool) -> change::Boot {
        if persist { motion::boot(&Names::of(self.stack), aim) } else { change::Boot::Nothing }
    }

    /// Reads what stands.
    async fn look(&self) -> Result<Look, ProviderError> {
        let doing = "reading the packet filter";
        let names = Names::of(self.stack);
        let nonce = token();
        let setting = self.setting(&nonce);
        let printed = self.run(doing, facts(&setting, &names.ipset_prefix()), READING, false).await;
        let printed = printed.map_err(|error| self.shell_fault(doing, &error))?;
        let sections = self.sections(doing, &printed, &nonce)?;
        let told = Told::read(&sections).map_err(|why| self.fault(Class::WrongState, doing, why))?;
        if !told.root {
            let hint = "log in as root, or say `sudo = true` in `transport`";
            return Err(self.fault(Class::Denied, doing, "only root may read and change it").hint(hint));
        }
        let reading = motion::read(&names, &told).map_err(|why| self.fault(Class::WrongState, doing, why))?;
        Ok(Look { told, reading })
    }

    fn observed(&self, look: &Look) -> Observed {
        let Look { told, reading } = look;
        let mut facts = motion::facts(told, reading);
        facts.pending = told.waiting.first().and_then(|waiting| {
            let until = Timestamp::from_second(waiting.until).ok()?;
            Some(Pending { id: waiting.id.clone(), by: waiting.by.clone(), until })
        });
        let ours =
            motion::standing(reading).map(|standing| Ours { boot: self.boot_of(look), ..motion::ours(standing) });
        if ours.is_none() && !told.boot.files.is_empty() {
            facts.remarks.push("a boot would restore rules of this stack, though none stand now".to_owned());
        }
        Observed { target: self.target.clone(), facts, ours }
    }

    /// What a boot would restore, beside what stands.
    fn boot_of(&self, look: &Look) -> Boot {
        let boot = look.aim().map(|aim| motion::boot(&Names::of(self.stack), &aim));
        boot.map_or(Boot::Nothing, |boot| motion::boot_state(&boot, &look.told.boot, self.stack))
    }

    /// Asks what becomes of a change, over a new connection.
    async fn ask(
        &self,
        doing: &str,
        which: Which<'_>,
        verdict: Verdict,
        limit: Seconds,
    ) -> Result<Decision, ProviderError> {
        let nonce = token();
        let text = change::decide(&self.setting(&nonce), which, verdict);
        let printed = self.run(doing, text, limit, true).await.map_err(|error| self.shell_fault(doing, &error))?;
        let sections = self.sections(doing, &printed, &nonce)?;
        Decision::read(&sections).map_err(|why| self.fault(Class::Invalid, doing, why))
    }

    async fn run(
        &self,
        doing: &str,
        text: String,
        timeout: Seconds,
        anew: bool,
    ) -> Result<Vec<u8>, crate::port::ShellError> {
        let script = Script { doing: doing.to_owned(), text, timeout };
        if anew { self.shell.run_anew(&script).await } else { self.shell.run(&script).await }
    }

    fn sections(&self, doing: &str, printed: &[u8], nonce: &str) -> Result<Sections, ProviderError> {
        Sections::read(printed, nonce).map_err(|why| self.fault(Class::Transient, doing, why))
    }

    fn setting<'s>(&'s self, nonce: &'s str) -> Setting<'s> {
        Setting { nonce, stack: self.stack, local: !self.target.is_remote() }
    }
}

/// What nobody else knows: 128 bits in hexadecimal digits.
fn token() -> String {
    format!("{:032x}", fastrand::u128(..))
}
