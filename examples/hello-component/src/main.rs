//! `hello` as a component: the same Rust, compiled for wasm32-wasip2.

fn main() {
    println!("hello from a WASI component");
}
