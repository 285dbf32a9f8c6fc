//! The C loops of `c/loops.c`, over sockets opened here.

use std::error::Error;
use std::ffi::{CString, c_int, c_void};
use std::mem;
use std::os::unix::ffi::OsStrExt;

use fluxcap::FluxRaw;
use fluxcap::ffi::handle::{fluxcap_raw, fluxcap_raw_free, open};
use fluxcap::ffi::{packet, raw};

use super::native;

/// A socket as a C program has it, and a loop that uses it.
pub(crate) struct CLoop {
    handle: *mut fluxcap_raw,
    umem: *mut u8,
    batch: Batch,
}

/// A function of `c/loops.c`.
type Batch = unsafe extern "C" fn(*mut fluxcap_raw, *mut u8) -> c_int;

/// The library's functions, by the addresses that a dynamic linker would fill in. As `struct calls` in `c/calls.c`.
#[repr(C)]
struct Calls {
    peek: *const c_void,
    recycle: *const c_void,
    forward: *const c_void,
    refill: *const c_void,
    reap: *const c_void,
    alloc: *const c_void,
    send: *const c_void,
    free: *const c_void,
}

impl CLoop {
    /// Compiles the loops, so that [`load`](Self::load) finds them.
    pub(crate) fn compile() -> Result<(), Box<dyn Error>> {
        let flags = ["-shared", "-fPIC"].map(str::to_owned);
        native::compile("libloops.so", &["c/loops.c", "c/calls.c"], &flags).map(drop)
    }

    /// The loop that `c/loops.c` calls `name`, over a socket.
    pub(crate) fn load(name: &str, socket: FluxRaw) -> Result<Self, Box<dyn Error>> {
        let path = super::results::directory()?.join("libloops.so");
        let path = CString::new(path.as_os_str().as_bytes())?;
        // SAFETY: a library of ours, made by `compile`, without constructors.
        let library = unsafe { libc::dlopen(path.as_ptr(), libc::RTLD_NOW) };
        if library.is_null() {
            return Err(format!("{} can't be loaded", path.to_string_lossy()).into());
        }
        let find = |name: &str| {
            let symbol = CString::new(name)?;
            // SAFETY: the library is loaded and stays so.
            let found = unsafe { libc::dlsym(library, symbol.as_ptr()) };
            if found.is_null() {
                return Err(Box::<dyn Error>::from(format!(
                    "c/loops.c has no function {name}"
                )));
            }
            Ok(found)
        };
        let connect = find("connect_calls")?;
        let batch = find(name)?;
        // SAFETY: `connect_calls` in `c/calls.c` has this type.
        let connect: unsafe extern "C" fn(*const Calls) = unsafe { mem::transmute(connect) };
        // SAFETY: all loops in `c/loops.c` have this type.
        let batch = unsafe { mem::transmute::<*mut c_void, Batch>(batch) };
        let calls = Calls {
            peek: raw::fluxcap_raw_peek as *const c_void,
            recycle: raw::fluxcap_raw_recycle as *const c_void,
            forward: raw::fluxcap_raw_forward as *const c_void,
            refill: raw::fluxcap_raw_refill as *const c_void,
            reap: raw::fluxcap_raw_reap as *const c_void,
            alloc: packet::fluxcap_raw_alloc as *const c_void,
            send: packet::fluxcap_raw_send as *const c_void,
            free: packet::fluxcap_packets_free as *const c_void,
        };
        // SAFETY: it copies the table.
        unsafe { connect(&raw const calls) };
        let handle = open(socket);
        // SAFETY: the handle is open.
        let umem = unsafe { raw::fluxcap_raw_data(handle) };
        Ok(Self {
            handle,
            umem,
            batch,
        })
    }

    /// Handles one batch and returns how many packets it had.
    pub(crate) fn batch(&mut self) -> u32 {
        // SAFETY: the handle is open, and this value alone uses it.
        let count = unsafe { (self.batch)(self.handle, self.umem) };
        u32::try_from(count).expect("no call fails in a benchmark")
    }

    /// Makes the kernel send.
    #[allow(dead_code, reason = "the rings in plain memory need no waking")]
    pub(crate) fn wake_tx(&mut self) {
        // SAFETY: as in `batch`.
        let result = unsafe { raw::fluxcap_raw_wake_tx(self.handle) };
        assert_eq!(result, 0, "the interface is up");
    }

    /// Waits for packets, 100 milliseconds at most.
    #[allow(dead_code, reason = "the rings in plain memory need no waiting")]
    pub(crate) fn wait_rx(&mut self) {
        // SAFETY: as in `batch`.
        let result = unsafe { raw::fluxcap_raw_wait(self.handle, raw::FLUXCAP_WAIT_RECEIVE, 100) };
        assert!(result >= 0, "the interface is up");
    }
}

impl Drop for CLoop {
    fn drop(&mut self) {
        // SAFETY: the handle is open, and used no more.
        unsafe { fluxcap_raw_free(self.handle) }
    }
}
