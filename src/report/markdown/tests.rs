//! Pages of plans made by hand and by chance.

use crate::plan::LeftOver;
use proptest::prelude::*;

use super::*;
use crate::model::{CloudId, Kind, Name, Region, StackName};
use crate::plan::Because;
use crate::report::document::{FORMAT_VERSION, StepDoc, Summary, WaitDoc};
use crate::resources::snapshot::Unseen;
use crate::resources::{Note, RefusalKind, Wave};

/// What somebody could write who wants a page to say something else.
const NASTY: &[&str] = &[
    "`",
    "```",
    "````\n",
    "|",
    "\n",
    "\r\n",
    "</details>",
    "</code>",
    "<b>",
    "@octocat",
    "#1",
    "\\",
    "\\|",
    "*",
    "_",
    "[a](b)",
    "-->",
    "<!--",
    "$",
    "http://a.example",
    "\u{202e}",
    "\u{1b}[31m",
    "\u{2028}",
    "ä",
    "- x",
    " ",
    "word",
    "7",
    "&amp;",
];

fn address(name: &str) -> Address {
    Address::new(Kind::Instance, Name::try_from(name.to_owned()).unwrap())
}

fn change(verb: Verb, name: &str) -> ChangeDoc {
    ChangeDoc {
        address: address(name),
        region: Region::new("eu-west-1").unwrap(),
        verb,
        object: None,
        summary: String::new(),
        left_over: None,
        fields: Vec::new(),
        impact: Impact::None,
        notes: Vec::new(),
        affected: Vec::new(),
    }
}

fn field(name: &str, edit: Edit, effect: Effect) -> Field {
    Field { name: name.to_owned(), edit, effect }
}

fn empty() -> PlanDoc {
    PlanDoc {
        basis: None,
        hash: None,
        format_version: FORMAT_VERSION,
        tool_version: String::new(),
        world: World::Aws,
        goal: GoalDoc::Converge,
        stack: StackName::new("shop").unwrap(),
        origin: None,
        account: None,
        regions: [Region::new("eu-west-1").unwrap()].into(),
        summary: Summary::default(),
        refusals: Vec::new(),
        risks: Vec::new(),
        exposures: Vec::new(),
        rolls: Vec::new(),
        changes: Vec::new(),
        remarks: Vec::new(),
        retained: Vec::new(),
        unseen: Vec::new(),
        rehearsal: None,
        steps: Vec::new(),
    }
}

/// A plan in which something of everything happens.
fn busy() -> PlanDoc {
    let replaced = ChangeDoc {
        object: Some(CloudId::new("i-1")),
        fields: vec![
            field("image", Edit::Value { before: Some("ami-1".to_owned()), after: None }, Effect::Replace),
            field(
                "user_data",
                Edit::Text { before: Some("a\nb\n".to_owned()), after: Some("a\n```\n</details>\n".to_owned()) },
                Effect::Replace,
            ),
            field("secret", Edit::Hidden, Effect::InPlace),
        ],
        impact: Impact::DataLoss,
        notes: vec![Note::new(Impact::None, "`keep` | @everybody")],
        affected: vec![address("other")],
        ..change(Verb::Replace, "db")
    };
    let opened = ChangeDoc {
        fields: vec![
            field("ingress", Edit::Added("tcp 22 from 0.0.0.0/0 \"a|b`c\"".to_owned()), Effect::InPlace),
            field("ingress", Edit::Removed("tcp 23 from 10.0.0.0/8".to_owned()), Effect::InPlace),
            field(
                "listeners.80",
                Edit::Value { before: None, after: Some("http to http 8000".to_owned()) },
                Effect::InPlace,
            ),
            field(
                "listeners.81.certificate",
                Edit::Value { before: None, after: Some("arn".to_owned()) },
                Effect::InPlace,
            ),
        ],
        ..change(Verb::Update, "edge")
    };
    let gone = ChangeDoc { left_over: Some(LeftOver::Orphan), ..change(Verb::Delete, "old") };
    let members =
        (0..3).map(|n| ChangeDoc { summary: "t3.small".to_owned(), ..change(Verb::Create, &format!("web-{n}")) });
    let risk = |impact, name: &str| Risk { impact, address: address(name), text: "it | goes".to_owned() };
    let step = |step, after| StepDoc {
        timeout: None,
        rereads: false,
        about: String::new(),
        step,
        title: "run".to_owned(),
        address: address("web-0"),
        region: Region::new("eu-west-1").unwrap(),
        wave: Wave::Make,
        on: None,
        call: serde_json::Value::Null,
        after,
    };
    let wait = WaitDoc { step: 1, because: Because::SameObject, words: "the same object".to_owned() };
    PlanDoc {
        world: World::Simulated,
        regions: ["eu-west-1", "us-east-1"].into_iter().map(|name| Region::new(name).unwrap()).collect(),
        summary: Summary { create: 3, steps: 2, longest_chain: 2, impact: Impact::DataLoss, ..Summary::default() },
        refusals: vec![
            Refusal::new(RefusalKind::Capacity, &address("web"), "`min_healthy = 2` leaves no room\nfor @octocat")
                .hint("add a member"),
            Refusal { kind: RefusalKind::Guard, address: None, message: "another account".to_owned(), hint: None },
        ],
        risks: vec![
            risk(Impact::DataLoss, "db-0"),
            risk(Impact::DataLoss, "db-1"),
            risk(Impact::Downtime, "web-0"),
            risk(Impact::Downtime, "web-1"),
        ],
        exposures: vec!["for a moment *everybody* may come in".to_owned()],
        changes: [replaced, opened, gone].into_iter().chain(members).collect(),
        retained: vec![address("kept")],
        unseen: vec![Unseen { region: Region::new("us-east-1").unwrap(), kind: None, why: "denied <b>".to_owned() }],
        steps: vec![step(1, Vec::new()), step(2, vec![wait])],
        ..empty()
    }
}

