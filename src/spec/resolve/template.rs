//! Templates and files: read once, rendered once for each member, and never at apply.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, LazyLock};

use minijinja::syntax::SyntaxConfig;
use minijinja::value::{Kwargs, Rest, Value};
use minijinja::{AutoEscape, Environment, Error, ErrorKind, Output, State, UndefinedBehavior};

use super::index::{Index, NameTable};
use super::outputs::{CLOSE, OPEN, Printable, Resources, View, holds_output, holes, shape};
use super::scan::wrap_prints;
use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::model::text::Text;
use crate::model::tree::Span;
use crate::model::{Address, Kind, StackName};
use crate::resources::decode::At;
use crate::resources::registry;
use crate::resources::spec::{Member, Names, Texts};
use crate::spec::Inputs;

/// What a template said wrong, for people.
const ONLY_PRINT: &str =
    "the value of an output is not known yet: it can be printed, and neither compared, tested, filtered nor joined";
/// The crate's own filters.
const FILTERS: [&str; 45] = [
    "safe",
    "escape",
    "e",
    "lower",
    "upper",
    "title",
    "capitalize",
    "replace",
    "length",
    "count",
    "dictsort",
    "items",
    "reverse",
    "trim",
    "join",
    "split",
    "lines",
    "default",
    "d",
    "round",
    "abs",
    "int",
    "float",
    "attr",
    "first",
    "last",
    "min",
    "max",
    "sort",
    "list",
    "string",
    "bool",
    "batch",
    "slice",
    "sum",
    "indent",
    "select",
    "reject",
    "selectattr",
    "rejectattr",
    "map",
    "groupby",
    "unique",
    "chain",
    "zip",
];
/// The crate's own filters that show values as text.
const SHOWING: [&str; 2] = ["pprint", "format"];
/// The crate's own tests.
const TESTS: [&str; 39] = [
    "undefined",
    "defined",
    "none",
    "safe",
    "escaped",
    "boolean",
    "odd",
    "even",
    "divisibleby",
    "number",
    "integer",
    "int",
    "float",
    "string",
    "sequence",
    "iterable",
    "mapping",
    "startingwith",
    "endingwith",
    "lower",
    "upper",
    "sameas",
    "eq",
    "equalto",
    "==",
    "ne",
    "!=",
    "lt",
    "lessthan",
    "<",
    "le",
    "<=",
    "gt",
    "greaterthan",
    ">",
    "ge",
    ">=",
    "in",
    "true",
];
/// How deep a list is looked into for outputs.
const DEPTH: u8 = 6;

/// The crate's own environment, which the guarded ones ask.
static BARE: LazyLock<Environment<'static>> = LazyLock::new(strict);
/// The same with guarded tests: filters such as `select` run them.
static GUARDED: LazyLock<Environment<'static>> = LazyLock::new(|| {
    let mut env = strict();
    guard_tests(&mut env);
    env
});

fn strict() -> Environment<'static> {
    let mut env = Environment::new();
    env.set_undefined_behavior(UndefinedBehavior::Strict);
    env.set_auto_escape_callback(|_| AutoEscape::None);
    if let Ok(syntax) = SyntaxConfig::builder().keep_trailing_newline(true).build() {
        env.set_syntax(syntax);
    }
    env.remove_global("debug");
    env.set_fuel(Some(FUEL));
    env
}

/// How many instructions one rendering may take: a template in a pull request must come to an end. A script of user data
/// takes some thousands.
const FUEL: u64 = 2_000_000;

fn only_print() -> Error {
    Error::new(ErrorKind::InvalidOperation, ONLY_PRINT)
}

fn refuse_outputs(values: &[Value]) -> Result<(), Error> {
    if values.iter().any(|value| holds_output(value, DEPTH)) { Err(only_print()) } else { Ok(()) }
}

/// All arguments as the crate passes them, none of them an output.
fn guarded_arguments(args: Rest<Value>, named: Kwargs) -> Result<Vec<Value>, Error> {
    let mut args = args.0;
    if named.args().next().is_some() {
        args.push(Value::from(named));
    }
    refuse_outputs(&args)?;
    Ok(args)
}

/// Tests that refuse outputs.
fn guard_tests(env: &mut Environment<'static>) {
    for name in TESTS.into_iter().chain(["false", "filter", "test"]) {
        env.add_test(name, move |args: Rest<Value>, named: Kwargs| -> Result<bool, Error> {
            let args = guarded_arguments(args, named)?;
            BARE.empty_state().perform_test(name, &args)
        });
    }
}

