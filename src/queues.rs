//! Which queues of an interface to open, and a socket on each.

#![forbid(unsafe_code)]

use std::ops::{Range, RangeFull, RangeInclusive, RangeTo, RangeToInclusive};

use crate::builder::{FluxBuilder, check_queue};
use crate::error::{FluxError, Result};
use crate::kernel::{Backend, Interface};
use crate::raw::FluxRaw;

/// The kernel counts queues in 16 bits.
const LAST: u32 = u16::MAX as u32;

/// Which queues of an interface: all, or some by number.
///
/// Made from numbers of all sorts:
///
/// ```
/// use fluxcap::Queues;
///
/// assert_eq!(Queues::from(..), Queues::All);
/// assert_eq!(Queues::from(0..4), Queues::Range(0..=3));
/// assert_eq!(Queues::from([0, 2]), Queues::List(vec![0, 2]));
/// assert_eq!(Queues::from(3), Queues::List(vec![3]));
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum Queues {
    /// As many as the driver says that the interface has for receiving.
    #[default]
    All,
    /// From one number to another.
    Range(RangeInclusive<u32>),
    /// These, in this order.
    List(Vec<u32>),
}

impl Queues {
    /// The numbers, checked: there is one, none comes twice, and, when `received_from`, the interface receives from each.
    fn numbers(
        self,
        interface: &Interface,
        backend: &dyn Backend,
        received_from: bool,
    ) -> Result<Vec<u32>> {
        let numbers = match self {
            Self::All => match interface.rx_queues {
                Some(count) => (0..count).collect(),
                None => return Err(unknown(interface)),
            },
            Self::Range(range) if range.is_empty() => Vec::new(),
            Self::Range(range) => {
                let last = *range.end();
                if received_from {
                    check_queue(interface, backend, last)?;
                }
                // Before there is room for them all.
                if last > LAST {
                    return Err(beyond(interface, last));
                }
                range.collect()
            }
            Self::List(numbers) => numbers,
        };
        if numbers.is_empty() {
            return Err(none(interface));
        }
        let mut sorted = numbers.clone();
        sorted.sort_unstable();
        if let Some(twice) = sorted.windows(2).find(|pair| pair[0] == pair[1]) {
            return Err(repeated(interface, twice[0]));
        }
        if received_from {
            numbers
                .iter()
                .try_for_each(|&queue| check_queue(interface, backend, queue))?;
        }
        Ok(numbers)
    }
}

impl FluxBuilder {
    /// Makes a socket for each of several queues, in the order of their numbers in `queues`, all behind one XDP program.
    ///
    /// Each gets a UMEM of its own, so that threads share nothing, unless one is [given](Self::umem); then all work on that. The wish for
    /// a single [queue](Self::queue) means nothing here. Either way each queue counts as [locked memory](crate::UmemConfig) of the size of
    /// its UMEM. A queue that the driver adds later has no socket: its packets go on to the kernel.
    ///
    /// ```no_run
    /// use fluxcap::FluxBuilder;
    ///
    /// let sockets = FluxBuilder::new("veth0").build_queues(..)?;
    /// println!("{} queues", sockets.len());
    /// # Ok::<(), fluxcap::FluxError>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`Invalid`](crate::ErrorKind::Invalid): no queue, one that comes twice, or one that is not there; otherwise as [`build`](Self::build).
    /// After an error nothing is left behind.
    pub fn build_queues(self, queues: impl Into<Queues>) -> Result<Vec<FluxRaw>> {
        let interface = self.interface()?;
        let numbers = queues
            .into()
            .numbers(&interface, self.link.backend(), self.receives())?;
        let sockets = numbers.iter();
        sockets
            .map(|&queue| self.clone().one_of(&numbers, queue).build())
            .collect()
    }
}

impl From<RangeFull> for Queues {
    fn from(_: RangeFull) -> Self {
        Self::All
    }
}

impl From<Range<u32>> for Queues {
    fn from(range: Range<u32>) -> Self {
        match range.end.checked_sub(1) {
            Some(last) => Self::Range(range.start..=last),
            None => Self::List(Vec::new()),
        }
    }
}

impl From<RangeInclusive<u32>> for Queues {
    fn from(range: RangeInclusive<u32>) -> Self {
        Self::Range(range)
    }
}

impl From<RangeTo<u32>> for Queues {
    fn from(range: RangeTo<u32>) -> Self {
        Self::from(0..range.end)
    }
}

impl From<RangeToInclusive<u32>> for Queues {
    fn from(range: RangeToInclusive<u32>) -> Self {
        Self::Range(0..=range.end)
    }
}

impl From<u32> for Queues {
    fn from(queue: u32) -> Self {
        Self::List(vec![queue])
    }
}

impl From<Vec<u32>> for Queues {
    fn from(queues: Vec<u32>) -> Self {
        Self::List(queues)
    }
}

impl From<&[u32]> for Queues {
    fn from(queues: &[u32]) -> Self {
        Self::List(queues.to_vec())
    }
}

