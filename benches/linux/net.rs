//! Network namespaces without names: each ends with the last process in it, however that ends.

use std::convert::Infallible;
use std::env;
use std::error::Error;
use std::ffi::OsStr;
use std::fs;
use std::os::unix::process::CommandExt;
use std::process::Command;

use super::native;

type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// Makes a mount namespace show the network namespace's own /sys, and starts what follows.
const OWN_SYS: &str = "mount -t sysfs sysfs /sys && exec \"$@\"";

/// Goes on as `this program` with `arguments`, in a new network namespace with its own view of /sys.
pub(crate) fn enter(arguments: &[&str]) -> Result<Infallible> {
    native::require("unshare", "util-linux")?;
    native::require("taskset", "util-linux")?;
    if !Command::new("ip").arg("-V").output()?.status.success() {
        return Err("this benchmark needs ip: apt-get install iproute2".into());
    }
    let error = unshare(env::current_exe()?, arguments).exec();
    Err(format!("no new network namespace (it needs root): {error}").into())
}

/// Nothing but our packets on the cables that are laid from now on.
pub(crate) fn quiet() {
    // The file is missing without IPv6.
    let _ = fs::write("/proc/sys/net/ipv6/conf/default/disable_ipv6", "1");
}

pub(crate) fn unshare(program: impl AsRef<OsStr>, arguments: &[&str]) -> Command {
    let mut command = Command::new("unshare");
    command
        .args(["--net", "--mount", "--", "sh", "-c", OWN_SYS, "sh"])
        .arg(program)
        .args(arguments);
    command
}

pub(crate) fn ip(arguments: &[&str]) -> Result<()> {
    run(Command::new("ip").args(arguments))
}

/// Whether an XDP program is attached to an interface.
#[allow(dead_code, reason = "only where strangers attach them")]
pub(crate) fn has_xdp(interface: &str) -> Result<bool> {
    let output = Command::new("ip")
        .args(["link", "show", interface])
        .output()?;
    Ok(String::from_utf8_lossy(&output.stdout).contains("xdp"))
}

/// A command that says nothing unless it fails.
pub(crate) fn run(command: &mut Command) -> Result<()> {
    let output = command.output()?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    Err(format!("{command:?}: {}", said.trim()).into())
}
