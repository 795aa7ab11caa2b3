//! The wire between the SDK and moto, cut, slowed and garbled as a test wants, under a clock that stands still while anything
//! runs: the SDK and our own waits are real, and minutes of them cost nothing.
//!
//! Requests are sent by blocking, so nobody else runs meanwhile and no timer goes off; the clock jumps to the next timer only
//! when everything waits (`tokio::time::pause`).

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::future::pending;
use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock};
use std::time::Duration;

use aws_smithy_runtime_api::client::http::{HttpConnector, HttpConnectorFuture, SharedHttpConnector, http_client_fn};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_runtime_api::http::StatusCode;
use aws_smithy_types::body::SdkBody;
use portcullis::provider::aws::{Aws, Options};
use tokio::time::Instant;

use super::http::{self, Request, all_between, between, document, is_fine};
use super::moto;
use super::proxy::Proxy;

/// What goes wrong on the wire, by the classes of faults that AWS is known for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Class {
    /// AWS asks for fewer requests; nothing is done.
    Throttled,
    /// A server error; nothing is done.
    Broken,
    /// A server error, and it is done.
    BrokenAfter,
    /// The connection is reset before anything is done.
    Reset,
    /// No answer ever comes, and it is done.
    SilentAfter,
    /// What was made a moment ago is not found, for so many seconds.
    Unseen(u64),
    /// A listing is as it was before the last change, for so many seconds.
    Stale(u64),
    /// A listing leaves out what was made a moment ago, for so many seconds.
    Omitted(u64),
    /// Something that has let go counts as holding on, for so many seconds.
    Lingers(u64),
    /// Half of a page.
    Torn,
    /// A page with nothing on it, and another behind it.
    Empty,
    /// The page's token is not known.
    LostToken,
    /// The credentials are over from here on.
    Expired,
}

impl Class {
    /// Whether it comes with the first call of an API only; the others last as long as they say.
    const fn is_once(self) -> bool {
        !matches!(
            self,
            Self::Unseen(_) | Self::Stale(_) | Self::Omitted(_) | Self::Lingers(_) | Self::Expired | Self::LostToken
        )
    }
}

/// What is armed: a class, and the APIs that meet it.
#[derive(Debug, Clone)]
pub struct Arm {
    /// What goes wrong.
    pub class: Class,
    /// Where.
    pub apis: BTreeSet<String>,
}

#[derive(Default)]
struct State {
    arm: Option<Arm>,
    /// APIs that met what is armed.
    met: BTreeSet<String>,
    /// Every API that was called, since it was asked last.
    seen: BTreeSet<String>,
    /// What was made, and when.
    fresh: BTreeMap<String, Instant>,
    /// What was changed by whom it does not belong to.
    foreign: Vec<String>,
    /// The answer to each question about what there is, and since when something else is true.
    known: BTreeMap<String, (Vec<u8>, Option<Instant>)>,
    /// When each thing was first asked to go.
    asked: BTreeMap<String, Instant>,
}

/// The wire.
#[derive(Clone)]
pub struct Wire {
    port: u16,
    state: Arc<Mutex<State>>,
}

impl fmt::Debug for Wire {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Wire")
    }
}

enum Answer {
    Told(Vec<u8>),
    Reset,
    Never,
}

/// moto with the rules of AWS that it lacks, on threads of its own, whose clock runs.
fn upstream() -> u16 {
    static PORT: OnceLock<u16> = OnceLock::new();
    *PORT.get_or_init(|| {
        let (tell, told) = std::sync::mpsc::channel();
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
            runtime.block_on(async {
                let proxy = Proxy::before(moto::port()).await;
                tell.send(proxy.port).expect("somebody waits");
                pending::<()>().await;
            });
        });
        told.recv().expect("a port")
    })
}

impl Wire {
    /// A wire on which nothing is wrong yet.
    pub fn new() -> Self {
        Self { port: upstream(), state: Arc::default() }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no test panics while it holds this")
    }

