//! How an engine shall run.

use std::time::Duration;

use super::poller::poller;
use super::sized::{self, Sized32};
use crate::engine::{FluxEngine, WhenFull};
use crate::error::{FluxError, Result};
use crate::poller::Poller;

/// Packets for a full port wait in the RX rings, so that none is lost within the engine.
pub const FLUXCAP_WHEN_FULL_WAIT: u32 = 0;
/// Packets for a full port are dropped and counted, so that it never holds up another one.
pub const FLUXCAP_WHEN_FULL_DROP: u32 = 1;

/// How an engine shall run. Zero everywhere but in struct_size is a good start.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct fluxcap_engine_config {
    /// sizeof(struct fluxcap_engine_config).
    pub struct_size: u32,
    /// FLUXCAP_POLLER_…: how it waits for packets.
    pub poller: u32,
    /// How long FLUXCAP_POLLER_ADAPTIVE spins after the last packet, in microseconds. 0: 50.
    pub spin_us: u32,
    /// The most packets that one call of the callback gets, 1 to 4096. 0: 64.
    pub batch: u32,
    /// FLUXCAP_WHEN_FULL_…: what becomes of packets for a port whose TX ring is full.
    pub when_full: u32,
    /// 1: ports may work on different UMEMs, and packets between them are copied. 0: they may not.
    pub copying: u32,
    /// How long a port may keep packets to send without any of them leaving, in milliseconds, until
    /// a run ends with -ETIME. 0: 1000; UINT32_MAX: for ever.
    pub patience_ms: u32,
}

// SAFETY: `repr(C)`, begins with a `u32`, and is made of plain numbers.
unsafe impl Sized32 for fluxcap_engine_config {
    const NAME: &'static str = "fluxcap_engine_config";
}

/// A config, checked.
#[derive(Clone, Copy, Default)]
pub(super) struct Settings {
    poller: Poller,
    batch: Option<u32>,
    when_full: WhenFull,
    copying: bool,
    patience: Option<Duration>,
}

impl Settings {
    /// # Safety
    ///
    /// `config` is null, or points to at least as many readable bytes as its `struct_size` says.
    pub(super) unsafe fn read(name: &str, config: *const fluxcap_engine_config) -> Result<Self> {
        match config.is_null() {
            true => Ok(Self::default()),
            // SAFETY: as the caller promises.
            false => Self::new(&unsafe { sized::read(name, config)? }),
        }
    }

    fn new(config: &fluxcap_engine_config) -> Result<Self> {
        Ok(Self {
            poller: poller(config.poller, config.spin_us)?,
            batch: (config.batch != 0).then_some(config.batch),
            when_full: match config.when_full {
                FLUXCAP_WHEN_FULL_WAIT => WhenFull::Wait,
                FLUXCAP_WHEN_FULL_DROP => WhenFull::Drop,
                other => {
                    return Err(field(
                        "when_full",
                        other,
                        "use one of FLUXCAP_WHEN_FULL_...",
                    ));
                }
            },
            copying: match config.copying {
                0 | 1 => config.copying == 1,
                other => return Err(field("copying", other, "use 0 or 1")),
            },
            patience: match config.patience_ms {
                0 => None,
                u32::MAX => Some(Duration::MAX),
                time => Some(Duration::from_millis(time.into())),
            },
        })
    }

    pub(super) fn apply(self, engine: &mut FluxEngine) -> Result<()> {
        engine.set_poller(self.poller);
        engine.set_when_full(self.when_full);
        engine.set_copying(self.copying);
        if let Some(patience) = self.patience {
            engine.set_patience(patience);
        }
        self.batch.map_or(Ok(()), |batch| engine.set_batch(batch))
    }
}

fn field(name: &str, value: u32, fix: &str) -> FluxError {
    FluxError::invalid(
        format_args!("field {name} of struct fluxcap_engine_config"),
        format_args!("{value} is not known"),
        fix,
    )
}
