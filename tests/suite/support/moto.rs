//! moto's server: one for the whole test process, found, started, awaited, and gone when the process is.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use aws_config::{BehaviorVersion, SdkConfig};
use aws_sdk_ec2::config::Credentials;
use portcullis::model::{AccountId, Region};
use portcullis::port::ProviderError;
use portcullis::provider::aws::{Aws, Options};

use super::http::{ACCOUNT, ACCOUNT_HEADER};

/// The port of the server, which the first caller starts.
pub fn port() -> u16 {
    static PORT: OnceLock<u16> = OnceLock::new();
    *PORT.get_or_init(start)
}

/// The SDK's settings for a server on this port, with credentials that nobody checks.
pub async fn settings(port: u16, region: &str) -> SdkConfig {
    aws_config::defaults(BehaviorVersion::latest())
        .credentials_provider(Credentials::new("AKIDEXAMPLE", "secret", None, None, "test"))
        .region(aws_config::Region::new(region.to_owned()))
        .endpoint_url(format!("http://127.0.0.1:{port}"))
        .load()
        .await
}

/// A provider that talks to a server on this port.
pub async fn aws(port: u16, region: &str) -> Aws {
    connect(port, region, None).await.expect("the test server answers")
}

/// The same for an account that is demanded.
pub async fn connect(port: u16, region: &str, guard: Option<AccountId>) -> Result<Aws, ProviderError> {
    let options = Options { account_guard: guard, parallelism: 16, ..Options::default() };
    Aws::with_config(&settings(port, region).await, &options).await
}

/// A region by name.
pub fn region(name: &str) -> Region {
    Region::new(name).expect("a region")
}

/// moto's server: `PORTCULLIS_MOTO`, else the crate's own `.venv`, else the search path.
fn find() -> Option<PathBuf> {
    if let Some(path) = std::env::var_os("PORTCULLIS_MOTO") {
        return Some(PathBuf::from(path));
    }
    let own = Path::new(env!("CARGO_MANIFEST_DIR")).join(".venv/bin/moto_server");
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::iter::once(own).chain(std::env::split_paths(&path).map(|dir| dir.join("moto_server"))).find(|p| p.is_file())
}

/// Starts the server under a shell that waits for the end of our side of a pipe: however this process ends, the pipe
/// closes and the shell ends the server.
fn start() -> u16 {
    let Some(moto) = find() else {
        panic!("moto's server is not installed: run `./tests/setup.sh`, or name it in `PORTCULLIS_MOTO`");
    };
    let port = TcpListener::bind("127.0.0.1:0").and_then(|one| one.local_addr()).expect("a free port").port();
    let mut child = Command::new("sh")
        .args(["-c", r#""$0" -H 127.0.0.1 -p "$1" >/dev/null 2>&1 & cat >/dev/null; kill $!"#])
        .arg(&moto)
        .arg(port.to_string())
        // Few images, so that a region is there at once; among them those that the examples ask for.
        .env("MOTO_AMIS_PATH", Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/suite/support/images.json"))
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("a shell");
    // The pipe is held open until this process ends.
    std::mem::forget(child.stdin.take());
    let deadline = Instant::now() + Duration::from_secs(60);
    while !answers(port) {
        assert!(Instant::now() < deadline, "`{}` does not answer within a minute", moto.display());
        std::thread::sleep(Duration::from_millis(100));
    }
    port
}

fn answers(port: u16) -> bool {
    let Ok(mut stream) = TcpStream::connect(("127.0.0.1", port)) else { return false };
    let mut answer = String::new();
    stream.write_all(b"GET /moto-api/ HTTP/1.0\r\n\r\n").is_ok()
        && stream.read_to_string(&mut answer).is_ok()
        && answer.starts_with("HTTP/1.")
}

/// Asks a service of moto itself, past every proxy, in the query protocol; the answer's document.
pub fn ask(service: &str, region: &str, form: &str) -> String {
    ask_at(port(), service, region, form)
}

/// The same of whoever listens on this port.
pub fn ask_at(port: u16, service: &str, region: &str, form: &str) -> String {
    post(port, ACCOUNT, service, region, form)
}

/// Asks a service of moto itself in another account.
pub fn ask_in(account: &str, service: &str, region: &str, form: &str) -> String {
    post(port(), account, service, region, form)
}

fn post(port: u16, account: &str, service: &str, region: &str, form: &str) -> String {
    let scope = format!("Credential=AKIDEXAMPLE/20260101/{region}/{service}/aws4_request");
    let request = format!(
        "POST / HTTP/1.0\r\nHost: {service}.{region}.amazonaws.com\r\n{ACCOUNT_HEADER}: {account}\r\n\
         Authorization: AWS4-HMAC-SHA256 {scope}, SignedHeaders=host, Signature=0\r\n\
         Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {}\r\n\r\n{form}",
        form.len()
    );
    let mut stream = TcpStream::connect(("127.0.0.1", port)).expect("a server");
    stream.write_all(request.as_bytes()).expect("a request");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("an answer");
    answer.split_once("\r\n\r\n").expect("a document").1.to_owned()
}

/// Asks EC2.
pub fn ec2(region: &str, form: &str) -> String {
    ask("ec2", region, &format!("Version=2016-11-15&{form}"))
}

/// Makes a bucket.
pub fn bucket(name: &str) {
    let scope = "Credential=AKIDEXAMPLE/20260101/us-east-1/s3/aws4_request";
    let request = format!(
        "PUT /{name} HTTP/1.0\r\nHost: 127.0.0.1\r\n\
         Authorization: AWS4-HMAC-SHA256 {scope}, SignedHeaders=host, Signature=0\r\nContent-Length: 0\r\n\r\n"
    );
    let mut stream = TcpStream::connect(("127.0.0.1", port())).expect("a server");
    stream.write_all(request.as_bytes()).expect("a request");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("an answer");
    assert!(answer.contains(" 200 "), "{answer}");
}