/// An environment in which nothing but printing can be done with an output.
fn guarded() -> Environment<'static> {
    let mut env = strict();
    guard_tests(&mut env);
    for name in FILTERS.into_iter().chain(SHOWING) {
        env.add_filter(name, move |args: Rest<Value>, named: Kwargs| -> Result<Value, Error> {
            let args = guarded_arguments(args, named)?;
            let value = GUARDED.empty_state().apply_filter(name, &args)?;
            refuse_outputs(std::slice::from_ref(&value))?;
            Ok(value)
        });
    }
    env.add_function(PRINT, print_blank);
    env.set_formatter(print);
    env
}

/// Prints a value: an output as a hole, and nothing that holds one.
fn print(out: &mut Output<'_>, state: &mut State<'_, '_>, value: &Value) -> Result<(), Error> {
    if let Some(output) = value.downcast_object_ref::<Printable>() {
        return Ok(out.write_str(&output.mark())?);
    }
    if value.as_str().is_none() {
        refuse_outputs(std::slice::from_ref(value))?;
    }
    minijinja::escape_formatter(out, state, value)
}

/// The function through which the second rendering prints.
const PRINT: &str = "portcullis_print";

/// Stands for printing: strict as it is, the engine prints nothing that is undefined.
fn print_blank(Rest(values): Rest<Value>) -> Value {
    let printed = values.into_iter().next().filter(|value| !value.is_undefined());
    printed.unwrap_or_else(|| Value::from(format!("{OPEN}{CLOSE}")))
}

/// What a template needs: the address whose template it is, where the spec names it, and what it prints.
pub(super) type Need = (Address, Span, Vec<Address>);

/// A file that was read, or why it was not.
type FileRead = Result<Rc<[u8]>, String>;

/// Reads and renders what a spec names.
pub(super) struct Workshop<'a> {
    inputs: &'a Inputs<'a>,
    stack: StackName,
    index: &'a Index,
    names: Arc<NameTable>,
    files: RefCell<BTreeMap<(usize, String), FileRead>>,
    env: RefCell<Environment<'static>>,
    /// Templates that were compiled, by the name they have there, or why they were not.
    templates: RefCell<BTreeMap<String, Result<(), String>>>,
    needs: RefCell<Vec<Need>>,
}

impl<'a> Workshop<'a> {
    /// A workshop in which nothing was read yet.
    pub(super) fn new(inputs: &'a Inputs<'a>, stack: StackName, index: &'a Index) -> Self {
        Self {
            inputs,
            stack,
            index,
            names: index.names(),
            files: RefCell::default(),
            env: RefCell::new(guarded()),
            templates: RefCell::default(),
            needs: RefCell::default(),
        }
    }

    /// What every template that was rendered needs.
    pub(super) fn needs(&self) -> Vec<Need> {
        self.needs.borrow().clone()
    }

    fn bytes(&self, path: &At<String>) -> FileRead {
        let key = (path.span.file, path.value.clone());
        let mut files = self.files.borrow_mut();
        files.entry(key).or_insert_with(|| self.inputs.files.read(path.span.file, &path.value).map(Rc::from)).clone()
    }

    /// Compiles a template, once; gives the name it has.
    fn compile(&self, path: &At<String>) -> Result<String, String> {
        let name = format!("{}:{}", path.span.file, path.value);
        if let Some(done) = self.templates.borrow().get(&name) {
            return done.clone().map(|()| name);
        }
        let done = self.compile_anew(path, &name);
        self.templates.borrow_mut().insert(name.clone(), done.clone());
        done.map(|()| name)
    }

    fn compile_anew(&self, path: &At<String>, name: &str) -> Result<(), String> {
        let shown = &path.value;
        let bytes = self.bytes(path).map_err(|why| format!("`{shown}` cannot be read: {why}"))?;
        let text = std::str::from_utf8(&bytes).map_err(|_| format!("`{shown}` is not UTF-8, as a template must be"))?;
        if let Some((before, _)) = text.split_once([OPEN, CLOSE]) {
            let line = before.lines().count().max(1);
            return Err(format!("`{shown}` line {line}: U+F0D01 and U+F0D02 cannot be in a template"));
        }
        let mut env = self.env.borrow_mut();
        env.add_template_owned(name.to_owned(), text.to_owned()).map_err(|error| words(shown, &error))?;
        env.add_template_owned(blank_name(name), wrap_prints(text, PRINT)).map_err(|error| words(shown, &error))
    }