    /// AWS at the end of this wire.
    pub async fn aws(&self, region: &str) -> Aws {
        let wire = self.clone();
        let client = http_client_fn(move |_, _| SharedHttpConnector::new(wire.clone()));
        let settings = moto::settings(self.port, region).await.to_builder().http_client(client).build();
        let options = Options { parallelism: 16, ..Options::default() };
        Aws::with_config(&settings, &options).await.expect("the test server answers")
    }

    /// Lets something go wrong from now on.
    pub fn arm(&self, arm: Option<Arm>) {
        let mut state = self.lock();
        state.met.clear();
        state.asked.clear();
        state.arm = arm;
    }

    /// Somebody else's call to EC2, past this wire.
    pub fn elsewhere(&self, region: &str, form: &str) -> String {
        moto::ask_at(self.port, "ec2", region, &format!("Version=2016-11-15&{form}"))
    }

    /// The APIs that were called since it was asked last.
    pub fn seen(&self) -> BTreeSet<String> {
        std::mem::take(&mut self.lock().seen)
    }

    /// The APIs that met what is armed.
    pub fn met(&self) -> BTreeSet<String> {
        self.lock().met.clone()
    }

    /// Calls that changed what nobody made on this wire.
    pub fn foreign(&self) -> Vec<String> {
        self.lock().foreign.clone()
    }

    fn answer(&self, request: &Request) -> io::Result<Answer> {
        let api = request.field("Action").unwrap_or_default();
        self.lock().seen.insert(api.clone());
        let class = self.class(request, &api);
        let refusal = |status, code: &str, text: &str| Ok(Answer::Told(request.refusal(status, code, text)));
        match class {
            None | Some(Class::Stale(_)) => {
                let stale = class.and_then(|_| self.lock().known.get(&request.body).cloned());
                if let Some((stale, _)) = stale {
                    return Ok(Answer::Told(stale));
                }
                self.send(request, &api).map(Answer::Told)
            }
            Some(Class::Throttled) if request.is_balancing() => refusal(400, "Throttling", "Rate exceeded"),
            Some(Class::Throttled) => refusal(503, "RequestLimitExceeded", "Request limit exceeded."),
            Some(Class::Broken) => refusal(500, "InternalError", "An internal error has occurred"),
            Some(Class::BrokenAfter) => {
                self.send(request, &api)?;
                refusal(500, "InternalError", "An internal error has occurred")
            }
            Some(Class::Reset) => Ok(Answer::Reset),
            Some(Class::SilentAfter) => self.send(request, &api).map(|_| Answer::Never),
            Some(Class::Unseen(_)) => {
                let (code, text) = not_found(request, &self.youngest(request));
                refusal(400, code, &text)
            }
            // Whoever asks for a balancer by its name is told that there is none.
            Some(Class::Omitted(seconds))
                if request.is_balancing() && self.fresh(seconds).contains(&self.youngest(request)) =>
            {
                let (code, text) = not_found(request, &self.youngest(request));
                refusal(400, code, &text)
            }
            Some(Class::Omitted(seconds)) => {
                let answer = self.send(request, &api)?;
                let fresh = self.fresh(seconds);
                Ok(Answer::Told(without(&answer, &fresh)))
            }
            Some(Class::Lingers(_)) => {
                let (code, text) = holding(&api);
                refusal(400, code, text)
            }
            Some(Class::Torn) => {
                let answer = self.send(request, &api)?;
                let text = document(&answer);
                let half: String = text.chars().take(text.chars().count() / 2).collect();
                Ok(Answer::Told(http::plain(200, "text/xml", &half)))
            }
            Some(Class::Empty) => {
                let (token, end) =
                    if request.is_balancing() { ("NextMarker", "Result") } else { ("nextToken", "Response") };
                let space = "http://ec2.amazonaws.com/doc/2016-11-15/";
                let more = format!("<{token}>behind</{token}>");
                let body = if request.is_balancing() {
                    format!("<{api}Response><{api}{end}>{more}</{api}{end}></{api}Response>")
                } else {
                    format!("<{api}{end} xmlns=\"{space}\">{more}</{api}{end}>")
                };
                Ok(Answer::Told(http::plain(200, "text/xml", &body)))
            }
            Some(Class::LostToken) => refusal(400, "InvalidNextToken", "The token is not valid."),
            Some(Class::Expired) if request.is_balancing() => refusal(403, "ExpiredToken", "The token is over."),
            Some(Class::Expired) => refusal(400, "RequestExpired", "Request has expired."),
        }
    }

