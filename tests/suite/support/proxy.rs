//! A layer in front of moto: it restores rules of AWS that moto lacks (`repairs`), counts the calls, breaks those that a
//! test wants broken, and holds back those that a test wants to catch in the middle.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::sync::{Arc, Mutex};

use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

use super::http::{self, Request};
use super::iam;
use super::repairs::Repairs;

/// What goes wrong.
#[derive(Debug, Clone, Copy)]
pub enum Fault {
    /// A server error with a page of HTML, nothing done.
    Html,
    /// `RequestLimitExceeded`, nothing done.
    Throttled,
    /// Refused with this status and code, nothing done.
    Refused(u16, &'static str),
    /// Refused as these credentials lack this action, nothing done.
    Lacks(&'static str),
    /// It is done, and the connection breaks before the answer.
    LostReply,
    /// The connection breaks before anything is done.
    LostRequest,
    /// It is done, and half of the answer's document is missing.
    Torn,
    /// Nothing is done, and no answer ever comes.
    Silent,
    /// It is done, and the answer says that there is another page.
    More,
}

/// Where a call is held back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hold {
    /// Nothing is done yet.
    Before,
    /// It is done, and the answer waits.
    After,
}

/// A proxy that listens as long as it lives.
pub struct Proxy {
    /// Where it listens.
    pub port: u16,
    shared: Arc<Shared>,
    task: tokio::task::JoinHandle<()>,
}

struct Shared {
    upstream: u16,
    /// The account that everybody is of, where that is not the usual one.
    account: Option<&'static str>,
    state: Mutex<State>,
    repairs: Repairs,
    /// How many calls are held back now; changes wake those who wait for one, and those who wait to go on.
    held: watch::Sender<usize>,
}

#[derive(Default)]
struct State {
    faults: Vec<(String, Fault)>,
    always: Vec<(String, String, Fault)>,
    seen: BTreeMap<String, usize>,
    regions: BTreeSet<String>,
    holds: BTreeMap<String, Hold>,
    /// By how many seconds earlier objects of S3 were written than they were.
    older: i64,
    /// Headers that do not arrive.
    unheard: Vec<&'static str>,
    /// The one call that is held back of those that change something, counting from 1, and where.
    hold_change: Option<(usize, Hold)>,
    /// How many calls came that change something.
    changes: usize,
    /// How often whoever was held back was sent away.
    sent_away: usize,
    policy: Option<Arc<serde_json::Value>>,
}

/// What AWS answers to whoever may not do something
/// (<https://docs.aws.amazon.com/IAM/latest/UserGuide/troubleshoot_access-denied.html>).
fn lacking(request: &Request, what: &str) -> Vec<u8> {
    let code = if request.is_balancing() { "AccessDenied" } else { "UnauthorizedOperation" };
    let action = what.split_whitespace().next().unwrap_or_default();
    let message = format!(
        "You are not authorized to perform this operation. User: arn:aws:iam::123456789012:user/ci is not authorized to \
         perform: {what} because no identity-based policy allows the {action} action. \
         Encoded authorization failure message: aGVsbG8"
    );
    request.refusal(403, code, &message)
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Proxy {
    /// Listens in front of a server.
    pub async fn before(upstream: u16) -> Self {
        Self::listening(upstream, None).await
    }

    /// The same for an account of its own, in which nobody else has anything.
    pub async fn in_account(upstream: u16, account: &'static str) -> Self {
        Self::listening(upstream, Some(account)).await
    }

    async fn listening(upstream: u16, account: Option<&'static str>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let port = listener.local_addr().expect("an address").port();
        let (state, repairs, held) = (Mutex::default(), Repairs::default(), watch::Sender::new(0));
        let shared = Arc::new(Shared { upstream, account, state, repairs, held });
        let serving = Arc::clone(&shared);
        let task = tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let shared = Arc::clone(&serving);
                tokio::spawn(async move {
                    // A client that goes away is no failure of the proxy.
                    let _ = shared.serve(client).await;
                });
            }
        });
        Self { port, shared, task }
    }

    /// Breaks the next call of an API that is not spoken for yet.
    pub fn fault(&self, api: &str, fault: Fault) {
        self.shared.lock().faults.push((api.to_owned(), fault));
    }

    /// Breaks every call of an API from now on.
    pub fn always(&self, api: &str, fault: Fault) {
        self.shared.lock().always.push((String::new(), api.to_owned(), fault));
    }

    /// Breaks every call in a region from now on.
    pub fn close(&self, region: &str, fault: Fault) {
        self.shared.lock().always.push((region.to_owned(), String::new(), fault));
    }

    /// Allows what a policy allows, and no more; no policy allows everything.
    pub fn guard(&self, policy: Option<serde_json::Value>) {
        self.shared.lock().policy = policy.map(Arc::new);
    }

    /// Breaks nothing any more.
    pub fn heal(&self) {
        let mut state = self.shared.lock();
        state.faults.clear();
        state.always.clear();
    }

    /// Holds back every call of an API from now on.
    pub fn hold(&self, api: &str, at: Hold) {
        self.shared.lock().holds.insert(api.to_owned(), at);
    }

    /// Holds back one call of those that change something from now on, whatever it is, counting from 1.
    pub fn hold_change(&self, at: usize, side: Hold) {
        let mut state = self.shared.lock();
        (state.changes, state.hold_change) = (0, Some((at, side)));
    }

    /// How many calls came that change something, since one was to be held back.
    pub fn changes(&self) -> usize {
        self.shared.lock().changes
    }

    /// Sends whoever is held back away: what was not done yet is never done, and nobody is answered. Nothing is held back any
    /// more.
    pub fn send_away(&self) {
        let mut state = self.shared.lock();
        state.holds.clear();
        state.hold_change = None;
        state.sent_away += 1;
        drop(state);
        self.shared.held.send_modify(|_| ());
    }

    /// Waits until so many calls are held back; a test that is wrong about them ends after a minute.
    pub async fn until_held(&self, count: usize) {
        let mut held = self.shared.held.subscribe();
        let wait = held.wait_for(|held| *held >= count);
        let found = tokio::time::timeout(std::time::Duration::from_mins(1), wait).await;
        let seen = || format!("{count} calls were to be held back; so many came: {:?}", self.shared.lock().seen);
        found.unwrap_or_else(|_| panic!("{}", seen())).expect("the proxy lives");
    }

    /// Lets everything go on, and holds nothing back any more.
    pub fn release(&self) {
        self.shared.lock().holds.clear();
        self.shared.held.send_modify(|_| ());
    }

    /// Lets the calls of one API go on.
    pub fn let_go(&self, api: &str) {
        self.shared.lock().holds.remove(api);
        self.shared.held.send_modify(|_| ());
    }

    /// Lets objects of S3 be this much older: its clock runs on.
    pub fn age_objects(&self, seconds: i64) {
        self.shared.lock().older = seconds;
    }

    /// Lets a header be as if nobody had written it, as stores do that do not know it.
    pub fn overhear(&self, header: &'static str) {
        self.shared.lock().unheard.push(header);
    }

    /// How many calls of an API came.
    pub fn seen(&self, api: &str) -> usize {
        self.shared.lock().seen.get(api).copied().unwrap_or(0)
    }

    /// Every API that was called, with how often; then it starts to count anew.
    pub fn count(&self) -> BTreeMap<String, usize> {
        std::mem::take(&mut self.shared.lock().seen)
    }

    /// Every region that was asked.
    pub fn regions(&self) -> BTreeSet<String> {
        self.shared.lock().regions.clone()
    }
}

