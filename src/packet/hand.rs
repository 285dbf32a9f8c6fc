//! Received packets handed over one by one, each the user's own.

use std::cell::Cell;

use super::Packet;
use super::frames::USER;
use super::lender::Lender;
use crate::ring::Desc;

impl Lender {
    /// Hands received packets over, one by one, and counts them in `handed`, before each.
    ///
    /// Should `take` panic, those handed over are the user's, and the others still on loan.
    #[inline]
    pub(crate) fn hand_over(
        &mut self,
        run: &[Desc],
        handed: &Cell<u32>,
        mut take: impl FnMut(Packet),
    ) -> usize {
        let chunk_size = u64::from(self.frames.geometry().chunk_size());
        let (addr, len) = Desc::union(run);
        // As in `acceptable`: the union may say no although all is well.
        let fit =
            len <= chunk_size - (addr & (chunk_size - 1)) && self.frames.chunk_of(addr).is_some();
        let state = self.frames.state();
        self.frames.count_up(run.len() as u32);
        let before = handed.get();
        let books = Books {
            lender: self,
            counted: run.len() as u32,
            before,
            handed,
        };
        let frames = &books.lender.frames;
        for desc in run {
            // One by one, so that a frame that came twice is the user's once.
            let chunk = match fit {
                true => Some((desc.addr >> frames.shift()) as u32)
                    .filter(|&chunk| books.lender.take_back(chunk, USER)),
                false => books.lender.receive(desc),
            };
            let Some(chunk) = chunk else {
                break;
            };
            handed.set(handed.get() + 1);
            take(Packet::new(state, *desc, chunk));
        }
        (handed.get() - before) as usize
    }
}

/// The count of packets that are being handed over, put right at the end, also by a panic.
struct Books<'a> {
    lender: &'a mut Lender,
    counted: u32,
    before: u32,
    handed: &'a Cell<u32>,
}

impl Drop for Books<'_> {
    #[inline]
    fn drop(&mut self) {
        let done = self.handed.get() - self.before;
        self.lender.returned(done);
        self.lender.frames.uncount(self.counted - done);
    }
}
