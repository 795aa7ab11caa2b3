//! What takes its time: certificates that are not seen yet, ports and subnets that were given up a moment ago.

use super::*;

const LATE: &str = "arn:aws:acm:eu-west-1:123456789012:certificate/late";
const UNKNOWN: &str = "arn:aws:acm:eu-west-1:123456789012:certificate/unknown";

fn with(certificate: &str) -> Listener {
    Listener { certificate: Some(certificate.to_owned()), ..listener(Protocol::Https, Protocol::Http) }
}

fn add(port: u16, listener: Listener) -> Action {
    act(On::AddListeners(BTreeMap::from([(port, listener)])))
}

fn remove(port: u16) -> Action {
    act(On::RemoveListeners(BTreeSet::from([port])))
}

/// A world whose region has the usual certificate, and another from some second on.
fn knowing(late: u64) -> Lab {
    let mut lab = Lab::default();
    let certificates = BTreeMap::from([(CERTIFICATE.to_owned(), 0), (LATE.to_owned(), late)]);
    lab.world.region_mut(&here()).set_certificates(certificates);
    lab
}

/// A call that waits as long as it may, and then is refused without a trace.
fn in_vain(lab: &mut Lab, seconds: u64, action: Action) -> WorldError {
    let clock = lab.world.clock();
    let before: Vec<Object> = lab.world.objects().cloned().collect();
    let error = lab.within(seconds, FRONT, action).expect_err("is refused");
    assert_eq!(lab.world.clock(), clock + 1 + seconds);
    assert_eq!(before, lab.world.objects().cloned().collect::<Vec<_>>());
    assert_eq!(lab.world.audit(), Vec::<String>::new());
    error
}

#[test]
fn a_new_one_waits_for_its_certificates() {
    let mut lab = knowing(200);
    let new = |lab: &Lab, certificate: &str| {
        let mut new = front(&lab.world, FRONT);
        new.listeners.insert(443, with(certificate));
        create(new)
    };
    for (certificate, seconds) in [(UNKNOWN, 50), (LATE, 50)] {
        let action = new(&lab, certificate);
        let error = in_vain(&mut lab, seconds, action);
        assert_eq!((error.trouble, error.code), (Trouble::NotFound, "CertificateNotFound"));
        assert_eq!(error.message, format!("the certificate `{certificate}` does not exist"));
    }
    let action = new(&lab, LATE);
    lab.fine(FRONT, action);
    assert_eq!(lab.world.clock(), 200);
    lab.fine(FRONT, act(On::Delete));
    let action = new(&lab, CERTIFICATE);
    lab.fine(FRONT, action);
    assert_eq!(lab.world.clock(), 202, "one that is seen is not waited for");
}

#[test]
fn a_listener_waits_for_its_certificate() {
    let mut lab = knowing(100);
    lab.made();
    assert_eq!(in_vain(&mut lab, 50, add(443, with(LATE))).code, "CertificateNotFound");
    let both = act(On::AddListeners(BTreeMap::from([(443, with(CERTIFICATE)), (444, with(UNKNOWN))])));
    assert_eq!(in_vain(&mut lab, 20, both).message, format!("the certificate `{UNKNOWN}` does not exist"));
    lab.fine(FRONT, add(443, with(LATE)));
    assert_eq!(lab.world.clock(), 100);
    // A certificate that AWS drops is not looked at.
    let dropped = Listener { certificate: Some(UNKNOWN.to_owned()), ..http() };
    lab.fine(FRONT, add(81, dropped));
    assert_eq!(lab.world.clock(), 101);
}

#[test]
fn another_certificate_is_waited_for() {
    let mut lab = knowing(100);
    lab.made();
    lab.fine(FRONT, add(443, with(CERTIFICATE)));
    let set = |certificate: &str| act(On::SetCertificate { port: 443, certificate: certificate.to_owned() });
    assert_eq!(in_vain(&mut lab, 30, set(UNKNOWN)).trouble, Trouble::NotFound);
    lab.fine(FRONT, set(LATE));
    assert_eq!(lab.world.clock(), 100);
    assert_eq!(lab.balancer().listeners.get(&443).unwrap().certificate.as_deref(), Some(LATE));
}

