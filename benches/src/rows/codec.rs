//! One advertisement without a kernel.

use super::Row;
use crate::codec::Codec;
use crate::effort::Effort;
use crate::maker::Maker;
use crate::measure::{Figure, Goal, Measure};
use crate::witness;
use std::hint::black_box;
use std::time::Instant;
use vrrp_lab::clock::Stamp;

pub(crate) const ROW: Row = Row {
    name: "codec",
    about: "VRRPv3 over IPv4 with one address, in batches of 10,000, one batch a trial; `cargo bench -p vrrp-bench` measures the \
            same. `pnet_packet` stands in the peer's column: it knows no VRRP, and reads the IPv4 header of the same packet with \
            its checksum, the four bytes that lead the message, and the checksum of the message.",
    run,
};

/// Calls in a batch.
const BATCH: u32 = 10_000;

fn run(effort: &Effort) -> Vec<Measure> {
    let batches = effort.trials(100, 1000);
    let codec = Codec::new(200);
    let mut parse = Measure::new("parse and validate", "ns").goal(Goal::most(Figure::P50, 30.0));
    sample(&mut parse, Maker::Ours, batches, || {
        black_box(codec.parse());
    });
    sample(&mut parse, Maker::Pnet, batches, || {
        black_box(codec.parse_by_pnet());
    });
    let mut message = Vec::new();
    let mut emit = Measure::new("emit", "ns").goal(Goal::most(Figure::P50, 15.0));
    sample(&mut emit, Maker::Ours, batches, || {
        black_box(codec.emit(&mut message));
    });
    let mut receive = Measure::new("through the engine of a Backup", "ns");
    let mut backup = codec.engine(false);
    sample(&mut receive, Maker::Ours, batches, || {
        codec.receive(&mut backup)
    });
    let mut send = Measure::new("by the engine of an Active, timer included", "ns");
    let mut active = codec.engine(true);
    sample(&mut send, Maker::Ours, batches, || {
        black_box(active.send());
    });
    vec![parse, emit, receive, send]
}

fn sample(measure: &mut Measure, maker: Maker, batches: usize, mut call: impl FnMut()) {
    for batch in 0..=batches {
        let (from, begun) = (Stamp::now(), Instant::now());
        for _ in 0..BATCH {
            call();
        }
        let nanos = begun.elapsed().as_secs_f64() * 1e9 / f64::from(BATCH);
        // The first is for the caches.
        if batch > 0 {
            measure.add(maker, nanos, witness::stalled(from, Stamp::now()));
        }
    }
}
