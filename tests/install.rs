//! What `make install` installs is complete: C programs are built with pkg-config alone, and run.
#![cfg(all(target_os = "linux", feature = "capi"))]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, id};

const VERSION: &str = env!("CARGO_PKG_VERSION");
const PROGRAM: &str = "\
#include <fluxcap.h>
#include <stdio.h>

int main(void)
{
    return puts(fluxcap_version()) < 0;
}
";

/// Another library in Rust, which unwinds.
const OTHER: &str = "\
use std::panic::catch_unwind;

#[unsafe(no_mangle)]
pub extern \"C\" fn other(number: i32) -> i32 {
    std::panic::set_hook(Box::new(|_| {}));
    catch_unwind(|| 1 / number).unwrap_or(-1)
}
";
const TWO: &str = "\
#include <fluxcap.h>
#include <stdio.h>

int other(int number);

int main(void)
{
    return printf(\"%s %d\\n\", fluxcap_version(), other(0)) < 0;
}
";

#[test]
fn an_installed_library_builds_and_runs_c_programs() {
    let root = Root::install();
    root.files_are_where_they_belong();
    root.archive_shows_only_our_symbols();
    root.shared_library_carries_the_name_of_its_abi();
    root.libraries_are_stripped();

    let source = root.path("program.c");
    fs::write(&source, PROGRAM).unwrap();
    let shared = root.compile(&source, &["--cflags", "--libs"], &[]);
    assert!(root.needs_library(&shared));
    assert_eq!(root.run(&shared), VERSION);

    let in_readme = root.path("readme.c");
    fs::write(&in_readme, program_in_readme()).unwrap();
    root.compile(&in_readme, &["--cflags", "--libs"], &[]);

    // The linker prefers a shared library. `-static` makes it take archives only …
    let words = ["--static", "--cflags", "--libs"];
    let archives_only = root.compile(&source, &words, &["-static"]);
    assert_eq!(root.run(&archives_only), VERSION);
    // … and so does their absence, for this one library.
    for example in examples() {
        root.compile(&example, &["--cflags", "--libs"], &[]);
        root.compile(&example, &words, &[]);
    }
    root.remove_shared_library();
    let with_archive = root.compile(&source, &words, &[]);
    assert!(!root.needs_library(&with_archive));
    assert_eq!(root.run(&with_archive), VERSION);
    for example in examples() {
        let program = root.compile(&example, &words, &[]);
        assert!(!root.needs_library(&program));
    }

    root.archive_goes_with_another_rust_archive();

    root.make("uninstall", &[]);
    root.is_empty();
    root.make("install", &["DEBUGINFO=yes"]);
    root.debug_information_is_beside_the_library();
    root.make("uninstall", &[]);
    root.is_empty();
}

#[test]
fn what_becomes_of_debug_information_is_one_of_three_words() {
    let mut install = Command::new("pkgconfig/install.sh");
    install
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .arg("--uninstall")
        .env("DESTDIR", env!("CARGO_TARGET_TMPDIR"))
        .env("DEBUGINFO", "maybe");
    let output = install.output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains("no, yes or keep"), "{said}");
}

/// An installation for packagers, below a directory that goes away with it.
struct Root(PathBuf);

impl Root {
    fn install() -> Self {
        let root = Self(Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("install-{}", id())));
        fs::create_dir_all(&root.0).unwrap();
        root.make("install", &[]);
        root
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    fn make(&self, target: &str, words: &[&str]) {
        let mut make = Command::new("make");
        make.current_dir(env!("CARGO_MANIFEST_DIR"))
            .args([target, "PREFIX=/usr"])
            .args(words);
        make.arg(format!("DESTDIR={}", self.path("root").display()));
        // Not the settings of a make that may have started the tests.
        for name in [
            "MAKEFLAGS",
            "MFLAGS",
            "MAKELEVEL",
            "LIBDIR",
            "INCLUDEDIR",
            "PKGCONFIGDIR",
            "DEBUGINFO",
        ] {
            make.env_remove(name);
        }
        output(&mut make);
    }

