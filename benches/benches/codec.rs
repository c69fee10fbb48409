//! What one advertisement costs without a kernel. `cargo bench -p vrrp-bench`; the row `codec` of the table is the same.

use divan::Bencher;
use vrrp_bench::codec::Codec;

fn main() {
    divan::main();
}

/// Parse and validate, as the daemon does.
#[divan::bench]
fn parse(bencher: Bencher<'_, '_>) {
    let codec = Codec::new(200);
    bencher.bench_local(|| codec.parse());
}

/// The same bytes with `pnet_packet`.
#[divan::bench]
fn parse_by_pnet(bencher: Bencher<'_, '_>) {
    let codec = Codec::new(200);
    bencher.bench_local(|| codec.parse_by_pnet());
}

/// Write one.
#[divan::bench]
fn emit(bencher: Bencher<'_, '_>) {
    let codec = Codec::new(200);
    let mut message = Vec::new();
    bencher.bench_local(|| codec.emit(&mut message));
}

/// One through the engine of a Backup.
#[divan::bench]
fn receive(bencher: Bencher<'_, '_>) {
    let codec = Codec::new(200);
    let mut backup = codec.engine(false);
    bencher.bench_local(|| codec.receive(&mut backup));
}

/// One by the engine of an Active.
#[divan::bench]
fn send(bencher: Bencher<'_, '_>) {
    let mut active = Codec::new(200).engine(true);
    bencher.bench_local(|| active.send());
}
