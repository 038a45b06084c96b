/* More zeroed data than framefold takes. */
        .bss
        .globl  large_bss
large_bss:
        .skip   17 << 20
