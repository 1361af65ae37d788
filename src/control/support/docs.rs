//! The page of the documentation that shows the table.

use super::{Row, TABLE, Verdict};

const HEAD: &str = "\
# Which Services can be routed

Written from the table in `src/control/support/rows.rs`; a test holds the two together. `dev control` judges every Service that an
environment overrides by it, before anything is touched and again whenever something changes: a routed Service that comes to be
refused is put back. What is refused stays as it is: its requests reach the base.
";

const TAIL: &str = "
## What a routed Service looks like, and how to put it back by hand

While environments override a Service of the base, its selector and target ports lead to the routers (`dev-router`), and the shadow
`SERVICE-dev-base` keeps selecting the base's pods. Nothing else of it is changed, and no ownership of fields is left behind. The annotation
`dev/restore` holds the JSON Patch that undoes it, so this restores it without `dev`:

```sh
kubectl patch service SERVICE -n BASE --type=json \\
  -p \"$(kubectl get service SERVICE -n BASE -o jsonpath='{.metadata.annotations.dev/restore}')\"
```

Control then leaves the Service alone, as after every write of somebody else to its selector or ports: the owner's state stands, an
Event on the Service and the annotation `dev/stand-down` on the shadow say so. To have it routed again:

```sh
kubectl annotate service SERVICE-dev-base -n BASE dev/stand-down-
```

All Services are put back when the ConfigMap `dev-admission` of the base is deleted or carries the annotation `dev/uninstall: \"true\"`.
";

/// `docs/support.md`.
pub fn page() -> String {
    let mut page = HEAD.to_owned();
    for (title, verdict, columns) in [
        ("Supported", Verdict::Supported, ("Service", "How")),
        (
            "Supported with a limit",
            Verdict::Limited,
            ("Service", "Limit"),
        ),
        ("Refused", Verdict::Refused, ("Service", "Why")),
    ] {
        page.push_str(&format!(
            "\n## {title}\n\n| {} | {} |\n|---|---|\n",
            columns.0, columns.1
        ));
        let rows = TABLE.iter().filter(|row| row.verdict == verdict);
        page.extend(rows.map(line));
    }
    page.push_str(TAIL);
    page
}

fn line(row: &Row) -> String {
    format!("| {} | {} |\n", row.what, row.why)
}