const BUSY: &str = r#"<!-- portcullis:plan shop -->
### Plan for stack `shop` in `eu-west-1`, `us-east-1` (simulated world)

3 to create, 0 unchanged, 1 kept. 2 calls, at most 2 in a row. Impact: data-loss.

#### Could not be seen

- `us-east-1`: denied &lt;b&gt;

#### Refused

- `instance.web`: `min_healthy = 2` leaves no room for @&#8203;octocat<br>hint: add a member
- **the plan**: another account

#### What goes

- **replace** `instance.db` `i-1` in `eu-west-1` for `image`, `user_data`
- **delete** `instance.old` in `eu-west-1`, no longer in the spec

#### Risk

- **data-loss** `instance.db-0`: it &#124; goes
- **data-loss** `instance.db-1`: it &#124; goes
- **downtime** `instance.web-0 … web-1 (2)`: it &#124; goes
- **exposure** for a moment \*everybody\* may come in

#### What becomes reachable

- `instance.edge` <code>tcp 22 from 0&#46;0&#46;0&#46;0/0 &#34;a&#124;b&#96;c&#34;</code>
- `instance.edge` `port 80: http to http 8000`

#### Kept, as protected or needed by what is

- `instance.kept`

#### Changes

| | resource | what | impact |
|---|---|---|---|
| `-/+` replace | `instance.db` in `eu-west-1` | `image`, `secret`, `user_data` | data-loss |
| `~` update | `instance.edge` in `eu-west-1` | `ingress` +1 -1, `listeners.80`, `listeners.81.certificate` |  |
| `-` delete | `instance.old` in `eu-west-1` | no longer in the spec |  |
| `+` create | `instance.web-0 … web-2 (3)` in `eu-west-1` | t3.small |  |

<details><summary>replace <code>instance.db</code> <code>i-1</code></summary>

````diff
  image: (replaces)
-   ami-1
  user_data: (replaces)
    a
-   b
+   ```
+   </details>
  secret: (sensitive, not shown)
````

- note: `keep` &#124; @&#8203;everybody
- also for `instance.other`

</details>

<details><summary>update <code>instance.edge</code></summary>

```diff
  ingress:
+   tcp 22 from 0.0.0.0/0 "a|b`c"
-   tcp 23 from 10.0.0.0/8
  listeners.80:
+   http to http 8000
  listeners.81.certificate:
+   arn
```

</details>

<details><summary>The order of 2 calls</summary>

```text
1 instance.web-0 run
2 instance.web-0 run
    after 1: the same object
