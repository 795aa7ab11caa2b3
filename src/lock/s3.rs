//! A bucket as a store: the only door to the SDK of S3.
//!
//! Writes go on a condition (<https://docs.aws.amazon.com/AmazonS3/latest/userguide/conditional-writes.html>): 412 when it does
//! not hold, 409 `ConditionalRequestConflict` when others write at the same time, 404 for a version of an object that is gone.
//! It needs `s3:PutObject` and `s3:GetObject` on the objects of the prefix, and no more: an object is asked for only after a
//! write has shown that it is there, as without `s3:ListBucket` one that is not there reads as forbidden
//! (<https://docs.aws.amazon.com/AmazonS3/latest/API/API_GetObject.html>).

use std::error::Error;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use aws_config::BehaviorVersion;
use aws_config::timeout::TimeoutConfig;
use aws_sdk_s3::Client;
use aws_sdk_s3::config::http::HttpResponse;
use aws_sdk_s3::config::interceptors::BeforeDeserializationInterceptorContextRef;
use aws_sdk_s3::config::{Builder, ConfigBag, Intercept, RequestChecksumCalculation, RuntimeComponents};
use aws_sdk_s3::error::{BoxError, ProvideErrorMetadata, SdkError};
use aws_sdk_s3::operation::get_object::GetObjectError;
use aws_sdk_s3::primitives::{ByteStream, DateTime, DateTimeFormat};

use super::store::{Put, Store, StoreError, Stored, Tag, When};
use crate::model::{LeasePlace, Region};

/// How long one attempt may take.
const ATTEMPT: Duration = Duration::from_secs(5);
/// How long a connection may take.
const CONNECT: Duration = Duration::from_secs(3);
/// A lease is a few hundred bytes.
const MOST: i64 = 64 * 1024;

/// How to reach the bucket.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// A profile of the shared configuration; absent means as the environment says.
    pub profile: Option<String>,
    /// The region where neither the spec nor the configuration names one.
    pub default_region: Option<Region>,
    /// Whether an endpoint of S3's own is set: whoever names one has no names of hosts for buckets.
    pub own_endpoint: bool,
}

/// A bucket, and what the names of its objects begin with.
#[derive(Debug)]
pub struct Bucket {
    client: Client,
    name: String,
    prefix: String,
}

impl Bucket {
    /// Finds credentials and endpoint by the SDK's own chain. Nothing is sent yet.
    pub async fn open(place: &LeasePlace, options: &Options) -> Self {
        let mut loader = aws_config::defaults(BehaviorVersion::latest());
        if let Some(profile) = &options.profile {
            loader = loader.profile_name(profile);
        }
        if let Some(region) = place.region.as_ref().or(options.default_region.as_ref()) {
            loader = loader.region(aws_config::Region::new(region.as_str().to_owned()));
        }
        Self::with_config(&loader.load().await, place, options.own_endpoint)
    }

    /// The same with settings of the SDK that the caller made.
    #[must_use]
    pub fn with_config(config: &aws_config::SdkConfig, place: &LeasePlace, own_endpoint: bool) -> Self {
        let timeouts = TimeoutConfig::builder().connect_timeout(CONNECT).operation_attempt_timeout(ATTEMPT).build();
        let settings = Builder::from(config)
            .timeout_config(timeouts)
            // Stores that only speak like S3 do not all know the checksums of today.
            .request_checksum_calculation(RequestChecksumCalculation::WhenRequired)
            .force_path_style(own_endpoint || config.endpoint_url().is_some())
            .build();
        Self { client: Client::from_conf(settings), name: place.bucket.clone(), prefix: place.prefix.clone() }
    }

    fn key(&self, name: &str) -> String {
        if self.prefix.is_empty() { name.to_owned() } else { format!("{}/{name}", self.prefix) }
    }

    fn doing(&self, api: &str, name: &str) -> String {
        format!("s3:{api} of {}", self.place(name))
    }

