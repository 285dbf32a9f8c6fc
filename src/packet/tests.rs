//! Packets and the memory under them, without a socket.

use std::collections::HashSet;
use std::net::Ipv4Addr;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Barrier, mpsc};
use std::thread;
use std::time::Duration;

use super::frames::POOL;
use super::*;
use crate::batch::PacketBatch;
use crate::pool::FramePool;
use crate::proto::build::{BuildError, FrameBuilder};
use crate::proto::{Arp, EtherType, Ethernet, MacAddr};
use crate::ring::pair;
use crate::umem::{UmemConfig, UmemRegion};

fn umem(frames: u32, chunk_size: u32, headroom: u32) -> UmemRegion {
    UmemRegion::heap(UmemConfig {
        frames,
        chunk_size,
        headroom,
        ..UmemConfig::default()
    })
    .unwrap()
}

fn alloc_all(umem: &UmemRegion) -> Vec<Packet> {
    std::iter::from_fn(|| umem.alloc()).collect()
}

/// Every frame is in the pool, once.
#[track_caller]
fn assert_all_home(umem: &UmemRegion) {
    let accounting = umem.accounting();
    assert_eq!(accounting.pool, umem.frame_count(), "{accounting}");
    assert_eq!(umem.frames().at_home(), umem.frame_count());
    assert_eq!(umem.frames().with_user(), 0);
    let size = u64::from(umem.geometry().chunk_size());
    let frames: HashSet<_> = alloc_all(umem)
        .iter()
        .map(|packet| packet.address() / size)
        .collect();
    assert_eq!(frames.len() as u32, umem.frame_count());
}

#[test]
fn a_packet_is_32_bytes_and_goes_to_any_thread() {
    fn goes_anywhere<T: Send + Sync + 'static>() {}
    goes_anywhere::<Packet>();
    goes_anywhere::<UmemRegion>();
    goes_anywhere::<PacketBatch>();
    assert_eq!(size_of::<Packet>(), 32);
    assert_eq!(size_of::<Option<Packet>>(), 32);
}

#[test]
fn all_frames_can_be_allocated_once_and_dropped() {
    for frames in [1, 2, 63, 500] {
        let umem = umem(frames, 2048, 0);
        let packets = alloc_all(&umem);
        assert_eq!(packets.len() as u32, frames);
        let addresses: HashSet<_> = packets.iter().map(Packet::address).collect();
        assert_eq!(addresses.len() as u32, frames);
        assert_eq!(
            (umem.accounting().user, umem.frames().with_user()),
            (frames, frames)
        );
        assert!(umem.accounting().is_conserved());
        drop(packets);
        assert_all_home(&umem);
    }
}

#[test]
fn packets_dropped_on_other_threads_come_home() {
    let umem = umem(256, 2048, 0);
    for _ in 0..20 {
        let mut packets = alloc_all(&umem);
        let threads: Vec<_> = (0..4)
            .map(|_| {
                let part = packets.split_off(packets.len().saturating_sub(64));
                thread::spawn(move || drop(part))
            })
            .collect();
        threads
            .into_iter()
            .for_each(|thread| thread.join().unwrap());
        assert_all_home(&umem);
    }
}

#[test]
fn threads_that_allocate_and_drop_at_once_never_share_a_frame() {
    let umem = umem(16, 2048, 0);
    let threads: Vec<_> = (0..4_u8)
        .map(|mark| {
            let umem = umem.clone();
            thread::spawn(move || {
                let mut allocated = 0;
                for _ in 0..20_000 {
                    let Some(mut packet) = umem.alloc() else {
                        // All free frames may be in the hands of a thread that does not run now.
                        thread::yield_now();
                        continue;
                    };
                    packet.copy_from(&[mark; 64]).unwrap();
                    assert_eq!(packet.data(), [mark; 64]);
                    allocated += 1;
                }
                allocated
            })
        })
        .collect();
    let allocated: u32 = threads
        .into_iter()
        .map(|thread| thread.join().unwrap())
        .sum();
    assert!(allocated > 20_000);
    assert_all_home(&umem);
}

#[test]
#[cfg(feature = "capi")]
fn the_last_handle_and_the_packets_may_end_at_once() {
    let mut alive = 0;
    for round in 0..2000 {
        let umem = umem(8, 2048, 0);
        let state = umem.frames().state().as_ptr() as usize;
        let mut packets = alloc_all(&umem);
        let others = packets.split_off(4);
        let dropping = thread::spawn(move || drop(others));
        if round % 2 == 0 {
            drop(umem);
            drop(packets);
        } else {
            drop(packets);
            drop(umem);
        }
        dropping.join().unwrap();
        alive += u32::from(super::live::find(state as *const _).is_some());
    }
    // Another test may have got the address by then, but hardly so often.
    assert!(alive < 200, "{alive} of 2000 are still there");
}

