//! `lockgate man`

use std::{
    fs,
    path::{Path, PathBuf},
};

use clap::{Arg, ArgAction, Args};
use clap_mangen::{
    Man,
    roff::{Inline, Roff, bold, italic, roman},
};

use super::{Result, console::write};
use crate::error::{Error, ExitCode};

const HELP: &str = "\
Examples:
  lockgate man | man -l -                         read the page
  lockgate man --out /usr/local/share/man/man1    write it, and one for each command: lockgate-up.1, lockgate-backup-list.1 and so on

Reads no configuration and asks no database.";

#[derive(Args)]
#[command(after_help = HELP)]
pub struct Arguments {
    /// Write the page of every command into this folder, which is made [default: print the page of `lockgate` itself]
    #[arg(long, value_name = "FOLDER")]
    out: Option<PathBuf>,
}

pub fn run(arguments: &Arguments) -> Result<ExitCode> {
    let mut command = super::command().disable_help_subcommand(true);
    command.build();
    match &arguments.out {
        Some(folder) => {
            fs::create_dir_all(folder).map_err(|e| Error::system(format!("making `{}`", folder.display()), e))?;
            write_pages(&command, folder)?;
        }
        None => write(&page(&command)?)?,
    }
    Ok(ExitCode::Done)
}

/// Writes the page of a command, and those of all below it, each as `lockgate-backup-list.1`.
fn write_pages(command: &clap::Command, folder: &Path) -> Result<()> {
    let path = folder.join(Man::new(command.clone()).get_filename());
    fs::write(&path, page(command)?).map_err(|e| Error::system(format!("writing `{}`", path.display()), e))?;
    command.get_subcommands().filter(|below| !below.is_hide_set()).try_for_each(|below| write_pages(below, folder))
}

fn page(command: &clap::Command) -> Result<Vec<u8>> {
    let mut page = Vec::new();
    let man = Man::new(command.clone()).manual("Lockgate").source(concat!("lockgate ", env!("CARGO_PKG_VERSION")));
    let mut render = || {
        man.render_title(&mut page)?;
        man.render_name_section(&mut page)?;
        synopsis(command).to_writer(&mut page)?;
        man.render_description_section(&mut page)?;
        man.render_options_section(&mut page)?;
        if command.has_subcommands() {
            man.render_subcommands_section(&mut page)?;
        }
        after_help(command).to_writer(&mut page)?;
        exit_status().to_writer(&mut page)
    };
    render().map_err(|e| Error::system("writing a manual page", e))?;
    Ok(page)
}

/// How the command is called, with what its options take. Those of every command have a section of their own, and are not repeated here.
fn synopsis(command: &clap::Command) -> Roff {
    let name = command.get_bin_name().unwrap_or_else(|| command.get_name());
    let mut line = vec![bold(name), roman(" ")];
    let own =
        |argument: &&Arg| !argument.is_hide_set() && !argument.is_global_set() && argument.get_help_heading().is_none();
    let is_about_itself = |option: &&Arg| {
        matches!(option.get_action(), ArgAction::Help | ArgAction::HelpShort | ArgAction::HelpLong | ArgAction::Version)
    };
    let options = command.get_arguments().filter(|argument| !argument.is_positional());
    for option in options.filter(own).filter(|option| !is_about_itself(option)) {
        in_brackets(&mut line, option.is_required_set(), option_with_value(option));
    }
    line.extend([roman("["), italic("global options"), roman("] ")]);
    for place in command.get_positionals().filter(|place| !place.is_hide_set()) {
        let many = if matches!(place.get_action(), ArgAction::Append) { "..." } else { "" };
        in_brackets(&mut line, place.is_required_set(), vec![italic(value_of(place)), roman(many)]);
    }
    if command.has_subcommands() {
        in_brackets(&mut line, command.is_subcommand_required_set(), vec![italic("command")]);
    }
    let mut roff = Roff::default();
    roff.control("SH", ["SYNOPSIS"]).text(line);
    roff
}

fn in_brackets(line: &mut Vec<Inline>, required: bool, what: Vec<Inline>) {
    let [begin, end] = if required { ["", " "] } else { ["[", "] "] };
    line.push(roman(begin));
    line.extend(what);
    line.push(roman(end));
}

