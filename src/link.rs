//! A place to bind to.

#![forbid(unsafe_code)]

use std::fmt;
use std::sync::Arc;

use crate::backend::{Backend, Interface, machine};
use crate::error::Result;
use crate::sim::Nic;

/// A place to bind to: a network interface of this machine, or anything else that offers queues.
///
/// Cheap to clone. It names the interface; whether that exists is seen when it is used. Elsewhere than on Linux, each use of a
/// network interface of the machine is [`Unsupported`](crate::ErrorKind::Unsupported).
#[derive(Clone)]
pub struct Link {
    backend: Arc<dyn Backend>,
}

impl Link {
    /// The network interface `name`, which may be an alternative name of up to 127 bytes, in the network namespace of the calling thread.
    #[must_use]
    pub fn interface(name: &str) -> Self {
        Self::new(machine::by_name(name))
    }

    /// The network interface with `index` in the network namespace of the calling thread.
    #[must_use]
    pub fn index(index: u32) -> Self {
        Self::new(machine::by_index(index))
    }

    /// A link over a backend of your own.
    #[must_use]
    pub fn new(backend: Arc<dyn Backend>) -> Self {
        Self { backend }
    }

    /// What is known of the interface now: name, index, MTU, whether it is up, receive queues.
    ///
    /// # Errors
    ///
    /// [`NotFound`](crate::ErrorKind::NotFound) when there is no such interface.
    pub fn info(&self) -> Result<Interface> {
        self.backend.interface()
    }

    pub(crate) fn backend(&self) -> &dyn Backend {
        &*self.backend
    }
}

impl From<&str> for Link {
    fn from(name: &str) -> Self {
        Self::interface(name)
    }
}

impl From<&String> for Link {
    fn from(name: &String) -> Self {
        Self::interface(name)
    }
}

impl From<&Nic> for Link {
    fn from(nic: &Nic) -> Self {
        Self::new(nic.backend())
    }
}

impl From<&Link> for Link {
    fn from(link: &Link) -> Self {
        link.clone()
    }
}

impl fmt::Debug for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Link").field(&self.backend).finish()
    }
}
