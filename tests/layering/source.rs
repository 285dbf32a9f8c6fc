//! A Rust file as the rules see it: its words, its module, the paths it names.

use super::{UNSAFE, place};

/// A word or a sign.
struct Token {
    text: String,
    line: usize,
}

/// A file.
pub(super) struct Source {
    /// The path below `src`.
    pub(super) name: String,
    /// The file's module: `["kernel", "bpf", "map"]`; of lib.rs nothing.
    pub(super) module: Vec<String>,
    tokens: Vec<Token>,
    /// The same without what is compiled only for tests.
    product: Vec<Token>,
    pub(super) lines: usize,
    pub(super) test_lines: usize,
}

impl Source {
    /// `name` is the path below `src`, joined by slashes.
    pub(super) fn new(name: &str, text: &str) -> Self {
        let mut module: Vec<String> = name
            .trim_end_matches(".rs")
            .split('/')
            .map(String::from)
            .collect();
        if module
            .last()
            .is_some_and(|last| last == "mod" || last == "lib")
        {
            module.pop();
        }
        let (product, test_lines) = without_tests(tokens(text));
        Self {
            name: name.into(),
            module,
            tokens: tokens(text),
            product,
            lines: text.lines().count(),
            test_lines,
        }
    }

    pub(super) fn is_test(&self) -> bool {
        self.module.iter().any(|name| name == "tests")
    }

    /// A file below `kernel` belongs to one of its sides; only `kernel/mod.rs` is the seam itself.
    pub(super) fn unit(&self) -> Option<(usize, &'static str)> {
        place(&self.module).filter(|(_, unit)| *unit != "kernel" || self.module.len() == 1)
    }

    pub(super) fn contains(&self, texts: &[&str]) -> bool {
        self.tokens.windows(texts.len()).any(|window| {
            window
                .iter()
                .map(|token| &*token.text)
                .eq(texts.iter().copied())
        })
    }

    pub(super) fn unsafe_lines(&self) -> Vec<String> {
        let lines = self
            .tokens
            .iter()
            .filter(|token| token.text == "unsafe")
            .map(|token| token.line);
        lines
            .map(|line| {
                format!(
                    "line {line}: unsafe code, which belongs into {}",
                    UNSAFE.join(", ")
                )
            })
            .collect()
    }

    /// Every word of a condition on the operating system, and its line.
    pub(super) fn system_conditions(&self) -> Vec<(&str, usize)> {
        const WORDS: [&str; 6] = [
            "target_os",
            "target_family",
            "target_env",
            "target_vendor",
            "unix",
            "windows",
        ];
        let mut found = Vec::new();
        let mut depth = 0; // of the brackets since `cfg`
        let mut words = self.product.iter().map(|token| &*token.text).peekable();
        for token in &self.product {
            words.next();
            let next = words.peek().copied().unwrap_or_default();
            match &*token.text {
                "cfg" | "cfg_attr" if depth == 0 && matches!(next, "(" | "!") => depth = 1,
                "(" if depth > 0 => depth += 1,
                // The bracket of `cfg` itself is the second.
                ")" if depth > 0 => depth = if depth == 2 { 0 } else { depth - 1 },
                word if depth > 0 && WORDS.contains(&word) => found.push((word, token.line)),
                _ => {}
            }
        }
        found
    }

    /// Every use of something that not all operating systems have, and its line.
    pub(super) fn system_calls(&self) -> Vec<(&str, usize)> {
        let text = |at: usize| self.product.get(at).map_or("", |token| &*token.text);
        let tokens = self.product.iter().enumerate();
        let found = tokens.filter(|(at, token)| match &*token.text {
            "libc" | "libbpf_sys" => true,
            "os" => text(at + 1) == "::",
            _ => false,
        });
        found.map(|(_, token)| (&*token.text, token.line)).collect()
    }

    /// Every path to something in this crate, from the crate's root, and its line.
    pub(super) fn paths(&self) -> Vec<(Vec<String>, usize)> {
        let mut found = Vec::new();
        let mut here = self.module.clone();
        let mut braces = Vec::new(); // how deep the module was before each open brace
        for (at, token) in self.product.iter().enumerate() {
            let text = |at: usize| self.product.get(at).map_or("", |token| &*token.text);
            match &*token.text {
                "{" => {
                    braces.push(here.len());
                    if at >= 2 && text(at - 2) == "mod" {
                        here.push(text(at - 1).into());
                    }
                }
                "}" => {
                    let depth = braces.pop().unwrap_or(0);
                    here.truncate(depth);
                }
                first if text(at + 1) == "::" && (at == 0 || text(at - 1) != "::") => {
                    let mut child = here.clone();
                    child.push(first.into());
                    let base = match first {
                        "crate" => Vec::new(),
                        "self" => here.clone(),
                        "super" => here[..here.len().saturating_sub(1)].to_vec(),
                        // A side of the kernel, named from the seam without `self::`.
                        _ if place(&child).is_some_and(|(_, unit)| unit == child.join("::"))
                            && child.len() > 1 =>
                        {
                            child
                        }
                        _ => continue,
                    };
                    let mut paths = Vec::new();
                    expand(&self.product, at + 2, base, &mut paths);
                    found.extend(paths.into_iter().map(|path| (path, token.line)));
                }
                _ => {}
            }
        }
        found
    }
}

