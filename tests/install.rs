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

#[test]
fn an_installed_library_builds_and_runs_c_programs() {
    let root = Root::install();
    root.files_are_where_they_belong();
    root.archive_shows_only_our_symbols();

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

    root.make("uninstall");
    assert_eq!(
        root.files(),
        [] as [&str; 0],
        "left behind by make uninstall"
    );
}

/// An installation for packagers, below a directory that goes away with it.
struct Root(PathBuf);

impl Root {
    fn install() -> Self {
        let root = Self(Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("install-{}", id())));
        fs::create_dir_all(&root.0).unwrap();
        root.make("install");
        root
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    fn make(&self, target: &str) {
        let mut make = Command::new("make");
        make.current_dir(env!("CARGO_MANIFEST_DIR"))
            .args([target, "PREFIX=/usr"]);
        make.arg(format!("DESTDIR={}", self.path("root").display()));
        // Not the settings of a make that may have started the tests.
        for name in [
            "MAKEFLAGS",
            "MFLAGS",
            "MAKELEVEL",
            "LIBDIR",
            "INCLUDEDIR",
            "PKGCONFIGDIR",
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

    fn files_are_where_they_belong(&self) {
        let abi = match (
            env!("CARGO_PKG_VERSION_MAJOR"),
            env!("CARGO_PKG_VERSION_MINOR"),
        ) {
            ("0", minor) => format!("0.{minor}"),
            (major, _) => major.to_owned(),
        };
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
    String::from_utf8(output.stdout)
        .unwrap()
        .trim_end()
        .to_owned()
}