#[test]
fn packets_keep_the_memory_when_the_last_handle_is_gone() {
    let umem = umem(8, 2048, 0);
    let mut packets = alloc_all(&umem);
    drop(umem);
    for (packet, byte) in packets.iter_mut().zip(0..) {
        packet.copy_from(&[byte; 1000]).unwrap();
    }
    for (packet, byte) in packets.iter().zip(0..) {
        assert_eq!(packet.data(), [byte; 1000]);
    }
    // The last of them goes on another thread.
    let mut last = packets.pop().unwrap();
    drop(packets);
    last.data_mut().fill(9);
    let read = thread::spawn(move || last.data().iter().map(|byte| u32::from(*byte)).sum::<u32>());
    assert_eq!(read.join().unwrap(), 9000);
}

#[test]
fn the_memory_goes_with_the_last_packet_or_handle_and_not_before() {
    for handle_last in [false, true] {
        let geometry = umem(4, 2048, 0).geometry();
        let (memory, gone) = watched_memory(geometry.bytes() as usize);
        let umem = UmemRegion::new(memory, geometry).unwrap();
        let other = umem.clone();
        let packets = alloc_all(&umem);
        drop(umem);
        if handle_last {
            drop(packets);
            assert!(gone.try_recv().is_err());
            assert_all_home(&other);
            drop(other);
        } else {
            drop(other);
            assert!(gone.try_recv().is_err());
            thread::spawn(move || drop(packets)).join().unwrap();
        }
        assert_eq!(gone.try_recv(), Ok(()));
    }
}

/// Memory that tells when it is given back.
fn watched_memory(bytes: usize) -> (crate::mem::Memory, mpsc::Receiver<()>) {
    struct Owner {
        _memory: crate::mem::Memory,
        gone: mpsc::SyncSender<()>,
    }
    impl Drop for Owner {
        fn drop(&mut self) {
            self.gone.send(()).unwrap();
        }
    }
    let memory = crate::mem::Memory::heap(bytes).unwrap();
    let (start, page_size) = (memory.start(), memory.page_size());
    let (gone, told) = mpsc::sync_channel(1);
    let owner = Owner {
        _memory: memory,
        gone,
    };
    // SAFETY: the owner holds the memory, which nobody else uses.
    let memory =
        unsafe { crate::mem::Memory::from_parts(start, bytes, page_size, Box::new(owner)) };
    (memory, told)
}

#[test]
fn memory_that_is_too_small_for_the_geometry_is_refused() {
    let geometry = umem(4, 4096, 0).geometry();
    let memory = crate::mem::Memory::heap(3 * 4096).unwrap();
    let error = UmemRegion::new(memory, geometry).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid);
    let text = error.to_string();
    assert!(text.contains("16384") && text.contains("12288") && text.contains("fewer frames"));
}

#[test]
fn a_fresh_packet_is_empty_and_starts_behind_both_headrooms() {
    for (chunk_size, headroom) in [(2048, 0), (2048, 1791), (4096, 100), (4096, 256)] {
        let umem = umem(5, chunk_size, headroom);
        for (packet, frame) in alloc_all(&umem).iter().zip(0..) {
            assert!(packet.is_empty() && packet.data().is_empty());
            let front = u64::from(256 + headroom);
            assert_eq!(packet.address(), frame * u64::from(chunk_size) + front);
            assert_eq!(packet.headroom() as u64, front);
            assert_eq!(packet.tailroom() as u64, u64::from(chunk_size) - front);
            assert_eq!(packet.options(), 0);
            let start = umem.memory().start().as_ptr() as u64;
            assert_eq!(packet.data().as_ptr() as u64 - start, packet.address());
        }
        assert_all_home(&umem);
    }
}

#[test]
fn a_reused_frame_gives_a_fresh_packet_again() {
    let umem = umem(1, 2048, 0);
    let mut packet = umem.alloc().unwrap();
    packet.copy_from(&[1; 100]).unwrap();
    packet.push_front(20).unwrap();
    drop(packet);
    let packet = umem.alloc().unwrap();
    assert_eq!((packet.len(), packet.headroom()), (0, 256));
    drop(packet);
    assert_all_home(&umem);
}

/// Everything that tells one state of a packet from another.
fn snapshot(packet: &Packet) -> (u64, usize, usize, usize, Vec<u8>) {
    (
        packet.address(),
        packet.len(),
        packet.headroom(),
        packet.tailroom(),
        packet.data().to_vec(),
    )
}