    /// The files and links that are installed.
    fn files(&self) -> Vec<String> {
        let mut find = Command::new("find");
        find.current_dir(self.path("root"))
            .args([".", "!", "-type", "d"]);
        let mut files: Vec<String> = output(&mut find).lines().map(String::from).collect();
        files.sort();
        files
    }

    fn is_empty(&self) {
        let none: [&str; 0] = [];
        assert_eq!(self.files(), none, "left behind by make uninstall");
    }

    fn files_are_where_they_belong(&self) {
        let abi = abi();
        let library = |ending: &str| format!("./usr/lib/libfluxcap.{ending}");
        let expected = [
            "./usr/include/fluxcap.h".to_owned(),
            library("a"),
            library("so"),
            library(&format!("so.{abi}")),
            library(&format!("so.{VERSION}")),
            "./usr/lib/pkgconfig/fluxcap.pc".to_owned(),
        ];
        assert_eq!(self.files(), expected);
        let directory = self.path("root/usr/lib");
        for (link, target) in [
            ("so".to_owned(), format!("so.{abi}")),
            (format!("so.{abi}"), format!("so.{VERSION}")),
        ] {
            let link = fs::read_link(directory.join(format!("libfluxcap.{link}"))).unwrap();
            assert_eq!(link.to_str().unwrap(), format!("libfluxcap.{target}"));
        }
        assert_eq!(self.pkg_config(&["--modversion"]), VERSION);
    }

    fn archive_shows_only_our_symbols(&self) {
        let mut nm = Command::new("nm");
        nm.args(["--extern-only", "--defined-only", "--format=posix"])
            .arg(self.path("root/usr/lib/libfluxcap.a"));
        let output = output(&mut nm);
        // The first line names the member.
        let symbols: Vec<&str> = output
            .lines()
            .skip(1)
            .filter_map(|line| line.split(' ').next())
            .collect();
        assert!(symbols.contains(&"fluxcap_version"), "{symbols:?}");
        let others: Vec<_> = symbols
            .iter()
            .filter(|symbol| !symbol.starts_with("fluxcap_"))
            .collect();
        assert!(others.is_empty(), "{others:?}");
    }

    fn shared_library(&self) -> PathBuf {
        self.path(&format!("root/usr/lib/libfluxcap.so.{VERSION}"))
    }

    fn archive(&self) -> PathBuf {
        self.path("root/usr/lib/libfluxcap.a")
    }

    fn shared_library_carries_the_name_of_its_abi(&self) {
        let dynamic = readelf("--dynamic", &self.shared_library());
        let name = format!("Library soname: [libfluxcap.so.{}]", abi());
        assert!(dynamic.contains(&name), "{dynamic}");
        assert!(dynamic.contains("NODELETE"), "{dynamic}");
    }

    fn libraries_are_stripped(&self) {
        for (library, megabytes) in [(self.shared_library(), 3), (self.archive(), 8)] {
            let sections = readelf("--sections", &library);
            assert!(sections.contains(".text"), "{sections}");
            assert_eq!(debug_sections(&sections), 0, "{sections}");
            let length = fs::metadata(&library).unwrap().len();
            let most = megabytes << 20;
            assert!(length < most, "{}: {length} bytes", library.display());
        }
        let shown = output(
            Command::new("nm")
                .args(["--dynamic", "--defined-only"])
                .arg(self.shared_library()),
        );
        assert!(shown.contains(" T fluxcap_version"), "{shown}");
    }

    fn debug_information_is_beside_the_library(&self) {
        let library = self.shared_library();
        let name = format!("libfluxcap.so.{VERSION}.debug");
        let debug = library.with_file_name(".debug").join(&name);
        assert_ne!(debug_sections(&readelf("--sections", &debug)), 0);
        assert_eq!(debug_sections(&readelf("--sections", &library)), 0);
        let link = readelf("--string-dump=.gnu_debuglink", &library);
        assert!(link.contains(&name), "{link}");
        assert_ne!(debug_sections(&readelf("--sections", &self.archive())), 0);
    }

