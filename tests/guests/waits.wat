;; Waits until there is a file `open` in its first directory: looks for it every 10 ms.
(module
  (import "wasi_snapshot_preview1" "path_open"
    (func $path_open (param i32 i32 i32 i32 i32 i64 i64 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "poll_oneoff" (func $poll_oneoff (param i32 i32 i32 i32) (result i32)))
  (memory (export "memory") 1)
  (data (i32.const 0) "open")
  ;; At 64 a subscription: the monotonic clock (16: 1), in 10 ms from now (24).
  (data (i32.const 80) "\01")
  (data (i32.const 88) "\80\96\98\00")
  (func (export "_start")
    (loop $next
      (if (call $path_open (i32.const 3) (i32.const 0) (i32.const 0) (i32.const 4) (i32.const 0)
            (i64.const 2) (i64.const 0) (i32.const 0) (i32.const 16))
        (then
          (drop (call $poll_oneoff (i32.const 64) (i32.const 128) (i32.const 1) (i32.const 32)))
          (br $next))))))
