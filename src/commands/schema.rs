//! `dev schema`

use clap::Args;

use super::Context;
use crate::error::Result;
use crate::project::Project;
use crate::ui::Format;

/// Print the JSON Schema of dev.yaml
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  dev schema > dev.schema.json
  # first line of dev.yaml, for editors with a YAML language server:
  # yaml-language-server: $schema=dev.schema.json")]
pub struct Schema {}

impl Schema {
    /// Prints the schema.
    pub fn run(self, context: &Context) -> Result<()> {
        let schema = schemars::schema_for!(Project);
        match context.ui.format() {
            // A schema is JSON where nothing else is asked for.
            Format::Table | Format::Json => context.ui.print(format!("{:#}", schema.as_value())),
            Format::Yaml => context.ui.data(schema.as_value(), |_| String::new()),
        }
    }
}
