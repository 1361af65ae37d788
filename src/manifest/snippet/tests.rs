use super::*;

const WORD: &str = "hunter2";

#[test]
fn the_mark_stands_under_the_value() {
    let text = "app: a\nservices:\n  web:\n    live: maybe\n";
    assert_eq!(
        Text::Project(text).excerpt(4, 11, 5),
        "  |\n2 | services:\n3 |   web:\n4 |     live: maybe\n  |           ^^^^^"
    );
}

#[test]
fn a_place_outside_the_text_gives_nothing_and_a_long_line_is_cut() {
    assert_eq!(Text::Project("a\n").excerpt(7, 1, 1), "");
    assert_eq!(Text::Project("").excerpt(1, 1, 1), "");
    let long = format!("app: {}oops", "x".repeat(5000));
    let shown = Text::Project(&long).excerpt(1, 5006, 4);
    assert!(shown.lines().all(|line| line.len() < 140), "{shown}");
    assert!(shown.contains("oops"));
}

#[test]
fn values_of_what_may_be_a_secret_are_not_shown() {
    let texts = [
        "apiVersion: v1\nkind: Secret\nstringData:\n  p: hunter2\n  q: [\n",
        "kind: ConfigMap\n---\napiVersion: v1\nkind: \"Secret\"\nstringData: {p: hunter2}\n",
        "kind: {{ vars.kind }}\ndata:\n  p: hunter2\n",
        "{% if vars.x %}\nkind: Secret\n{% endif %}\nkind: ConfigMap\ndata:\n  p: hunter2\n",
        "apiVersion: v1\nkindd: Sekret\ndata:\n  p: hunter2\n",
        "{{ vars.head }}\ndata:\n  p: hunter2\n",
        "data:\n  p: hunter2\n",
        "kind: List\nitems:\n- kind: Secret\n  data:\n    p: hunter2\n",
        "{\"kind\": \"Secret\", \"data\": {\"p\": \"hunter2\"}}",
        "{\n  \"kind\": \"Secret\",\n  \"data\": {\n    \"p\": \"hunter2\"\n",
        "kind: Secret\nstringData:\n  p: |\n    hunter2\n    more: hunter2\n    a=hunter2 b: hunter2\n",
        "kind: Secret\n# p: hunter2\n# hunter2\nstringData:\n- hunter2\n- - hunter2\n- \"hunter2\"\n",
        "kind: Secret\nstringData:\n  ? hunter2\n  : hunter2\n  *hunter2 : x\n  &a hunter2: x\n",
        "--- {kind: Secret, p: hunter2}\n",
        "\u{feff}kind: Secret\ntype: hunter2\n",
        "password: hunter2{{ vars.x\n",
        "kind: Secret\nstringData:\n  p: hunter2-{{ \"hunter2\" ~ 'hunter2' ~ `hunter2` ~ vars.x }}-hunter2\n",
        "kind: Secret\nstringData:\n  p: {{ \"hunter2\n  q: {{ 'hunter2' | hunter }}{{ \"hunter2' }}\n",
    ];
    for text in texts {
        for number in 1..=text.lines().count() {
            for made in [
                Text::Written(text),
                Text::Rendered {
                    made: text,
                    written: text,
                },
                Text::Made {
                    made: text,
                    written: Some(text),
                },
                Text::Made {
                    made: text,
                    written: None,
                },
            ] {
                for column in [1, 9, 40] {
                    let shown = made.excerpt(number, column, 30);
                    assert!(!shown.contains(WORD), "{text}\n{shown}");
                    assert!(shown.contains('^'), "{text}\n{shown}");
                }
            }
        }
    }
}

#[test]
fn keys_expressions_and_other_kinds_are_shown() {
    let secret = "kind: Secret\nstringData:\n  pass-word: abc{{ vars.pw | b64encode }}def\n";
    assert_eq!(
        Text::Written(secret).excerpt(3, 22, 2),
        "  |\n1 | kind: Secret\n2 | stringData:\n3 |   pass-word: …{{ vars.pw | b64encode }}…\n  |                    ^^"
    );
    assert_eq!(
        Text::Written(secret).excerpt(3, 15, 1).lines().last(),
        Some("  |              ^")
    );
    let open = "apiVersion: apps/v1\nkind: Deployment\nspec: {replicas: two}\n";
    assert!(
        Text::Written(open)
            .excerpt(3, 1, 1)
            .contains("{replicas: two}")
    );
    let json = "{\"kind\": \"ConfigMap\", \"data\": {\"a\": \"b\"}";
    assert!(
        Text::Written(json)
            .excerpt(1, 1, 1)
            .contains("{\"a\": \"b\"}")
    );
}

