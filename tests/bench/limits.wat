;; What a core can do in WebAssembly: multiplications with additions, and moving of bytes.
(module
  (memory (export "memory") 1600)

  ;; a = b + s·c over `bytes` of each, which follow one another from 0 on: three times as many bytes are moved.
  (func (export "triad") (param $bytes i32)
    (local $at i32)
    (local $s v128)
    (local.set $s (f32x4.splat (f32.const 0.5)))
    (loop $next
      (v128.store offset=0 (local.get $at)
        (f32x4.add
          (v128.load offset=0 (i32.add (local.get $at) (local.get $bytes)))
          (f32x4.mul (local.get $s) (v128.load offset=0 (i32.add (local.get $at) (i32.mul (local.get $bytes) (i32.const 2)))))))
      (v128.store offset=16 (local.get $at)
        (f32x4.add
          (v128.load offset=16 (i32.add (local.get $at) (local.get $bytes)))
          (f32x4.mul (local.get $s) (v128.load offset=16 (i32.add (local.get $at) (i32.mul (local.get $bytes) (i32.const 2)))))))
      (v128.store offset=32 (local.get $at)
        (f32x4.add
          (v128.load offset=32 (i32.add (local.get $at) (local.get $bytes)))
          (f32x4.mul (local.get $s) (v128.load offset=32 (i32.add (local.get $at) (i32.mul (local.get $bytes) (i32.const 2)))))))
      (v128.store offset=48 (local.get $at)
        (f32x4.add
          (v128.load offset=48 (i32.add (local.get $at) (local.get $bytes)))
          (f32x4.mul (local.get $s) (v128.load offset=48 (i32.add (local.get $at) (i32.mul (local.get $bytes) (i32.const 2)))))))
      (br_if $next (i32.lt_u (local.tee $at (i32.add (local.get $at) (i32.const 64))) (local.get $bytes)))))

  ;; 12 sums of four lanes each, none of which waits for another: 96 operations a turn, nothing but registers.
  (func (export "multiply_add") (param $turns i32) (result f32)
    (local $a0 v128)
    (local $a1 v128)
    (local $a2 v128)
    (local $a3 v128)
    (local $a4 v128)
    (local $a5 v128)
    (local $a6 v128)
    (local $a7 v128)
    (local $a8 v128)
    (local $a9 v128)
    (local $a10 v128)
    (local $a11 v128)
    (local $factor v128)
    (local $term v128)
    (local.set $factor (f32x4.splat (f32.const 0.9990234375)))
    (local.set $term (f32x4.splat (f32.const 0.0009765625)))
    (loop $turn
      (local.set $a0 (f32x4.add (f32x4.mul (local.get $a0) (local.get $factor)) (local.get $term)))
      (local.set $a1 (f32x4.add (f32x4.mul (local.get $a1) (local.get $factor)) (local.get $term)))
      (local.set $a2 (f32x4.add (f32x4.mul (local.get $a2) (local.get $factor)) (local.get $term)))
      (local.set $a3 (f32x4.add (f32x4.mul (local.get $a3) (local.get $factor)) (local.get $term)))
      (local.set $a4 (f32x4.add (f32x4.mul (local.get $a4) (local.get $factor)) (local.get $term)))
      (local.set $a5 (f32x4.add (f32x4.mul (local.get $a5) (local.get $factor)) (local.get $term)))
      (local.set $a6 (f32x4.add (f32x4.mul (local.get $a6) (local.get $factor)) (local.get $term)))
      (local.set $a7 (f32x4.add (f32x4.mul (local.get $a7) (local.get $factor)) (local.get $term)))
      (local.set $a8 (f32x4.add (f32x4.mul (local.get $a8) (local.get $factor)) (local.get $term)))
      (local.set $a9 (f32x4.add (f32x4.mul (local.get $a9) (local.get $factor)) (local.get $term)))
      (local.set $a10 (f32x4.add (f32x4.mul (local.get $a10) (local.get $factor)) (local.get $term)))
      (local.set $a11 (f32x4.add (f32x4.mul (local.get $a11) (local.get $factor)) (local.get $term)))
      (br_if $turn (local.tee $turns (i32.sub (local.get $turns) (i32.const 1)))))
    (f32x4.extract_lane 0
      (f32x4.add (f32x4.add (f32x4.add (f32x4.add (f32x4.add (f32x4.add (f32x4.add (f32x4.add (f32x4.add (f32x4.add (f32x4.add (local.get $a0) (local.get $a1)) (local.get $a2)) (local.get $a3)) (local.get $a4)) (local.get $a5)) (local.get $a6)) (local.get $a7)) (local.get $a8)) (local.get $a9)) (local.get $a10)) (local.get $a11)))))