```

</details>
"#;

#[test]
fn everything_has_its_place() {
    assert_eq!(plan(&busy(), BUDGET), BUSY);
}

#[test]
fn an_empty_plan_is_one_line_behind_its_marker() {
    assert_eq!(
        plan(&empty(), BUDGET),
        "<!-- portcullis:plan shop -->\n**Plan for stack `shop` in `eu-west-1`**. Nothing to do: 0 unchanged.\n"
    );
    let refused = PlanDoc { refusals: busy().refusals, ..empty() };
    assert!(plan(&refused, 0).contains("another account"));
}

#[test]
fn what_goes_is_lost_or_refused_is_there_whatever_the_budget() {
    let page = plan(&busy(), 0);
    for line in [
        "- **replace** `instance.db` `i-1`",
        "- **delete** `instance.old`",
        "- **data-loss** `instance.db-0`",
        "- **data-loss** `instance.db-1`",
        "leaves no room",
        "another account",
        "denied",
        "**Left out to fit**: 1 exposure, 1 risk, 2 rules, the rows of 6 changes, the details of 2 changes, the order of 2 calls.",
    ] {
        assert!(page.contains(line), "{line} is missing:\n{page}");
    }
    assert!(!page.contains("<details>") && !page.contains("#### Changes"), "{page}");
}

fn nasty() -> impl Strategy<Value = String> {
    prop::collection::vec(prop::sample::select(NASTY), 0..7).prop_map(|parts| parts.concat())
}

fn edit() -> impl Strategy<Value = Edit> {
    let text = || prop::option::of(nasty());
    prop_oneof![
        (text(), text()).prop_map(|(before, after)| Edit::Value { before, after }),
        nasty().prop_map(Edit::Added),
        nasty().prop_map(Edit::Removed),
        (text(), text()).prop_map(|(before, after)| Edit::Text { before, after }),
        Just(Edit::Hidden),
    ]
}

fn any_change() -> impl Strategy<Value = ChangeDoc> {
    let verbs = [Verb::Create, Verb::Adopt, Verb::Update, Verb::Replace, Verb::Delete, Verb::Release];
    let impacts = [Impact::None, Impact::Reconnect, Impact::Downtime, Impact::DataLoss];
    let name = prop_oneof![Just("ingress".to_owned()), nasty()];
    let effect = prop::sample::select(vec![Effect::InPlace, Effect::Restart, Effect::Replace]);
    let fields = prop::collection::vec((name, edit(), effect), 0..4);
    let which = (prop::sample::select(verbs.to_vec()), 0..30_u32, prop::sample::select(impacts.to_vec()));
    (which, fields, prop::option::of(nasty()), nasty(), nasty()).prop_map(
        |((verb, number, impact), fields, object, summary, note)| ChangeDoc {
            object: object.map(CloudId::new),
            summary,
            fields: fields.into_iter().map(|(name, edit, effect)| Field { name, edit, effect }).collect(),
            impact,
            notes: vec![Note::new(Impact::None, note)],
            ..change(verb, &format!("a-{number}"))
        },
    )
}

fn any_plan() -> impl Strategy<Value = PlanDoc> {
    let risk = (any_change(), nasty()).prop_map(|(change, text)| Risk {
        impact: change.impact,
        address: change.address,
        text,
    });
    let refusal = (nasty(), prop::option::of(nasty())).prop_map(|(message, hint)| Refusal {
        kind: RefusalKind::Holder,
        address: None,
        message,
        hint,
    });
    let (risks, refusals) = (prop::collection::vec(risk, 0..4), prop::collection::vec(refusal, 0..3));
    let changes = prop::collection::vec(any_change(), 1..12);
    (changes, risks, refusals, prop::collection::vec(nasty(), 0..3)).prop_map(
        |(changes, risks, refusals, exposures)| {
            let steps = busy().steps.into_iter().map(|mut step| {
                for (wait, text) in step.after.iter_mut().zip(&exposures) {
                    wait.words.clone_from(text);
                }
                step
            });
            PlanDoc { steps: steps.collect(), changes, risks, refusals, exposures, ..empty() }
        },
    )
}

/// What a line says outside code, as GitHub reads it.
fn outside_code(line: &str) -> String {
    let (mut out, mut rest) = (String::new(), line);
    while let Some(c) = rest.chars().next() {
        let length = if c == '\\' {
            let escaped = rest.chars().nth(1).expect("nothing ends in a backslash");
            assert!(escaped.is_ascii_punctuation(), "{line}");
            1 + escaped.len_utf8()
        } else if let Some(inside) = rest.strip_prefix('`') {
            inside.find('`').unwrap_or_else(|| panic!("a span has no end: {line}")) + 2
        } else if let Some(inside) = rest.strip_prefix("<code>") {
            "<code></code>".len() + inside.find("</code>").unwrap_or_else(|| panic!("code has no end: {line}"))
        } else {
            out.push(c);
            c.len_utf8()
        };
        let span = &rest[..length];
        assert!(!line.starts_with('|') || !span.contains('|') || c == '|', "a cell ends within code: {line}");
        rest = &rest[length..];
    }
    out
}

