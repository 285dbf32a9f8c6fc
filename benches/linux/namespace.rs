//! Further network namespaces, beside the one that the benchmark runs in.

use std::error::Error;
use std::ffi::OsStr;
use std::process::Command;

use super::net;
use super::process::Running;

type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// A namespace, which lives as long as this value.
pub(crate) struct Namespace {
    /// Waits for the end of its input, and so ends with this process, too.
    holder: Running,
}

impl Namespace {
    pub(crate) fn new() -> Result<Self> {
        let this = Self {
            holder: Running::start(net::unshare("sh", &["-c", "echo ready; exec cat"]))?,
        };
        let quiet = "echo 1 >/proc/sys/net/ipv6/conf/default/disable_ipv6 || true";
        net::run(this.command("sh").args(["-c", quiet]))?;
        Ok(this)
    }

    /// A command that runs in here.
    pub(crate) fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new("nsenter");
        command
            .args(["--net", "--mount", "--target", &self.id()])
            .arg("--")
            .arg(program);
        command
    }

    pub(crate) fn ip(&self, arguments: &[&str]) -> Result<()> {
        net::run(self.command("ip").args(arguments))
    }

    /// Moves an interface from the benchmark's namespace in here, with an address if it is to have one, and up.
    pub(crate) fn take(&self, interface: &str, address: Option<&str>) -> Result<()> {
        net::ip(&["link", "set", interface, "netns", &self.id()])?;
        if let Some(address) = address {
            self.ip(&["addr", "add", address, "dev", interface])?;
        }
        self.ip(&["link", "set", interface, "up"])
    }

    fn id(&self) -> String {
        self.holder.id().to_string()
    }
}