#[test]
fn a_change_that_does_not_fit_is_refused_with_emsgsize_and_changes_nothing() {
    let umem = umem(2, 2048, 0);
    let mut packet = umem.alloc().unwrap();
    packet.copy_from(b"hello").unwrap();
    let before = snapshot(&packet);
    let attempts: [fn(&mut Packet) -> Result<()>; 9] = [
        |packet| packet.set_len(1793),
        |packet| packet.set_len(usize::MAX),
        |packet| packet.set_len((1 << 32) + 1),
        |packet| packet.copy_from(&[7; 1793]),
        |packet| packet.push_front(257).map(|_| ()),
        |packet| packet.push_front(usize::MAX).map(|_| ()),
        |packet| packet.push_front(1 << 32).map(|_| ()),
        |packet| packet.pull_front(6),
        |packet| packet.pull_front(usize::MAX),
    ];
    for (attempt, room) in attempts
        .into_iter()
        .zip([1792, 1792, 1792, 1792, 256, 256, 256, 5, 5])
    {
        let error = attempt(&mut packet).unwrap_err();
        assert_eq!(
            (error.kind(), error.errno()),
            (ErrorKind::Invalid, errno::EMSGSIZE)
        );
        assert!(
            error.to_string().contains(&format!("room for {room};")),
            "{error}"
        );
        assert_eq!(snapshot(&packet), before);
    }
    drop(packet);
    assert_all_home(&umem);
}

#[test]
fn changes_up_to_the_limits_fit_and_stay_in_the_frame() {
    let umem = umem(3, 2048, 0);
    let mut packets = alloc_all(&umem);
    for (packet, byte) in packets.iter_mut().zip(0..) {
        packet.copy_from(&[byte; 1792]).unwrap();
        assert_eq!(
            (packet.headroom(), packet.len(), packet.tailroom()),
            (256, 1792, 0)
        );
        packet.push_front(256).unwrap().fill(byte);
        assert_eq!(
            (packet.headroom(), packet.len(), packet.tailroom()),
            (0, 2048, 0)
        );
    }
    for (packet, byte) in packets.iter_mut().zip(0..) {
        assert_eq!(packet.data(), [byte; 2048]);
        packet.pull_front(2000).unwrap();
        packet.set_len(0).unwrap();
        assert_eq!(
            (packet.headroom(), packet.len(), packet.tailroom()),
            (2000, 0, 48)
        );
        packet.set_len(48).unwrap();
        packet.pull_front(48).unwrap();
        assert_eq!(
            (packet.headroom(), packet.len(), packet.tailroom()),
            (2048, 0, 0)
        );
        assert_eq!(packet.push_front(2048).unwrap(), [byte; 2048]);
    }
    drop(packets);
    assert_all_home(&umem);
}

#[test]
fn headers_come_and_go_at_the_front_and_leave_the_rest_alone() {
    let umem = umem(1, 2048, 0);
    let mut packet = umem.alloc().unwrap();
    packet.copy_from(b"payload").unwrap();
    let front = packet.push_front(4).unwrap();
    assert_eq!(front.len(), 4);
    front.copy_from_slice(b"head");
    assert_eq!(
        (packet.data(), packet.headroom()),
        (&b"headpayload"[..], 252)
    );
    packet.pull_front(6).unwrap();
    assert_eq!((packet.data(), packet.headroom()), (&b"yload"[..], 258));
    packet.push_front(0).unwrap();
    packet.pull_front(0).unwrap();
    packet.pull_front(5).unwrap();
    assert_eq!((packet.data(), packet.headroom()), (&b""[..], 263));
    packet.as_mut().fill(0);
    assert_eq!(packet.as_ref(), b"");
    drop(packet);
    assert_all_home(&umem);
}

#[test]
fn packets_of_two_umems_go_home_to_their_own() {
    let umems = [umem(8, 2048, 0), umem(5, 4096, 0)];
    let mut packets = alloc_all(&umems[0]);
    packets.extend(alloc_all(&umems[1]));
    for packet in &packets {
        let own = umems
            .each_ref()
            .map(|umem| packet.belongs_to(umem.frames()));
        assert!(own[0] != own[1]);
        assert_eq!(packet.tailroom(), if own[0] { 1792 } else { 3840 });
    }
    packets.sort_by_key(|packet| packet.address() % 7);
    packets.truncate(6);
    let shares = umems.each_ref().map(|umem| umem.accounting().user);
    assert_eq!(shares[0] + shares[1], 6);
    thread::spawn(move || drop(packets)).join().unwrap();
    umems.iter().for_each(assert_all_home);
}

