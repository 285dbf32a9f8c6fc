//! C programs and libraries for a benchmark, compiled when it runs.

use std::env;
use std::error::Error;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::results;

type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// Says which Debian package is missing unless `program` runs.
pub(crate) fn require(program: &str, package: &str) -> Result<()> {
    let found = Command::new(program)
        .arg("--version")
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    match found {
        Ok(status) if status.success() => Ok(()),
        _ => Err(format!("this benchmark needs {program}: apt-get install {package}").into()),
    }
}

/// What pkg-config says about a package.
#[allow(dead_code, reason = "not every benchmark compiles C")]
pub(crate) fn pkg_config(what: &[&str]) -> Result<Vec<String>> {
    require("pkg-config", "pkg-config")?;
    let output = Command::new("pkg-config").args(what).output()?;
    if !output.status.success() {
        let missing = "this benchmark compares with libxdp: apt-get install libxdp-dev libbpf-dev";
        let said = String::from_utf8_lossy(&output.stderr);
        return Err(format!("{missing}\n({})", said.trim()).into());
    }
    let flags = String::from_utf8(output.stdout)?;
    Ok(flags.split_whitespace().map(str::to_owned).collect())
}

/// Compiles C files of this directory's parent with the optimisation that C programs are built with, `-O2`.
#[allow(dead_code, reason = "not every benchmark compiles C")]
pub(crate) fn compile(name: &str, sources: &[&str], flags: &[String]) -> Result<PathBuf> {
    let compiler = env::var("CC").unwrap_or_else(|_| "cc".to_owned());
    require(&compiler, "gcc")?;
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let output = results::directory()?.join(name);
    let status = Command::new(&compiler)
        .args(["-std=gnu11", "-O2", "-g", "-Wall", "-Wextra", "-Werror"])
        .arg("-I")
        .arg(root.join("include"))
        .args(sources.iter().map(|file| root.join("benches").join(file)))
        .arg("-o")
        .arg(&output)
        .args(flags)
        .status()?;
    if !status.success() {
        return Err(format!("{compiler} could not build {name}, see above").into());
    }
    Ok(output)
}
