//! One turn of one port: its packets go to the callback, and on to where it wants them.

#![forbid(unsafe_code)]

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};

use super::port::Port;
use super::run::panicked;
use super::{FluxEngine, Outcome, WhenFull};
use crate::error::{ErrorKind, FluxError, Result, errno};
use crate::packet::{BatchRef, Handled, NotSent, PortContext, PortPacket, ReceivedPacket};

impl FluxEngine {
    /// Gives a batch of one port to the callback and sends what it wants sent.
    #[inline]
    pub(super) fn serve<O: Outcome>(
        &mut self,
        number: usize,
        callback: &mut impl FnMut(&mut BatchRef<'_>) -> O,
    ) -> Result<u32> {
        let Some((max, context)) = self.may_show(number) else {
            return Ok(0);
        };
        let port = &mut self.ports[number];
        let shown = port.raw.rings.show_batch(
            max,
            &mut self.slots,
            context,
            &mut self.outboxes,
            &mut port.counts,
            |batch| guarded(batch, callback),
        );
        match shown {
            Some(shown) => self.after(number, shown.count, shown.all_recycled, shown.result),
            None => Ok(0),
        }
    }

    /// [`serve`](Self::serve), with the packets one at a time.
    #[inline]
    pub(super) fn serve_each<O: Outcome>(
        &mut self,
        number: usize,
        look: &mut impl FnMut(&mut PortPacket<'_>) -> O,
    ) -> Result<u32> {
        let Some((max, context)) = self.may_show(number) else {
            return Ok(0);
        };
        let Port { raw, counts, .. } = &mut self.ports[number];
        let (outboxes, handled) = (&mut self.outboxes, Cell::default());
        let shown = catch_unwind(AssertUnwindSafe(|| {
            let look = |mut packet: ReceivedPacket<'_>| {
                let result = look(&mut packet.of_port(context)).into_result();
                (packet.exit(), result.err())
            };
            let pass_on = |port, packet: ReceivedPacket<'_>| {
                let outbox = &mut outboxes[port as usize];
                if outbox.room() > 0 {
                    outbox.append(packet.into_packet());
                    counts.passed_on += 1;
                } else {
                    counts.no_room += 1;
                }
            };
            raw.rings.each(max, &handled, context.port, look, pass_on)
        }));
        let handled = handled.get();
        if handled == Handled::default() {
            return Ok(0);
        }
        counts.sent += u64::from(handled.sent);
        counts.no_room += u64::from(handled.no_room);
        let result = match shown {
            Ok(None) => Ok(()),
            Ok(Some(error)) => Err(error),
            Err(panic) => Err(panicked(&*panic)),
        };
        self.after(
            number,
            handled.packets(),
            handled.are_all_recycled(),
            result,
        )
    }

    /// How many packets of a port may be shown now, if any.
    #[inline]
    fn may_show(&mut self, number: usize) -> Option<(u32, PortContext)> {
        let max = match self.when_full {
            WhenFull::Wait => self.room(),
            WhenFull::Drop => self.batch(),
        };
        if max == 0 {
            self.stalls += 1;
            return None;
        }
        let context = PortContext {
            port: number as u32,
            ports: self.ports.len() as u32,
        };
        Some((max, context))
    }

    /// Sends on what was shown and leaves through other ports; then the count, or the error that the callback ended with.
    #[inline]
    fn after(
        &mut self,
        number: usize,
        count: u32,
        all_recycled: bool,
        result: Result<()>,
    ) -> Result<u32> {
        self.batches += 1;
        if !all_recycled {
            let unfit = self.ports[number].settle();
            if self.ports.len() > 1 {
                self.post(number)?;
            }
            if let Some((index, why)) = unfit {
                result?;
                return Err(self::unfit(index, why));
            }
        }
        result.map(|()| count)
    }

    /// The number of packets that every port has room for, up to a batch.
    #[inline]
    pub(super) fn room(&mut self) -> u32 {
        let batch = self.batch();
        let room = |port: &mut Port| port.raw.rings.tx_room_for(batch);
        match &mut *self.ports {
            [port] => room(port).min(batch),
            ports => ports
                .iter_mut()
                .fold(batch, |least, port| least.min(room(port))),
        }
    }

    /// Sends what came in through port `from` and shall leave through another, and brings the frames of what has left there back.
    fn post(&mut self, from: usize) -> Result<()> {
        for other in 0..self.ports.len() {
            if let Ok([from, other]) = self.ports.get_disjoint_mut([from, other]) {
                other.raw.rings.send_back_to(&mut from.raw.rings);
            }
        }
        let mut result = Ok(());
        for (port, outbox) in self.ports.iter_mut().zip(&mut self.outboxes) {
            // Each outbox is emptied, also after an error.
            result = result.and(port.post(outbox));
        }
        result
    }
}

/// Calls the callback; a panic becomes an error, and the whole batch is recycled.
#[inline]
fn guarded<O: Outcome>(
    batch: &mut BatchRef<'_>,
    callback: &mut impl FnMut(&mut BatchRef<'_>) -> O,
) -> Result<()> {
    match catch_unwind(AssertUnwindSafe(|| callback(batch).into_result())) {
        Ok(result) => result,
        Err(panic) => {
            batch.recycle_all();
            Err(panicked(&*panic))
        }
    }
}

/// Why a packet of a batch was not sent: only a callback in C can cause this.
#[cold]
fn unfit(index: usize, why: NotSent) -> FluxError {
    let (errno, happened, fix) = match why {
        NotSent::OtherFrame => (
            errno::EINVAL,
            format!("packets[{index}] names a frame that it did not name before the callback"),
            "do not move or swap entries of the array: set the verdict of each in its place, and keep data within its frame",
        ),
        NotSent::TooLong | NotSent::Unsendable | NotSent::NoRoom => (
            errno::EMSGSIZE,
            format!("len of packets[{index}] goes beyond the end of its frame"),
            "keep data and len within the frame",
        ),
        NotSent::NoPort => (
            errno::EINVAL,
            format!("the verdict of packets[{index}] names a port that the engine does not have"),
            "use FLUXCAP_RECYCLE, or FLUXCAP_SEND + a port of this engine, counted from 0",
        ),
    };
    FluxError::new(
        ErrorKind::Invalid,
        errno,
        format_args!("send packet {index} of a batch"),
        happened,
        fix,
    )
}
