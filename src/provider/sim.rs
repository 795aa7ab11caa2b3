//! The simulated world as a provider, kept in a file or in memory.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::fs;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::model::{Address, CloudId, Kind, Link, Output, Region, StackName, Target};
use crate::port::{Bindings, Class, Outputs, Provider, ProviderError, Scope};
use crate::resources::registry::{Call, Object};
use crate::resources::snapshot::{Answer, Question, Snapshot};
use crate::resources::world::{Resolve, Trouble, World, WorldError};

/// The simulated world as a provider.
#[derive(Debug)]
pub struct Sim {
    state: Mutex<State>,
    path: Option<PathBuf>,
}

#[derive(Debug)]
struct State {
    world: World,
    counts: Counts,
    reader: Reader,
}

/// Who looked at the world last, and which hosts were looked at: what a call to a host does not say.
#[derive(Debug, Default)]
struct Reader {
    stack: Option<StackName>,
    targets: BTreeMap<CloudId, Target>,
}

/// What calls have given, and on whose behalf they are made.
struct Known<'a> {
    told: &'a Bindings,
    stack: Option<StackName>,
}

/// How often a provider was called.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Listings.
    pub observe: usize,
    /// Rounds of questions.
    pub inquire: usize,
    /// Objects read again.
    pub reread: usize,
    /// Calls that would change something, refused ones too.
    pub perform: usize,
}

/// Why a world file could not be opened.
#[derive(Debug)]
pub enum OpenError {
    /// It could not be read.
    Io(PathBuf, io::Error),
    /// It is not a world.
    Form(PathBuf, serde_json::Error),
    /// It is a world that cannot be.
    Unsound(PathBuf, Vec<String>),
}

impl fmt::Display for OpenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io(path, _) => write!(f, "reading the world file `{}`", path.display()),
            Self::Form(path, _) => write!(f, "reading `{}` as a world", path.display()),
            Self::Unsound(path, problems) => {
                write!(f, "the world in `{}` cannot be: {}", path.display(), problems.join("; "))
            }
        }
    }
}

impl std::error::Error for OpenError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Io(_, why) => Some(why),
            Self::Form(_, why) => Some(why),
            Self::Unsound(..) => None,
        }
    }
}

impl Resolve for Bindings {
    fn id(&self, link: &Link) -> Option<CloudId> {
        Self::id(self, link).ok()
    }

    fn output(&self, address: &Address, output: Output) -> Option<String> {
        Self::output(self, address, output).map(str::to_owned)
    }
}

impl Resolve for Known<'_> {
    fn id(&self, link: &Link) -> Option<CloudId> {
        Resolve::id(self.told, link)
    }

    fn output(&self, address: &Address, output: Output) -> Option<String> {
        Resolve::output(self.told, address, output)
    }

    fn stack(&self) -> Option<StackName> {
        self.stack.clone()
    }
}

impl Sim {
    /// Opens the world that a file keeps; a file that is not there is a world nobody has used yet. The file is written
    /// after every call that had an effect, and never before.
    ///
    /// # Errors
    /// When the file is there and is no sound world.
    pub fn open(path: &Path) -> Result<Self, OpenError> {
        let world = match fs::read_to_string(path) {
            Ok(text) => serde_json::from_str(&text).map_err(|why| OpenError::Form(path.to_owned(), why))?,
            Err(why) if why.kind() == io::ErrorKind::NotFound => World::default(),
            Err(why) => return Err(OpenError::Io(path.to_owned(), why)),
        };
        let problems = world.audit();
        if !problems.is_empty() {
            return Err(OpenError::Unsound(path.to_owned(), problems));
        }
        Ok(Self { path: Some(path.to_owned()), ..Self::in_memory(world) })
    }

    /// A world without a file.
    #[must_use]
    pub fn in_memory(world: World) -> Self {
        Self { state: Mutex::new(State { world, counts: Counts::default(), reader: Reader::default() }), path: None }
    }

    /// The world as it is now.
    #[must_use]
    pub fn world(&self) -> World {
        self.lock().world.clone()
    }

    /// How often it was called.
    #[must_use]
    pub fn counts(&self) -> Counts {
        self.lock().counts
    }

    /// Changes the world as if someone else had. Nothing is written to the file.
    pub fn meddle<T>(&self, edit: impl FnOnce(&mut World) -> T) -> T {
        edit(&mut self.lock().world)
    }

