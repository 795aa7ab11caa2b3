//! What both dialects write, and that nothing hostile gets out of its place. What the kernel makes of it is shown elsewhere.

use proptest::collection::{btree_map, vec};
use proptest::prelude::*;

use super::*;
use crate::model::{AddressSet, StackName};
use crate::resources::host_firewall::ruleset::{Established, Held, Mode, Origin, Rule, RuleKey, Settings, Traffic};
use crate::resources::host_firewall::{iptables, marker};

fn names() -> Names {
    Names::of(&StackName::new("shop").unwrap())
}

fn nets(texts: &[&str]) -> AddressSet {
    texts.iter().map(|text| text.parse().unwrap()).collect()
}

fn guard() -> Ruleset {
    let settings = Settings { mode: Mode::Guard, established: Established::Keep, families: [Family::Ipv4].into() };
    let mut rule = Rule::new(RuleKey::Named("web".into()), Traffic::tcp(80));
    rule.sources.insert(Origin::Spec, Held { addresses: nets(&["10.0.0.0/24", "192.0.2.1/32"]), seen: None });
    Ruleset { settings, rules: [(rule.key.clone(), rule)].into() }
}

/// What is done on a host where nothing is, dialect by dialect.
fn texts(backend: Backend, rules: &Ruleset, tags: &Tags, attach: &Attach) -> Vec<String> {
    let listing = Listing {
        nft: Some("{\"nftables\": []}".to_owned()),
        iptables: Some(String::new()),
        ip6tables: Some(String::new()),
        ipset: Some(String::new()),
    };
    let reading = Reading::of(&names(), &listing).unwrap();
    let wanted = Wanted { backend, rules, tags, attach, raise: true };
    let change = reading.change(backend, Some(wanted), &[]);
    let mut texts: Vec<String> = change.inputs().chain(&change.undo).map(|input| input.text.clone()).collect();
    texts.extend(boot(&names(), &wanted).into_iter().map(|input| input.text));
    texts
}

#[test]
fn a_table_of_nftables_is_made_of_sets_and_then_of_chains() {
    let tags = Tags::from([("portcullis:stack".to_owned(), "shop".to_owned())]);
    let texts = texts(Backend::Nftables, &guard(), &tags, &Attach::Input);
    let expected = r#"table inet portcullis_shop
delete table inet portcullis_shop
table inet portcullis_shop {
 set n_web.spec.v4 {
  type ipv4_addr
  flags interval
  elements = { 10.0.0.0/24, 192.0.2.1 }
 }
 chain marker {
  continue comment "portcullis 1"
  continue comment "settings mode=guard established=keep families=ipv4"
  continue comment "tag portcullis%3Astack=shop"
  continue comment "rule n=web protocol=6 ports=80-80"
  continue comment "from spec"
 }
 chain input {
  type filter hook input priority -10; policy accept;
  meta nfproto ipv6 counter return
  iifname "lo" counter accept
  ct state established,related counter accept
  ip saddr @n_web.spec.v4 meta l4proto 6 th dport { 80 } counter accept comment "web from the spec"
  meta l4proto 6 th dport { 80 } counter drop comment "tcp 80 from others"
 }
}
"#;
    // The sets first, and then the chains: no rule is there before the elements that it looks at.
    let (sets, chains) = expected.split_once(" chain marker").expect("two halves");
    assert_eq!(texts[0], format!("{sets}}}\n"));
    assert_eq!(texts[1], format!("table inet portcullis_shop {{\n chain marker{chains}"));
    assert_eq!(texts[2], "table inet portcullis_shop\ndelete table inet portcullis_shop\n");
    assert_eq!(texts[3], expected, "a boot restores the same, at once");
}