#[test]
fn a_return_stack_is_taken_whole_and_what_is_left_of_it_is_queued() {
    let umem = umem(16, 2048, 0);
    let frames = umem.frames();
    let mut packets = alloc_all(&umem);
    packets.truncate(10);
    assert_eq!(umem.accounting().user, 10);
    drop(packets);
    let mut returned = frames.take_returned();
    assert_eq!(frames.take_returned().count(), 0);
    assert!(
        returned
            .by_ref()
            .take(3)
            .all(|chunk| frames.owner(chunk) == POOL)
    );
    drop(returned);
    // Three of the 16 are in our hands.
    assert_eq!(frames.at_home(), 13);
}

#[test]
fn each_socket_has_a_mark_of_its_own_and_gives_it_back() {
    let umem = umem(4, 2048, 0);
    let first = umem.frames().leases(1).unwrap();
    let second = umem.frames().leases(1).unwrap();
    assert!(
        first[0].mark() != second[0].mark() && first[0].mark() > USER && second[0].mark() > USER
    );
    let mark = first[0].mark();
    drop(first);
    let third = umem.frames().leases(1).unwrap();
    assert_eq!(third[0].mark(), mark);
    drop((second, third));
    assert_all_home(&umem);
}

#[test]
fn a_thousand_sockets_on_one_umem_have_different_marks() {
    let umem = umem(1, 2048, 0);
    let leases = umem.frames().leases(1000).unwrap();
    let marks: HashSet<_> = leases.iter().map(Lease::mark).collect();
    assert_eq!(marks.len(), 1000);
    assert!(!marks.contains(&USER));
    drop(leases);
    assert_all_home(&umem);
}

/// Lends `count` free frames to the kernel.
fn lend(lender: &mut Lender, pool: &mut FramePool, count: u32) {
    let (mut fill, _kernel) = pair::<u64>(8).unwrap();
    let mut slots = fill.reserve(count);
    let mut writer = slots.writer();
    lender.lend_free(pool, &mut writer);
    assert_eq!((writer.written(), lender.lent()), (count, count));
}

#[test]
fn a_lease_that_ends_takes_back_its_own_loans_only() {
    let umem = umem(8, 2048, 0);
    let leases = [
        umem.frames().leases(1).unwrap(),
        umem.frames().leases(1).unwrap(),
    ];
    let mut lenders = leases.each_ref().map(|leases| Lender::new(&leases[0]));
    let mut pool = FramePool::new(umem.frames().clone());
    for lender in &mut lenders {
        lend(lender, &mut pool, 3);
    }
    let packet = pool.alloc().unwrap();
    let ledger = umem.frames().ledger();
    assert_eq!((ledger.pool, ledger.user, ledger.kernel), (1, 1, 6));
    let [first, second] = leases;
    drop(first);
    let ledger = umem.frames().ledger();
    assert_eq!((ledger.pool, ledger.user, ledger.kernel), (4, 1, 3));
    drop((second, pool, packet));
    assert_all_home(&umem);
}

/// A kernel that lets go when the test says so.
#[derive(Debug, Default)]
struct Kernel {
    released: AtomicBool,
    looks: AtomicU32,
}

impl QueueRelease for Kernel {
    fn is_released(&self) -> bool {
        self.looks.fetch_add(1, Ordering::Relaxed);
        self.released.load(Ordering::Relaxed)
    }

    fn pause(&self, time: Duration) -> Duration {
        time
    }
}

/// Binds a socket, which is the returned `Arc` as well, over a lease that has lent `lent` frames, and closes it.
fn close_with_loans(umem: &UmemRegion, lent: u32, kernel: &Arc<Kernel>) {
    let leases = umem.frames().leases(1).unwrap();
    let socket = Arc::new(());
    let (socket, ()) =
        LeasedSocket::bind(socket, leases.clone(), |()| Ok(()), |()| kernel.clone()).unwrap();
    let mut pool = FramePool::new(umem.frames().clone());
    let mut lender = Lender::new(&leases[0]);
    lend(&mut lender, &mut pool, lent);
    drop((lender, pool, leases, socket));
}

#[test]
fn frames_of_a_closed_socket_are_nobodys_until_the_kernel_is_seen_to_let_go() {
    let umem = umem(8, 2048, 0);
    let kernel = Arc::new(Kernel::default());
    close_with_loans(&umem, 5, &kernel);
    let accounting = umem.accounting();
    assert_eq!((accounting.pool, accounting.quarantined), (3, 5));
    assert_eq!((accounting.kernel, accounting.user), (0, 0));
    assert!(accounting.is_conserved(), "{accounting}");
    let text = accounting.to_string();
    assert!(text.contains("quarantined 5"), "{text}");
    let packets: Vec<_> = std::iter::from_fn(|| umem.alloc()).collect();
    assert_eq!(packets.len(), 3, "none of the five was handed out");
    kernel.released.store(true, Ordering::Relaxed);
    assert_eq!(umem.accounting().quarantined, 0);
    drop(packets);
    assert_all_home(&umem);
}

