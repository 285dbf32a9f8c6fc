//! Why a frame could not be built.

#![forbid(unsafe_code)]

/// Why a frame could not be built: which step of the builder, and what is wrong with it.
///
/// ```
/// use fluxcap::proto::{FrameBuilder, MacAddr};
///
/// let mac = MacAddr::BROADCAST;
/// let mut buffer = [0; 64];
/// let error = FrameBuilder::new(&mut buffer).ethernet(mac, mac).udp(1, 2).finish().unwrap_err();
/// assert_eq!(error.to_string(), "UDP cannot follow Ethernet");
/// assert_eq!(error.step(), "UDP");
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{step} {fault}")]
pub struct BuildError {
    step: &'static str,
    fault: BuildFault,
}

/// What is wrong with a step of the [`FrameBuilder`](super::FrameBuilder).
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BuildFault {
    /// The buffer ends too early.
    #[error("needs {needed} bytes, the buffer has {available} left")]
    NoRoom {
        /// How many bytes the step needs.
        needed: usize,
        /// How many are left for it.
        available: usize,
    },
    /// It cannot stand where it does.
    #[error("cannot follow {after}")]
    Misplaced {
        /// What is before it.
        after: &'static str,
    },
    /// The header before does not say what follows it: `ether_type` or `protocol` tells.
    #[error("has no type: {before} must say what it is")]
    Untyped {
        /// What is before it.
        before: &'static str,
    },
    /// A length is more than its field holds.
    #[error("would be {length} bytes long, at most {most} are possible")]
    TooLong {
        /// What the length would be, in bytes.
        length: usize,
        /// The most that is possible.
        most: usize,
    },
    /// The length of what the step adds is not a multiple of what the header counts in.
    #[error("of {length} bytes does not fill whole units of {unit} bytes")]
    Uneven {
        /// The length of the whole header in bytes.
        length: usize,
        /// What it must be a multiple of.
        unit: usize,
    },
    /// A value does not fit into its field.
    #[error("cannot have {value} as its {field}")]
    Invalid {
        /// Which field.
        field: &'static str,
        /// The value given.
        value: u32,
    },
    /// There are more than [`FrameBuilder::MAX_LAYERS`](super::FrameBuilder::MAX_LAYERS) layers.
    #[error("is one layer too many")]
    TooManyLayers,
}

/// A step failed. The builder keeps the error, which is too large to hand on at each step.
#[derive(Debug)]
pub(super) struct Failed;

impl BuildError {
    #[inline]
    pub(super) const fn new(step: &'static str, fault: BuildFault) -> Self {
        Self { step, fault }
    }

    /// The step that failed, such as `"IPv4"` or `"payload"`.
    #[must_use]
    pub const fn step(&self) -> &'static str {
        self.step
    }

    /// What is wrong with it.
    #[must_use]
    pub const fn fault(&self) -> BuildFault {
        self.fault
    }

    /// Whether a larger buffer would do.
    #[must_use]
    pub const fn is_no_room(&self) -> bool {
        matches!(self.fault, BuildFault::NoRoom { .. })
    }
}
