//! What AWS's refusals mean: a class for people and for the planner, and whether asking again can help.
//!
//! The default is to report and not to ask again
//! (<https://docs.aws.amazon.com/AWSEC2/latest/APIReference/errors-overview.html>).

use std::error::Error;

use aws_sdk_ec2::config::http::HttpResponse;
use aws_sdk_ec2::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_ec2::operation::RequestId;

use super::service::Service;
use crate::port::{Class, ProviderError};
use crate::resources::permissions::Permissions;

/// What asking again may do about a fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Remedy {
    /// Nothing.
    Report,
    /// AWS asks for fewer requests.
    SlowDown,
    /// The trouble is AWS's or the network's own, and passes.
    Again,
    /// The endpoint cannot be reached at all.
    Reconnect,
    /// It helps where the object was made a moment ago and is not seen everywhere yet.
    Fresh,
    /// It helps once whoever holds the object has let go.
    Released,
    /// It helps once a change of state is over.
    Settled,
}

/// A failed attempt.
#[derive(Debug, Clone)]
pub struct Fault {
    /// What is reported when nothing helps.
    pub error: ProviderError,
    /// What may help.
    pub remedy: Remedy,
    /// The action that these credentials may not use.
    pub lacks: Option<Lack>,
}

/// What credentials may not do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Lack {
    /// What the call does, in one way or another: AWS does not say, or only in a text that is encoded.
    Unnamed,
    /// This action, as IAM spells it.
    Action(String),
    /// Somebody forbids it, and nothing that is allowed changes that.
    Forbidden,
}

/// One row of the table: a code (`*` stands for any beginning), a piece of the message, and what they mean.
type Row = (&'static str, &'static str, Class, Remedy);