#[test]
fn memory_stays_mapped_until_the_last_handle_is_gone_and_no_longer_for_frames_in_quarantine() {
    let (memory, gone) = watched_memory(4 * 2048);
    let umem = UmemRegion::new(memory, umem(4, 2048, 0).geometry()).unwrap();
    close_with_loans(&umem, 3, &Arc::default());
    assert_eq!(umem.accounting().quarantined, 3);
    let packet = umem.alloc().expect("the fourth frame");
    drop(umem);
    assert!(gone.try_recv().is_err(), "a packet lies there");
    drop(packet);
    assert_eq!(gone.try_recv(), Ok(()));
}

#[test]
fn a_dry_pool_looks_whether_the_kernel_has_let_go_but_not_all_the_time() {
    let umem = umem(4, 2048, 0);
    let kernel = Arc::new(Kernel::default());
    close_with_loans(&umem, 4, &kernel);
    let looks = kernel.looks.load(Ordering::Relaxed);
    for _ in 0..1000 {
        assert!(umem.alloc().is_none());
    }
    let more = kernel.looks.load(Ordering::Relaxed) - looks;
    assert!((1..500).contains(&more), "{more} looks for 1000 packets");
    kernel.released.store(true, Ordering::Relaxed);
    let packet = std::iter::repeat_with(|| umem.alloc()).flatten().next();
    drop(packet);
    assert_all_home(&umem);
}

#[test]
fn the_next_socket_on_the_umem_waits_for_them_a_moment_and_has_another_mark() {
    let umem = umem(4, 2048, 0);
    let kernel = Arc::new(Kernel::default());
    close_with_loans(&umem, 4, &kernel);
    let before = kernel.looks.load(Ordering::Relaxed);
    let next = umem.frames().leases(1).unwrap();
    assert!(kernel.looks.load(Ordering::Relaxed) > before + 10);
    assert_eq!(umem.frames().sockets(), 2, "the place stays taken");
    kernel.released.store(true, Ordering::Relaxed);
    assert_eq!(umem.accounting().pool, 4);
    assert_eq!(umem.frames().sockets(), 1);
    drop(next);
    assert_all_home(&umem);
}

#[test]
fn nobody_asks_the_kernel_for_frames_that_nobody_can_take() {
    let region = umem(4, 2048, 0);
    let kernel = Arc::new(Kernel::default());
    let leases = region.frames().leases(1).unwrap();
    let (socket, ()) =
        LeasedSocket::bind(Arc::new(()), leases, |()| Ok(()), |()| kernel.clone()).unwrap();
    let packet = region.alloc().unwrap();
    drop(region);
    drop(socket);
    assert_eq!(kernel.looks.load(Ordering::Relaxed), 0);
    assert_eq!(packet.len(), 0);
}

#[test]
fn what_was_lent_to_a_socket_that_could_not_be_bound_goes_home_at_once() {
    let umem = umem(4, 2048, 0);
    let leases = umem.frames().leases(1).unwrap();
    let mut pool = FramePool::new(umem.frames().clone());
    let mut lender = Lender::new(&leases[0]);
    lend(&mut lender, &mut pool, 2);
    let refused = LeasedSocket::bind(
        Arc::new(()),
        leases,
        |()| Err::<(), _>(FluxError::invalid("bind", "the queue is taken", "wait")),
        |()| unreachable!("it was never bound"),
    );
    assert!(refused.is_err());
    drop((lender, pool));
    assert_all_home(&umem);
}

#[cfg(feature = "capi")]
mod as_plain_data {
    use super::*;
    use crate::packet::raw::{Ending, RawPacket};

    #[test]
    fn each_packet_that_c_gave_back_leaves_its_frame_a_new_generation() {
        let umem = umem(1, 2048, 0);
        let mut generations = HashSet::new();
        for _ in 0..100 {
            let raw = RawPacket::from(umem.alloc().unwrap());
            assert!(generations.insert(raw.generation));
            drop(raw.claim().unwrap());
        }
        assert_all_home(&umem);
    }

