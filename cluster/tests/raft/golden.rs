//! Runs every script in `testdata/raft` and compares what it prints.
//!
//! `UPDATE_GOLDEN=1 cargo test -p cluster --test raft golden` writes the present output into the
//! scripts: read the difference before committing it.

use crate::script::Script;
use std::fs;
use std::path::{Path, PathBuf};

/// The script with its output as it is now: comments, blank lines and commands stay, the rest is
/// replaced.
fn replay(text: &str) -> Result<String, String> {
    let mut script = Script::new();
    let mut output = String::new();
    for (number, line) in text.lines().enumerate() {
        if let Some(command) = line.strip_prefix("> ") {
            output += &format!("{line}\n");
            let printed =
                script.run(command).map_err(|error| format!("line {}: {error}", number + 1))?;
            printed.iter().for_each(|line| output += &format!("{line}\n"));
        } else if line.is_empty() || line.starts_with('#') {
            output += &format!("{line}\n");
        }
    }
    Ok(output)
}

fn scripts() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/raft");
    let mut paths: Vec<PathBuf> = fs::read_dir(folder)
        .expect("testdata/raft is there")
        .map(|entry| entry.expect("its entries can be read").path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "txt"))
        .collect();
    paths.sort();
    paths
}

#[test]
fn every_script_prints_what_it_says() {
    let update = std::env::var_os("UPDATE_GOLDEN").is_some();
    let mut different = Vec::new();
    for path in scripts() {
        let text = fs::read_to_string(&path).expect("the script can be read");
        let now = replay(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        if update {
            fs::write(&path, now).expect("the script can be written");
        } else if let Some((number, line)) = first_difference(&text, &now) {
            different.push(format!("{}:{number}: now `{line}`", path.display()));
        }
    }
    assert!(different.is_empty(), "{}", different.join("\n"));
}

#[test]
fn there_are_scripts_and_each_says_what_it_guards() {
    assert!(scripts().len() >= 10);
    for path in scripts() {
        let text = fs::read_to_string(&path).expect("the script can be read");
        assert!(text.starts_with("# "), "{} opens with a sentence", path.display());
    }
}

fn first_difference(before: &str, now: &str) -> Option<(usize, String)> {
    let (mut before, mut now) = (before.lines(), now.lines());
    for number in 1.. {
        match (before.next(), now.next()) {
            (None, None) => return None,
            (left, right) if left == right => {}
            (_, right) => return Some((number, right.unwrap_or("the end").to_owned())),
        }
    }
    None
}