#[test]
fn what_a_template_or_a_program_brought_in_is_not_shown() {
    let written =
        "kind: ConfigMap\nmetadata: {name: a}\ndata:\n  p: {{ vars.p }}\n  fine: as it is\n";
    let made = "kind: ConfigMap\nmetadata: {name: a}\ndata:\n  p: hunter2\n  fine: as it is\n";
    let shown = Text::Rendered { made, written }.excerpt(4, 6, 1);
    assert!(
        shown.contains("p: {{ vars.p }}") && !shown.contains(WORD),
        "{shown}"
    );
    assert!(shown.ends_with("|   ^^^^^^^^^^^^^^^"), "{shown}");
    let moved = made.replace("data:", "data:\n  more: hunter2");
    let made = Text::Made {
        made: &moved,
        written: Some(written),
    };
    let shown = made.excerpt(7, 6, 1);
    assert!(
        shown.contains("p: …") && shown.contains("as it is"),
        "{shown}"
    );
    let printed = "kind: Deployment\nmetadata:\n  name: web\n  labels: {p: hunter2}\nspec:\n  env:\n  - name: PASS\n    value: hunter2\n";
    for number in 1..=8 {
        let shown = Text::Made {
            made: printed,
            written: None,
        }
        .excerpt(number, 5, 9);
        assert!(!shown.contains(WORD), "{shown}");
        assert_eq!(
            shown.contains("name: web"),
            (3..=5).contains(&number),
            "{shown}"
        );
    }
}

#[test]
fn free_values_of_the_project_are_not_shown() {
    let text = "app: shop
vars:
  a: hunter2

  b:
  - hunter2
services:
  web:
    manifests: k8s/
    helm: {chart: c, set: {a: hunter2, 'b': hunter2}}
    vars: hunter2
    image:
      layers:
        env: {
  A: hunter2,
B: hunter2}
        args:
\t\t\tA: hunter2
        set:
          a: |
            hunter2
        \"vars\" : hunter2
      set:
    password: hunter2
  tokn: hunter2
profiles:
  ci: {branches: [pr-*], vars: {a: hunter2}}
";
    for number in 1..=text.lines().count() {
        let shown = Text::Project(text).excerpt(number, 3, 30);
        assert!(!shown.contains(WORD), "{shown}");
    }
    let text = Text::Project(text);
    assert!(text.excerpt(9, 1, 1).contains("manifests: k8s/"));
    assert!(text.excerpt(10, 1, 1).contains("helm: {chart: c, set: …"));
    assert!(text.excerpt(27, 1, 1).contains("branches: [pr-*], vars: …"));
    assert!(
        text.is_free(3, 6) && text.is_free(10, 30) && !text.is_free(3, 3) && !text.is_free(9, 16)
    );
}

#[test]
fn sentences_quote_names_and_no_values() {
    let template = "{{ vars.pin | int }}{{ nope }}";
    for (message, told) in [
        (
            "The string `hunter2` cannot be converted to an int in base 10",
            "The string `…` cannot be converted to an int in base 10",
        ),
        (
            "Variable `nope` is not defined",
            "Variable `nope` is not defined",
        ),
        ("This is a `string`", "This is a `string`"),
        ("odd `hunter2", "odd `…"),
    ] {
        assert_eq!(hide_values_in(message, template), told);
    }
}

proptest::proptest! {
    #[test]
    fn no_text_and_no_place_makes_it_panic(text in "[ \\-a-f:'\"{}%#|\n\u{feff}é…]{0,60}", line in 0..6usize, column in 0..70usize, length in 0..9usize) {
        for source in [
            Text::Project(&text),
            Text::Written(&text),
            Text::Rendered { made: &text, written: "kind: A\n" },
            Text::Made { made: &text, written: Some("kind: Secret\na: b\n") },
        ] {
            let _shown = source.excerpt(line, column, length);
            let _hidden = source.is_free(line, column);
        }
    }

    #[test]
    fn no_value_of_a_secret_is_shown_wherever_it_stands(
        before in "( {0,4}[a-c]{1,2}: ?[a-c|>&*!{\\[]{0,3}\n){0,4}",
        value in "( {0,6}(- )?([a-c\"']{1,3}: )?(\"|'|[{\\[]|!!str |&a |\\{\\{ \")?)hunter2[\"'}\\] a-c]{0,4}\n",
        after in "( {0,4}[a-c]{1,2}: ?[a-c]{0,3}\n){0,2}",
        column in 0..20usize,
    ) {
        let text = format!("kind: Secret\n{before}{value}{after}");
        for line in 0..=text.lines().count() {
            let shown = Text::Written(&text).excerpt(line, column, 5);
            proptest::prop_assert!(!shown.contains(WORD), "{shown}");
        }
    }
}