/// Codes by meaning; the first that matches counts. Capacity comes before the server errors it pretends to be one of:
/// `InsufficientInstanceCapacity` and `RequestLimitExceeded` are both 5xx and want opposite answers.
const TABLE: &[Row] = &[
    ("RequestLimitExceeded", "", Class::Throttled, Remedy::SlowDown),
    ("EC2ThrottledException", "", Class::Throttled, Remedy::SlowDown),
    ("Throttling", "", Class::Throttled, Remedy::SlowDown),
    ("ThrottlingException", "", Class::Throttled, Remedy::SlowDown),
    ("RequestThrottled", "", Class::Throttled, Remedy::SlowDown),
    ("RequestThrottledException", "", Class::Throttled, Remedy::SlowDown),
    ("TooManyRequestsException", "", Class::Throttled, Remedy::SlowDown),
    ("SlowDown", "", Class::Throttled, Remedy::SlowDown),
    // Load balancing asks EC2 on our account, and EC2 throttles it.
    ("DependencyThrottle", "", Class::Throttled, Remedy::SlowDown),
    ("ConcurrentTagAccess", "", Class::Throttled, Remedy::SlowDown),
    ("*Capacity", "", Class::Quota, Remedy::Report),
    ("InsufficientFreeAddressesInSubnet", "", Class::Quota, Remedy::Report),
    ("FilterLimitExceeded", "", Class::Invalid, Remedy::Report),
    ("*LimitExceeded", "", Class::Quota, Remedy::Report),
    ("*CountExceeded", "", Class::Quota, Remedy::Report),
    ("VolumeModificationRateExceeded", "", Class::Quota, Remedy::Report),
    ("TooManyLoadBalancers", "", Class::Quota, Remedy::Report),
    ("TooManyPolicies", "", Class::Quota, Remedy::Report),
    ("TooManyTags", "", Class::Quota, Remedy::Report),
    ("InternalError", "", Class::Transient, Remedy::Again),
    ("InternalFailure", "", Class::Transient, Remedy::Again),
    ("ServiceUnavailable", "", Class::Transient, Remedy::Again),
    ("Unavailable", "", Class::Transient, Remedy::Again),
    ("RequestTimeout", "", Class::Transient, Remedy::Again),
    ("*.Duplicate", "", Class::AlreadyExists, Remedy::Report),
    ("DuplicateLoadBalancerName", "", Class::AlreadyExists, Remedy::Report),
    ("DuplicatePolicyName", "", Class::AlreadyExists, Remedy::Report),
    // A port that was given up may not be free for a while.
    ("DuplicateListener", "", Class::AlreadyExists, Remedy::Released),
    ("DependencyViolation", "", Class::InUse, Remedy::Released),
    ("*.InUse", "", Class::InUse, Remedy::Released),
    ("Resource.AlreadyAssociated", "", Class::InUse, Remedy::Report),
    ("InvalidAddress.Locked", "", Class::InUse, Remedy::Report),
    // Rules are gone when AWS says so: no call makes a rule and needs it a moment later.
    ("InvalidPermission.NotFound", "", Class::NotFound, Remedy::Report),
    ("InvalidSecurityGroupRuleId.NotFound", "", Class::NotFound, Remedy::Report),
    // What is uploaded or made beside a balancer is not seen at once, and has no id of ours.
    ("CertificateNotFound", "", Class::NotFound, Remedy::Settled),
    ("ListenerNotFound", "", Class::NotFound, Remedy::Settled),
    ("PolicyNotFound", "", Class::NotFound, Remedy::Settled),
    ("*NotFound", "", Class::NotFound, Remedy::Fresh),
    ("*NotFoundException", "", Class::NotFound, Remedy::Fresh),
    ("InvalidInstance", "", Class::NotFound, Remedy::Fresh),
    ("InvalidSecurityGroup", "", Class::NotFound, Remedy::Fresh),
    // Another subnet of the same zone has not let go.
    ("InvalidConfigurationRequest", "", Class::WrongState, Remedy::Released),
    ("InvalidInstanceID", "pending", Class::WrongState, Remedy::Settled),
    ("IncorrectInstanceState", "", Class::WrongState, Remedy::Settled),
    ("IncorrectModificationState", "", Class::WrongState, Remedy::Settled),
    ("IncorrectState", "existing association", Class::WrongState, Remedy::Report),
    ("IncorrectState", "", Class::WrongState, Remedy::Settled),
    ("*", "LaunchPlan instance type does not match", Class::WrongState, Remedy::Settled),
    ("InvalidParameterValue", "Invalid IAM Instance Profile", Class::Invalid, Remedy::Settled),
    ("InvalidParameterValue", "has no associated IAM Roles", Class::Invalid, Remedy::Settled),
    ("UnauthorizedOperation", "", Class::Denied, Remedy::Report),
    ("AccessDenied", "", Class::Denied, Remedy::Report),
    ("AccessDeniedException", "", Class::Denied, Remedy::Report),
    ("OperationNotPermitted", "", Class::Denied, Remedy::Report),
    ("AuthFailure", "", Class::Denied, Remedy::Report),
    ("OptInRequired", "", Class::Denied, Remedy::Report),
    ("ExpiredToken", "", Class::Denied, Remedy::Report),
    ("ExpiredTokenException", "", Class::Denied, Remedy::Report),
    ("RequestExpired", "", Class::Denied, Remedy::Report),
    ("InvalidSecurity.RequestHasExpired", "", Class::Denied, Remedy::Report),
    ("InvalidClientTokenId", "", Class::Denied, Remedy::Report),
    ("UnrecognizedClientException", "", Class::Denied, Remedy::Report),
    ("SignatureDoesNotMatch", "", Class::Denied, Remedy::Report),
    ("MissingAuthenticationToken", "", Class::Denied, Remedy::Report),
    ("IncompleteSignature", "", Class::Denied, Remedy::Report),
    ("PendingVerification", "", Class::Denied, Remedy::Report),
    ("Blocked", "", Class::Denied, Remedy::Report),
];

