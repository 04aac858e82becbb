//! Takes memory, a mebibyte at a time, until somebody stops it.

use std::hint::black_box;

const MIB: usize = 1 << 20;

fn main() {
    let mut held = Vec::new();
    loop {
        held.push(black_box(vec![1_u8; MIB]));
        if held.len() % 8 == 0 {
            println!("holding {} MiB", held.len());
        }
    }
}