    /// Both have Rust's standard library in them, ours where nobody sees it.
    fn archive_goes_with_another_rust_archive(&self) {
        let rust = self.path("other.rs");
        fs::write(&rust, OTHER).unwrap();
        let other = self.path("libother.a");
        output(
            Command::new("rustc")
                .args(["--edition=2024", "--crate-type=staticlib", "-o"])
                .args([&other, &rust]),
        );
        let source = self.path("two.c");
        fs::write(&source, TWO).unwrap();
        let libraries = self.pkg_config(&["--static", "--libs"]);
        for ours_first in [true, false] {
            let program = self.path("program");
            let mut cc = Command::new("cc");
            cc.arg(&source)
                .arg("-I")
                .arg(self.path("root/usr/include"))
                .arg("-o")
                .arg(&program);
            let mut archives = [self.archive(), other.clone()];
            if !ours_first {
                archives.reverse();
            }
            cc.args(archives).args(libraries.split_whitespace());
            output(&mut cc);
            assert_eq!(self.run(&program), format!("{VERSION} -1"));
        }
    }

    fn remove_shared_library(&self) {
        for file in self.files().iter().filter(|file| file.contains(".so")) {
            fs::remove_file(self.path("root").join(file)).unwrap();
        }
    }

    fn pkg_config(&self, words: &[&str]) -> String {
        let directory = self.path("root/usr/lib/pkgconfig");
        let mut pkg_config = Command::new("pkg-config");
        pkg_config.args(words).arg("fluxcap");
        pkg_config
            .env("PKG_CONFIG_PATH", directory)
            .env("PKG_CONFIG_SYSROOT_DIR", self.path("root"));
        output(&mut pkg_config)
    }

    /// Compiles a program with what pkg-config says.
    fn compile(&self, source: &Path, pkg_config: &[&str], words: &[&str]) -> PathBuf {
        let program = self.path("program");
        let mut cc = Command::new("cc");
        cc.args(["-Wall", "-Wextra", "-Werror"])
            .args(words)
            .arg(source)
            .arg("-o")
            .arg(&program);
        cc.args(self.pkg_config(pkg_config).split_whitespace());
        output(&mut cc);
        program
    }

    fn needs_library(&self, program: &Path) -> bool {
        output(Command::new("readelf").arg("--dynamic").arg(program)).contains("libfluxcap.so")
    }

    fn run(&self, program: &Path) -> String {
        output(Command::new(program).env("LD_LIBRARY_PATH", self.path("root/usr/lib")))
    }
}

impl Drop for Root {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn abi() -> String {
    match (
        env!("CARGO_PKG_VERSION_MAJOR"),
        env!("CARGO_PKG_VERSION_MINOR"),
    ) {
        ("0", minor) => format!("0.{minor}"),
        (major, _) => major.to_owned(),
    }
}

fn readelf(what: &str, file: &Path) -> String {
    let mut readelf = Command::new("readelf");
    readelf.args(["--wide", what]).arg(file).env("LC_ALL", "C");
    output(&mut readelf)
}

fn debug_sections(sections: &str) -> usize {
    let words = sections.split_whitespace();
    words.filter(|word| word.starts_with(".debug_")).count()
}

fn examples() -> Vec<PathBuf> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples-c");
    let files = fs::read_dir(directory)
        .unwrap()
        .map(|entry| entry.unwrap().path());
    files
        .filter(|path| path.extension().is_some_and(|extension| extension == "c"))
        .collect()
}

/// The first C program that README.md shows.
fn program_in_readme() -> &'static str {
    let readme = include_str!("../README.md");
    let (_, from) = readme.split_once("```c\n").expect("README.md shows C");
    let (program, _) = from.split_once("```").expect("it ends");
    program
}

/// What a command prints. It has to succeed.
fn output(command: &mut Command) -> String {
    let output = command
        .output()
        .unwrap_or_else(|error| panic!("{command:?}: {error}"));
    assert!(
        output.status.success(),
        "{command:?}:\n{}",
        String::from_utf8_lossy(&output.stderr)
    );
    // Sections hold any bytes.
    String::from_utf8_lossy(&output.stdout)
        .trim_end()
        .to_owned()
}