/// What a code means, with the status as the last word on codes that no row knows.
#[must_use]
pub fn classify(code: Option<&str>, message: &str, status: Option<u16>) -> (Class, Remedy) {
    let matches = |pattern: &str, code: &str| match pattern.strip_prefix('*') {
        Some(end) => code.ends_with(end),
        None => code == pattern,
    };
    let row = TABLE.iter().find(|(pattern, fragment, _, _)| {
        code.is_some_and(|code| matches(pattern, code)) && message.contains(fragment)
    });
    match (row, status) {
        (Some((_, _, class, remedy)), _) => (*class, *remedy),
        (None, Some(429)) => (Class::Throttled, Remedy::SlowDown),
        (None, Some(500..)) => (Class::Transient, Remedy::Again),
        (None, Some(401 | 403)) => (Class::Denied, Remedy::Report),
        (None, _) => (Class::Invalid, Remedy::Report),
    }
}

impl Fault {
    /// Reads a failed attempt at an API in a region.
    #[must_use]
    pub fn read<E>(api: &str, region: &str, error: &SdkError<E, HttpResponse>) -> Self
    where
        E: ProvideErrorMetadata + Error + 'static,
    {
        let doing = format!("{}:{api} in {region}", Service::of(api).word());
        let status = error.raw_response().map(|response| response.status().as_u16());
        let mut fault = match error {
            SdkError::TimeoutError(_) => {
                let detail = "no answer in the time allowed".to_owned();
                Self::new(ProviderError::new(Class::Transient, doing, detail), Remedy::Again, true)
            }
            SdkError::DispatchFailure(failure) => Self::unsent(doing, &chain(error), failure.is_user()),
            SdkError::ConstructionFailure(_) => Self::unsent(doing, &chain(error), true),
            SdkError::ResponseError(_) | SdkError::ServiceError(_) => Self::answered(doing, api, region, error, status),
            // The SDK's enum is open. What it may add is a failure we know nothing of.
            _ => Self::new(ProviderError::new(Class::Transient, doing, chain(error)), Remedy::Again, true),
        };
        let meta = error.as_service_error().map(ProvideErrorMetadata::meta);
        fault.error.request_id = meta.and_then(RequestId::request_id).map(str::to_owned).or_else(|| printed_id(error));
        fault
    }

    fn new(mut error: ProviderError, remedy: Remedy, ambiguous: bool) -> Self {
        error.ambiguous = ambiguous;
        Self { error, remedy, lacks: None }
    }

    /// The error, and where something is not allowed what the policy lacks, as `permissions` prints it.
    #[must_use]
    pub fn explained(mut self, permissions: Option<&Permissions>, api: &str, region: &str) -> ProviderError {
        let action = match &self.lacks {
            None | Some(Lack::Forbidden) => return self.error,
            Some(Lack::Unnamed) => None,
            Some(Lack::Action(action)) => Some(action.as_str()),
        };
        let missing = permissions.map(|all| all.missing(api, action, region)).unwrap_or_default();
        let lines: Vec<String> = missing.iter().filter_map(|one| serde_json::to_string(one).ok()).collect();
        if let (Some(hint), false) = (&mut self.error.hint, lines.is_empty()) {
            hint.push_str(": the policy lacks ");
            hint.push_str(&lines.join(", "));
        }
        self.error
    }

    /// A request that got no answer: credentials, the way to the endpoint, or a connection that broke.
    fn unsent(doing: String, why: &str, by_user: bool) -> Self {
        let low = why.to_lowercase();
        let why = plain(why);
        if low.contains("credential") || low.contains("sso") || low.contains("token") {
            let error = ProviderError::new(Class::Denied, doing, format!("no usable credentials: {why}"))
                .hint("log in (`aws sso login`), set `AWS_PROFILE` or `--profile`, or give the job a role");
            return Self::new(error, Remedy::Report, false);
        }
        let never_connected = ["(connect)", "dns error", "connection refused", "connect timeout", "certificate"]
            .iter()
            .any(|sign| low.contains(sign));
        if never_connected {
            let error = ProviderError::new(Class::Transient, doing, format!("the endpoint cannot be reached: {why}"))
                .hint("check the network, the proxy settings, the region's name and `AWS_ENDPOINT_URL`");
            return Self::new(error, Remedy::Reconnect, false);
        }
        if by_user {
            return Self::new(ProviderError::new(Class::Invalid, doing, why), Remedy::Report, false);
        }
        let detail = format!("the connection broke before an answer came: {why}");
        Self::new(ProviderError::new(Class::Transient, doing, detail), Remedy::Again, true)
    }

