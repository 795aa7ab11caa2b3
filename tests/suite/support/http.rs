//! As much of HTTP and of AWS's query protocol as a proxy before moto needs: one request, one answer, then the end.

use std::io;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// The account that moto is for whoever does not say another.
pub const ACCOUNT: &str = "123456789012";
/// The header that says another.
pub const ACCOUNT_HEADER: &str = "x-moto-account-id";

/// One request of the query protocol.
pub struct Request {
    head: String,
    /// The form, as it came.
    pub body: String,
}

impl Request {
    /// Reads one; none when the client went away.
    pub async fn read(client: &mut TcpStream) -> io::Result<Self> {
        let mut bytes = Vec::new();
        let split = loop {
            if let Some(at) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
                break at + 4;
            }
            if client.read_buf(&mut bytes).await? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        };
        let head = String::from_utf8_lossy(&bytes[..split]).into_owned();
        let length = head.lines().find_map(|line| {
            let (key, value) = line.split_once(':')?;
            key.eq_ignore_ascii_case("content-length").then(|| value.trim().parse::<usize>().ok())?
        });
        while bytes.len() < split + length.unwrap_or(0) {
            if client.read_buf(&mut bytes).await? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
        let body = String::from_utf8_lossy(&bytes[split..]).into_owned();
        Ok(Self { head: closing(&head, body.len()), body })
    }

    /// One from its parts.
    pub fn of_parts(head: &str, body: String) -> Self {
        Self { head: closing(head, body.len()), body }
    }

    /// All of it, as it goes over the wire.
    pub fn text(&self) -> String {
        format!("{}{}", self.head, self.body)
    }

    /// The same without a page's token, where it is this one: nobody behind us knows it.
    pub fn without_token(&self, token: &str) -> Self {
        let kept: Vec<&str> = self
            .body
            .split('&')
            .filter(|pair| !matches!(pair.split_once('='), Some(("NextToken" | "Marker", value)) if value == token))
            .collect();
        self.with(kept.join("&"))
    }

    /// The form's fields, decoded.
    pub fn fields(&self) -> impl Iterator<Item = (String, String)> {
        let pairs = self.body.split('&').filter_map(|pair| pair.split_once('='));
        pairs.map(|(key, value)| (decoded(key), decoded(value)))
    }

    /// One field.
    pub fn field(&self, name: &str) -> Option<String> {
        self.fields().find(|(key, _)| key == name).map(|(_, value)| value)
    }

    /// The values of a list: `InstanceId.1`, `InstanceId.2`.
    pub fn list(&self, name: &str) -> Vec<String> {
        let is_member = |key: &str| key.strip_prefix(name).is_some_and(|rest| rest.starts_with('.'));
        self.fields().filter(|(key, _)| is_member(key)).map(|(_, value)| value).collect()
    }

    /// The region that the signature is for.
    pub fn region(&self) -> String {
        let scope = self.head.split_once("Credential=").map(|(_, rest)| rest).unwrap_or_default();
        scope.split('/').nth(2).unwrap_or_default().to_owned()
    }

    /// The same of another account: moto takes this header for the credentials' account.
    pub fn in_account(self, account: &str) -> Self {
        Self { head: self.head.replacen("\r\n", &format!("\r\n{ACCOUNT_HEADER}: {account}\r\n"), 1), ..self }
    }

    /// The account that is asked.
    pub fn account(&self) -> &str {
        let header = |line: &'_ str| line.starts_with(ACCOUNT_HEADER);
        self.head.lines().find(|line| header(line)).and_then(|line| line.split_once(": ")).map_or(ACCOUNT, |(_, id)| id)
    }

    /// The same head with another form.
    pub fn with(&self, body: String) -> Self {
        Self { head: closing(&self.head, body.len()), body }
    }

    /// Another call of EC2, in the same name and region.
    pub fn call(&self, api: &str, fields: &[(&str, &str)]) -> Self {
        self.of("ec2", &format!("Action={api}&Version=2016-11-15"), fields)
    }

    /// Another call of load balancing, in the same name and region.
    pub fn balance(&self, api: &str, fields: &[(&str, &str)]) -> Self {
        self.of("elasticloadbalancing", &format!("Action={api}&Version=2012-06-01"), fields)
    }

    fn of(&self, service: &str, opening: &str, fields: &[(&str, &str)]) -> Self {
        let mut body = opening.to_owned();
        for (key, value) in fields {
            body.push_str(&format!("&{key}={}", encoded(value)));
        }
        let scope = |service: &str| format!("/{service}/aws4_request");
        let head = ["ec2", "elasticloadbalancing"]
            .iter()
            .fold(self.head.clone(), |head, other| head.replace(&scope(other), &scope(service)));
        Self { head: closing(&head, body.len()), body }
    }

    /// Whether it is one of load balancing.
    pub fn is_balancing(&self) -> bool {
        self.head.contains("/elasticloadbalancing/aws4_request")
    }