#[test]
fn chains_of_iptables_are_one_text_after_their_sets() {
    let texts = texts(Backend::Iptables, &guard(), &Tags::new(), &Attach::Input);
    let set = names().ipset(&RuleKey::Named("web".into()), &Origin::Spec, Family::Ipv4);
    assert_eq!(
        texts[0],
        format!("create {set} hash:net family inet maxelem 1048576\nadd {set} 10.0.0.0/24\nadd {set} 192.0.2.1/32\n")
    );
    let rules = texts[1].replace(&names().chain(), "OURS").replace(&set, "SET");
    let expected = "*filter
:OURS - [0:0]
:OURS-m - [0:0]
-I INPUT 1 -m comment --comment \"portcullis shop\" -j OURS
-A OURS -i lo -j ACCEPT
-A OURS -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
-A OURS -p 6 -m multiport --dports 80 -m set --match-set SET src -m comment --comment \"web from the spec\" -j ACCEPT
-A OURS -p 6 -m multiport --dports 80 -m comment --comment \"tcp 80 from others\" -j DROP
-A OURS-m -m comment --comment \"portcullis 1\"
-A OURS-m -m comment --comment \"settings mode=guard established=keep families=ipv4\"
-A OURS-m -m comment --comment \"rule n=web protocol=6 ports=80-80\"
-A OURS-m -m comment --comment \"from spec\"
-A OURS-m -m comment --comment \"change ";
    assert!(rules.starts_with(expected), "{rules}");
    assert!(!texts.iter().any(|text| text.contains("ip6tables")));
}

#[test]
fn a_marker_of_another_version_is_refused() {
    let why = marker::read(&["portcullis 2".to_owned()]).unwrap_err();
    assert!(why.contains("version 2"), "{why}");
    let strange =
        marker::read(&["portcullis 1".to_owned(), "mode deny".to_owned(), "from nowhere".to_owned()]).unwrap();
    assert_eq!(strange.strange, ["mode deny", "from nowhere"]);
}

#[test]
fn what_is_no_listing_is_refused() {
    let bad = [
        Listing { nft: Some("nft: command not found".to_owned()), ..Listing::default() },
        Listing { nft: Some("{}".to_owned()), ..Listing::default() },
        Listing { iptables: Some("*filter\nsomething\nCOMMIT\n".to_owned()), ..Listing::default() },
        Listing { ip6tables: Some("-A INPUT -j DROP\n".to_owned()), ..Listing::default() },
    ];
    for listing in bad {
        assert!(Reading::of(&names(), &listing).is_err(), "{listing:?}");
    }
}

#[test]
fn a_line_break_in_a_comment_of_others_makes_no_rule() {
    let saved =
        "*filter\n:INPUT DROP [0:0]\n-A INPUT -m comment --comment \"x\n-A INPUT -j ACCEPT\n\" -j DROP\nCOMMIT\n";
    let listing = Listing { iptables: Some(saved.to_owned()), ..Listing::default() };
    let reading = Reading::of(&names(), &listing).unwrap();
    assert_eq!(reading.foreign.ipv4[0].rules.len(), 1);
    assert!(reading.foreign.doubts.iter().any(|doubt| doubt.contains("line break")), "{:?}", reading.foreign.doubts);
    let text = reading.foreign.ipv4[0].rules[0].text.clone();
    assert!(reading.change(Backend::Iptables, None, &[text]).is_empty(), "nor is it adopted");
}

#[test]
fn all_addresses_are_two_halves_to_ipset() {
    let mut rules = guard();
    let held = Held { addresses: nets(&["0.0.0.0/0", "::/0"]), seen: None };
    rules.rules.values_mut().for_each(|rule| rule.sources = [(Origin::Spec, held.clone())].into());
    let sets = texts(Backend::Iptables, &rules, &Tags::new(), &Attach::Input).remove(0);
    for half in ["0.0.0.0/1", "128.0.0.0/1", "::/1", "8000::/1"] {
        assert!(sets.contains(&format!(" {half}\n")), "{sets}");
    }
}

