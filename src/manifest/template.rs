//! Templates: Tera over the text of a manifest or values file.
//!
//! Beside the filters of Tera (`default`, `indent(width=4)`, `upper`, `replace`, `join`, …) there are:
//!
//! | filter | gives |
//! |---|---|
//! | `quote` | the text in double quotes, safe in YAML and JSON whatever it holds |
//! | `to_json` | any value as JSON on one line, which is YAML too |
//! | `to_yaml` | any value as YAML without the last newline; use `| indent(width=N)` after it |
//! | `b64encode`, `b64decode` | base64 of UTF-8 text, as a Secret's `data` wants it |
//!
//! A variable that does not exist is an error where it is printed; `{% if vars.debug %}` takes a missing one as
//! false, and `default(value=…)` replaces it.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::OnceLock;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Serialize;
use tera::{ErrorKind, Kwargs, State, Tera, TeraResult};

use super::snippet::{Text, hide_values_in};
use crate::error::{Error, Place, Result, did_you_mean};
use crate::project::Vars;

/// First line of a file that is no template whatever braces it holds.
const PLAIN: &str = "# dev:plain";

/// What a template can name.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Context {
    /// The application of `dev.yaml`.
    pub app: String,
    /// The environment's name, or `base`.
    pub env: String,
    /// The service whose manifests are rendered.
    pub service: String,
    /// The version of the service: the environment's name, or `base`.
    pub version: String,
    /// The namespace that the objects go to.
    pub namespace: String,
    /// The full reference of the service's image; left out for a service without one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub image: Option<String>,
    /// The full references of all images, by service.
    pub images: BTreeMap<String, String>,
    /// The profile in use.
    pub profile: String,
    /// The state of the Git work tree.
    pub git: Git,
    /// The person, as far as known.
    pub user: String,
    /// The free values, those of profile, service and `--set` applied.
    pub vars: Vars,
}

/// The state of a Git work tree.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Git {
    /// The branch, empty when none is checked out.
    pub branch: String,
    /// The commit, abbreviated as git would, empty outside of a repository.
    pub commit: String,
    /// Whether there are uncommitted changes.
    pub dirty: bool,
}

/// Whether a text goes through Tera.
pub fn is_template(text: &str) -> bool {
    let marked = ["{{", "{%", "{#"].iter().any(|open| text.contains(open));
    let first = text.trim_start_matches('\u{feff}').lines().next();
    marked && first.is_none_or(|line| line.trim_end() != PLAIN)
}

/// A context made ready for rendering any number of files.
#[derive(Clone, Debug)]
pub struct Renderer {
    context: tera::Context,
    has_image: bool,
}

impl Renderer {
    /// Prepares the values of a context.
    pub fn new(context: &Context) -> Result<Self> {
        let values = tera::Context::from_serialize(context).map_err(|cause| {
            Error::failed("cannot hand the variables to the templates").caused_by(&cause)
        })?;
        Ok(Self {
            context: values,
            has_image: context.image.is_some(),
        })
    }

    /// The text with its template parts replaced; a text without any is given back as it is.
    ///
    /// # Errors
    /// Names line and column of a syntax error or an undefined variable, with the nearest valid name.
    pub fn render<'a>(&self, text: &'a str, file: &Path) -> Result<Cow<'a, str>> {
        if !is_template(text) {
            return Ok(Cow::Borrowed(text));
        }
        engine()
            .render_str(text, &self.context, false)
            .map(Cow::Owned)
            .map_err(|cause| self.explain(&cause, text, file))
    }

    fn explain(&self, cause: &tera::Error, text: &str, file: &Path) -> Error {
        let (message, line, column, length) = match cause.kind() {
            ErrorKind::SyntaxError(report) | ErrorKind::RenderingError(report) => {
                let span = report.span();
                let length = span.end_col.saturating_sub(span.start_col);
                let message = report.message().to_owned();
                (message, span.start_line, span.start_col + 1, length)
            }
            _ => from_report(&cause.to_string()),
        };
        // Tera tells this one without a place.
        let (message, line, column) = match text.lines().position(takes_in_another) {
            Some(at) if line == 0 => {
                let content = text.lines().nth(at).unwrap_or_default();
                let column = content
                    .find("{%")
                    .map_or(0, |at| content[..at].chars().count());
                (
                    "another template cannot be taken in".to_owned(),
                    at + 1,
                    column + 1,
                )
            }
            _ => (message, line, column),
        };
        let (message, valid) = split_valid_names(&message);
        let message = hide_values_in(message, text);
        let message = message.as_str();
        let line_text = text.lines().nth(line.wrapping_sub(1)).unwrap_or_default();
        let mut error = Error::usage(format!("cannot render the template: {message}"));
        error = if line == 0 {
            error.at(Place::file(file))
        } else {
            error
                .at(Place::at(file, line, column))
                .snippet(Text::Written(text).excerpt(line, column, length.max(1)))
        };
        if let Some(name) = between(message, "`") {
            error = error.maybe_hint(did_you_mean(name, valid.iter().copied()));
            if name == "image" && !self.has_image {
                error = error.hint("the service has no image in dev.yaml: add image: {name: …}");
            }
        }
        if between(message, "`").is_some() && line_text.contains("vars.") {
            error = error.hint("give it a value: `vars:` in dev.yaml, or --set NAME=VALUE");
        }
        if !valid.is_empty() {
            error = error.hint(format!("defined are {}", valid.join(", ")));
        }
        error.maybe_hint(foreign_template(line_text, cause))
    }
}

