/*
 * What lies beside entry code in a kernel's object and is never entered: start-up code that calls and reads three dozen
 * things of other objects, an exception table, data of several sections.
 */
        .section .init.text, "ax", @progbits
        .globl  start_kernel_here
start_kernel_here:
        mov     boot_params(%rip), %rdi
        lea     early_stack(%rip), %rsp
.irp name, a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p
        call    setup_\name
        cmpl    $0, state_\name(%rip)
        jne     panic_\name
.endr
1:      ud2
        .section .fixup, "ax", @progbits
2:      jmp     bad_get_user
        .section __ex_table, "a", @progbits
        .long   1b - ., 2b - .
        .section .data..percpu, "aw", @progbits
        .quad   early_counter
        .section .bss..page_aligned, "aw", @nobits
        .skip   64
        .comm   shared_scratch, 128, 32
