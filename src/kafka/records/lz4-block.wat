;; Decodes one block of lz4. The caller keeps 32 bytes free behind the input and behind the output: what is short is
;; copied 16 bytes at a time, so more is read and written than is meant.
(module
  (memory (export "memory") 2)

  ;; Returns where the output ends, -1 when the block is damaged, -2 when more than fits before $limit would come out.
  ;; Matches reach back to $floor at most.
  (func (export "decode")
    (param $src i32) (param $end i32) (param $dst i32) (param $floor i32) (param $limit i32) (result i32)
    (local $token i32) (local $length i32) (local $byte i32) (local $from i32) (local $to i32) (local $offset i32)
    (loop $sequence
      (if (i32.ge_u (local.get $src) (local.get $end)) (then (return (i32.const -1))))
      (local.set $token (i32.load8_u (local.get $src)))
      (local.set $src (i32.add (local.get $src) (i32.const 1)))

      ;; Literals.
      (local.set $length (i32.shr_u (local.get $token) (i32.const 4)))
      (if (i32.eq (local.get $length) (i32.const 15))
        (then
          (loop $more
            (if (i32.ge_u (local.get $src) (local.get $end)) (then (return (i32.const -1))))
            (local.set $byte (i32.load8_u (local.get $src)))
            (local.set $src (i32.add (local.get $src) (i32.const 1)))
            (local.set $length (i32.add (local.get $length) (local.get $byte)))
            (br_if $more (i32.eq (local.get $byte) (i32.const 255))))))
      (if (i32.gt_u (local.get $length) (i32.sub (local.get $end) (local.get $src)))
        (then (return (i32.const -1))))
      (if (i32.gt_u (local.get $length) (i32.sub (local.get $limit) (local.get $dst)))
        (then (return (i32.const -2))))
      (v128.store (local.get $dst) (v128.load (local.get $src)))
      (local.set $from (local.get $src))
      (local.set $src (i32.add (local.get $src) (local.get $length)))
      (local.set $to (local.get $dst))
      (local.set $dst (i32.add (local.get $dst) (local.get $length)))
      (if (i32.gt_u (local.get $length) (i32.const 16))
        (then
          (loop $literals
            (local.set $from (i32.add (local.get $from) (i32.const 16)))
            (local.set $to (i32.add (local.get $to) (i32.const 16)))
            (v128.store (local.get $to) (v128.load (local.get $from)))
            (br_if $literals (i32.lt_u (i32.add (local.get $to) (i32.const 16)) (local.get $dst))))))

      ;; A block ends with literals.
      (if (i32.eq (local.get $src) (local.get $end)) (then (return (local.get $dst))))

      ;; The match.
      (if (i32.gt_u (i32.add (local.get $src) (i32.const 2)) (local.get $end)) (then (return (i32.const -1))))
      (local.set $offset (i32.load16_u (local.get $src)))
      (local.set $src (i32.add (local.get $src) (i32.const 2)))
      (if (i32.or
            (i32.eqz (local.get $offset))
            (i32.gt_u (local.get $offset) (i32.sub (local.get $dst) (local.get $floor))))
        (then (return (i32.const -1))))
      (local.set $length (i32.and (local.get $token) (i32.const 15)))
      (if (i32.eq (local.get $length) (i32.const 15))
        (then
          (loop $more
            (if (i32.ge_u (local.get $src) (local.get $end)) (then (return (i32.const -1))))
            (local.set $byte (i32.load8_u (local.get $src)))
            (local.set $src (i32.add (local.get $src) (i32.const 1)))
            (local.set $length (i32.add (local.get $length) (local.get $byte)))
            (br_if $more (i32.eq (local.get $byte) (i32.const 255))))))
      (local.set $length (i32.add (local.get $length) (i32.const 4)))
      (if (i32.gt_u (local.get $length) (i32.sub (local.get $limit) (local.get $dst)))
        (then (return (i32.const -2))))
      (local.set $to (local.get $dst))
      (local.set $from (i32.sub (local.get $dst) (local.get $offset)))
      (local.set $dst (i32.add (local.get $dst) (local.get $length)))
      (if (i32.ge_u (local.get $offset) (i32.const 16))
        (then
          (loop $far
            (v128.store (local.get $to) (v128.load (local.get $from)))
            (local.set $from (i32.add (local.get $from) (i32.const 16)))
            (local.set $to (i32.add (local.get $to) (i32.const 16)))
            (br_if $far (i32.lt_u (local.get $to) (local.get $dst)))))
        (else
          (if (i32.ge_u (local.get $offset) (i32.const 8))
            (then
              (loop $near
                (i64.store (local.get $to) (i64.load (local.get $from)))
                (local.set $from (i32.add (local.get $from) (i32.const 8)))
                (local.set $to (i32.add (local.get $to) (i32.const 8)))
                (br_if $near (i32.lt_u (local.get $to) (local.get $dst)))))
            (else
              (if (i32.eq (local.get $offset) (i32.const 1))
                (then
                  (memory.fill (local.get $to) (i32.load8_u (local.get $from)) (local.get $length)))
                (else
                  (loop $bytes
                    (i32.store8 (local.get $to) (i32.load8_u (local.get $from)))
                    (local.set $from (i32.add (local.get $from) (i32.const 1)))
                    (local.set $to (i32.add (local.get $to) (i32.const 1)))
                    (br_if $bytes (i32.lt_u (local.get $to) (local.get $dst))))))))))
      (br $sequence))
    (unreachable)))