/// Tera with our filters; the same for every file.
fn engine() -> &'static Tera {
    static ENGINE: OnceLock<Tera> = OnceLock::new();
    ENGINE.get_or_init(|| {
        let mut tera = Tera::new();
        tera.register_filter("quote", quote);
        tera.register_filter("to_json", to_json);
        tera.register_filter("to_yaml", to_yaml);
        tera.register_filter("b64encode", |text: &str, _: Kwargs, _: &State| {
            STANDARD.encode(text)
        });
        tera.register_filter("b64decode", b64decode);
        tera
    })
}

fn quote(value: tera::Value, _: Kwargs, _: &State) -> TeraResult<String> {
    let text = match value.as_str() {
        Some(text) => text.to_owned(),
        None => value.to_string(),
    };
    serde_json::to_string(&text).map_err(tera::Error::message)
}

fn to_json(value: tera::Value, _: Kwargs, _: &State) -> TeraResult<String> {
    serde_json::to_string(&value).map_err(tera::Error::message)
}

fn to_yaml(value: tera::Value, _: Kwargs, _: &State) -> TeraResult<String> {
    let json = serde_json::to_value(&value).map_err(tera::Error::message)?;
    let text = super::yaml::to_string(&json).map_err(tera::Error::message)?;
    Ok(text.trim_end_matches('\n').to_owned())
}

fn b64decode(text: &str, _: Kwargs, _: &State) -> TeraResult<String> {
    let bytes = STANDARD.decode(text.trim()).map_err(tera::Error::message)?;
    String::from_utf8(bytes).map_err(tera::Error::message)
}

/// Tera tells unknown filters, tests and functions as a printed report: `error: M\n --> name:LINE:COLUMN\n …`.
fn from_report(report: &str) -> (String, usize, usize, usize) {
    let mut lines = report.lines();
    let first = lines.next().unwrap_or(report);
    let message = first.strip_prefix("error: ").unwrap_or(first).to_owned();
    let mut numbers = lines
        .next()
        .filter(|line| line.contains("--> "))
        .map(|line| line.rsplit(':').filter_map(|number| number.parse().ok()))
        .into_iter()
        .flatten();
    let (column, line) = (numbers.next(), numbers.next());
    let length = between(&message, "`").map_or(1, str::len);
    (message, line.unwrap_or(0), column.unwrap_or(0), length)
}

/// `Variable `x` is not defined. Available variables: a, b` gives the sentence and the names.
fn split_valid_names(message: &str) -> (&str, Vec<&str>) {
    match message.split_once(". Available ") {
        Some((sentence, names)) => {
            let names = names.split_once(": ").map_or("", |(_, names)| names);
            let names = names.split(", ").filter(|name| !name.is_empty()).collect();
            (sentence, names)
        }
        None => (message.trim_end_matches('.'), Vec::new()),
    }
}

fn between<'a>(text: &'a str, mark: &str) -> Option<&'a str> {
    text.split(mark).nth(1)
}

/// Whether a line has a tag that reads another template.
fn takes_in_another(line: &str) -> bool {
    line.match_indices("{%").any(|(at, open)| {
        let tag = line[at + open.len()..].trim_start_matches('-').trim_start();
        ["include ", "extends ", "import "]
            .iter()
            .any(|verb| tag.starts_with(verb))
    })
}