/// Adds the paths that begin with `path` and go on at token `at`; returns the token behind them.
fn expand(
    tokens: &[Token],
    mut at: usize,
    mut path: Vec<String>,
    found: &mut Vec<Vec<String>>,
) -> usize {
    let text = |at: usize| tokens.get(at).map_or("", |token| &*token.text);
    loop {
        match text(at) {
            "{" => {
                at += 1;
                while !matches!(text(at), "}" | "") {
                    at = expand(tokens, at, path.clone(), found);
                    while !matches!(text(at), "," | "}" | "") {
                        at += 1; // `as name`
                    }
                    if text(at) == "," {
                        at += 1;
                    }
                }
                return at + 1;
            }
            "super" => {
                path.pop();
            }
            "self" => {}
            name if name.starts_with(|c: char| c.is_alphabetic() || c == '_') => {
                path.push(name.into())
            }
            _ => break, // `*`, or the generic arguments of a path
        }
        at += 1;
        if text(at) != "::" {
            break;
        }
        at += 1;
    }
    found.push(path);
    at
}

/// Takes out each item under `#[cfg(test)]`; also tells the number of lines they have.
fn without_tests(tokens: Vec<Token>) -> (Vec<Token>, usize) {
    let starts_test = |at: usize| {
        let words: Vec<&str> = tokens[at..]
            .iter()
            .take(7)
            .map(|token| &*token.text)
            .collect();
        words.starts_with(&["#", "[", "cfg", "(", "test", ")", "]"])
            || words.starts_with(&["#", "[", "cfg", "(", "all", "(", "test"])
    };
    let mut skipped = vec![false; tokens.len()];
    let mut lines = 0;
    let mut at = 0;
    while at < tokens.len() {
        if !starts_test(at) {
            at += 1;
            continue;
        }
        let start = at;
        // The item ends with a semicolon or with the end of a block, beyond all brackets.
        let mut depth = 0;
        let mut is_use = false;
        while at < tokens.len() {
            match &*tokens[at].text {
                "(" | "[" | "{" => depth += 1,
                ")" | "]" => depth -= 1,
                "}" => {
                    depth -= 1;
                    if depth == 0 && !is_use {
                        break;
                    }
                }
                ";" if depth == 0 => break,
                "use" => is_use |= depth == 0,
                _ => {}
            }
            at += 1;
        }
        let end = at.min(tokens.len() - 1);
        skipped[start..=end].fill(true);
        lines += tokens[end].line + 1 - tokens[start].line;
        at = end + 1;
    }
    let kept = tokens
        .into_iter()
        .zip(skipped)
        .filter(|(_, skip)| !skip)
        .map(|(token, _)| token);
    (kept.collect(), lines)
}

/// The words and signs of a Rust text, without comments, strings, characters and lifetimes.
fn tokens(text: &str) -> Vec<Token> {
    let text: Vec<char> = text.chars().collect();
    let is_word = |c: &char| c.is_alphanumeric() || *c == '_';
    let starts = |at: usize, sign: &str| {
        text[at..]
            .iter()
            .copied()
            .take(sign.chars().count())
            .eq(sign.chars())
    };
    let mut tokens = Vec::new();
    let mut line = 1;
    let mut at = 0;
    while at < text.len() {
        let start = at;
        let mut token = None;
        if starts(at, "//") {
            at += text[at..].iter().take_while(|c| **c != '\n').count();
        } else if starts(at, "/*") {
            let mut depth = 0;
            while at < text.len() {
                if starts(at, "/*") {
                    depth += 1;
                    at += 2;
                } else if starts(at, "*/") {
                    depth -= 1;
                    at += 2;
                } else {
                    at += 1;
                }
                if depth == 0 {
                    break;
                }
            }
        } else if text[at] == '"' {
            at = string_end(&text, at + 1);
        } else if text[at] == '\'' {
            let is_char = text.get(at + 1) == Some(&'\\') || text.get(at + 2) == Some(&'\'');
            at += 1;
            if is_char {
                at += if text[at] == '\\' { 2 } else { 1 };
                at += text[at..].iter().take_while(|c| **c != '\'').count() + 1;
            }
        } else if is_word(&text[at]) {
            at += text[at..].iter().take_while(|c| is_word(c)).count();
            let word: String = text[start..at].iter().collect();
            let hashes = text[at..].iter().take_while(|c| **c == '#').count();
            if matches!(&*word, "r" | "br" | "cr") && text.get(at + hashes) == Some(&'"') {
                let close = format!("\"{}", "#".repeat(hashes));
                at += hashes + 1;
                while at < text.len() && !starts(at, &close) {
                    at += 1;
                }
                at += close.len();
            } else if start == 0 || text[start - 1] != '\'' {
                token = Some(word);
            }
        } else {
            at += if starts(at, "::") { 2 } else { 1 };
            if !text[start].is_whitespace() {
                token = Some(text[start..at].iter().collect());
            }
        }
        at = at.min(text.len());
        tokens.extend(token.map(|text| Token { text, line }));
        line += text[start..at].iter().filter(|c| **c == '\n').count();
    }
    tokens
}

/// Behind the string whose content begins at `at`.
fn string_end(text: &[char], mut at: usize) -> usize {
    while at < text.len() && text[at] != '"' {
        at += if text[at] == '\\' { 2 } else { 1 };
    }
    at + 1
}
