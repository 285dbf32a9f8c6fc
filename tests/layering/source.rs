//! A Rust file as the rules see it: its module, its words, the paths it names.
//!
//! The rules read token trees: a syntax tree leaves out what is written inside of macros.

use proc_macro2::{Spacing, TokenStream, TokenTree};

/// A word, a sign (`::` is one) or a group in brackets, with its first and last line.
#[derive(Clone)]
struct Tree {
    text: String, // of a group the opening bracket
    inner: Vec<Tree>,
    lines: (usize, usize),
}

impl Tree {
    fn is(&self, text: &str) -> bool {
        self.text == text
    }

    /// The text of an attribute, without spaces and closing brackets.
    fn compact(&self) -> String {
        self.inner
            .iter()
            .fold(self.text.clone(), |text, tree| text + &tree.compact())
    }
}

const SYSTEM_CONDITIONS: &str = "target_os target_family target_env target_vendor unix windows";

/// A path to something in this crate, from the crate's root.
pub(super) struct Path {
    pub(super) segments: Vec<String>,
    pub(super) line: usize,
    /// Its last part, or the name that a `use` gives it.
    pub(super) name: String,
    pub(super) is_use: bool,
    /// Whether it is in a `pub use`.
    pub(super) is_public: bool,
}

pub(super) struct Source {
    /// The path below `src`.
    pub(super) name: String,
    /// The file's module: `["backend", "bpf", "map"]`; of lib.rs nothing.
    pub(super) module: Vec<String>,
    pub(super) paths: Vec<Path>,
    pub(super) lines: usize,
    pub(super) test_lines: usize,
    trees: Vec<Tree>,
    /// The same without what is compiled only for tests.
    product: Vec<Tree>,
}

impl Source {
    /// `name` is the path below `src`, joined by slashes.
    pub(super) fn new(name: &str, text: &str) -> Self {
        let stem = name.trim_end_matches(".rs");
        let mut module: Vec<_> = stem.split('/').map(String::from).collect();
        module.pop_if(|last| last == "mod" || last == "lib");
        let stream = text
            .parse()
            .unwrap_or_else(|error| panic!("{name}: {error}"));
        let trees = trees(stream);
        let mut test_lines = 0;
        let product = without_tests(&trees, &mut test_lines);
        let mut paths = Vec::new();
        find_paths(&product, &module, &module, &children(&product), &mut paths);
        let (name, lines) = (name.into(), text.lines().count());
        Self {
            name,
            module,
            paths,
            lines,
            test_lines,
            trees,
            product,
        }
    }

    pub(super) fn is_test(&self) -> bool {
        self.module.iter().any(|name| name == "tests")
    }

    pub(super) fn forbids_unsafe(&self) -> bool {
        let is_forbid = |tree: &Tree| tree.compact() == "[forbid(unsafe_code";
        self.trees
            .windows(2)
            .any(|pair| pair[0].is("!") && is_forbid(&pair[1]))
    }

    /// The lines of unsafe code, also in tests.
    pub(super) fn unsafe_lines(&self) -> Vec<usize> {
        let found = flat(&self.trees)
            .into_iter()
            .filter(|rest| rest[0].is("unsafe"));
        found.map(|rest| rest[0].lines.0).collect()
    }

    /// Every word of a condition on the operating system, and its line.
    pub(super) fn system_conditions<'a>(&'a self) -> Vec<(&'a str, usize)> {
        let is_cfg = |tree: &Tree| tree.is("cfg") || tree.is("cfg_attr");
        let condition = |rest: &'a [Tree]| match rest {
            [cfg, sign, group, ..] if is_cfg(cfg) && sign.is("!") => flat(&group.inner),
            [cfg, group, ..] if is_cfg(cfg) => flat(&group.inner),
            _ => Vec::new(),
        };
        let words = flat(&self.product).into_iter().flat_map(condition);
        let system = words.filter(|rest| SYSTEM_CONDITIONS.split(' ').any(|word| rest[0].is(word)));
        system
            .map(|rest| (&*rest[0].text, rest[0].lines.0))
            .collect()
    }

    /// Every use of something that not all operating systems have, and its line.
    pub(super) fn system_calls(&self) -> Vec<(&str, usize)> {
        let is_call = |rest: &&[Tree]| match rest {
            [os, next, ..] if os.is("os") => next.is("::"),
            rest => rest[0].is("libc") || rest[0].is("libbpf_sys"),
        };
        let calls = flat(&self.product).into_iter().filter(is_call);
        calls
            .map(|rest| (&*rest[0].text, rest[0].lines.0))
            .collect()
    }

    /// Whether the file says a name, other than one of its modules, outside of the tests more than once.
    pub(super) fn repeats(&self, name: &str) -> bool {
        let count = flat(&self.product)
            .iter()
            .filter(|rest| rest[0].is(name))
            .count();
        count > 1 && !children(&self.product).contains(&name)
    }
}

