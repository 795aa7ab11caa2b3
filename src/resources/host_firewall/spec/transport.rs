//! How a host is reached, as written. Whoever writes a spec writes into the arguments of a program here, so that what may
//! stand where is a closed list, and nothing can be taken for an option.

use std::net::Ipv6Addr;

use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::model::Target;
use crate::model::tree::{Node, Value};
use crate::resources::decode::{At, Decode, Fields, within, wrong_type};

/// The longest name of a host (RFC 1035, 2.3.4).
const LONGEST_HOST: usize = 253;
/// More than any system takes for a user.
const LONGEST_USER: usize = 64;
const WAYS: &str = "write \"local\", { ssh = \"user@host\" } or { command = [\"…\"] }";

/// What is wrong, and what to write.
type Wrong = (String, String);

/// Reads it.
pub(super) fn read(node: &Node, problems: &mut Diagnostics) -> Option<Target> {
    match &node.value {
        Value::String(word) if word.eq_ignore_ascii_case("local") => Some(Target::Local { sudo: false }),
        Value::String(text) => {
            let problem =
                Diagnostic::error("transport", node.span, format!("`{}` is no transport", text.escape_debug()));
            problems.fail(match login(text) {
                Ok(_) if text.contains(['@', '.', ':']) => problem.hint(format!("write {{ ssh = \"{text}\" }}")),
                Ok(_) | Err(_) => problem.hint(WAYS),
            })
        }
        Value::Table(_) => read_table(node, problems),
        other => problems.fail(wrong_type(node.span, "\"local\" or a table", other)),
    }
}

/// The form that says more than a word.
fn read_table(node: &Node, problems: &mut Diagnostics) -> Option<Target> {
    let mut fields = Fields::of(node, "a transport", problems)?;
    let (ssh, command, local) = (fields.node("ssh"), fields.node("command"), fields.node("local"));
    let (port, sudo) = (fields.node("port"), fields.node("sudo"));
    fields.finish(problems);
    let asked = sudo.map(|node| bool::decode(node, problems));
    let read = match (ssh, command, local) {
        (Some(ssh), None, None) => read_ssh(ssh, port, problems),
        (None, Some(command), None) => read_command(command, problems).map(|argv| Target::Command { argv }),
        (None, None, Some(local)) => read_local(local, problems),
        (None, None, None) => problems.fail(
            Diagnostic::error("missing-key", node.span, "a transport needs one of `ssh`, `command` and `local`")
                .hint(WAYS),
        ),
        (_, _, _) => problems.fail(Diagnostic::error(
            "combination",
            node.span,
            "a transport is one of `ssh`, `command` and `local`, and here are several",
        )),
    };
    if let Some(port) = port.filter(|_| ssh.is_none()) {
        problems.push(Diagnostic::error("combination", port.span, "`port` is for ssh"));
    }
    if let Some(sudo) = sudo.filter(|_| command.is_some()) {
        let problem = Diagnostic::error("combination", sudo.span, "`sudo` is for ssh and local");
        problems.push(problem.hint("write it into the command: [\"sudo\", \"-n\", \"…\"]"));
    }
    let wished = asked.map_or(Some(false), |asked| asked)?;
    Some(match read? {
        Target::Local { sudo: _ } => Target::Local { sudo: wished },
        Target::Ssh { user, host, port, sudo: _ } => Target::Ssh { user, host, port, sudo: wished },
        command @ Target::Command { .. } => command,
    })
}

fn read_local(node: &Node, problems: &mut Diagnostics) -> Option<Target> {
    if bool::decode(node, problems)? {
        return Some(Target::Local { sudo: false });
    }
    problems.fail(Diagnostic::error("transport", node.span, "`local` can only be true").hint(WAYS))
}

/// A login with its port, which stands in it or beside it.
fn read_ssh(node: &Node, port: Option<&Node>, problems: &mut Diagnostics) -> Option<Target> {
    let text = String::decode(node, problems);
    let beside = port.map(|node| {
        let value: Option<u16> = within(node, "a port", 1..=65535, problems);
        value.map(|value| At { value, span: node.span })
    });
    let login = match login(&text?) {
        Ok(login) => login,
        Err((message, hint)) => return problems.fail(Diagnostic::error("transport", node.span, message).hint(hint)),
    };
    let port = match (login.port, beside) {
        (Some(_), Some(_)) => {
            let at = port.map_or(node.span, |port| port.span);
            return problems.fail(
                Diagnostic::error("combination", at, "the port stands here twice").also(node.span, "the other one"),
            );
        }
        (inside, None) => inside,
        (None, Some(beside)) => Some(beside?.value),
    };
    Some(Target::Ssh { user: login.user, host: login.host, port, sudo: false })
}

/// A command with its arguments; none of them reaches a shell.
fn read_command(node: &Node, problems: &mut Diagnostics) -> Option<Vec<String>> {
    let Value::Array(items) = &node.value else {
        let problem = wrong_type(node.span, "a list of the command and its arguments", &node.value);
        return problems.fail(problem.hint("write { command = [\"ip\", \"netns\", \"exec\", \"web\"] }"));
    };
    if items.is_empty() {
        return problems.fail(Diagnostic::error("empty", node.span, "`command` is empty"));
    }
    let mut argv = Vec::with_capacity(items.len());
    for item in items {
        let Some(word) = String::decode(item, problems) else { continue };
        if word.is_empty() {
            problems.push(Diagnostic::error("empty", item.span, "a word of a command is empty"));
        } else if word.chars().any(char::is_control) {
            problems.push(Diagnostic::error("character", item.span, "a word of a command has no control characters"));
        } else {
            argv.push(word);
        }
    }
    (argv.len() == items.len()).then_some(argv)
}

