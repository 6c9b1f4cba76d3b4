//! Turns the argument parser's complaints into one sentence and a hint.

use super::Cli;
use crate::exit::{Failure, nearest};
use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{CommandFactory, Parser};
use std::error::Error as _;
use std::ffi::OsString;

/// What the arguments ask for: something to do, or only a text to print on stdout (help, version).
///
/// # Errors
/// When they cannot be understood.
pub fn parse(
    arguments: impl IntoIterator<Item = OsString>,
) -> Result<Result<Cli, String>, Failure> {
    match Cli::try_parse_from(arguments) {
        Ok(cli) => Ok(Ok(cli)),
        Err(error) if !error.use_stderr() => Ok(Err(error.render().to_string())),
        Err(error) => Err(refuse(&error)),
    }
}

fn refuse(error: &clap::Error) -> Failure {
    let argument = context(error, ContextKind::InvalidArg).map(|name| flag(&name));
    let value = context(error, ContextKind::InvalidValue).unwrap_or_default();
    let what = argument.clone().unwrap_or_else(|| "an argument".to_owned());
    let failure = match error.kind() {
        ErrorKind::UnknownArgument => Failure::usage(format!("unknown argument {what}")),
        ErrorKind::InvalidSubcommand => {
            let verb = context(error, ContextKind::InvalidSubcommand).unwrap_or_default();
            let verbs = verbs();
            let failure = Failure::usage(format!("unknown verb `{verb}`"));
            return match nearest(&verb, &verbs.iter().map(String::as_str).collect::<Vec<_>>()) {
                Some(near) => failure.hint(format!("did you mean `{near}`?")),
                None => failure.hint(format!("verbs: {}", verbs.join(", "))),
            };
        }
        ErrorKind::MissingSubcommand | ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => {
            Failure::usage("say what to do").hint(format!("verbs: {}", verbs().join(", ")))
        }
        ErrorKind::ValueValidation => {
            let why = error.source().map(ToString::to_string).unwrap_or_default();
            let why = if why.contains('`') { why } else { format!("`{value}`: {why}") };
            Failure::usage(format!("bad value for {what}: {why}"))
        }
        ErrorKind::InvalidValue if value.is_empty() => {
            Failure::usage(format!("{what} needs a value"))
        }
        ErrorKind::InvalidValue => {
            let known = context(error, ContextKind::ValidValue).unwrap_or_default();
            Failure::usage(format!("bad value `{value}` for {what}"))
                .hint(format!("possible: {known}"))
        }
        ErrorKind::MissingRequiredArgument => Failure::usage(format!("{what} is missing")),
        ErrorKind::ArgumentConflict => {
            let other =
                context(error, ContextKind::PriorArg).map_or(String::new(), |name| flag(&name));
            Failure::usage(format!("{what} cannot be used together with {other}"))
        }
        _ => Failure::usage(first_line(error)),
    };
    with_suggestion(failure, error)
}

fn with_suggestion(failure: Failure, error: &clap::Error) -> Failure {
    let kinds = [ContextKind::SuggestedArg, ContextKind::SuggestedValue];
    match kinds.iter().find_map(|kind| context(error, *kind)) {
        Some(near) => failure.hint(format!("did you mean `{near}`?")),
        None if failure.hints.is_empty() => failure.hint("`harness --help` shows what there is"),
        None => failure,
    }
}

/// One piece of what the parser knows about its complaint, as text.
fn context(error: &clap::Error, kind: ContextKind) -> Option<String> {
    match error.get(kind)? {
        ContextValue::String(text) => Some(text.clone()),
        ContextValue::Strings(texts) => Some(texts.join(", ")),
        ContextValue::StyledStr(text) => Some(text.to_string()),
        _ => None,
    }
}

/// `--time <DURATION>` without its value name, in quotes.
fn flag(text: &str) -> String {
    format!("`{}`", text.split(" <").next().unwrap_or(text))
}

fn verbs() -> Vec<String> {
    let command = Cli::command();
    let shown = command.get_subcommands().filter(|verb| !verb.is_hide_set());
    shown.map(|verb| verb.get_name().to_owned()).collect()
}

fn first_line(error: &clap::Error) -> String {
    let text = error.render().to_string();
    let line = text.lines().next().unwrap_or_default();
    line.strip_prefix("error: ").unwrap_or(line).to_owned()
}
