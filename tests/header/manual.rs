//! Makes `include/fluxcap.h`: an overview, then chapter by chapter what `src/ffi` declares.

use crate::items::{self, Item};

/// A chapter of the header.
struct Topic {
    /// What Doxygen and the contents call it.
    id: &'static str,
    title: &'static str,
    /// The file of `src/ffi` whose `//!` is the text of the chapter.
    text: &'static str,
    /// The files of `src/ffi` that it consists of, in order: what names a type by value stands behind it.
    files: &'static [&'static str],
}

const TOPICS: [Topic; 11] = [
    Topic {
        id: "fluxcap_errors",
        title: "Errors and version",
        text: "error.rs",
        files: &["error.rs"],
    },
    Topic {
        id: "fluxcap_setup",
        title: "Set-up",
        text: "config.rs",
        files: &["config.rs", "umem.rs"],
    },
    Topic {
        id: "fluxcap_info",
        title: "Reports and statistics",
        text: "info.rs",
        files: &["info.rs"],
    },
    Topic {
        id: "fluxcap_packets",
        title: "Packets",
        text: "packet.rs",
        files: &["packet.rs"],
    },
    Topic {
        id: "fluxcap_mode_c",
        title: "Mode C, the rings",
        text: "raw.rs",
        files: &["raw.rs"],
    },
    Topic {
        id: "fluxcap_mode_b",
        title: "Mode B, the halves",
        text: "rx.rs",
        files: &["rx.rs", "tx.rs"],
    },
    Topic {
        id: "fluxcap_mode_a",
        title: "Mode A, the engine",
        text: "engine.rs",
        files: &["callback.rs", "engine.rs", "group.rs"],
    },
    Topic {
        id: "fluxcap_waiting",
        title: "Waiting",
        text: "poller.rs",
        files: &["poller.rs"],
    },
    Topic {
        id: "fluxcap_parsing",
        title: "Looking at packets",
        text: "parse.rs",
        files: &["parse.rs", "headers.rs", "checksum.rs"],
    },
    Topic {
        id: "fluxcap_editing",
        title: "Changing and building packets",
        text: "edit.rs",
        files: &["tunnel.rs", "edit.rs", "rewrite.rs", "build.rs"],
    },
    Topic {
        id: "fluxcap_simulator",
        title: "Simulator",
        text: "sim.rs",
        files: &["sim.rs", "nic.rs"],
    },
];

/// The header, and all items that it declares.
pub(crate) struct Manual {
    pub(crate) text: String,
    pub(crate) items: Vec<Item>,
}

pub(crate) fn generate() -> Manual {
    let files: Vec<&str> = TOPICS
        .iter()
        .flat_map(|topic| topic.files)
        .copied()
        .collect();
    let mut declared = items::of(&files).into_iter();
    let chapters: Vec<(&Topic, Vec<Item>)> = TOPICS
        .iter()
        .map(|topic| {
            (
                topic,
                declared
                    .by_ref()
                    .take(topic.files.len())
                    .flatten()
                    .collect(),
            )
        })
        .collect();
    let mut text = HEAD.to_owned();
    text += &comment(&overview());
    text += GUARD;
    text += &version();
    text += "\n#ifdef __cplusplus\nextern \"C\" {\n#endif\n\n";
    text += &forward(chapters.iter().flat_map(|(_, items)| items));
    for (topic, items) in &chapters {
        text += &format!("\n/// @defgroup {} {}\n///\n", topic.id, topic.title);
        text += &comment(&topic.text());
        text += "///\n/// @{\n";
        for item in items {
            text += "\n";
            if item.code() == format!("struct {};", item.name) {
                // Doxygen takes it for no declaration otherwise, as it is none of fields.
                text += &format!("/// @struct {}\n", item.name);
            }
            text += &format!("{}\n", item.text);
        }
        text += "\n/// @}\n";
    }
    text += "\n#ifdef __cplusplus\n}\n#endif\n\n#endif // FLUXCAP_H\n";
    let items = chapters.into_iter().flat_map(|(_, items)| items).collect();
    Manual { text, items }
}