    /// Renders once; with `blank` every output is undefined.
    fn run(&self, name: &str, member: &Member<'_>, view: &Arc<View>) -> Result<String, Error> {
        let env = self.env.borrow();
        let blank = blank_name(name);
        let name = if view.blank { &blank } else { name };
        let template = env.get_template(name)?;
        let mut values: BTreeMap<&str, Value> = BTreeMap::from([
            ("stack", Value::from(self.stack.as_str())),
            ("region", Value::from(member.region.as_str())),
            ("member", member_value(member)),
        ]);
        for kind in Kind::ALL {
            if !registry::printable(kind).is_empty() {
                values.insert(kind.word(), Value::from_object(Resources { kind, view: Arc::clone(view) }));
            }
        }
        template.render(Value::from_pairs(values))
    }

    fn view(&self, blank: bool) -> Arc<View> {
        let names = Arc::clone(&self.names);
        Arc::new(View { names, blank, taken: AtomicBool::new(false), misused: AtomicBool::new(false) })
    }

    /// Renders with holes, then once more with outputs undefined, as a comparison with an output is silently false and
    /// one with an undefined value is an error.
    fn render_twice(&self, path: &At<String>, member: &Member<'_>) -> Result<Text, String> {
        let name = self.compile(path)?;
        let shown = &path.value;
        let view = self.view(false);
        let rendered = self.run(&name, member, &view).map_err(|error| words(shown, &error))?;
        if view.misused.load(Ordering::Relaxed) {
            let line = self.run(&name, member, &self.view(true)).err().and_then(|error| error.line());
            return Err(format!("{}: {ONLY_PRINT}", place(shown, line)));
        }
        if view.taken.load(Ordering::Relaxed) {
            match self.run(&name, member, &self.view(true)) {
                Err(error) => return Err(format!("{}: {ONLY_PRINT}", place(shown, error.line()))),
                Ok(again) if shape(&again) != shape(&rendered) => return Err(format!("`{shown}`: {ONLY_PRINT}")),
                Ok(_) => {}
            }
        }
        holes(&rendered).ok_or_else(|| format!("`{shown}`: {ONLY_PRINT}"))
    }
}

impl Texts for Workshop<'_> {
    fn file(&self, path: &At<String>, problems: &mut Diagnostics) -> Option<Vec<u8>> {
        match self.bytes(path) {
            Ok(bytes) => Some(bytes.to_vec()),
            Err(why) => {
                problems.fail(Diagnostic::error("file", path.span, format!("`{}` cannot be read: {why}", path.value)))
            }
        }
    }

    fn render(&self, path: &At<String>, member: &Member<'_>, problems: &mut Diagnostics) -> Option<Text> {
        match self.render_twice(path, member) {
            Err(why) => {
                // Members mostly fail alike: the same words at the same place are said once.
                let said = problems.iter().last().is_some_and(|last| last.at == Some(path.span) && last.message == why);
                if !said {
                    problems.push(Diagnostic::error("template", path.span, why));
                }
                None
            }
            Ok(text) => {
                let mut needs: Vec<Address> = text.holes().map(|(address, _)| address.clone()).collect();
                needs.sort();
                needs.dedup();
                for address in &needs {
                    if let Some((listed, _)) = self.index.find(address.kind, address.name.as_str()) {
                        self.index.using(address.kind, &listed.name);
                    }
                }
                if !needs.is_empty() {
                    self.needs.borrow_mut().push((member.address.clone(), path.span, needs));
                }
                Some(text)
            }
        }
    }
}

/// The name of the same template as it prints outputs that are undefined.
fn blank_name(name: &str) -> String {
    format!("{name}\u{1}")
}

/// `member`: what is known of whose template it is.
fn member_value(member: &Member<'_>) -> Value {
    let zone = member.zone.map_or_else(
        || {
            let message =
                format!("the spec does not fix the zone of `{}`: name exactly one in `zones`", member.address);
            Value::from(Error::new(ErrorKind::UndefinedError, message))
        },
        Value::from,
    );
    Value::from_pairs([
        ("name", Value::from(member.address.name.as_str())),
        ("index", Value::from(member.index)),
        ("zone", zone),
    ])
}

fn place(shown: &str, line: Option<usize>) -> String {
    line.map_or_else(|| format!("`{shown}`"), |line| format!("`{shown}` line {line}"))
}

/// An error of the engine as one of our fragments.
fn words(shown: &str, error: &Error) -> String {
    let what = match (error.kind(), error.detail()) {
        (ErrorKind::UndefinedError, None) => "there is no such value".to_owned(),
        (kind, None) => kind.to_string(),
        (ErrorKind::SyntaxError, Some(detail)) => format!("syntax error: {detail}"),
        (_, Some(detail)) => detail.to_owned(),
    };
    format!("{}: {what}", place(shown, error.line()))
}
