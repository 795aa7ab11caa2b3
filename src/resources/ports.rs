//! Ports as a spec writes them, for every kind that has rules.

use super::decode::{Decode, within, wrong_type};
use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::model::net::Ports;
use crate::model::tree::{Node, Value};

impl Decode for Ports {
    fn decode(node: &Node, problems: &mut Diagnostics) -> Option<Self> {
        match &node.value {
            Value::Integer(_) => {
                let port = within(node, "a port", 0..=65535, problems)?;
                Some(Self { from: port, to: port })
            }
            Value::String(text) => match read_ports(text) {
                Ok(ports) => Some(ports),
                Err(why) => problems.fail(Diagnostic::error("ports", node.span, why)),
            },
            other => problems.fail(wrong_type(node.span, "a port, \"a-b\" or \"all\"", other)),
        }
    }
}

fn read_ports(text: &str) -> Result<Ports, String> {
    if text.eq_ignore_ascii_case("all") {
        return Ok(Ports::ALL);
    }
    let Some((from, to)) = text.split_once('-') else {
        return Err(match text.trim().parse::<u16>() {
            Ok(port) => format!("a port is a number: write {port}"),
            Err(_) => format!("`{text}` is no port: write 80, \"8000-8100\" or \"all\""),
        });
    };
    match (from.trim().parse::<u16>(), to.trim().parse::<u16>()) {
        (Ok(from), Ok(to)) if from <= to => Ok(Ports { from, to }),
        (Ok(from), Ok(to)) => Err(format!("the ports are the wrong way round: write \"{to}-{from}\"")),
        (_, _) => Err(format!("`{text}` is no range of ports between 0 and 65535")),
    }
}