impl From<&Vec<u32>> for Queues {
    fn from(queues: &Vec<u32>) -> Self {
        Self::List(queues.clone())
    }
}

impl<const N: usize> From<[u32; N]> for Queues {
    fn from(queues: [u32; N]) -> Self {
        Self::List(queues.into())
    }
}

impl<const N: usize> From<&[u32; N]> for Queues {
    fn from(queues: &[u32; N]) -> Self {
        Self::List(queues.to_vec())
    }
}

fn none(interface: &Interface) -> FluxError {
    FluxError::invalid(
        format_args!("open queues of {}", interface.name),
        "there is none among those asked for",
        "name one at least, or ask for all",
    )
}

fn repeated(interface: &Interface, queue: u32) -> FluxError {
    FluxError::invalid(
        format_args!("open queues of {}", interface.name),
        format_args!("queue {queue} is named twice, and one socket has it"),
        "name each once; fan_out shares a queue out among several sockets",
    )
}

fn unknown(interface: &Interface) -> FluxError {
    FluxError::invalid(
        format_args!("open all queues of {}", interface.name),
        "its driver does not tell how many it has",
        "name the queues",
    )
}

fn beyond(interface: &Interface, queue: u32) -> FluxError {
    FluxError::invalid(
        format_args!("open queue {queue} of {}", interface.name),
        format_args!("queues end at {LAST}"),
        "name those that it has: ethtool -l",
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::ErrorKind;
    use crate::kernel::machine;

    fn interface(rx_queues: Option<u32>) -> Interface {
        Interface {
            name: "eth0".to_owned(),
            index: 2,
            mtu: 1500,
            up: true,
            rx_queues,
            mac: None,
        }
    }

    fn numbers(queues: impl Into<Queues>) -> Result<Vec<u32>> {
        queues
            .into()
            .numbers(&interface(Some(4)), &*machine::by_name("eth0"), true)
    }

    #[test]
    fn queues_are_named_in_many_ways() {
        assert_eq!(numbers(..).unwrap(), [0, 1, 2, 3]);
        assert_eq!(numbers(1..3).unwrap(), [1, 2]);
        assert_eq!(numbers(1..=3).unwrap(), [1, 2, 3]);
        assert_eq!(numbers(..2).unwrap(), [0, 1]);
        assert_eq!(numbers(..=2).unwrap(), [0, 1, 2]);
        assert_eq!(numbers(3).unwrap(), [3]);
        assert_eq!(numbers([3, 0]).unwrap(), [3, 0]);
        let (array, list) = ([3, 1], vec![2]);
        assert_eq!(numbers(Queues::from(&array)).unwrap(), [3, 1]);
        assert_eq!(numbers(&array[..]).unwrap(), [3, 1]);
        assert_eq!(numbers(&list).unwrap(), [2]);
        assert_eq!(numbers(list).unwrap(), [2]);
        assert_eq!(numbers(Queues::default()).unwrap(), [0, 1, 2, 3]);
    }

    #[test]
    fn no_queue_a_queue_twice_and_one_that_is_not_there_are_refused() {
        let refused = |result: Result<Vec<u32>>, part: &str| {
            let error = result.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Invalid);
            assert!(error.to_string().contains(part), "{error}");
        };
        refused(numbers([]), "there is none");
        refused(numbers(0..0), "there is none");
        refused(numbers(..0), "there is none");
        #[allow(clippy::reversed_empty_ranges)]
        refused(numbers(3..1), "there is none");
        #[allow(clippy::reversed_empty_ranges)]
        refused(numbers(3..=1), "there is none");
        refused(numbers([1, 2, 1]), "queue 1 is named twice");
        refused(numbers([0, 4]), "queue 4");
        refused(numbers(0..5), "0 to 3");
        refused(numbers(..=u32::MAX), "0 to 3");
        let none = interface(Some(0));
        refused(
            Queues::All.numbers(&none, &*machine::by_name("eth0"), true),
            "there is none",
        );
    }

    #[test]
    fn without_a_count_they_are_to_be_named() {
        let unknown = interface(None);
        let error = Queues::All
            .numbers(&unknown, &*machine::by_name("eth0"), true)
            .unwrap_err();
        assert!(error.to_string().contains("does not tell"), "{error}");
        let some = Queues::from(2..4)
            .numbers(&unknown, &*machine::by_name("eth0"), true)
            .unwrap();
        assert_eq!(some, [2, 3]);
        let error = Queues::from(..=u32::MAX).numbers(&unknown, &*machine::by_name("eth0"), true);
        assert!(error.unwrap_err().to_string().contains("end at 65535"));
    }

    #[test]
    fn sockets_that_only_send_may_have_queues_that_nothing_arrives_at() {
        let numbers =
            Queues::from([4, 9]).numbers(&interface(Some(4)), &*machine::by_name("eth0"), false);
        assert_eq!(numbers.unwrap(), [4, 9]);
    }
}