    /// An answer that is no success, or none that can be read.
    fn answered<E>(
        doing: String,
        api: &str,
        region: &str,
        error: &SdkError<E, HttpResponse>,
        status: Option<u16>,
    ) -> Self
    where
        E: ProvideErrorMetadata + Error + 'static,
    {
        let code = error.code().map(str::to_owned);
        let message = error.message().unwrap_or_default();
        let Some(code) = code else {
            let status = status.unwrap_or_default();
            let detail = format!("an answer that cannot be read (HTTP {status}): {}", opening(error));
            let (class, remedy) = match classify(None, "", Some(status)) {
                // A success in shreds: the effect is there, the answer is not.
                (Class::Invalid, _) if (200..300).contains(&status) => (Class::Transient, Remedy::Again),
                known => known,
            };
            let ambiguous = remedy == Remedy::Again;
            return Self::new(ProviderError::new(class, doing, detail), remedy, ambiguous);
        };
        let (class, remedy) = classify(Some(&code), message, status);
        let mut report = ProviderError::new(class, doing, tidy(message)).code(&code);
        let lacks = lack(&code, message);
        report.hint = match &lacks {
            Some(lack) => Some(lack.hint(api)),
            None => hint(&code, api, region),
        };
        Self { lacks, ..Self::new(report, remedy, remedy == Remedy::Again) }
    }
}

/// What the credentials lack. The message may name another action than the call's: one that writes tags needs
/// `ec2:CreateTags` too.
fn lack(code: &str, message: &str) -> Option<Lack> {
    if !matches!(code, "UnauthorizedOperation" | "AccessDenied" | "AccessDeniedException") {
        return None;
    }
    if message.contains("explicit deny") {
        return Some(Lack::Forbidden);
    }
    let named = message.split_once("to perform: ").and_then(|(_, rest)| rest.split_whitespace().next());
    Some(named.map_or(Lack::Unnamed, |action| Lack::Action(tidy(action))))
}

impl Lack {
    /// What to do about it.
    fn hint(&self, api: &str) -> String {
        match self {
            Self::Unnamed => format!("allow the IAM action `{}:{api}` for these credentials", Service::of(api).word()),
            Self::Action(action) => format!("allow the IAM action `{action}` for these credentials"),
            Self::Forbidden => {
                "a policy forbids it, of the organization or of these credentials' own: ask whoever keeps \
                                it, as nothing that is allowed beside it helps"
                    .to_owned()
            }
        }
    }
}

/// What to do about a code, where there is something to do.
fn hint(code: &str, api: &str, region: &str) -> Option<String> {
    Some(match code {
        "OptInRequired" => format!("the account has not enabled `{region}`: enable the region, or name another"),
        "AuthFailure" | "InvalidClientTokenId" | "UnrecognizedClientException" => {
            format!(
                "the credentials are not valid in `{region}`: check them, and that the account has enabled the region"
            )
        }
        "ExpiredToken" | "ExpiredTokenException" => "the credentials have expired: log in again".to_owned(),
        "RequestExpired" | "InvalidSecurity.RequestHasExpired" => {
            "the credentials have expired or this machine's clock is wrong: log in again, or set the clock".to_owned()
        }
        "SignatureDoesNotMatch" => "the secret key does not belong to the access key: check both".to_owned(),
        "OperationNotPermitted" if Service::of(api) == Service::Ec2 => {
            "the object is protected in AWS: switch its protection off first".to_owned()
        }
        "InsufficientInstanceCapacity" => "name another zone or type, or try later".to_owned(),
        "PendingVerification" | "Blocked" => "AWS holds this account back: ask AWS support".to_owned(),
        "CertificateNotFound" => {
            format!("name a certificate of IAM, or one of ACM that is issued and in `{region}`")
        }
        "InvalidSubnet" => {
            "attach an internet gateway to the VPC, or make the balancer `scheme = \"internal\"`".to_owned()
        }
        "TooManyLoadBalancers" => "raise the quota in Service Quotas, or remove what is not needed".to_owned(),
        "TooManyTags" => "write fewer tags on the balancer".to_owned(),
        limit if limit.ends_with("LimitExceeded") && limit != "RequestLimitExceeded" => {
            "raise the quota in Service Quotas, or remove what is not needed".to_owned()
        }
        _ => return None,
    })
}