const HEAD: &str = "\
// SPDX-License-Identifier: MIT OR Apache-2.0
//
// Generated from src/ffi. Do not edit: change the Rust source and run `make header`.

/// @file
///
";

const GUARD: &str = "
#ifndef FLUXCAP_H
#define FLUXCAP_H

#include <stddef.h>
#include <stdint.h>
";

fn version() -> String {
    format!(
        "\n/// The version of this header.\n#define FLUXCAP_VERSION \"{}\"\n\
         /// The first number of the version.\n#define FLUXCAP_VERSION_MAJOR {}\n\
         /// The second number of the version.\n#define FLUXCAP_VERSION_MINOR {}\n\
         /// The third number of the version.\n#define FLUXCAP_VERSION_PATCH {}\n",
        env!("CARGO_PKG_VERSION"),
        env!("CARGO_PKG_VERSION_MAJOR"),
        env!("CARGO_PKG_VERSION_MINOR"),
        env!("CARGO_PKG_VERSION_PATCH"),
    )
}

/// The overview, with the contents and the rights filled in.
fn overview() -> String {
    let text = items::read("overview.md");
    let fill = |text: String, place: &str, lines: String| {
        assert!(text.contains(place), "no place for {place} in overview.md");
        text.replace(place, lines.trim_end())
    };
    let text = fill(text, "CONTENTS", contents());
    fill(text, "RIGHTS", rights())
}

fn contents() -> String {
    let line = |topic: &Topic| {
        let text = topic.text();
        let purpose = text.split("\n\n").next().unwrap().replace('\n', " ");
        listed(&format!("{} ({}): {purpose}", topic.title, topic.id))
    };
    TOPICS.iter().map(line).collect()
}

/// The table of the Rust documentation, as a list.
fn rights() -> String {
    let rows = include_str!("../../src/rights.md").lines().skip(2);
    let line = |row: &str| {
        let cells: Vec<_> = row.trim_matches('|').split('|').map(str::trim).collect();
        let [what, linux, capabilities] = cells[..] else {
            panic!("{row}");
        };
        listed(&format!("{what} (Linux {linux}): {capabilities}."))
    };
    rows.map(line).collect()
}

/// An entry of a list, in lines that have room for the signs of a comment.
fn listed(text: &str) -> String {
    let mut lines = String::from("-");
    let mut width = 1;
    for word in text.split(' ') {
        let length = word.chars().count() + 1;
        if width + length > LINE - "/// ".len() {
            lines += "\n ";
            width = 1;
        }
        lines += " ";
        lines += word;
        width += length;
    }
    lines + "\n"
}

/// The columns of a line.
pub(crate) const LINE: usize = 100;

impl Topic {
    fn text(&self) -> String {
        let source = items::read(self.text);
        let lines = source.lines().map_while(|line| line.strip_prefix("//!"));
        let lines = lines.map(|line| line.strip_prefix(' ').unwrap_or(line));
        lines.collect::<Vec<_>>().join("\n")
    }
}

/// Text as a comment.
fn comment(text: &str) -> String {
    let line = |line: &str| format!("{}\n", format!("/// {line}").trim_end());
    text.lines().map(line).collect()
}

/// Declarations of the structs that are named before their topic comes.
fn forward<'a>(items: impl Iterator<Item = &'a Item>) -> String {
    let mut declared: Vec<String> = Vec::new();
    let mut early: Vec<String> = Vec::new();
    for item in items {
        let code = item.code();
        if code.starts_with("struct ") && !item.is_function() {
            declared.push(item.name.clone());
        }
        for (at, _) in code.match_indices("struct ") {
            let rest = &code[at + "struct ".len()..];
            let end = rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_');
            let name = rest[..end.unwrap_or(rest.len())].to_owned();
            if !declared.contains(&name) && !early.contains(&name) {
                early.push(name);
            }
        }
    }
    early.sort();
    early
        .iter()
        .map(|name| format!("struct {name};\n"))
        .collect()
}