    /// What is asked of S3, which names its calls by method alone; none when it is another service that is asked.
    pub fn object_api(&self) -> Option<&'static str> {
        if !self.head.contains("/s3/aws4_request") {
            return None;
        }
        match self.head.split(' ').next() {
            Some("PUT") => Some("PutObject"),
            Some("GET") => Some("GetObject"),
            _ => None,
        }
    }

    /// The same without a header.
    pub fn without(&self, header: &str) -> Self {
        let is_it = |line: &&str| !line.to_lowercase().starts_with(&format!("{}:", header.to_lowercase()));
        let head: String = self.head.lines().filter(is_it).map(|line| format!("{line}\r\n")).collect();
        Self { head, body: self.body.clone() }
    }

    /// A refusal as the service that was asked writes it.
    pub fn refusal(&self, status: u16, code: &str, message: &str) -> Vec<u8> {
        if self.object_api().is_some() {
            let body = format!("<?xml version=\"1.0\"?><Error><Code>{code}</Code><Message>{message}</Message></Error>");
            return plain(status, "application/xml", &body);
        }
        if !self.is_balancing() {
            return refusal(status, code, message);
        }
        let space = "http://elasticloadbalancing.amazonaws.com/doc/2012-06-01/";
        let body = format!(
            "<ErrorResponse xmlns=\"{space}\"><Error><Type>Sender</Type><Code>{code}</Code><Message>{message}</Message>\
             </Error><RequestId>7a62c49f-347e-4fc4-9331-6e8eEXAMPLE</RequestId></ErrorResponse>"
        );
        plain(status, "text/xml", &body)
    }

    /// Sends it on and reads the whole answer.
    pub async fn forward(&self, upstream: u16) -> io::Result<Vec<u8>> {
        let mut server = TcpStream::connect(("127.0.0.1", upstream)).await?;
        server.write_all(self.head.as_bytes()).await?;
        server.write_all(self.body.as_bytes()).await?;
        let mut answer = Vec::new();
        server.read_to_end(&mut answer).await?;
        Ok(answer)
    }

    /// Sends it on; the answer's document as text.
    pub async fn ask(&self, upstream: u16) -> io::Result<String> {
        Ok(document(&self.forward(upstream).await?))
    }
}

/// An answer of S3 about an object that was written so many seconds earlier than it was.
pub fn older(answer: &[u8], seconds: i64) -> Vec<u8> {
    let text = String::from_utf8_lossy(answer);
    let Some(line) = text.lines().find(|line| line.to_lowercase().starts_with("last-modified:")) else {
        return answer.to_vec();
    };
    let date = line.split_once(':').expect("a header").1.trim();
    let written = jiff::fmt::rfc2822::parse(date).expect("a date").timestamp();
    let earlier = written - jiff::SignedDuration::from_secs(seconds);
    let earlier = jiff::fmt::rfc2822::DateTimePrinter::new().timestamp_to_rfc9110_string(&earlier).expect("a date");
    text.replace(line, &format!("Last-Modified: {earlier}")).into_bytes()
}

/// The document of an answer.
pub fn document(answer: &[u8]) -> String {
    let text = String::from_utf8_lossy(answer);
    text.split_once("\r\n\r\n").map(|(_, body)| body.to_owned()).unwrap_or_default()
}

/// Whether an answer is a success.
pub fn is_fine(answer: &[u8]) -> bool {
    answer.starts_with(b"HTTP/1.1 200")
}

/// An answer.
pub fn plain(status: u16, kind: &str, body: &str) -> Vec<u8> {
    format!(
        "HTTP/1.1 {status} Answer\r\nContent-Type: {kind}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
        body.len()
    )
    .into_bytes()
}

/// A success whose document says no more than that.
pub fn done(api: &str) -> Vec<u8> {
    let space = "http://ec2.amazonaws.com/doc/2016-11-15/";
    plain(200, "text/xml", &format!("<{api}Response xmlns=\"{space}\"><return>true</return></{api}Response>"))
}

/// A refusal as EC2 writes it.
pub fn refusal(status: u16, code: &str, message: &str) -> Vec<u8> {
    let body = format!(
        "<?xml version=\"1.0\"?><Response><Errors><Error><Code>{code}</Code><Message>{message}</Message></Error>\
         </Errors><RequestID>7a62c49f-347e-4fc4-9331-6e8eEXAMPLE</RequestID></Response>"
    );
    plain(status, "text/xml", &body)
}

/// The first text between two marks.
pub fn between(text: &str, start: &str, end: &str) -> Option<String> {
    all_between(text, start, end).into_iter().next()
}

/// Every text between two marks.
pub fn all_between(text: &str, start: &str, end: &str) -> Vec<String> {
    let behind = text.split(start).skip(1);
    behind.filter_map(|rest| Some(rest.split_once(end)?.0.to_owned())).collect()
}

/// A document with other members in its list.
pub fn with_members(text: &str, list: &str, members: impl Iterator<Item = String>) -> String {
    let inside: String = members.map(|member| format!("<member>{member}</member>")).collect();
    let (open, close) = (format!("<{list}>"), format!("</{list}>"));
    match (text.split_once(&open), text.split_once(&close)) {
        (Some((before, _)), Some((_, after))) => format!("{before}{open}{inside}{close}{after}"),
        _ => text.to_owned(),
    }
}

/// The head with the length of a body, and the wish to have one answer only.
fn closing(head: &str, length: usize) -> String {
    let kept = head.lines().filter(|line| {
        let low = line.to_lowercase();
        !line.is_empty() && !low.starts_with("content-length:") && !low.starts_with("connection:")
    });
    let mut head: String = kept.map(|line| format!("{line}\r\n")).collect();
    head.push_str(&format!("Content-Length: {length}\r\nConnection: close\r\n\r\n"));
    head
}

fn decoded(text: &str) -> String {
    let (mut bytes, mut rest) = (Vec::new(), text.bytes());
    while let Some(byte) = rest.next() {
        match byte {
            b'+' => bytes.push(b' '),
            b'%' => {
                let digits: String = rest.by_ref().take(2).map(char::from).collect();
                bytes.push(u8::from_str_radix(&digits, 16).unwrap_or(b'?'));
            }
            plain => bytes.push(plain),
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

fn encoded(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte);
    text.bytes().map(|byte| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") }).collect()
}
