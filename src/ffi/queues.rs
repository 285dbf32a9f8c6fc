//! Several sockets at once: on several queues, or on one.

use std::ffi::c_int;

use super::array::{MAX_HANDLES, check_count, entries, reserved};
use super::config::{builder, fluxcap_config};
use super::error::{guard, null};
use super::handle::{self, count, fluxcap_raw};
use super::sized;
use crate::error::{ErrorKind, FluxError, Result, errno};
use crate::kernel::FanOut;
use crate::queues::Queues;
use crate::raw::FluxRaw;

/// Opens a socket on each of `count` queues, all behind one XDP program.
///
/// `queues` are their numbers; with NULL it is each queue that the interface has for receiving, of
/// which there may be `count` at most. Each socket has a UMEM of its own, so that threads share
/// nothing, unless the config gives one. The config's `queue` says nothing here.
///
/// Returns how many sockets were opened; the first entries of `raws` are their handles, in the
/// order of `queues`, to be freed with fluxcap_raw_free().
///
/// Errors, after which nothing is left behind:
/// - -EINVAL: no queue, one twice, or one that is not there.
/// - -ENOSPC: the interface has more queues than `count`.
/// - Those of fluxcap_open().
///
/// Threads: any. Rights: as fluxcap_open().
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fluxcap_open_queues(
    config: *const fluxcap_config,
    queues: *const u32,
    count: u32,
    raws: *mut *mut fluxcap_raw,
) -> c_int {
    guard(|| {
        // SAFETY: as the header asks.
        unsafe {
            let queues = self::queues(queues, count)?;
            write(raws, count, || {
                builder(&sized::read("config", config)?)?.build_queues(queues)
            })
        }
    })
}

/// Opens `count` sockets, up to 16, on one queue and one UMEM.
///
/// For an interface with fewer queues than threads that shall work on its packets. All packets of a
/// flow come to the same socket, with `symmetric` 1 those of both its directions; with 0 the
/// directions may differ. The sockets can be used on threads of their own, and closed in any order.
///
/// Returns `count`; `raws` has the handles, to be freed with fluxcap_raw_free().
///
/// Errors, after which nothing is left behind:
/// - -EINVAL: `count` is out of its range; `symmetric` is neither 0 nor 1.
/// - -EOPNOTSUPP: the config has an XSKMAP of your own.
/// - Those of fluxcap_open(); -EPERM also without CAP_PERFMON.
///
/// Threads: any. Rights: those of fluxcap_open(), and CAP_PERFMON.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fluxcap_open_fan_out(
    config: *const fluxcap_config,
    count: u32,
    symmetric: u32,
    raws: *mut *mut fluxcap_raw,
) -> c_int {
    guard(|| {
        let symmetric = match symmetric {
            0 | 1 => symmetric == 1,
            other => {
                return Err(FluxError::invalid(
                    "argument symmetric",
                    format_args!("{other} is not known"),
                    "use 0 or 1",
                ));
            }
        };
        let fan_out = FanOut {
            sockets: count,
            symmetric,
        };
        // SAFETY: as the header asks.
        unsafe {
            write(raws, count, || {
                builder(&sized::read("config", config)?)?
                    .fan_out(fan_out)
                    .build_group()
            })
        }
    })
}

/// The numbers of queues, or all for null.
///
/// # Safety
///
/// `queues` is null or points to `count` numbers.
pub(super) unsafe fn queues(queues: *const u32, count: u32) -> Result<Queues> {
    match queues.is_null() {
        true => Ok(Queues::All),
        // SAFETY: as the caller promises.
        false => unsafe { entries("queues", queues, (count, MAX_HANDLES)) }.map(Queues::from),
    }
}

/// Writes handles of what `open` opens.
///
/// # Safety
///
/// `raws` is null or has room for `room` handles.
unsafe fn write(
    raws: *mut *mut fluxcap_raw,
    room: u32,
    open: impl FnOnce() -> Result<Vec<FluxRaw>>,
) -> Result<c_int> {
    if raws.is_null() {
        return Err(null("raws"));
    }
    check_count("raws", room, MAX_HANDLES)?;
    let opened = open()?;
    let number = opened.len();
    if number > room as usize {
        return Err(no_room(number, room));
    }
    let mut handles = reserved(number, "raws")?;
    let mut result = Ok(());
    for raw in opened {
        match handle::open(raw) {
            Ok(handle) => handles.push(handle),
            Err(error) => result = Err(error),
        }
    }
    if let Err(error) = result {
        for handle in handles {
            // SAFETY: made just now, and known to nobody.
            unsafe { handle::fluxcap_raw_free(handle) };
        }
        return Err(error);
    }
    for (index, handle) in handles.into_iter().enumerate() {
        // SAFETY: not null, with room for so many, as the caller promises.
        unsafe { raws.add(index).write(handle) };
    }
    count(number as u32)
}

#[cold]
fn no_room(number: usize, room: u32) -> FluxError {
    FluxError::new(
        ErrorKind::Invalid,
        errno::ENOSPC,
        "open all queues of an interface",
        format_args!("it has {number}, and there is room for {room} handles"),
        "make room for more, or name the queues",
    )
}
