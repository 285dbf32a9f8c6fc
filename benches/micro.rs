//! Times of the smallest steps, by criterion: to see what a change does to one of them. They are compared with nothing else.

use std::hint::black_box;
use std::time::Duration;

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use fluxcap::proto::checksum;
use fluxcap::ring;
use fluxcap::{Desc, PacketBatch, UmemConfig, UmemRegion};

const BATCH: u32 = 64;

/// 64 descriptors through a ring: reserve, write, submit, peek, read, release.
fn rings(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("ring");
    group.throughput(Throughput::Elements(BATCH.into()));
    let (mut producer, mut consumer) = ring::pair::<Desc>(2048).expect("a power of two");
    group.bench_function("round trip of 64", |bencher| {
        bencher.iter(|| {
            let mut slots = producer.reserve(BATCH);
            let mut writer = slots.writer();
            for number in 0..u64::from(BATCH) {
                let desc = Desc {
                    addr: number * 4096,
                    len: 60,
                    options: 0,
                };
                assert!(writer.push(desc));
            }
            slots.submit(BATCH);
            let entries = consumer.peek(BATCH);
            let sum: u64 = entries.iter().map(|desc| desc.addr).sum();
            entries.release(BATCH);
            black_box(sum)
        });
    });
    group.finish();
}

/// Packets of a UMEM: made and dropped, one and 64 at a time.
fn packets(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("packet");
    let umem = UmemRegion::heap(UmemConfig::default()).expect("32 MiB");
    group.bench_function("alloc and drop", |bencher| {
        bencher.iter(|| drop(black_box(umem.alloc())));
    });
    group.throughput(Throughput::Elements(BATCH.into()));
    let mut batch = PacketBatch::with_capacity(BATCH as usize);
    group.bench_function("alloc and drop 64", |bencher| {
        bencher.iter(|| {
            while batch.room() > 0 {
                let packet = umem.alloc().expect("a free frame");
                batch.push(packet).expect("room");
            }
            black_box(&mut batch).clear();
        });
    });
    group.finish();
}

/// The Internet checksum over a small and a large packet.
fn checksums(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("checksum");
    for len in [64, 1500] {
        group.throughput(Throughput::Bytes(len as u64));
        group.bench_function(format!("{len} bytes"), |bencher| {
            bencher.iter_batched_ref(
                || vec![0x5a_u8; len],
                |bytes| checksum::checksum(black_box(bytes)),
                BatchSize::SmallInput,
            );
        });
    }
    group.finish();
}

criterion_group! {
    name = micro;
    config = Criterion::default()
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_secs(1))
        .sample_size(30);
    targets = rings, packets, checksums
}
criterion_main!(micro);
