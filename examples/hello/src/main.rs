//! The smallest guest: one line, exit 0.

fn main() {
    println!("hello from a WASI module");
}
