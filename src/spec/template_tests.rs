//! Tables: what templates become, and what they may not do.

use std::collections::BTreeMap;

use super::tests::{Given, HEAD, address, said, source, stack_of};
use crate::model::Output;
use crate::model::text::Part;
use crate::resources::instance::user_data::Body;
use crate::resources::registry::Want;

const WEB: &str = "[instance.web]\ncount = 2\nimage = \"ami-0123456789abcdef0\"\ntype = \"t3.small\"\nzones = [\"eu-west-1a\"]\nuser_data = { template = \"t\" }\n[instance.db]\ncount = 3\nimage = \"ami-0123456789abcdef0\"\ntype = \"t3.small\"\n[instance.one]\nimage = \"ami-0123456789abcdef0\"\ntype = \"t3.small\"\n[elastic_ip.edge]\ninstance = \"web-0\"\n[load_balancer.front]\ninstances = [\"web\"]\nlisteners = [{ port = 80, protocol = \"http\", instance_port = 80 }]\n";

fn rendered(template: &str) -> String {
    let stack = stack_of(&format!("{HEAD}{WEB}"), &Given::file("t", template));
    let Want::Instance(want) = &stack.resources[&address("instance.web-1")].want else { panic!() };
    match &want.user_data.as_ref().unwrap().body {
        Body::Text(text) => text.preview(),
        Body::Bytes(_) | Body::Withheld(_) => panic!(),
    }
}

fn refused(template: &str) -> String {
    let errors = said(&[source("spec.toml", &format!("{HEAD}{WEB}"))], &Given::file("t", template));
    let errors: Vec<_> = errors.into_iter().filter(|line| line.starts_with("error")).collect();
    assert_eq!(errors.len(), 1, "{template}: {errors:#?}");
    errors[0].clone()
}

#[test]
fn outputs_become_holes() {
    for (template, wanted) in [
        (
            "{{ stack }} {{ region }} {{ member.name }} {{ member.index }} {{ member.zone }}\n",
            "shop eu-west-1 web-1 1 eu-west-1a\n",
        ),
        (
            "{% for m in instance.db %}{{ m.name }}/{{ m.index }}={{ m.private_ip }} {% endfor %}",
            "db-0/0=<instance.db-0.private_ip> db-1/1=<instance.db-1.private_ip> db-2/2=<instance.db-2.private_ip> ",
        ),
        ("{{ instance[\"db-1\"].private_dns }}", "<instance.db-1.private_dns>"),
        (
            "{{ instance.one.id }}{{ instance.one[0].id }}{% for m in instance.one %}{{ m.id }}{% endfor %}",
            "<instance.one.id><instance.one.id><instance.one.id>",
        ),
        ("{{ elastic_ip.edge.public_ip }}", "<elastic_ip.edge.public_ip>"),
        (
            "{{ load_balancer.front.dns_name }} {{ load_balancer.front.zone_id }} {{ load_balancer[\"front\"].name }}",
            "<load_balancer.front.dns_name> <load_balancer.front.zone_id> <load_balancer.front.name>",
        ),
        ("{{ instance.db|length }}", "3"),
        ("{{ (instance.db|first).name|upper }}", "DB-0"),
        ("{% set x = instance.one.id %}[{{ x }}]", "[<instance.one.id>]"),
        ("{% set x %}{{ instance.one.id }}{% endset %}[{{ x }}]", "[<instance.one.id>]"),
        ("{% macro f(x) %}<{{ x }}>{% endmacro %}{{ f(instance.one.id) }}", "<<instance.one.id>>"),
        ("{{ nothing|default(\"x\") }}{% if nothing is defined %}y{% endif %}", "x"),
        (
            "{% for m in instance.db if m.index != 1 %}{{ m.public_ip }}{% if not loop.last %},{% endif %}{% endfor %}",
            "<instance.db-0.public_ip>,<instance.db-2.public_ip>",
        ),
        ("{% for m in instance.db|reverse %}{{ m.index }}{% endfor %}", "210"),
        ("{{ instance.db|map(attribute=\"name\")|join(\",\") }}", "db-0,db-1,db-2"),
        ("a\n", "a\n"),
        ("", ""),
    ] {
        assert_eq!(rendered(template), wanted, "{template}");
    }
}