/// `--to VERSION`, `--embedded[=WHEN]`
fn option_with_value(option: &Arg) -> Vec<Inline> {
    let mut shown = match (option.get_short(), option.get_long()) {
        (Some(short), Some(long)) => vec![bold(format!("-{short}")), roman("|"), bold(format!("--{long}"))],
        (Some(short), None) => vec![bold(format!("-{short}"))],
        (None, long) => vec![bold(format!("--{}", long.unwrap_or_default()))],
    };
    if option.get_num_args().is_some_and(|values| values.takes_values()) {
        let may_be_left_out = option.get_num_args().is_some_and(|values| values.min_values() == 0);
        let between = if option.is_require_equals_set() { "=" } else { " " };
        let value = [roman(between), italic(value_of(option))];
        match may_be_left_out {
            true => shown.extend([[roman("[")].as_slice(), &value, &[roman("]")]].concat()),
            false => shown.extend(value),
        }
    }
    shown
}

fn value_of(argument: &Arg) -> String {
    let names =
        argument.get_value_names().map(|names| names.iter().map(ToString::to_string).collect::<Vec<_>>().join(" "));
    names.unwrap_or_else(|| argument.get_id().as_str().to_ascii_uppercase())
}

/// What the help ends with, a section for each of its parts: the examples, the environment, the rest. The exit codes have their own.
fn after_help(command: &clap::Command) -> Roff {
    let mut roff = Roff::default();
    let text = command.get_after_help().map(ToString::to_string).unwrap_or_default();
    for part in text.split("\n\n").filter(|part| !part.is_empty()) {
        let (first, rest) = part.split_once('\n').unwrap_or((part, ""));
        match first.split_once(':') {
            Some(("Examples", "")) => examples(&mut roff, rest),
            Some(("Environment", first)) => {
                roff.control("SH", ["ENVIRONMENT"]).text([roman(first.trim())]);
                roff.text(rest.lines().map(|line| roman(format!("{line} "))).collect::<Vec<_>>());
            }
            Some(("Exit codes", "")) => {}
            _ => {
                roff.control("SH", ["NOTES"]);
                for line in part.lines() {
                    roff.text([roman(line)]);
                }
            }
        }
    }
    roff
}

/// Each call with what it is for below it.
fn examples(roff: &mut Roff, lines: &str) {
    roff.control("SH", ["EXAMPLES"]);
    for line in lines.lines() {
        let line = line.trim_start();
        let (call, what) = line.split_once("  ").unwrap_or((line, ""));
        roff.control("TP", []);
        roff.text([bold(call)]);
        roff.text([roman(what.trim_start())]);
    }
}

fn exit_status() -> Roff {
    let mut roff = Roff::default();
    roff.control("SH", ["EXIT STATUS"]);
    for code in ExitCode::ALL {
        roff.control("TP", []);
        roff.text([bold(code.number().to_string())]);
        roff.text([roman(code.meaning())]);
    }
    roff
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page_of(name: &str) -> String {
        let mut command = super::super::command().disable_help_subcommand(true);
        command.build();
        let command = if name.is_empty() { &command } else { command.find_subcommand(name).unwrap() };
        String::from_utf8(page(command).unwrap()).unwrap()
    }

    #[track_caller]
    fn section<'a>(page: &'a str, title: &str) -> &'a str {
        let heading = if title.contains(' ') { format!(".SH \"{title}\"\n") } else { format!(".SH {title}\n") };
        let (_, rest) = page.split_once(&heading).unwrap_or_else(|| panic!("no {title} in {page}"));
        rest.split("\n.SH ").next().unwrap_or_default()
    }

    #[test]
    fn the_synopsis_has_the_values_that_options_take() {
        let page = page_of("up");
        let synopsis = section(&page, "SYNOPSIS");
        assert!(synopsis.contains(r"[\fB\-\-dry\-run\fR]"), "{synopsis}");
        assert!(synopsis.contains(r"\fB\-\-to\fR \fIVERSION\fR") && synopsis.contains(r"[=\fIFILE\fR]"), "{synopsis}");
        let down = page_of("down");
        assert!(section(&down, "SYNOPSIS").contains("VERSION"), "{down}");
    }

    #[test]
    fn the_examples_stand_where_a_reader_looks_for_them() {
        for name in ["", "up", "doctor", "man"] {
            let page = page_of(name);
            assert!(section(&page, "EXAMPLES").contains("lockgate") && !page.contains(".SH EXTRA"), "{page}");
        }
    }

    #[test]
    fn every_page_has_the_exit_codes() {
        for name in ["", "status"] {
            let page = page_of(name);
            let status = section(&page, "EXIT STATUS");
            for code in ExitCode::ALL {
                let meaning = code.meaning().replace('-', r"\-");
                assert!(status.contains(&format!("\\fB{}\\fR\n{meaning}", code.number())), "{status}");
            }
        }
    }
}
