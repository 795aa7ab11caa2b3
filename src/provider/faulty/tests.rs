//! Faults: what they leave done, and what they leave undone.

use super::*;
use crate::provider::sim::Sim;
use crate::provider::sim::tests::{allocate, here, scope};

fn faulty(when: When) -> Faulty<Sim> {
    Faulty::new(Sim::in_memory(World::default())).with(Fault { at: 2, when, class: Class::Transient })
}

#[tokio::test]
async fn the_nth_call_fails_on_one_side_of_its_effect() {
    for (when, made, ambiguous) in [(When::Before, 1, false), (When::After, 2, true)] {
        let provider = faulty(when);
        let known = Bindings::default();
        provider.perform(&allocate("a", "shop"), &known).await.unwrap();
        let error = provider.perform(&allocate("b", "shop"), &known).await.unwrap_err();
        assert_eq!((error.class, error.ambiguous), (Class::Transient, ambiguous));
        assert_eq!(provider.observe(&scope()).await.unwrap().objects.len(), made);
        provider.perform(&allocate("b", "shop"), &known).await.unwrap();
        assert_eq!(provider.observe(&scope()).await.unwrap().objects.len(), 2, "a repeat makes nothing twice");
        let calls: Vec<String> = provider.calls().iter().map(|call| call.at.to_string()).collect();
        assert_eq!(calls, ["elastic_ip.a", "elastic_ip.b", "elastic_ip.b"]);
        assert_eq!((provider.fired(), provider.inner().counts().perform), (1, 1 + made));
    }
}

#[tokio::test]
async fn a_refused_call_has_no_reply_to_lose() {
    let mut world = World::default();
    world.region_mut(&here()).set_unavailable(Some("not enabled".to_owned()));
    let fault = Fault { at: 1, when: When::After, class: Class::Transient };
    let provider = Faulty::new(Sim::in_memory(world)).with(fault);
    let error = provider.perform(&allocate("a", "shop"), &Bindings::default()).await.unwrap_err();
    assert_eq!((error.class, error.ambiguous, provider.fired()), (Class::Denied, false, 0));
}

#[tokio::test]
async fn a_listing_may_fail() {
    let provider = Faulty::new(Sim::in_memory(World::default())).with_observe(2, Class::Throttled);
    provider.observe(&scope()).await.unwrap();
    assert_eq!(provider.observe(&scope()).await.unwrap_err().class, Class::Throttled);
    provider.observe(&scope()).await.unwrap();
}