    #[test]
    fn each_packet_can_be_claimed_once_whatever_copies_there_are() {
        let umem = umem(2, 2048, 0);
        let mut packet = umem.alloc().unwrap();
        packet.copy_from(b"hello").unwrap();
        let before = snapshot(&packet);
        let raw = RawPacket::from(packet);
        assert_eq!(umem.accounting().user, 1);
        let packet = raw.claim().unwrap();
        assert_eq!(snapshot(&packet), before);
        assert_eq!(raw.claim().unwrap_err().kind(), ErrorKind::Invalid);
        let again = RawPacket::from(packet);
        assert!(raw.claim().is_err());
        drop(again.claim().unwrap());
        assert!(again.claim().is_err());
        // The frame has a new owner now, whom the old copies do not touch.
        let packets = alloc_all(&umem);
        assert!(raw.claim().is_err() && again.claim().is_err());
        assert_eq!(umem.accounting().user, 2);
        drop(packets);
        assert_all_home(&umem);
    }

    #[test]
    fn packets_of_several_umems_end_together_each_once() {
        let regions = [umem(64, 2048, 0), umem(64, 2048, 0), umem(64, 2048, 0)];
        let mut raws = Vec::new();
        for turn in 0..32 {
            for region in &regions[..1 + turn % 3] {
                raws.push(RawPacket::from(region.alloc().unwrap()));
            }
        }
        let stray = RawPacket {
            len: 2049,
            ..raws[0]
        };
        assert!(stray.check_home(regions[0].frames()).is_err());
        raws[0] = stray;
        raws[7].data = std::ptr::dangling_mut();
        let mut ending = Ending::default();
        for raw in &raws {
            ending.add(*raw).unwrap();
            assert_eq!(ending.add(*raw).unwrap_err(), raw.claim().unwrap_err());
        }
        let forged = RawPacket {
            frame: 64,
            ..raws[1]
        };
        assert!(ending.add(forged).is_err());
        drop(ending);
        for region in &regions {
            assert_all_home(region);
        }
    }

    #[test]
    fn packets_end_together_after_their_umem_is_gone() {
        for first_lives in [true, false] {
            let region = umem(8, 2048, 0);
            let (kept, packets) = (region.alloc().unwrap(), alloc_all(&region));
            let raws: Vec<_> = packets.into_iter().map(RawPacket::from).collect();
            drop(region);
            let kept = first_lives.then_some(kept);
            let mut ending = Ending::default();
            for raw in &raws {
                ending.add(*raw).unwrap();
            }
            drop(ending);
            assert!(raws.iter().all(|raw| raw.claim().is_err()));
            drop(kept);
            let mut ending = Ending::default();
            assert!(raws.iter().all(|raw| ending.add(*raw).is_err()));
        }
    }

    #[test]
    fn a_packet_at_the_very_end_of_any_frame_can_be_claimed() {
        let umem = umem(2, 2048, 0);
        for mut packet in alloc_all(&umem) {
            packet.set_len(1792).unwrap();
            packet.pull_front(1792).unwrap();
            let before = snapshot(&packet);
            let packet = RawPacket::from(packet).claim().unwrap();
            assert_eq!(snapshot(&packet), before);
        }
        assert_all_home(&umem);
    }

    #[test]
    fn fields_that_leave_the_frame_are_refused_and_the_packet_can_still_be_claimed() {
        let umem = umem(3, 2048, 0);
        let packets = alloc_all(&umem);
        for packet in packets {
            let raw = RawPacket::from(packet);
            let wrong = [
                RawPacket { len: 1793, ..raw },
                RawPacket {
                    len: u32::MAX,
                    ..raw
                },
                RawPacket {
                    data: std::ptr::null_mut(),
                    ..raw
                },
                RawPacket {
                    data: raw.data.wrapping_sub(257),
                    len: 1,
                    ..raw
                },
                RawPacket {
                    data: raw.data.wrapping_add(1793),
                    len: 0,
                    ..raw
                },
                RawPacket {
                    data: raw.data.wrapping_add(1 << 20),
                    len: 0,
                    ..raw
                },
                RawPacket {
                    frame: raw.frame ^ 1,
                    ..raw
                },
                RawPacket { frame: 3, ..raw },
                RawPacket {
                    frame: u32::MAX,
                    ..raw
                },
                RawPacket {
                    generation: raw.generation.wrapping_add(1),
                    ..raw
                },
                RawPacket {
                    generation: raw.generation.wrapping_sub(1),
                    ..raw
                },
                RawPacket {
                    umem: std::ptr::null(),
                    ..raw
                },
                RawPacket {
                    umem: raw.umem.wrapping_byte_add(8),
                    ..raw
                },
            ];
            for raw in wrong {
                assert_eq!(
                    raw.claim().unwrap_err().kind(),
                    ErrorKind::Invalid,
                    "{raw:?}"
                );
            }
            drop(raw.claim().unwrap());
        }
        assert_all_home(&umem);
    }