/// Reads Rust; comments are no tokens, and literals have no words.
fn trees(stream: TokenStream) -> Vec<Tree> {
    let mut trees: Vec<Tree> = Vec::new();
    let mut is_joint = false; // the last was the first half of `::`
    for token in stream {
        let lines = (token.span().start().line, token.span().end().line);
        let (mut text, mut inner, was_joint) = (token.to_string(), Vec::new(), is_joint);
        is_joint = false;
        match token {
            TokenTree::Group(group) => {
                text.truncate(1);
                inner = self::trees(group.stream());
            }
            TokenTree::Literal(_) => text = "literal".into(),
            TokenTree::Punct(_) if text == ":" && was_joint => {
                trees.pop();
                text = "::".into();
            }
            TokenTree::Punct(sign) => is_joint = text == ":" && sign.spacing() == Spacing::Joint,
            TokenTree::Ident(_) => {}
        }
        trees.push(Tree { text, inner, lines });
    }
    trees
}

/// Leaves out each item under `#[cfg(test)]`, and adds its lines to `lines`.
fn without_tests(trees: &[Tree], lines: &mut usize) -> Vec<Tree> {
    let is_test = |attribute: &Tree| {
        let text = attribute.compact();
        text == "[cfg(test" || text.starts_with("[cfg(all(test,")
    };
    let mut kept = Vec::new();
    let mut rest = trees.iter().peekable();
    while let Some(tree) = rest.next() {
        if !(tree.is("#") && rest.peek().is_some_and(|next| is_test(next))) {
            let inner = without_tests(&tree.inner, lines);
            kept.push(Tree {
                inner,
                ..tree.clone()
            });
            continue;
        }
        let mut is_use = false; // whose braces are no block
        let end = rest.find(|tree| {
            is_use |= tree.is("use");
            tree.is(";") || tree.is("{") && !is_use
        });
        *lines += end.unwrap_or(tree).lines.1 + 1 - tree.lines.0;
    }
    kept
}

/// Each tree, also inside of others, with those that follow beside it.
fn flat(trees: &[Tree]) -> Vec<&[Tree]> {
    let inner = |at: usize| [vec![&trees[at..]], flat(&trees[at].inner)].concat();
    (0..trees.len()).flat_map(inner).collect()
}

/// The modules that a file declares.
fn children(trees: &[Tree]) -> Vec<&str> {
    let pairs = trees.windows(2).filter(|pair| pair[0].is("mod"));
    pairs.map(|pair| &*pair[1].text).collect()
}

/// Adds the paths in `trees`, which stand in the module `here` of a file.
fn find_paths(
    trees: &[Tree],
    file: &[String],
    here: &[String],
    children: &[&str],
    found: &mut Vec<Path>,
) {
    let is = |at: Option<usize>, text: &str| {
        at.and_then(|at| trees.get(at))
            .is_some_and(|tree| tree.is(text))
    };
    for (at, tree) in trees.iter().enumerate() {
        let before = |count| at.checked_sub(count);
        let mut inside = here.to_vec();
        if tree.is("{") && is(before(2), "mod") {
            inside.push(trees[at - 1].text.clone());
        }
        find_paths(&tree.inner, file, &inside, children, found);
        if !is(Some(at + 1), "::") || is(before(1), "::") {
            continue;
        }
        let base = match &*tree.text {
            "crate" => Vec::new(),
            "self" => here.to_vec(),
            "super" => here[..here.len().saturating_sub(1)].to_vec(),
            child if here == file && children.contains(&child) => [here, &[child.into()]].concat(),
            _ => continue,
        };
        let first = found.len();
        expand(&trees[at + 2..], base, tree.lines.0, found);
        let is_use = is(before(1), "use");
        for path in &mut found[first..] {
            path.is_use = is_use;
            path.is_public = is_use && (is(before(2), "pub") || is(before(2), "("));
        }
    }
}

/// Adds the paths that begin with `base` and go on with `trees`.
fn expand(trees: &[Tree], mut base: Vec<String>, line: usize, found: &mut Vec<Path>) {
    let mut rest = trees.iter().peekable();
    while let Some(tree) = rest.next() {
        match &*tree.text {
            "{" => {
                let branches = tree.inner.split(|tree| tree.is(","));
                for branch in branches.filter(|branch| !branch.is_empty()) {
                    expand(branch, base.clone(), line, found);
                }
                return;
            }
            "super" => drop(base.pop()),
            "self" => {}
            word if word.starts_with(|c: char| c.is_alphabetic() || c == '_') => {
                base.push(word.into())
            }
            _ => break, // `*`, or the generic arguments of a path
        }
        if rest.next_if(|next| next.is("::")).is_none() {
            break;
        }
    }
    let alias = rest.next_if(|next| next.is("as")).and_then(|_| rest.next());
    let name = alias.map(|alias| &alias.text).or(base.last());
    let name = name.cloned().unwrap_or_default();
    let (is_use, is_public) = (false, false);
    found.push(Path {
        segments: base,
        line,
        name,
        is_use,
        is_public,
    });
}
