//! All modes in C: the loops in `c/`, over sockets opened here.

use std::ffi::{CString, c_char, c_int, c_void};
use std::mem;
use std::os::unix::ffi::OsStrExt;
use std::ptr::NonNull;
use std::time::Duration;

use fluxcap::ffi::raw::fluxcap_raw;
use fluxcap::ffi::{engine, packet, raw, rx, tx};
use fluxcap::{FluxRaw, PacketBatch};

use super::super::{native, results};
use super::{Entry, Loop, Result};

/// The files in `c/`: one a mode.
const SOURCES: [&str; 4] = ["c/calls.c", "c/engine.c", "c/halves.c", "c/raw.c"];

/// Functions with their names.
macro_rules! calls {
    ($($module:ident::$name:ident,)*) => {
        [$((stringify!($name), $module::$name as *const c_void)),*]
    };
}

/// The library's functions that the loops call: what a dynamic linker would fill in.
fn calls() -> impl IntoIterator<Item = (&'static str, *const c_void)> {
    calls![
        engine::fluxcap_engine_create,
        engine::fluxcap_engine_free,
        engine::fluxcap_engine_run_once,
        engine::fluxcap_engine_wait,
        packet::fluxcap_packets_free,
        raw::fluxcap_raw_alloc,
        raw::fluxcap_raw_data,
        raw::fluxcap_raw_forward_front,
        raw::fluxcap_raw_free,
        raw::fluxcap_raw_peek,
        raw::fluxcap_raw_reap,
        raw::fluxcap_raw_recycle_front,
        raw::fluxcap_raw_refill,
        raw::fluxcap_raw_send,
        raw::fluxcap_raw_wait,
        raw::fluxcap_raw_wake_tx,
        rx::fluxcap_raw_split,
        rx::fluxcap_rx_free,
        rx::fluxcap_rx_recv,
        rx::fluxcap_rx_set_poller,
        tx::fluxcap_tx_free,
        tx::fluxcap_tx_send,
    ]
}

/// Compiles the loops, so that [`open`] finds them.
pub(crate) fn compile() -> Result<()> {
    let flags = ["-shared", "-fPIC"].map(str::to_owned);
    native::compile("libloops.so", &SOURCES, &flags).map(drop)
}

/// A function of a loop: with the mode's handle; returns a count.
type Step = unsafe extern "C" fn(NonNull<c_void>) -> c_int;

/// A loop in C, with the handles of its mode.
struct InC {
    handle: NonNull<c_void>,
    batch: Step,
    turn: Step,
    close: unsafe extern "C" fn(NonNull<c_void>),
}

/// The functions of `c/`, loaded.
struct Library(NonNull<c_void>);

impl Library {
    /// Loads it for the rest of this process.
    fn load() -> Result<Self> {
        let path = results::directory()?.join("libloops.so");
        let path = CString::new(path.as_os_str().as_bytes())?;
        // SAFETY: a library of ours, made by `compile`, without constructors.
        let library = unsafe { libc::dlopen(path.as_ptr(), libc::RTLD_NOW) };
        let library = NonNull::new(library);
        let this = Self(library.ok_or_else(|| format!("{path:?} can't be loaded"))?);
        // SAFETY: `connect_call` in `c/calls.c` has this type.
        let connect: unsafe extern "C" fn(*const c_char, *const c_void) -> c_int =
            unsafe { mem::transmute(this.find("connect_call")?) };
        for (name, function) in calls() {
            let known = CString::new(name)?;
            // SAFETY: the name ends with a zero byte; the function is the one that `c/calls.c` calls by it.
            if unsafe { connect(known.as_ptr(), function) } != 0 {
                return Err(format!("c/calls.c does not know {name}").into());
            }
        }
        Ok(this)
    }

    fn find(&self, name: &str) -> Result<NonNull<c_void>> {
        let symbol = CString::new(name)?;
        // SAFETY: the library is loaded and stays so.
        let found = unsafe { libc::dlsym(self.0.as_ptr(), symbol.as_ptr()) };
        NonNull::new(found).ok_or_else(|| format!("c/ has no function {name}").into())
    }

    fn step(&self, name: &str) -> Result<Step> {
        // SAFETY: all functions in `c/` but those to open and close have this type.
        Ok(unsafe { mem::transmute::<NonNull<c_void>, Step>(self.find(name)?) })
    }
}

pub(super) fn open(entry: &Entry, socket: FluxRaw) -> Result<Box<dyn Loop>> {
    let library = Library::load()?;
    let batch = entry.function();
    let of_mode = |name: &str| batch.replace(entry.what(), name);
    // SAFETY: a mode's function to open has this type.
    let open: unsafe extern "C" fn(NonNull<fluxcap_raw>) -> Option<NonNull<c_void>> =
        unsafe { mem::transmute(library.find(&of_mode("open"))?) };
    // SAFETY: a mode's function to close has this type.
    let close: unsafe extern "C" fn(NonNull<c_void>) =
        unsafe { mem::transmute(library.find(&of_mode("close"))?) };
    let socket = NonNull::new(raw::open(socket)?).ok_or("no handle")?;
    // SAFETY: the handle is open, and given away.
    let handle = unsafe { open(socket) };
    Ok(Box::new(InC {
        handle: handle.ok_or_else(|| format!("{} was not opened", entry.name))?,
        batch: library.step(&batch)?,
        turn: library.step(&format!("{batch}_turn"))?,
        close,
    }))
}

impl InC {
    fn call(&mut self, step: Step) -> u32 {
        // SAFETY: the handle is open, and this value alone uses it.
        let count = unsafe { step(self.handle) };
        u32::try_from(count).expect("no call fails in a benchmark")
    }
}

impl Loop for InC {
    fn batch(&mut self) -> u32 {
        self.call(self.batch)
    }

    fn run_for(&mut self, time: Duration) -> u64 {
        super::turns(time, || self.call(self.turn))
    }

    fn receive(&mut self, _batch: &mut PacketBatch) -> u32 {
        0
    }
}

impl Drop for InC {
    fn drop(&mut self) {
        // SAFETY: the handle is open, and used no more.
        unsafe { (self.close)(self.handle) }
    }
}