    /// What goes wrong with a request.
    fn class(&self, request: &Request, api: &str) -> Option<Class> {
        let youngest = self.youngest_at(request);
        let mut guard = self.lock();
        let state = &mut *guard;
        // Whoever follows a token of ours gets the page that is really there.
        let arm = state.arm.as_ref().filter(|arm| arm.apis.contains(api))?.clone();
        let now = Instant::now();
        let within = |since: Instant, seconds: u64| now.duration_since(since) < Duration::from_secs(seconds);
        let meets = match arm.class {
            Class::Unseen(seconds) => youngest.is_some_and(|(_, made)| within(made, seconds)),
            Class::Stale(seconds) => {
                state.known.get(&request.body).and_then(|(_, old)| *old).is_some_and(|old| within(old, seconds))
            }
            Class::Omitted(seconds) => state.fresh.values().any(|made| within(*made, seconds)),
            Class::Lingers(seconds) => {
                let first = *state.asked.entry(request.body.clone()).or_insert(now);
                within(first, seconds)
            }
            Class::Expired | Class::LostToken => true,
            _ => !state.met.contains(api),
        };
        debug_assert!(!arm.class.is_once() || !meets || !state.met.contains(api));
        if meets {
            state.met.insert(api.to_owned());
        }
        meets.then_some(arm.class)
    }

    /// What was made in the last seconds.
    fn fresh(&self, seconds: u64) -> Vec<String> {
        let state = self.lock();
        let young = |made: &Instant| made.elapsed() < Duration::from_secs(seconds);
        state.fresh.iter().filter(|(_, made)| young(made)).map(|(id, _)| id.clone()).collect()
    }

    fn youngest_at(&self, request: &Request) -> Option<(String, Instant)> {
        let state = self.lock();
        let named: BTreeSet<String> = request.fields().map(|(_, value)| value).collect();
        let found = state.fresh.iter().filter(|(id, _)| named.contains(*id)).max_by_key(|(_, made)| **made);
        found.map(|(id, made)| (id.clone(), *made))
    }

    fn youngest(&self, request: &Request) -> String {
        self.youngest_at(request).map(|(id, _)| id).unwrap_or_default()
    }

    /// Sends a request, and notes what it makes and changes.
    fn send(&self, request: &Request, api: &str) -> io::Result<Vec<u8>> {
        let request_ = request.without_token("behind");
        let answer = blocking(&request_, self.port)?;
        let mut state = self.lock();
        if api.starts_with("Describe") || api.starts_with("Get") {
            if is_fine(&answer) {
                state.known.insert(request.body.clone(), (answer.clone(), None));
            }
            return Ok(answer);
        }
        for (_, old) in state.known.values_mut() {
            old.get_or_insert_with(Instant::now);
        }
        let text = document(&answer);
        let made = match api {
            "CreateSecurityGroup" => between(&text, "<groupId>", "</groupId>"),
            "RunInstances" => between(&text, "<instanceId>", "</instanceId>"),
            "AllocateAddress" => between(&text, "<allocationId>", "</allocationId>"),
            "ImportKeyPair" => between(&text, "<keyPairId>", "</keyPairId>"),
            "CreateLoadBalancer" => request.field("LoadBalancerName").filter(|_| is_fine(&answer)),
            _ => None,
        };
        if let Some(made) = made {
            state.fresh.entry(made).or_insert_with(Instant::now);
            return Ok(answer);
        }
        for (name, value) in request.fields() {
            let target = ["GroupId", "InstanceId", "AllocationId", "KeyPairId", "LoadBalancerName"]
                .contains(&name.as_str())
                || name.starts_with("InstanceId.")
                || name.starts_with("ResourceId.");
            if target && !state.fresh.contains_key(&value) && !value.starts_with("vol-") {
                state.foreign.push(format!("{api} on {value}"));
            }
        }
        Ok(answer)
    }
}