#[test]
fn a_port_is_free_a_little_after_its_listener_is_gone() {
    let mut lab = Lab::default();
    lab.made();
    let other = || Listener { instance_port: 9000, ..http() };
    let clock = lab.world.clock();
    assert_eq!(lab.refused(FRONT, add(80, other())), "DuplicateListener");
    assert_eq!(lab.world.clock(), clock + 1, "one that stays is not waited for");
    lab.fine(FRONT, remove(80));
    let clock = lab.world.clock();
    let error = in_vain(&mut lab, 2, add(80, other()));
    assert_eq!((error.trouble, error.code), (Trouble::AlreadyExists, "DuplicateListener"));
    assert!(error.message.ends_with("still has the listener on port 80 that was removed a moment ago"), "{error}");
    lab.fine(FRONT, add(81, other()));
    assert_eq!(lab.world.clock(), clock + 4, "another port is free");
    lab.fine(FRONT, add(80, other()));
    assert_eq!(lab.world.clock(), clock + 5);
    lab.fine(FRONT, remove(80));
    lab.world.pass(60);
    let clock = lab.world.clock();
    lab.fine(FRONT, add(80, other()));
    assert_eq!(lab.world.clock(), clock + 1);
}

#[test]
fn a_port_that_was_never_taken_is_free_at_once() {
    let mut lab = Lab::default();
    lab.made();
    lab.fine(FRONT, remove(443));
    let clock = lab.world.clock();
    lab.fine(FRONT, add(443, with(CERTIFICATE)));
    assert_eq!(lab.world.clock(), clock + 1);
    lab.fine(FRONT, remove(443));
    lab.fine(FRONT, act(On::Delete));
    lab.made();
    let clock = lab.world.clock();
    lab.fine(FRONT, add(443, with(CERTIFICATE)));
    assert_eq!(lab.world.clock(), clock + 1, "another of the same name never had it");
}

#[test]
fn a_zone_is_free_a_little_after_its_subnet_was_given_up() {
    let mut lab = Lab::default();
    super::settings::strange_network(&mut lab);
    lab.made();
    let first = subnets(&lab.world).remove(0).id;
    let other = SubnetId::new("subnet-0000000a");
    let attach = |id: &SubnetId| act(On::AttachSubnets([id.clone()].into()));
    let detach = |id: &SubnetId| act(On::DetachSubnets { subnets: [id.clone()].into(), keep: 0 });
    assert_eq!(lab.refused(FRONT, attach(&other)), "InvalidConfigurationRequest");
    lab.fine(FRONT, detach(&first));
    let clock = lab.world.clock();
    let error = in_vain(&mut lab, 2, attach(&other));
    assert_eq!((error.trouble, error.code), (Trouble::WrongState, "InvalidConfigurationRequest"));
    assert_eq!(
        error.message,
        format!("`eu-west-1/front` still stands in `{first}`, and `{other}` is in the same zone")
    );
    lab.fine(FRONT, attach(&subnets(&lab.world).remove(2).id));
    assert_eq!(lab.world.clock(), clock + 4, "other zones are free");
    lab.fine(FRONT, attach(&other));
    assert_eq!((lab.world.clock(), lab.balancer().subnets.len()), (clock + 5, 3));
    lab.fine(FRONT, detach(&other));
    let clock = lab.world.clock();
    lab.fine(FRONT, attach(&other));
    assert_eq!(lab.world.clock(), clock + 1, "the same one is not in its own way");
}

#[test]
fn a_file_keeps_what_is_under_way() {
    let mut lab = knowing(1000);
    lab.made();
    let bare = serde_json::to_string(&Lab::default().world).unwrap();
    assert!(!bare.contains("certificates"), "{bare}");
    lab.fine(FRONT, add(443, with(CERTIFICATE)));
    lab.fine(FRONT, remove(443));
    let first = subnets(&lab.world).remove(0).id;
    lab.fine(FRONT, act(On::DetachSubnets { subnets: [first].into(), keep: 0 }));
    let text = serde_json::to_string(&lab.world).unwrap();
    for word in ["certificates", "closing", "detaching"] {
        assert!(text.contains(&format!("\"{word}\"")), "{word} in {text}");
    }
    assert_eq!(serde_json::from_str::<World>(&text).unwrap(), lab.world);
}