    #[test]
    fn of_two_threads_that_end_copies_of_a_packet_at_once_one_does() {
        let rounds = if cfg!(miri) { 20 } else { 2000 };
        let umem = &umem(4, 2048, 0);
        for round in 0..rounds {
            let raw = RawPacket::from(umem.alloc().unwrap());
            // Another thread gets numbers, as it would from C.
            let (data, place) = (raw.data.addr(), raw.umem.addr());
            let (len, options, frame, generation) =
                (raw.len, raw.options, raw.frame, raw.generation);
            let copy = move || RawPacket {
                data: ptr::without_provenance_mut(data),
                len,
                options,
                umem: ptr::without_provenance(place),
                frame,
                generation,
            };
            let start = &Barrier::new(2);
            let ended: usize = thread::scope(|scope| {
                let claim = scope.spawn(move || {
                    start.wait();
                    usize::from(copy().claim().is_ok())
                });
                let end = scope.spawn(move || {
                    start.wait();
                    let mut ending = Ending::default();
                    if round % 2 == 0 {
                        // So that the packet is linked behind another one.
                        let other = RawPacket::from(umem.alloc().unwrap());
                        ending.add(other).unwrap();
                    }
                    usize::from(ending.add(copy()).is_ok())
                });
                claim.join().unwrap() + end.join().unwrap()
            });
            assert_eq!(ended, 1);
        }
        assert_all_home(umem);
    }

    #[test]
    fn a_copy_that_outlives_its_umem_is_refused() {
        let first = umem(1, 2048, 0);
        let raw = RawPacket::from(first.alloc().unwrap());
        drop(first);
        let packet = raw.claim().unwrap();
        drop(packet);
        assert!(raw.claim().is_err());
        // Even if another UMEM lies in its place.
        let others: Vec<_> = (0..20).map(|_| umem(1, 2048, 0)).collect();
        let packets: Vec<_> = others.iter().flat_map(alloc_all).collect();
        assert!(raw.claim().is_err());
        drop(packets);
        others.iter().for_each(assert_all_home);
    }
}

/// Ten thousand steps that move packets between hands, batches and threads, against a model of who has which frame.
#[test]
fn random_moves_conserve_the_frames() {
    for seed in 0..4 {
        let mut random = Random(seed);
        let umems = [umem(40, 2048, 0), umem(3, 4096, 64)];
        let (to_thread, inbox) = mpsc::channel::<(Packet, u64)>();
        let (to_us, outbox) = mpsc::channel();
        let worker = thread::spawn(move || {
            for (packet, number) in inbox {
                assert_eq!(packet.data(), number.to_le_bytes());
                if number.is_multiple_of(3) {
                    drop(packet);
                    to_us.send(None).unwrap();
                } else {
                    to_us.send(Some((packet, number))).unwrap();
                }
            }
        });
        // Packets with the number that is written in them, which nobody else may change.
        let mut hand: Vec<(Packet, u64)> = Vec::new();
        let mut batch = PacketBatch::with_capacity(10);
        let mut in_batch: Vec<u64> = Vec::new();
        for number in 0..10_000_u64 {
            let pick = random.below(hand.len() as u32 + 1) as usize;
            match random.below(8) {
                0..3 => {
                    let umem = &umems[random.below(2) as usize];
                    if let Some(mut packet) = umem.alloc() {
                        packet.copy_from(&number.to_le_bytes()).unwrap();
                        hand.push((packet, number));
                    } else {
                        assert_eq!(umem.accounting().pool, 0);
                    }
                }
                3 if pick < hand.len() => drop(hand.swap_remove(pick)),
                4 if pick < hand.len() => {
                    to_thread.send(hand.swap_remove(pick)).unwrap();
                    hand.extend(outbox.recv().unwrap());
                }
                5 if pick < hand.len() => {
                    let (packet, number) = hand.swap_remove(pick);
                    match batch.push(packet) {
                        Ok(()) => in_batch.push(number),
                        Err(packet) => {
                            assert_eq!(in_batch.len(), 10);
                            hand.push((packet, number));
                        }
                    }
                }
                6 => match batch.pop() {
                    Some(packet) => hand.push((packet, in_batch.pop().unwrap())),
                    None => assert!(in_batch.is_empty()),
                },
                7 if random.below(20) == 0 => {
                    batch.drain().take(random.below(5) as usize).for_each(drop);
                    in_batch.clear();
                }
                _ => {}
            }
            let mut user = 0;
            for umem in &umems {
                let accounting = umem.accounting();
                assert!(accounting.is_conserved(), "{accounting}");
                assert_eq!(accounting.user, umem.frames().with_user());
                user += accounting.user as usize;
            }
            assert_eq!(user, hand.len() + batch.len());
            assert_eq!(batch.len(), in_batch.len());
        }
        for (packet, number) in &hand {
            assert_eq!(packet.data(), number.to_le_bytes());
        }
        for (packet, number) in batch.iter().zip(&in_batch) {
            assert_eq!(packet.data(), number.to_le_bytes());
        }
        drop((hand, batch, to_thread));
        worker.join().unwrap();
        umems.iter().for_each(assert_all_home);
    }
}