/// What a page says in marks and tags of its own.
const OURS: &[&str] = &[
    "<!-- portcullis:plan shop -->",
    "<details>",
    "</details>",
    "<summary>",
    "</summary>",
    "<br>",
    "@&#8203;",
    "#&#8203;",
    ":&#8203;//",
    "&#124;",
    "#### ",
    "### ",
    "**replace**",
    "**delete**",
    "**data-loss**",
    "**downtime**",
    "**reconnect**",
    "**none**",
    "**exposure**",
    "**the plan**",
    "**Left out to fit**",
];

/// Reads a page as GitHub does, and demands that nothing on it is what somebody else wrote.
fn inspect(page: &str, sums: &str) {
    let (mut fence, mut open) = (None, 0_usize);
    for line in page.lines() {
        assert!(!line.chars().any(|c| c.is_control() || ('\u{202a}'..='\u{202e}').contains(&c)), "{line:?}");
        let ticks = line.bytes().take_while(|b| *b == b'`').count();
        if let Some(opening) = fence {
            let ticks = line.trim().bytes().take_while(|b| *b == b'`').count();
            if ticks >= opening && line.trim().len() == ticks {
                fence = None;
            }
            continue;
        }
        if ticks >= 3 {
            assert!(["diff", "text"].contains(&&line[ticks..]), "{line}");
            fence = Some(ticks);
            continue;
        }
        let mut said = outside_code(line);
        if line.starts_with('|') {
            assert_eq!(said.matches('|').count(), 5, "{line}");
        }
        open += usize::from(said.starts_with("<details>"));
        open -= usize::from(said == "</details>");
        for ours in OURS {
            said = said.replace(ours, "");
        }
        assert!(!said.contains(['<', '>', '@', '[', ']', '*', '_', '~', '$', '#', '`']), "{line}");
        assert!(!said.contains("://") && !said.contains("www."), "{line}");
        let begins = ["- ", "**Left out", "|", "<", "#### ", "### "].iter().any(|mark| line.starts_with(mark));
        assert!(begins || line.is_empty() || line == sums, "a line begins as somebody else wants: {line}");
    }
    assert_eq!((fence, open), (None, 0), "{page}");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn nothing_breaks_out_and_what_matters_is_there(doc in any_plan(), share in 0..=110_usize) {
        let (whole, least) = (plan(&doc, usize::MAX), plan(&doc, 0));
        let budget = whole.len() * share / 100;
        let page = plan(&doc, budget);
        prop_assert_eq!(&page, &plan(&doc, budget), "the same plan, the same bytes");
        prop_assert!(page.len() <= budget.max(least.len()), "{} of {budget} bytes", page.len());
        for page in [&whole, &page, &least] {
            inspect(page, &sums(&doc));
            for change in doc.changes.iter().filter_map(|change| going(change, &doc)) {
                prop_assert!(page.contains(&change.text), "{} is missing:\n{page}", change.text);
            }
            for refused in doc.refusals.iter().map(refusal) {
                prop_assert!(page.contains(&refused.text), "{} is missing:\n{page}", refused.text);
            }
            for lost in risks(&doc).into_iter().filter(|piece| piece.rank == Rank::Never) {
                prop_assert!(page.contains(&lost.text), "{} is missing:\n{page}", lost.text);
            }
        }
        prop_assert_eq!(page.contains("Left out to fit"), budget < whole.len());
    }
}
