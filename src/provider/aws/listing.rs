//! Listings: what is selected, page by page, and matched again exactly on our side.

use std::collections::{BTreeMap, BTreeSet};
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::task::Poll;

use aws_sdk_ec2::types::{Filter, ResourceType, Tag, TagSpecification};

use crate::model::id::well_formed;
use crate::model::{CloudId, StackName, Tags, tags};
use crate::port::{Class, ProviderError};
use crate::resources::registry::Object;

/// How many values one filter takes.
pub const VALUES: usize = 200;
/// How many entries a page is asked to have, the most that the `Describe` calls give.
pub const PAGE: i32 = 1000;

/// Which objects of a kind are listed.
#[derive(Debug, Clone, Copy)]
pub enum Select<'a> {
    /// Those that carry a stack's tag.
    Owned(&'a StackName),
    /// Those with these ids.
    Ids(&'a [CloudId]),
    /// Those with these ids or names.
    Called(&'a BTreeSet<String>),
}

/// The filters by which a kind finds ids and names.
#[derive(Debug, Clone, Copy)]
pub struct Keys {
    /// What its ids begin with.
    pub prefix: &'static str,
    /// The filter for ids.
    pub id: &'static str,
    /// The filter for names.
    pub name: &'static str,
}

impl Select<'_> {
    /// The filters, one set for each listing that it takes.
    #[must_use]
    pub fn filters(&self, keys: Keys) -> Vec<Vec<Filter>> {
        match self {
            Self::Owned(stack) => vec![vec![filter(&format!("tag:{}", tags::STACK), [stack.as_str()])]],
            Self::Ids(ids) => by(keys.id, ids.iter().map(CloudId::as_str)),
            Self::Called(called) => {
                let is_id = |text: &&str| well_formed(text, keys.prefix);
                let mut all = by(keys.id, called.iter().map(String::as_str).filter(is_id));
                all.extend(by(keys.name, called.iter().map(String::as_str).filter(|text| !is_id(text))));
                all
            }
        }
    }

    /// Whether a listed object is one that was meant: filter values are patterns on AWS, in which `*` and `?` stand for
    /// anything (<https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/Using_Filtering.html>).
    #[must_use]
    pub fn takes(&self, object: &Object, name: Option<&str>) -> bool {
        self.means(&object.id, &object.tags, name)
    }

    /// The same of an object that is not read to the end yet.
    #[must_use]
    pub fn means(&self, id: &CloudId, listed: &Tags, name: Option<&str>) -> bool {
        match self {
            Self::Owned(stack) => listed.get(tags::STACK).is_some_and(|value| value == stack.as_str()),
            Self::Ids(ids) => ids.contains(id),
            Self::Called(called) => called.contains(id.as_str()) || name.is_some_and(|name| called.contains(name)),
        }
    }
}

/// One filter over values, in as many sets as its limit demands.
fn by<'a>(name: &str, values: impl Iterator<Item = &'a str>) -> Vec<Vec<Filter>> {
    let values: Vec<&str> = values.collect();
    values.chunks(VALUES).map(|chunk| vec![filter(name, chunk.iter().copied())]).collect()
}

/// One filter.
#[must_use]
pub fn filter<'a>(name: &str, values: impl IntoIterator<Item = &'a str>) -> Filter {
    let values = values.into_iter().map(str::to_owned).collect();
    Filter::builder().name(name).set_values(Some(values)).build()
}

/// One filter over any number of ids, in sets of at most [`VALUES`].
#[must_use]
pub fn chunks<'a>(name: &str, ids: impl IntoIterator<Item = &'a str>) -> Vec<Vec<Filter>> {
    by(name, ids.into_iter())
}

/// Tags as listed.
#[must_use]
pub fn from_wire(listed: Option<&[Tag]>) -> Tags {
    let pair = |tag: &Tag| Some((tag.key()?.to_owned(), tag.value().unwrap_or_default().to_owned()));
    listed.unwrap_or_default().iter().filter_map(pair).collect()
}

/// Tags to write.
#[must_use]
pub fn to_wire(tags: &Tags) -> Vec<Tag> {
    tags.iter().map(|(key, value)| Tag::builder().key(key).value(value).build()).collect()
}

/// Tags to take away, whatever their value.
#[must_use]
pub fn keys(keys: &BTreeSet<String>) -> Vec<Tag> {
    keys.iter().map(|key| Tag::builder().key(key).build()).collect()
}

/// Tags written in the creating call; none when there are none, as AWS refuses an empty specification.
#[must_use]
pub fn specification(what: ResourceType, tags: &Tags) -> Option<TagSpecification> {
    let written = TagSpecification::builder().resource_type(what).set_tags(Some(to_wire(tags))).build();
    (!tags.is_empty()).then_some(written)
}

/// Whether an object carries exactly the ownership that a creating call would have written.
#[must_use]
pub fn same_owner(listed: &Tags, wanted: &Tags) -> bool {
    [tags::STACK, tags::ADDRESS, tags::GENERATION]
        .into_iter()
        .all(|key| listed.get(key).is_some() && listed.get(key) == wanted.get(key))
}