/// A small generator of numbers that look random and are the same in each run (SplitMix64).
struct Random(u64);

impl Random {
    fn below(&mut self, end: u32) -> u32 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        ((z ^ (z >> 31)) % u64::from(end)) as u32
    }
}

#[test]
fn a_frame_is_built_in_place_and_a_failed_one_leaves_the_packet_empty() {
    let umem = umem(1, 2048, 0);
    let mut packet = umem.copy(&[7; 100]).unwrap().unwrap();
    let (us, them) = (MacAddr([2, 0, 0, 0, 0, 1]), MacAddr([2, 0, 0, 0, 0, 2]));
    let target = Ipv4Addr::new(10, 0, 0, 2);
    packet
        .build(|frame| {
            let frame = frame.ethernet(us, MacAddr::BROADCAST);
            frame.arp_request(us, Ipv4Addr::LOCALHOST, target).finish()
        })
        .unwrap();
    assert_eq!(packet.len(), 42);
    let (ethernet, rest) = Ethernet::parse(packet.data()).unwrap();
    assert_eq!(ethernet.ether_type(), EtherType::ARP);
    assert_eq!(Arp::parse(rest).unwrap().0.target_ip(), target);

    let room = packet.len() + packet.tailroom();
    for (len, errno) in [(room - 14, 0), (room - 13, errno::EMSGSIZE)] {
        let result = packet.build(|frame| {
            let frame = frame.ethernet(us, them).ether_type(EtherType(0x88b5));
            frame.payload(&vec![9; len])
        });
        assert_eq!(result.err().map_or(0, |error| error.errno()), errno);
        assert_eq!(packet.len(), if errno == 0 { room } else { 0 });
        assert_eq!(packet.len() + packet.tailroom(), room);
    }
    let error = packet.build(|frame| frame.vlan(1).finish()).unwrap_err();
    assert_eq!(error.errno(), errno::EINVAL);
    assert!(
        error
            .to_string()
            .starts_with("build a frame: VLAN cannot follow nothing; ")
    );
}

#[test]
fn a_packet_is_empty_after_a_build_that_returned_other_bytes_or_panicked() {
    type Builder = for<'a> fn(FrameBuilder<'a>) -> std::result::Result<&'a mut [u8], BuildError>;
    // A builder can return these for any lifetime, and leaks nothing.
    static mut OTHER: [u8; 60] = [9; 60];
    static mut LONG: [u8; 4000] = [9; 4000];
    let umem = umem(1, 2048, 0);
    let wrong: [(&str, Builder); 4] = [
        ("nothing at all", |_| Ok(&mut [])),
        ("other bytes", |_| {
            // SAFETY: called once, by this test alone, so that this is the only reference.
            Ok(unsafe { (&raw mut OTHER).as_mut() }.unwrap())
        }),
        ("more than a frame", |_| {
            // SAFETY: as above.
            Ok(unsafe { (&raw mut LONG).as_mut() }.unwrap())
        }),
        ("what is behind the start", |frame| {
            let frame = frame.ethernet(MacAddr::BROADCAST, MacAddr::BROADCAST);
            let built = frame.ether_type(EtherType(0x88b5)).payload(b"hello")?;
            Ok(&mut built[14..])
        }),
    ];
    for (what, builder) in wrong {
        let mut packet = umem.copy(&[7; 100]).unwrap().unwrap();
        let error = packet.build(builder).unwrap_err();
        assert_eq!(error.errno(), errno::EINVAL, "{what}");
        assert!(error.to_string().contains("do not begin where"), "{error}");
        assert_eq!(packet.len(), 0, "{what}");
    }
    let mut packet = umem.copy(&[7; 100]).unwrap().unwrap();
    let panics = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        packet.build(|_| panic!("no frame"))
    }));
    assert!(panics.is_err());
    assert_eq!((packet.len(), packet.headroom()), (0, 256));
}