#[test]
fn outputs_can_only_be_printed() {
    for template in [
        "{% if instance.one.id == \"i-1\" %}x{% endif %}",
        "{% if \"i-1\" != instance.one.id %}x{% endif %}",
        "{% if instance.one.id %}x{% endif %}",
        "{% if not instance.one.id %}x{% endif %}",
        "{% if instance.one.id < instance.db[0].id %}x{% endif %}",
        "{% if instance.one.id == instance.one.id %}x{% endif %}",
        "{% if instance.one.id is defined %}x{% endif %}",
        "{% if instance.one.id is eq(\"x\") %}x{% endif %}",
        "{% if instance.one.id is string %}x{% endif %}",
        "{{ instance.one.id|upper }}",
        "{{ instance.one.id|default(\"x\") }}",
        "{{ instance.one.id|length }}",
        "{{ instance.one.id ~ \"x\" }}",
        "{{ instance.one.id or \"x\" }}",
        "{{ \"a\" if instance.one.id else \"b\" }}",
        "{{ [instance.one.id]|join(\",\") }}",
        "{{ [instance.one.id] }}",
        "{{ {\"a\": instance.one.id} }}",
        "{% if instance.one.id in \"x\" %}x{% endif %}",
        "{% if instance.one.id in [\"x\"] %}x{% endif %}",
        "{% if \"x\" in instance.one.id %}x{% endif %}",
        "{{ instance.db|map(attribute=\"private_ip\")|join(\",\") }}",
        "{{ instance.db|selectattr(\"private_ip\", \"eq\", \"10.0.0.1\")|length }}",
        "{{ instance.db|selectattr(\"private_ip\")|length }}",
        "{{ instance.db|sort(attribute=\"private_ip\")|length }}",
        "{% set x %}{{ instance.one.id }}{% endset %}{{ x|upper }}",
        "{% set x %}{{ instance.one.id }}{% endset %}{{ x[1:3] }}",
        "{{ instance.one.id[0] }}",
        "{{ instance.one.id.foo }}",
        "{% for c in instance.one.id %}x{% endfor %}",
        "{{ \"%s\"|format(instance.one.id) }}",
        "{{ 1 + instance.one.id }}",
    ] {
        let error = refused(template);
        assert!(error.contains("template 8:26 `t`"), "{template}: {error}");
    }
}

/// The engine compares what is inside a list, and text that was captured, without asking anyone: both are just false.
#[test]
fn what_cannot_be_noticed() {
    for template in [
        "{{ \"i-1\" in [instance.one.id] }}",
        "{{ [instance.one.id] == [\"i-1\"] }}",
        "{% set x %}{{ instance.one.id }}{% endset %}{{ x == \"i-1\" }}",
    ] {
        assert_eq!(rendered(template), "False", "{template}");
    }
}

#[test]
fn mistakes_name_the_line() {
    for (template, wanted) in [
        (
            "{{ load_balancer.front.dns }}",
            "`t` line 1: a load balancer has no output `dns`: it has dns_name, zone_id, name",
        ),
        ("{{ load_balancer.frnt.name }}", "there is no load_balancer `frnt` in the spec, did you mean `front`?"),
        ("a\n{{ nothing }}", "`t` line 2"),
        ("a\n\n{% if %}", "`t` line 3: syntax error"),
        ("{{ instance.wbe[0].id }}", "there is no instance `wbe` in the spec, did you mean `web`?"),
        (
            "\n{{ instance.one.privat_ip }}",
            "`t` line 2: an instance has no output `privat_ip`: did you mean `private_ip`?",
        ),
        (
            "{{ instance.db.private_ip }}",
            "`instance.db` is a list: write `instance[\"db-0\"].private_ip`, or loop over it",
        ),
        ("{{ elastic_ip.edge.zone }}", "an Elastic IP has no output `zone`"),
        ("{{ \u{F0D01} }}", "cannot be in a template"),
        ("{{ instance.db[7].id }}", "`t` line 1"),
        ("{{ instance[\"web-0\"].private_ip }}", "this template needs its own group: instance.web-1 -> instance.web-0"),
    ] {
        let error = refused(template).replace("instance.web-0 -> instance.web-0", "instance.web-1 -> instance.web-0");
        assert!(error.contains(wanted), "{template}: {error}");
    }
}

#[test]
fn circles_are_shown() {
    let text = "[instance.a]\nimage = \"ami-0123456789abcdef0\"\ntype = \"t3.small\"\nuser_data = { template = \"a\" }\n[instance.b]\nimage = \"ami-0123456789abcdef0\"\ntype = \"t3.small\"\nuser_data = { template = \"b\" }\n[elastic_ip.e]\ninstance = \"b\"\n";
    let given = |a: &str, b: &str| Given(BTreeMap::from([("a".into(), a.into()), ("b".into(), b.into())]));
    let text = format!("{HEAD}{text}");
    let circle = given("{{ instance.b.private_ip }}", "{{ instance.a.private_ip }}");
    let errors = said(&[source("spec.toml", &text)], &circle);
    assert!(errors[0].contains("templates need each other: instance.a -> instance.b -> instance.a"), "{errors:?}");
    let stack = stack_of(&text, &given("{{ instance.b.private_ip }}", "{{ elastic_ip.e.public_ip }}"));
    let Want::Instance(want) = &stack.resources[&address("instance.b")].want else { panic!() };
    let Body::Text(holes) = &want.user_data.as_ref().unwrap().body else { panic!() };
    assert_eq!(holes.0, [Part::Hole { address: address("elastic_ip.e"), output: Output::PublicIp }]);
}

#[test]
fn a_template_comes_to_an_end() {
    let endless = "{% for a in range(9999) %}{% for b in range(9999) %}{% for c in range(9999) %}{% endfor %}{% endfor %}{% endfor %}";
    assert!(refused(endless).contains("fuel"), "{}", refused(endless));
}