    /// What the SDK met, in words.
    fn fault<E>(&self, api: &'static str, name: &str, error: &SdkError<E, HttpResponse>) -> StoreError
    where
        E: ProvideErrorMetadata + Error + 'static,
    {
        let status = error.raw_response().map(|answer| answer.status().as_u16());
        let code = error.code().map(str::to_owned);
        let detail = match error.message() {
            Some(message) => message.to_owned(),
            None => causes(error),
        };
        let passing = status.is_none_or(|status| status >= 500 || status == 408 || status == 429)
            && !matches!(error, SdkError::ConstructionFailure(_));
        let hint = self.hint(code.as_deref(), api, status, error.raw_response());
        StoreError { doing: self.doing(api, name), code, detail, hint, passing }
    }

    fn hint(
        &self,
        code: Option<&str>,
        api: &str,
        status: Option<u16>,
        answer: Option<&HttpResponse>,
    ) -> Option<String> {
        let bucket = &self.name;
        let region = answer.and_then(|answer| answer.headers().get("x-amz-bucket-region"));
        Some(match (code, status, region) {
            (Some("NoSuchBucket"), ..) => format!("make the bucket `{bucket}`, or name another in `lock`"),
            (_, Some(301 | 307 | 400), Some(region)) => {
                format!("the bucket is elsewhere: `region = \"{region}\"` in `lock`")
            }
            (_, Some(403), _) => {
                format!("allow the IAM action `s3:{api}` on `arn:aws:s3:::{bucket}/{}`", self.key("*"))
            }
            (_, None, _) => {
                "check the network, the credentials, the region of the bucket, and the endpoint of S3".to_owned()
            }
            _ => return None,
        })
    }
}

/// What lies behind an error that is no answer, from the outside in. The SDK's own lists of what it tried are left out.
fn causes(error: &dyn Error) -> String {
    let mut words: Vec<String> = Vec::new();
    let mut next = error.source();
    while let Some(cause) = next {
        let text = cause.to_string();
        let line = text.lines().next().unwrap_or_default();
        // Each error of the SDK may repeat what the one inside says.
        if !["io error", "other", "dispatch failure"].contains(&line) && !words.iter().any(|known| known.contains(line))
        {
            words.push(line.to_owned());
        }
        next = cause.source();
    }
    if words.is_empty() { error.to_string() } else { words.join(": ") }
}

/// When an answer was written, by the store's own clock.
#[derive(Debug, Clone, Default)]
struct Dated(Arc<Mutex<Option<i64>>>);

impl Intercept for Dated {
    fn name(&self) -> &'static str {
        "the date of an answer"
    }

    fn read_before_deserialization(
        &self,
        context: &BeforeDeserializationInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let date = context.response().headers().get("date");
        let read = date.and_then(|text| DateTime::from_str(text, DateTimeFormat::HttpDate).ok());
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = read.map(|date| date.secs());
        Ok(())
    }
}

impl Store for Bucket {
    fn place(&self, name: &str) -> String {
        format!("s3://{}/{}", self.name, self.key(name))
    }

    async fn get(&self, name: &str) -> Result<Option<Stored>, StoreError> {
        let dated = Dated::default();
        let request = self.client.get_object().bucket(&self.name).key(self.key(name));
        let answer = match request.customize().interceptor(dated.clone()).send().await {
            Ok(answer) => answer,
            Err(error) if error.as_service_error().is_some_and(GetObjectError::is_no_such_key) => return Ok(None),
            Err(error) => return Err(self.fault("GetObject", name, &error)),
        };
        let torn = |detail: String, passing| StoreError {
            doing: self.doing("GetObject", name),
            code: None,
            detail,
            hint: None,
            passing,
        };
        if answer.content_length().is_some_and(|length| length > MOST) {
            return Err(torn("it is too large for a lease".to_owned(), false));
        }
        let tag = answer.e_tag().map(|tag| Tag(tag.to_owned()));
        let now = *dated.0.lock().unwrap_or_else(PoisonError::into_inner);
        let written = answer.last_modified().map(DateTime::secs);
        // Both are whole seconds of the store's clock. One that runs backwards makes nothing older.
        let age = now
            .zip(written)
            .map(|(now, written)| Duration::from_secs(u64::try_from(now.saturating_sub(written)).unwrap_or_default()));
        let bytes = answer.body.collect().await.map_err(|why| torn(why.to_string(), true))?.to_vec();
        let tag = tag.ok_or_else(|| torn("the answer tells no version (ETag)".to_owned(), false))?;
        Ok(Some(Stored { bytes, tag, age }))
    }

    async fn put(&self, name: &str, bytes: Vec<u8>, when: When) -> Result<Put, StoreError> {
        let request = self.client.put_object().bucket(&self.name).key(self.key(name));
        let request = request.content_type("application/json").body(ByteStream::from(bytes));
        let request = match when {
            When::Absent => request.if_none_match("*"),
            When::Is(Tag(tag)) => request.if_match(tag),
        };
        let error = match request.send().await {
            Ok(answer) => {
                let tag = answer.e_tag().map(|tag| Tag(tag.to_owned()));
                let untold = || StoreError {
                    doing: self.doing("PutObject", name),
                    code: None,
                    detail: "the answer tells no version (ETag)".to_owned(),
                    hint: None,
                    passing: false,
                };
                return tag.map(Put::Written).ok_or_else(untold);
            }
            Err(error) => error,
        };
        match (error.raw_response().map(|answer| answer.status().as_u16()), error.code()) {
            (Some(412), _) => Ok(Put::Refused),
            (Some(409), Some("ConditionalRequestConflict")) => Ok(Put::Conflict),
            (Some(404), Some("NoSuchKey")) => Ok(Put::Gone),
            _ => Err(self.fault("PutObject", name, &error)),
        }
    }
}