/// AWS's sentence as a fragment: one line, no full stop, and without the encoded message of a refusal, which is long and
/// which only `sts:DecodeAuthorizationMessage` can read.
fn tidy(message: &str) -> String {
    let message = message.split_once("Encoded authorization failure message").map_or(message, |(clear, _)| clear);
    let line = message.split_whitespace().collect::<Vec<_>>().join(" ");
    line.trim_end_matches(['.', ' ']).to_owned()
}

/// The request's id as it is printed in the document of an error, `RequestID` by EC2 and `RequestId` by the others; the SDK
/// reads the one in the answer's head only.
fn printed_id<E>(error: &SdkError<E, HttpResponse>) -> Option<String> {
    let text = std::str::from_utf8(error.raw_response()?.body().bytes()?).ok()?;
    let (_, behind) = text.split_once("<RequestID>").or_else(|| text.split_once("<RequestId>"))?;
    behind.split_once("</RequestI").map(|(id, _)| id.trim().to_owned())
}

/// The first words of an answer that is not what the API promises, an HTML page for one.
fn opening<E>(error: &SdkError<E, HttpResponse>) -> String {
    let body = error.raw_response().and_then(|response| response.body().bytes()).unwrap_or_default();
    let text = String::from_utf8_lossy(body);
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    let cut: String = line.chars().take(120).collect();
    if cut.is_empty() { "it is empty".to_owned() } else { format!("it begins with `{cut}`") }
}

/// The SDK's words without its wrappers, and without the list of every place where it found no credentials.
fn plain(why: &str) -> &str {
    let wrappers = ["dispatch failure: ", "other: ", "io error: ", "the credential provider was not enabled: "];
    let bare = wrappers.iter().fold(why, |text, wrapper| text.strip_prefix(wrapper).unwrap_or(text));
    bare.split_once(". Attempted:").or_else(|| bare.split_once(" Attempted:")).map_or(bare, |(words, _)| words)
}