    /// The state, also after a panic elsewhere: every call leaves the world whole.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes the file whole or not at all.
    fn save(&self, world: &World) -> io::Result<()> {
        let Some(path) = &self.path else { return Ok(()) };
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let mut file = tempfile::NamedTempFile::new_in(folder)?;
        let mut out = BufWriter::new(&mut file);
        serde_json::to_writer_pretty(&mut out, world)?;
        out.write_all(b"\n")?;
        out.flush()?;
        drop(out);
        file.persist(path)?;
        Ok(())
    }
}

impl State {
    /// Reads again what stands of the reader's stack on a host; none when nothing does.
    fn reread_host(&mut self, id: &CloudId) -> Result<Option<Object>, ProviderError> {
        let doing = || format!("reading the firewall of `{id}`");
        let (Some(target), Some(stack)) = (self.reader.targets.get(id), &self.reader.stack) else {
            return Err(ProviderError::new(Class::Invalid, doing(), "nobody looked at this host before"));
        };
        let read = self.world.read_host(target, stack);
        let object = read.map_err(|why| ProviderError::new(Class::Transient, doing(), why).code("HostUnreachable"))?;
        Ok(Some(object).filter(|object| object.owner().is_some()))
    }
}

impl Provider for Sim {
    async fn observe(&self, scope: &Scope) -> Result<Snapshot, ProviderError> {
        let mut state = self.lock();
        state.counts.observe += 1;
        state.reader.stack = Some(scope.stack.clone());
        state.reader.targets.extend(scope.hosts.values().map(|target| (target.id(), target.clone())));
        Ok(state.world.observe(scope))
    }

    async fn inquire(&self, questions: &BTreeSet<Question>) -> Result<BTreeMap<Question, Answer>, ProviderError> {
        let mut state = self.lock();
        state.counts.inquire += 1;
        let mut answers = BTreeMap::new();
        for question in questions {
            let answer = state.world.answer(question);
            let answer = answer.map_err(|why| closed(format!("asking in {}", question.region()), why))?;
            answers.insert(question.clone(), answer);
        }
        Ok(answers)
    }

    async fn reread(&self, kind: Kind, region: &Region, id: &CloudId) -> Result<Option<Object>, ProviderError> {
        let mut state = self.lock();
        state.counts.reread += 1;
        if region.is_hosts() {
            return state.reread_host(id);
        }
        if let Some(why) = state.world.region(region).unavailable() {
            return Err(closed(format!("reading `{id}` in {region}"), why));
        }
        Ok(state.world.object(region, id).filter(|object| object.kind() == kind).cloned())
    }

    async fn perform(&self, call: &Call, known: &Bindings) -> Result<Outputs, ProviderError> {
        let mut state = self.lock();
        state.counts.perform += 1;
        let known = Known { told: known, stack: state.reader.stack.clone() };
        let outputs = state.world.step(call, &known).map_err(|why| refused(call, why))?;
        match self.save(&state.world) {
            Ok(()) => Ok(outputs),
            Err(why) => Err(ProviderError {
                ambiguous: true,
                ..ProviderError::new(Class::Transient, "writing the world file", why.to_string())
            }),
        }
    }
}

/// The error of a region that does not answer.
fn closed(doing: String, why: impl Into<String>) -> ProviderError {
    ProviderError::new(Class::Denied, doing, why).code("OptInRequired")
}

/// The world's refusal as the port says it.
fn refused(call: &Call, why: WorldError) -> ProviderError {
    let class = match why.trouble {
        Trouble::NotFound => Class::NotFound,
        Trouble::AlreadyExists => Class::AlreadyExists,
        Trouble::InUse => Class::InUse,
        Trouble::Denied => Class::Denied,
        Trouble::Invalid => Class::Invalid,
        Trouble::WrongState => Class::WrongState,
        Trouble::Quota => Class::Quota,
        Trouble::TimedOut => Class::TimedOut,
        Trouble::Unreachable => Class::Transient,
    };
    let place = if call.region.is_hosts() { String::new() } else { format!(" in {}", call.region) };
    let doing = format!("{} for `{}`{place}", World::api(&call.action), call.at);
    ProviderError::new(class, doing, why.message).code(why.code)
}

#[cfg(test)]
pub(super) mod tests;