impl HttpConnector for Wire {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let headers: String = request.headers().iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
        let body = String::from_utf8_lossy(request.body().bytes().unwrap_or_default()).into_owned();
        let head = format!("POST / HTTP/1.1\r\nHost: 127.0.0.1:{}\r\n{headers}\r\n", self.port);
        let answer = self.answer(&Request::of_parts(&head, body));
        HttpConnectorFuture::new(async move {
            match answer {
                Ok(Answer::Told(bytes)) => Ok(response(&bytes)),
                Ok(Answer::Reset) => Err(ConnectorError::io("connection reset by peer".into())),
                Ok(Answer::Never) => pending().await,
                Err(why) => Err(ConnectorError::io(why.into())),
            }
        })
    }
}

fn blocking(request: &Request, port: u16) -> io::Result<Vec<u8>> {
    let mut server = TcpStream::connect(("127.0.0.1", port))?;
    server.write_all(request.text().as_bytes())?;
    let mut answer = Vec::new();
    server.read_to_end(&mut answer)?;
    Ok(answer)
}

fn response(bytes: &[u8]) -> HttpResponse {
    let status = String::from_utf8_lossy(bytes.get(9..12).unwrap_or_default()).parse().unwrap_or(500);
    let split = bytes.windows(4).position(|four| four == b"\r\n\r\n").map_or(bytes.len(), |at| at + 4);
    HttpResponse::new(StatusCode::try_from(status).expect("a status"), SdkBody::from(bytes[split..].to_vec()))
}

/// What AWS says of an id that it does not see yet.
fn not_found(request: &Request, id: &str) -> (&'static str, String) {
    let code = match (id, request.is_balancing()) {
        (id, true) if id.starts_with("sg-") => "InvalidSecurityGroup",
        (id, true) if id.starts_with("i-") => "InvalidInstance",
        (_, true) => "LoadBalancerNotFound",
        (id, false) if id.starts_with("sg-") => "InvalidGroup.NotFound",
        (id, false) if id.starts_with("i-") => "InvalidInstanceID.NotFound",
        (id, false) if id.starts_with("eipalloc-") => "InvalidAllocationID.NotFound",
        (_, false) => "InvalidKeyPair.NotFound",
    };
    (code, format!("'{id}' does not exist"))
}

/// What AWS says while something holds on.
fn holding(api: &str) -> (&'static str, &'static str) {
    match api {
        "ReleaseAddress" => ("InvalidIPAddress.InUse", "The address is in use."),
        "AttachLoadBalancerToSubnets" => {
            ("InvalidConfigurationRequest", "ELB cannot be attached to multiple subnets in the same AZ.")
        }
        _ => ("DependencyViolation", "resource has a dependent object"),
    }
}

/// A listing without those entries in which one of these ids stands.
fn without(answer: &[u8], ids: &[String]) -> Vec<u8> {
    let text = document(answer);
    let mut kept = text.clone();
    for tag in ["item", "member"] {
        for entry in entries(&text, tag) {
            let own = |id: &String| {
                ["groupId", "instanceId", "allocationId", "keyPairId", "LoadBalancerName"]
                    .iter()
                    .any(|name| all_between(entry, &format!("<{name}>"), &format!("</{name}>")).first() == Some(id))
            };
            if ids.iter().any(own) {
                kept = kept.replace(entry, "");
            }
        }
    }
    http::plain(200, "text/xml", &kept)
}

/// The outermost entries of a list.
fn entries<'a>(text: &'a str, tag: &str) -> Vec<&'a str> {
    let (open, close) = (format!("<{tag}>"), format!("</{tag}>"));
    let (mut found, mut depth, mut start, mut at) = (Vec::new(), 0_usize, 0, 0);
    while at < text.len() {
        let rest = &text[at..];
        if rest.starts_with(&open) {
            if depth == 0 {
                start = at;
            }
            depth += 1;
            at += open.len();
        } else if rest.starts_with(&close) {
            depth = depth.saturating_sub(1);
            at += close.len();
            if depth == 0 {
                found.push(&text[start..at]);
            }
        } else {
            at += rest.chars().next().map_or(1, char::len_utf8);
        }
    }
    found
}