/// Who logs in where.
#[derive(Debug, PartialEq, Eq)]
struct Login {
    user: Option<String>,
    host: String,
    port: Option<u16>,
}

/// Reads `host`, `user@host`, `user@host:2222`, `[2001:db8::1]:22`: what ssh would take for something else is refused.
fn login(text: &str) -> Result<Login, Wrong> {
    const EXAMPLES: &str =
        "write \"user@host\", \"user@host:2222\" or a `Host` of the ssh configuration, where everything else belongs";
    let wrong = |message: String| (message, EXAMPLES.to_owned());
    if text.is_empty() {
        return Err(wrong("`ssh` is empty".to_owned()));
    }
    if let Some(rest) = text.strip_prefix("ssh://") {
        return Err(("`ssh` takes no URL".to_owned(), format!("write \"{}\"", rest.escape_debug())));
    }
    let known = |c: &char| c.is_ascii_alphanumeric() || "._-@:[]".contains(*c);
    if let Some(other) = text.chars().find(|c| !known(c)) {
        return Err(wrong(format!("`ssh` takes no `{}`", other.escape_debug())));
    }
    let (user, rest) = match text.rsplit_once('@') {
        Some((user, rest)) => (Some(user), rest),
        None => (None, text),
    };
    if let Some(user) = user.filter(|user| !is_user(user)) {
        return Err(wrong(format!("`{user}` is no user: a letter, digit or _, then letters, digits and ._-")));
    }
    let (host, port) = host_and_port(rest).map_err(|(message, hint)| (message, hint.unwrap_or(EXAMPLES.to_owned())))?;
    Ok(Login { user: user.map(str::to_owned), host, port })
}

/// The two, the port being optional. An IPv6 address stands in brackets, as its own colons would read as a port's.
fn host_and_port(text: &str) -> Result<(String, Option<u16>), (String, Option<String>)> {
    if let Some(rest) = text.strip_prefix('[') {
        let read = rest.split_once(']').and_then(|(inside, behind)| Some((inside.parse::<Ipv6Addr>().ok()?, behind)));
        let Some((address, behind)) = read else {
            let hint = "write \"[2001:db8::1]\", or \"[2001:db8::1]:22\"".to_owned();
            return Err((format!("`{text}` is no IPv6 address in brackets"), Some(hint)));
        };
        return match behind.strip_prefix(':') {
            Some(port) => Ok((address.to_string(), Some(read_port(port)?))),
            None if behind.is_empty() => Ok((address.to_string(), None)),
            None => Err((format!("`{behind}` behind the address is no port"), None)),
        };
    }
    if text.parse::<Ipv6Addr>().is_ok() {
        let hint = format!("write \"[{text}]\", and \"[{text}]:22\" with a port");
        return Err(("an IPv6 address stands in brackets".to_owned(), Some(hint)));
    }
    let (host, port) = match text.split_once(':') {
        Some((host, port)) => (host, Some(read_port(port)?)),
        None => (text, None),
    };
    if !is_host(host) {
        let message = format!("`{host}` is no host: a letter or digit, then letters, digits and ._-");
        return Err((message, None));
    }
    Ok((host.to_owned(), port))
}

fn read_port(text: &str) -> Result<u16, (String, Option<String>)> {
    let digits = Some(text).filter(|text| text.bytes().all(|b| b.is_ascii_digit()));
    let port = digits.and_then(|digits| digits.parse().ok()).filter(|port| *port > 0);
    port.ok_or_else(|| (format!("`{text}` is no port: one is 1 to 65535"), None))
}

/// The first character is never a hyphen: what begins with one is an option.
fn is_user(text: &str) -> bool {
    text.len() <= LONGEST_USER && text.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '_') && is_word(text)
}

/// As for a user.
fn is_host(text: &str) -> bool {
    text.len() <= LONGEST_HOST && text.starts_with(|c: char| c.is_ascii_alphanumeric()) && is_word(text)
}

fn is_word(text: &str) -> bool {
    text.chars().all(|c| c.is_ascii_alphanumeric() || "._-".contains(c))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// Whatever is written: what is taken can be no option of ssh, and reads as one word everywhere.
        #[test]
        fn what_is_taken_is_no_option(text in "[-a-zA-Z0-9._@:\\[\\] $'\"\\n%]{0,24}") {
            if let Ok(Login { user, host, port }) = login(&text) {
                for word in user.iter().chain([&host]) {
                    prop_assert!(!word.is_empty() && !word.starts_with('-'));
                    prop_assert!(word.chars().all(|c| c.is_ascii_alphanumeric() || "._-:".contains(c)), "{}", word);
                }
                prop_assert_ne!(port, Some(0));
                // Told again, it is the same.
                let target = Target::Ssh { user: user.clone(), host: host.clone(), port, sudo: false };
                prop_assert_eq!(login(&target.to_string()), Ok(Login { user, host, port }));
            }
        }
    }
}