/// Lines that may follow each other in a text, whatever the names in it are.
fn is_in_its_place(backend: Backend, line: &str) -> bool {
    let quotes = line.matches('"').count();
    let plain = line.bytes().all(|b| (b' '..=b'~').contains(&b)) && !line.contains(['\'', '\\', '$', '`']);
    let begins: &[&str] = match backend {
        Backend::Nftables => &[
            "table inet ",
            "delete table ",
            " set ",
            "  type ",
            "  flags interval",
            "  elements = {",
            " }",
            " chain ",
            "  continue comment \"",
            "  meta nfproto ",
            "  iifname \"lo\" ",
            "  ct state ",
            "  ip saddr @",
            "  ip6 saddr @",
            "  meta l4proto ",
            "  icmp type",
            "  icmpv6 type",
            "  counter ",
            "  ip daddr ",
            "  ip6 daddr ",
            "}",
        ],
        Backend::Iptables => &[
            "*filter",
            ":portcullis-shop-",
            "-I INPUT 1 ",
            "-I no-such-chain 1 ",
            "-A portcullis-shop-",
            "-D INPUT -m comment",
            "-D portcullis-shop-",
            "-D no-such-chain ",
            "-F portcullis-shop-",
            "-X portcullis-shop-",
            "-I FORWARD 1 ",
            "-D FORWARD ",
            "COMMIT",
            "create pc-",
            "add pc-",
            "flush pc-",
            "swap pc-",
            "destroy pc-",
        ],
    };
    plain && quotes.is_multiple_of(2) && quotes <= 4 && begins.iter().any(|begin| line.starts_with(begin))
}

fn hostile() -> impl Strategy<Value = String> {
    prop_oneof![
        any::<String>(),
        Just("x\"\n-A portcullis-IN -j ACCEPT".to_owned()),
        Just("x\" accept\n}\nflush ruleset\n".to_owned()),
        Just("$(reboot)`reboot`'; reboot".to_owned()),
    ]
}

proptest! {
    #[test]
    fn nothing_hostile_gets_out_of_its_place(
        keys in vec(hostile(), 0..4),
        tags in btree_map(hostile(), hostile(), 0..4),
        attach in prop_oneof![hostile().prop_map(|text| format!("{text} x")), Just("FORWARD".to_owned())],
        deny in any::<bool>(),
    ) {
        let mut rules = guard();
        rules.settings = Settings { mode: if deny { Mode::Deny } else { Mode::Guard }, ..Settings::default() };
        let rule = guard().rules.into_values().next().unwrap();
        for key in keys {
            let key = RuleKey::Named(key);
            rules.rules.insert(key.clone(), Rule { key, ..rule.clone() });
        }
        for backend in [Backend::Nftables, Backend::Iptables] {
            for text in texts(backend, &rules, &tags, &Attach::Chain(attach.clone())) {
                for line in text.lines() {
                    prop_assert!(is_in_its_place(backend, line), "{}", line);
                }
            }
        }
        let told = marker::read(&marker::write(&Wanted {
            backend: Backend::Nftables, rules: &rules, tags: &tags, attach: &Attach::Chain(attach.clone()), raise: false,
        })).unwrap();
        prop_assert_eq!(told.tags, tags);
        prop_assert_eq!(told.attach, Some(Attach::Chain(attach)));
        prop_assert_eq!(told.rules.rules.keys().collect::<Vec<_>>(), rules.rules.keys().collect::<Vec<_>>());
        prop_assert!(told.strange.is_empty());
    }

    #[test]
    fn no_listing_of_iptables_makes_it_fall_over(text in any::<String>(), words in vec("[-!a-zA-Z0-9\", :/]{0,12}", 0..12)) {
        for text in [text, format!("*filter\n:INPUT DROP [0:0]\n-A INPUT {}\nCOMMIT\n", words.join(" "))] {
            let listing = Listing { iptables: Some(text), ..Listing::default() };
            if let Ok(saved) = iptables::Saved::read(&listing) {
                prop_assert!(saved.families.len() == 1);
                drop(Reading::of(&names(), &listing));
            }
        }
    }
}
