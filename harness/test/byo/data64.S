/* An object without code. */
        .data
        .globl  only_data
only_data:
        .quad   0