/// Reads pages until there is none left. A page may be empty and still not be the last.
///
/// # Errors
/// The first page that cannot be read, or one that leads back to where we were.
pub async fn pages<T, F, Fut>(doing: &str, page: F) -> Result<Vec<T>, ProviderError>
where
    F: Fn(Option<String>) -> Fut + Send + Sync,
    Fut: Future<Output = Result<(Option<Vec<T>>, Option<String>), ProviderError>> + Send,
    T: Send,
{
    let mut all = Vec::new();
    let mut visited = BTreeSet::new();
    let mut token = None;
    loop {
        let (entries, next) = page(token).await?;
        all.extend(entries.unwrap_or_default());
        match next.filter(|next| !next.is_empty()) {
            None => return Ok(all),
            Some(next) if visited.insert(next.clone()) => token = Some(next),
            Some(_) => return Err(ProviderError::new(Class::Transient, doing, "its pages lead in a circle")),
        }
    }
}

/// Reads several listings at once, and joins them; an entry that two of them have counts once.
///
/// # Errors
/// The first that cannot be read.
pub async fn join<F>(listings: Vec<F>) -> Result<Vec<Object>, ProviderError>
where
    F: Future<Output = Result<Vec<Object>, ProviderError>> + Send,
{
    let mut objects = BTreeMap::new();
    for listed in together(listings).await {
        objects.extend(listed?.into_iter().map(|object| (object.id.clone(), object)));
    }
    Ok(objects.into_values().collect())
}

/// Runs futures side by side and gives their results in order.
pub async fn together<F>(futures: Vec<F>) -> Vec<F::Output>
where
    F: Future + Send,
    F::Output: Send,
{
    enum Slot<F: Future> {
        Running(Pin<Box<F>>),
        Done(Option<F::Output>),
    }
    let mut slots: Vec<Slot<F>> = futures.into_iter().map(|future| Slot::Running(Box::pin(future))).collect();
    poll_fn(move |cx| {
        let mut running = false;
        for slot in &mut slots {
            if let Slot::Running(future) = slot {
                match future.as_mut().poll(cx) {
                    Poll::Ready(output) => *slot = Slot::Done(Some(output)),
                    Poll::Pending => running = true,
                }
            }
        }
        if running {
            return Poll::Pending;
        }
        let outputs = slots.iter_mut().filter_map(|slot| match slot {
            Slot::Running(_) => None,
            Slot::Done(output) => output.take(),
        });
        Poll::Ready(outputs.collect())
    })
    .await
}

/// What a listing promises and does not have.
#[must_use]
pub fn incomplete(doing: &str, what: &str) -> ProviderError {
    ProviderError::new(Class::Transient, doing, format!("the answer has no {what}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Address;
    use crate::model::tags::Owner;

    fn owned(generation: u32) -> Tags {
        let address: Address = "instance.web-0".parse().expect("an address");
        Owner { stack: "shop".to_owned(), address, generation, origin: None }.tags()
    }

    #[test]
    fn ids_and_names_are_asked_for_apart_and_in_pieces() {
        let keys = Keys { prefix: "sg-", id: "group-id", name: "group-name" };
        let called: BTreeSet<String> =
            (0..450).map(|n| format!("sg-{n:08x}")).chain(["sg-".to_owned(), "web".to_owned()]).collect();
        let sets = Select::Called(&called).filters(keys);
        let shape: Vec<(&str, usize)> =
            sets.iter().flatten().map(|one| (one.name().unwrap_or_default(), one.values().len())).collect();
        assert_eq!(shape, [("group-id", 200), ("group-id", 200), ("group-id", 50), ("group-name", 2)]);
    }

    #[test]
    fn ownership_is_the_same_only_when_all_of_it_is() {
        assert!(same_owner(&owned(1), &owned(1)));
        assert!(!same_owner(&owned(1), &owned(2)));
        assert!(!same_owner(&Tags::new(), &Tags::new()));
    }

    #[test]
    fn no_tags_are_no_specification() {
        assert!(specification(ResourceType::Instance, &Tags::new()).is_none());
        assert!(specification(ResourceType::Instance, &owned(1)).is_some());
    }

    #[tokio::test]
    async fn an_empty_page_is_not_the_last_and_a_circle_is_an_error() {
        let book = |token: Option<String>| async move {
            Ok(match token.as_deref() {
                None => (Some(vec![1]), Some("a".to_owned())),
                Some("a") => (None, Some("b".to_owned())),
                Some(_) => (Some(vec![2]), None),
            })
        };
        assert_eq!(pages("reading", book).await, Ok(vec![1, 2]));
        let circle = |_| async { Ok((Some(vec![1]), Some("a".to_owned()))) };
        assert!(pages("reading", circle).await.is_err());
    }

    #[tokio::test]
    async fn results_come_in_the_order_of_the_questions() {
        let slow = |n: u64| async move {
            tokio::time::sleep(std::time::Duration::from_millis(30 - 10 * n)).await;
            n
        };
        assert_eq!(together(vec![slow(0), slow(1), slow(2)]).await, [0, 1, 2]);
    }
}
