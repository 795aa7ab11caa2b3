//! The expressions of GitHub's workflows, as far as ours use them: names, literals, `==`, `!=`, `!`, `&&`, `||`, and the
//! functions that ask how the job went.
//! (<https://docs.github.com/actions/reference/evaluate-expressions-in-workflows-and-actions>)

use std::collections::BTreeMap;

/// What names stand for. A name that is not there is empty.
#[derive(Debug, Clone, Default)]
pub struct Context(pub BTreeMap<String, String>);

impl Context {
    /// With one name more.
    pub fn set(&mut self, name: &str, value: &str) {
        self.0.insert(name.to_owned(), value.to_owned());
    }

    /// The value of an expression.
    pub fn value(&self, expression: &str) -> String {
        let text = expression.trim();
        if text.contains("||") {
            let mut last = String::new();
            for part in text.split("||") {
                last = self.value(part);
                if truth(&last) {
                    break;
                }
            }
            return last;
        }
        if text.contains("&&") {
            let mut last = String::new();
            for part in text.split("&&") {
                last = self.value(part);
                if !truth(&last) {
                    break;
                }
            }
            return last;
        }
        for (sign, wanted) in [("==", true), ("!=", false)] {
            if let Some((left, right)) = text.split_once(sign) {
                return ((self.value(left) == self.value(right)) == wanted).to_string();
            }
        }
        if let Some(rest) = text.strip_prefix('!') {
            return (!truth(&self.value(rest))).to_string();
        }
        match text {
            "always()" | "success()" | "true" => "true".to_owned(),
            "failure()" | "cancelled()" | "false" => "false".to_owned(),
            literal if literal.starts_with('\'') => literal.trim_matches('\'').to_owned(),
            name => {
                let plain = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
                assert!(name.chars().all(plain), "`{name}` is no name");
                self.0.get(name).cloned().unwrap_or_default()
            }
        }
    }

    /// Whether a step or a job runs.
    pub fn holds(&self, condition: &str) -> bool {
        let text = condition.trim();
        let bare = text.strip_prefix("${{").and_then(|text| text.strip_suffix("}}")).unwrap_or(text);
        truth(&self.value(bare))
    }

    /// A text with its `${{ }}` filled in.
    pub fn fill(&self, text: &str) -> String {
        let mut filled = String::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once("${{") {
            let (inside, behind) = after.split_once("}}").expect("an end");
            filled.push_str(before);
            filled.push_str(&self.value(inside));
            rest = behind;
        }
        filled + rest
    }
}

fn truth(value: &str) -> bool {
    // A text is true unless it is empty: an exit code of "0", too.
    !["", "false"].contains(&value)
}

#[test]
fn expressions_are_what_github_says_they_are() {
    let mut context = Context::default();
    context.set("inputs.mode", "plan");
    context.set("steps.plan.outputs.hash", "");
    for (expression, value) in [
        ("inputs.mode == 'plan'", "true"),
        ("inputs.mode != 'plan'", "false"),
        ("steps.plan.outputs.hash || steps.other.outputs.hash", ""),
        ("steps.plan.outputs.hash || inputs.mode", "plan"),
        ("always() && inputs.mode == 'plan' && inputs.none != ''", "false"),
        ("!failure() && !cancelled() && inputs.mode == 'plan'", "true"),
        ("inputs.none != true", "true"),
    ] {
        assert_eq!(context.value(expression), value, "{expression}");
    }
    assert_eq!(context.fill("a ${{ inputs.mode }}-${{inputs.none}}b"), "a plan-b");
}