impl Shared {
    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().expect("no test panics while it holds this")
    }

    async fn serve(&self, mut client: TcpStream) -> io::Result<()> {
        let mut request = Request::read(&mut client).await?;
        if let Some(account) = self.account {
            request = request.in_account(account);
        }
        let api = request.object_api().map(str::to_owned).or_else(|| request.field("Action")).unwrap_or_default();
        let (older, unheard, policy) = {
            let state = self.lock();
            (state.older, state.unheard.clone(), state.policy.clone())
        };
        for header in unheard {
            request = request.without(header);
        }
        let (fault, change) = self.meet(&api, &request.region());
        self.wait(&api, change, Hold::Before).await?;
        if let Some(policy) = policy
            && let Some(what) = iam::refused(&policy, &request, &api, self.upstream).await?
        {
            client.write_all(&lacking(&request, &what)).await?;
            return client.shutdown().await;
        }
        let answer = match fault {
            None if api == "GetObject" => http::older(&request.forward(self.upstream).await?, older),
            None => self.repairs.answer(&request, &api, self.upstream).await?,
            Some(Fault::Html) => {
                http::plain(500, "text/html", "<!doctype html><title>500</title><h1>Internal Server Error</h1>")
            }
            Some(Fault::Throttled) => request.refusal(503, "RequestLimitExceeded", "Request limit exceeded."),
            Some(Fault::Refused(status, code)) => {
                request.refusal(status, code, "You are not authorized to perform this operation.")
            }
            Some(Fault::Lacks(action)) => lacking(&request, &format!("{action} on resource: arn:aws:any")),
            Some(Fault::LostRequest) => return Ok(()),
            Some(Fault::Silent) => return std::future::pending().await,
            Some(Fault::LostReply) => {
                self.repairs.answer(&request, &api, self.upstream).await?;
                self.wait(&api, change, Hold::After).await?;
                return Ok(());
            }
            Some(Fault::More) => {
                // The token of the page before is ours, and nobody behind us knows it.
                let answer = request.call(&api, &[]).ask(self.upstream).await?;
                let end = format!("</{api}Response>");
                let more = answer.replace(&end, &format!("<nextToken>more</nextToken>{end}"));
                http::plain(200, "text/xml", &more)
            }
            Some(Fault::Torn) => {
                self.repairs.answer(&request, &api, self.upstream).await?;
                let half = "<?xml version=\"1.0\"?><DescribeSomethingResponse><reservationSet><item><instan";
                http::plain(200, "text/xml", half)
            }
        };
        self.wait(&api, change, Hold::After).await?;
        client.write_all(&answer).await?;
        client.shutdown().await
    }

    /// Counts a call, and finds the fault that it meets; and which it is of those that change something.
    fn meet(&self, api: &str, region: &str) -> (Option<Fault>, Option<usize>) {
        let mut state = self.lock();
        let change = (!api.starts_with("Describe") && !api.starts_with("Get")).then(|| {
            state.changes += 1;
            state.changes
        });
        (state.fault(api, region), change)
    }

    /// Waits as long as the API is held back here, or this one call.
    ///
    /// # Errors
    /// When it is sent away.
    async fn wait(&self, api: &str, change: Option<usize>, at: Hold) -> io::Result<()> {
        let before = self.lock().sent_away;
        let is_held = || {
            let state = self.lock();
            let is_it = state.hold_change.is_some_and(|(number, side)| change == Some(number) && side == at);
            is_it || state.holds.get(api) == Some(&at)
        };
        if !is_held() {
            return Ok(());
        }
        let mut changes = self.held.subscribe();
        self.held.send_modify(|held| *held += 1);
        while is_held() && changes.changed().await.is_ok() {}
        self.held.send_modify(|held| *held -= 1);
        if self.lock().sent_away == before { Ok(()) } else { Err(io::ErrorKind::ConnectionAborted.into()) }
    }
}

impl State {
    /// Counts a call of an API, and finds the fault that it meets.
    fn fault(&mut self, api: &str, region: &str) -> Option<Fault> {
        *self.seen.entry(api.to_owned()).or_default() += 1;
        self.regions.insert(region.to_owned());
        if let Some(at) = self.faults.iter().position(|(of, _)| of == api) {
            return Some(self.faults.remove(at).1);
        }
        let is_meant = |wanted: &str, here: &str| wanted.is_empty() || wanted == here;
        let met = self.always.iter().find(|(where_, of, _)| is_meant(where_, region) && is_meant(of, api));
        met.map(|(_, _, fault)| *fault)
    }
}
