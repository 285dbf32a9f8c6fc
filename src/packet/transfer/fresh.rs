//! Fresh packets, in frames of the pool.

use crate::packet::FramePool;
use crate::packet::PacketBatch;
use crate::packet::ledger::USER;
use crate::packet::{Frames, Packet};
use crate::ring::Desc;

impl Frames {
    /// Fresh packets of length zero in frames of the pool, behind both headrooms, as far as the batch has room and the pool frames.
    pub(crate) fn fresh_batch(
        &self,
        pool: &mut FramePool,
        batch: &mut PacketBatch,
        max: u32,
    ) -> u32 {
        let wanted = batch.room().min(max as usize) as u32;
        self.count_up(wanted);
        let mut done = 0;
        while done < wanted {
            let Some(chunk) = pool.take() else {
                break;
            };
            batch.append(self.unpack(chunk));
            done += 1;
        }
        self.uncount(wanted - done);
        done
    }

    /// A fresh packet of length zero in a frame of the pool, behind both headrooms.
    pub(crate) fn fresh(&self, chunk: u32) -> Packet {
        self.count_up(1);
        self.unpack(chunk)
    }

    /// [`fresh`](Self::fresh), for a packet that is counted already.
    fn unpack(&self, chunk: u32) -> Packet {
        self.set_owner(chunk, USER);
        let desc = Desc {
            addr: self.fresh_address(chunk),
            len: 0,
            options: 0,
        };
        Packet::new(self.state(), desc, chunk)
    }
}
