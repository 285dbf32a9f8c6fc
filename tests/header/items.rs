//! What `src/ffi` declares, item by item: cbindgen writes the declarations, the sources tell where each is from.

use std::fs;
use std::path::{Path, PathBuf};

/// A constant, a type or a function, as C declares it.
pub(crate) struct Item {
    pub(crate) name: String,
    /// The comment and the declaration, without an empty line at the end.
    pub(crate) text: String,
    /// Where it stands in its file.
    place: usize,
}

impl Item {
    /// The lines without the comments.
    pub(crate) fn code(&self) -> String {
        let lines = self.text.lines();
        let code = lines.filter(|line| !line.trim_start().starts_with("///"));
        code.collect::<Vec<_>>().join("\n")
    }

    /// The comment in front of the declaration, without its signs.
    pub(crate) fn comment(&self) -> Vec<&str> {
        let lines = self.text.lines();
        let comment = lines.map_while(|line| line.strip_prefix("///"));
        comment
            .map(|line| line.strip_prefix(' ').unwrap_or(line))
            .collect()
    }

    pub(crate) fn is_function(&self) -> bool {
        let code = self.code();
        code.contains('(') && !code.starts_with("typedef")
    }
}

/// The items of each of these files of `src/ffi`, in the order in which they stand there.
///
/// cbindgen reads exactly these files, so that nothing else of the crate leaks into the header.
pub(crate) fn of(files: &[&str]) -> Vec<Vec<Item>> {
    let declared = declarations(files);
    let sources: Vec<String> = files.iter().map(|file| read(file)).collect();
    let mut items: Vec<Vec<Item>> = files.iter().map(|_| Vec::new()).collect();
    // cbindgen separates items by an empty line, and has none within one.
    for text in declared.trim().split("\n\n") {
        let name = name_of(text);
        let mut found = sources
            .iter()
            .zip(&mut items)
            .filter_map(|(source, items)| Some((place_of(&name, source)?, items)));
        let (place, items) = found.next().unwrap_or_else(|| panic!("where is {name}?"));
        assert!(found.next().is_none(), "{name} is in two files");
        items.push(Item {
            name,
            text: text.to_owned(),
            place,
        });
    }
    for items in &mut items {
        items.sort_by_key(|item| item.place);
    }
    items
}

/// A file of `src/ffi`.
pub(crate) fn read(file: &str) -> String {
    fs::read_to_string(folder().join(file))
        .unwrap_or_else(|error| panic!("src/ffi/{file}: {error}"))
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src/ffi")
}

fn declarations(files: &[&str]) -> String {
    let config = Path::new(env!("CARGO_MANIFEST_DIR")).join("cbindgen.toml");
    let config = cbindgen::Config::from_file(config).expect("cbindgen.toml");
    let builder = files.iter().fold(
        cbindgen::Builder::new().with_config(config),
        |builder, file| builder.with_src(folder().join(file)),
    );
    let mut text = Vec::new();
    builder.generate().expect("src/ffi parses").write(&mut text);
    String::from_utf8(text).expect("UTF-8")
}

/// The name that an item declares.
fn name_of(text: &str) -> String {
    let code = text.lines().find(|line| !line.starts_with("///"));
    let code = code.unwrap_or_else(|| panic!("a comment without a declaration:\n{text}"));
    let is_word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let word = |code: &str| -> String {
        let start = code.trim_start_matches(|c| !is_word(c));
        start.chars().take_while(|c| is_word(*c)).collect()
    };
    if let Some(rest) = code.strip_prefix("#define ") {
        return word(rest);
    }
    match code.split_once('(') {
        // typedef int (*name)(…
        Some((before, rest)) if before.starts_with("typedef") => word(rest),
        // int name(…
        Some((before, _)) => before.rsplit(|c| !is_word(c)).next().unwrap().to_owned(),
        // struct name {
        None => word(code.trim_start_matches("struct ")),
    }
}

/// Where a file declares this name, if it does.
fn place_of(name: &str, source: &str) -> Option<usize> {
    let forms = [
        format!("pub const {name}:"),
        format!("pub struct {name} "),
        format!("pub type {name} "),
        format!("fn {name}("),
    ];
    forms.iter().find_map(|form| source.find(form.as_str()))
}
