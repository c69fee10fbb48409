//! What fuzzers found worth keeping is taken by the same functions, in every run of the tests.

use std::fs;
use std::path::Path;

use vrrp_linux::fuzz::TARGETS;

#[test]
fn nothing_in_the_corpora_is_a_finding() {
    let corpora = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus");
    for target in TARGETS {
        let mut files = 0;
        for entry in fs::read_dir(corpora.join(target.name)).unwrap() {
            let path = entry.unwrap().path();
            println!("{}", path.display());
            (target.run)(&fs::read(&path).unwrap());
            files += 1;
        }
        assert!(files >= 5, "{} has {files} files", target.name);
    }
}
