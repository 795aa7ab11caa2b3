//! Answers that came whole.
//!
//! The SDK reads a document up to where it ends, even in the middle of a list: what a proxy or a broken connection cut off
//! would count as not there. A page that is not whole is no page.

use aws_sdk_ec2::config::interceptors::AfterDeserializationInterceptorContextRef;
use aws_sdk_ec2::config::{ConfigBag, Intercept, RuntimeComponents};
use aws_sdk_ec2::error::BoxError;

/// Refuses successes whose document is cut off.
#[derive(Debug)]
pub(super) struct Whole;

impl Intercept for Whole {
    fn name(&self) -> &'static str {
        "whole answers"
    }

    fn read_after_deserialization(
        &self,
        context: &AfterDeserializationInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let response = context.response();
        let body = response.body().bytes().unwrap_or_default();
        if response.status().is_success() && !is_whole(body) {
            return Err("the document is cut off".into());
        }
        Ok(())
    }
}

/// Whether a document ends with the element that it begins with. What is no XML is for others to judge.
fn is_whole(body: &[u8]) -> bool {
    let text = String::from_utf8_lossy(body);
    let mut rest = text.trim();
    if let Some((_, behind)) = rest.strip_prefix("<?xml").and_then(|rest| rest.split_once("?>")) {
        rest = behind.trim_start();
    }
    let Some(inside) = rest.strip_prefix('<').filter(|inside| !inside.starts_with('!')) else { return true };
    let end = |c: char| c.is_whitespace() || c == '>' || c == '/';
    let name = inside.split(end).next().unwrap_or_default();
    let alone = inside.split_once('>').is_some_and(|(tag, behind)| tag.ends_with('/') && behind.is_empty());
    alone || rest.ends_with(&format!("</{name}>"))
}

#[cfg(test)]
mod tests {
    use super::is_whole;

    #[test]
    fn a_document_ends_as_it_begins() {
        let whole =
            "<?xml version=\"1.0\"?>\n<DescribeKeyPairsResponse xmlns=\"x\"><keySet/></DescribeKeyPairsResponse>\n";
        for text in [whole, "<a/>", "<a x=\"1\"/>", "<a></a>", "", "{}", "<!doctype html><p>"] {
            assert!(is_whole(text.as_bytes()), "{text}");
        }
        let start = whole.find("<Describe").expect("the element");
        for end in start + 1..whole.trim_end().len() {
            assert!(!is_whole(&whole.as_bytes()[..end]), "{}", &whole[..end]);
        }
    }
}