/// Other programs use the same braces: Helm, Prometheus, Argo, Go templates.
fn foreign_template(line: &str, cause: &tera::Error) -> Option<String> {
    if takes_in_another(line) {
        return Some(
            "a template is one file here: name each file in manifests:, and write what they share in vars:"
                .to_owned(),
        );
    }
    let helm = [".Values", ".Release", ".Chart", "include \"", "define \""];
    if helm.iter().any(|sign| line.contains(sign)) {
        return Some("this is a Helm template: name its chart as helm: in dev.yaml".to_owned());
    }
    let syntax = matches!(cause.kind(), ErrorKind::SyntaxError(_));
    let foreign = [
        "$",
        "{{workflow.",
        "{{inputs.",
        "{{ workflow.",
        "{{ inputs.",
        "{{ .",
    ];
    (syntax || foreign.iter().any(|sign| line.contains(sign))).then(|| {
        format!(
            "braces meant for another program go between {{% raw %}} and {{% endraw %}}, or make \"{PLAIN}\" the \
             first line of a file that is no template"
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn renderer() -> Renderer {
        let vars = json!({"greeting": "hi", "list": [1, {"a": "b\nc"}], "tricky": "a: \"b\"\n#"});
        Renderer::new(&Context {
            app: "bookshop".into(),
            env: "try".into(),
            images: BTreeMap::from([("web".into(), "localhost/web:1".into())]),
            vars: serde_json::from_value(vars).unwrap(),
            ..Context::default()
        })
        .unwrap()
    }

    fn render(text: &str) -> Result<String> {
        renderer()
            .render(text, Path::new("k8s/web.yaml"))
            .map(Cow::into_owned)
    }

    #[test]
    fn values_and_filters_are_rendered() {
        let cases = [
            ("{{ app }}-{{ env }}", "bookshop-try"),
            ("{{ images.web }}", "localhost/web:1"),
            ("{{ vars.tricky | quote }}", r##""a: \"b\"\n#""##),
            ("{{ vars.list | to_json }}", r#"[1,{"a":"b\nc"}]"#),
            ("{{ vars.greeting | b64encode }}", "aGk="),
            ("{{ \"aGk=\" | b64decode }}", "hi"),
            (
                "a:\n  {{ vars.list | to_yaml | indent(width=2) }}",
                "a:\n  - 1\n  - a: |-\n      b\n      c",
            ),
            (
                "{% if vars.debug %}x{% endif %}{{ vars.debug | default(value=1) }}",
                "1",
            ),
            (
                "{% raw %}{{ $labels.pod }}{% endraw %}",
                "{{ $labels.pod }}",
            ),
            ("# dev:plain\n{{ $x }}", "# dev:plain\n{{ $x }}"),
            ("a: {b: <c>}", "a: {b: <c>}"),
        ];
        for (text, expected) in cases {
            assert_eq!(render(text).as_deref(), Ok(expected), "{text}");
        }
    }

    #[test]
    fn errors_name_place_and_nearest_name() {
        let cases = [
            (
                "a: b\nc: {{ vars.greting }}",
                "k8s/web.yaml:2:12",
                "Field `greting` is not defined",
                "did you mean \"greeting\"?",
            ),
            (
                "{{ ap }}",
                ":1:4",
                "Variable `ap` is not defined",
                "did you mean \"app\"?",
            ),
            (
                "{{ image }}",
                ":1:4",
                "Variable `image` is not defined",
                "the service has no image in dev.yaml",
            ),
            (
                "{{ $labels.pod }}",
                ":1:4",
                "Unexpected character",
                "% raw %",
            ),
            (
                "{{ .Values.x }}",
                ":1:4",
                "Found `.`",
                "this is a Helm template",
            ),
            ("{{ app | foo }}", ":1:10", "Unknown filter `foo`", ""),
            ("{% if app %}", ":1:", "Unexpected end of input", "% raw %"),
            ("{{ images['reviews'] }}", ":1:4", "undefined", ""),
        ];
        for (text, place, words, hint) in cases {
            let error = render(text).expect_err(text);
            assert!(error.to_string().contains(place), "{error:?}");
            assert!(error.message().contains(words), "{error:?}");
            assert!(
                hint.is_empty() || error.hints().iter().any(|h| h.contains(hint)),
                "{error:?}"
            );
            assert!(
                error.snippet_text().is_some_and(|s| s.contains('^')),
                "{error:?}"
            );
        }
    }

    #[test]
    fn a_template_that_takes_in_another_is_not_taken_for_helms() {
        for text in [
            "{% include \"x.yaml\" %}",
            "{%- extends 'x' %}",
            "{% import \"x\" as x %}",
        ] {
            let error = render(text).expect_err(text);
            let hints = error.hints().join("\n");
            assert!(hints.contains("a template is one file here"), "{error:?}");
            assert_eq!(error.place().and_then(|place| place.line), Some(1));
            assert!(!hints.contains("Helm"), "{error:?}");
        }
    }

    #[test]
    fn no_value_of_a_variable_is_quoted() {
        let vars = json!({"word": "hunter2", "b64": "hunter2!"});
        let context = Context {
            vars: serde_json::from_value(vars).unwrap(),
            ..Context::default()
        };
        let renderer = Renderer::new(&context).unwrap();
        for text in [
            "kind: A\nx: {{ vars.word | int }}",
            "kind: A\nx: {{ vars.word | float }}",
            "kind: A\nx: {{ vars.b64 | b64decode }}",
            "kind: A\nx: {{ vars.word.nope }}",
            "kind: A\nx: {{ vars[vars.word] }}",
            "kind: A\nx: {{ vars.word + 1 }}",
            "kind: Secret\nx: hunter2\ny: {{ nope }}",
        ] {
            let error = renderer.render(text, Path::new("x.yaml")).unwrap_err();
            assert!(!format!("{error:?}").contains("hunter2"), "{error:?}");
        }
    }

    proptest::proptest! {
        #[test]
        fn rendering_never_panics(text in "[{}%#a-c .|'\"\\n()\\[\\]$+*-]{0,40}") {
            let _ = render(&text);
        }
    }
}