/// An error and what caused it, once each.
fn chain(error: &(dyn Error + 'static)) -> String {
    let mut words: Vec<String> = Vec::new();
    let mut next: Option<&(dyn Error + 'static)> = Some(error);
    while let Some(one) = next {
        let text = tidy(&one.to_string());
        if !words.iter().any(|word| word.contains(&text)) {
            words.push(text);
        }
        next = one.source();
    }
    words.join(": ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_have_their_class() {
        let cases = [
            ("RequestLimitExceeded", "", 503, Class::Throttled, Remedy::SlowDown),
            ("InsufficientInstanceCapacity", "", 500, Class::Quota, Remedy::Report),
            ("AddressLimitExceeded", "", 400, Class::Quota, Remedy::Report),
            ("RulesPerSecurityGroupLimitExceeded", "", 400, Class::Quota, Remedy::Report),
            ("InvalidGroup.Duplicate", "", 400, Class::AlreadyExists, Remedy::Report),
            ("InvalidPermission.Duplicate", "", 400, Class::AlreadyExists, Remedy::Report),
            ("InvalidGroup.NotFound", "", 400, Class::NotFound, Remedy::Fresh),
            ("InvalidAllocationID.NotFound", "", 400, Class::NotFound, Remedy::Fresh),
            ("InvalidGroup.InUse", "", 400, Class::InUse, Remedy::Released),
            ("InvalidIPAddress.InUse", "", 400, Class::InUse, Remedy::Released),
            ("DependencyViolation", "", 400, Class::InUse, Remedy::Released),
            ("InvalidInstanceID", "The pending instance 'i-1'", 400, Class::WrongState, Remedy::Settled),
            ("InvalidInstanceID", "multiple interfaces", 400, Class::Invalid, Remedy::Report),
            ("LoadBalancerNotFound", "", 400, Class::NotFound, Remedy::Fresh),
            ("CertificateNotFound", "", 400, Class::NotFound, Remedy::Settled),
            ("InvalidInstance", "", 400, Class::NotFound, Remedy::Fresh),
            ("DuplicateListener", "", 400, Class::AlreadyExists, Remedy::Released),
            ("InvalidConfigurationRequest", "", 409, Class::WrongState, Remedy::Released),
            ("DependencyThrottle", "", 400, Class::Throttled, Remedy::SlowDown),
            ("Throttling", "", 400, Class::Throttled, Remedy::SlowDown),
            ("TooManyTags", "", 400, Class::Quota, Remedy::Report),
            ("InternalError", "", 500, Class::Transient, Remedy::Again),
            ("NeverHeardOf", "", 500, Class::Transient, Remedy::Again),
            ("NeverHeardOf", "", 400, Class::Invalid, Remedy::Report),
            ("UnauthorizedOperation", "", 403, Class::Denied, Remedy::Report),
            ("FilterLimitExceeded", "", 400, Class::Invalid, Remedy::Report),
        ];
        for (code, message, status, class, remedy) in cases {
            assert_eq!(classify(Some(code), message, Some(status)), (class, remedy), "{code} {message}");
        }
    }

    #[test]
    fn a_missing_permission_is_named() {
        let told = |message, api| lack("UnauthorizedOperation", message).expect("it is not allowed").hint(api);
        let plain = told("You are not authorized to perform this operation.", "RunInstances");
        assert_eq!(plain, "allow the IAM action `ec2:RunInstances` for these credentials");
        let balancer = told("no", "AddTags");
        assert_eq!(balancer, "allow the IAM action `elasticloadbalancing:AddTags` for these credentials");
        let named = told("User: x is not authorized to perform: ec2:CreateTags on resource: y", "RunInstances");
        assert_eq!(named, "allow the IAM action `ec2:CreateTags` for these credentials");
        let forbidden = "User: x is not authorized to perform: ec2:RunInstances with an explicit deny in an SCP";
        assert_eq!(lack("UnauthorizedOperation", forbidden), Some(Lack::Forbidden));
        assert_eq!(lack("OperationNotPermitted", "no"), None);
    }

    #[test]
    fn encoded_messages_are_cut() {
        let text = "You are not authorized to perform this operation. Encoded authorization failure message: aGVsbG8";
        assert_eq!(tidy(text), "You are not authorized to perform this operation");
    }

    #[test]
    fn what_never_left_has_no_effect() {
        let gone = Fault::unsent("x".to_owned(), "dispatch failure: client error (Connect): tcp connect error", false);
        assert_eq!((gone.remedy, gone.error.ambiguous), (Remedy::Reconnect, false));
        let cut = Fault::unsent("x".to_owned(), "connection closed before message completed", false);
        assert_eq!((cut.remedy, cut.error.ambiguous), (Remedy::Again, true));
        let none = Fault::unsent("x".to_owned(), "the credential provider was not enabled", false);
        assert_eq!((none.error.class, none.remedy), (Class::Denied, Remedy::Report));
    }

    #[test]
    fn wrappers_are_left_out() {
        let why = "dispatch failure: other: the credential provider was not enabled: no credentials found in chain. \
                   Attempted: Environment: not set";
        assert_eq!(plain(why), "no credentials found in chain");
    }
}
