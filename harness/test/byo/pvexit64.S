/*
 * What pvkernel64.S calls: saving and restoring a frame (its table), in the order of pushes and pops; per-CPU data by
 * absolute addresses and a GS base of 0; the hypercall page.
 */
        .globl  error_entry, error_return, irq_count, irq_stack_ptr

        .section .entry.text, "ax", @progbits
error_entry:
        cld
        push    (%rsp)                  /* the return address moves down, and RDI is saved where it was */
        mov     %rdi, 8(%rsp)
        pop     %rdi
        push    %rsi
        push    %rdx
        push    %rcx
        push    %rax
        push    %r8
        push    %r9
        push    %r10
        push    %r11
        push    %rbx
        push    %rbp
        push    %r12
        push    %r13
        push    %r14
        push    %r15
        jmp     *%rdi

error_return:
        testb   $3, 136(%rsp)
        jz      restore_regs
1:      testl   $1, %gs:ti_flags
        jz      restore_regs
        mov     %rsp, %rdi
        call    schedule_user
        jmp     1b
restore_regs:
        pop     %r15
        pop     %r14
        pop     %r13
        pop     %r12
        pop     %rbp
        pop     %rbx
        pop     %r11
        pop     %r10
        pop     %r9
        pop     %r8
        pop     %rax
        pop     %rcx
        pop     %rdx
        pop     %rsi
        pop     %rdi
        add     $8, %rsp
        push    $0
        jmp     hypercall_page + 23 * 32

        .section .hypercall, "ax", @progbits
        .balign 4096
hypercall_page:
        .skip   4096

        .section .data..percpu, "aw", @progbits
irq_count:
        .long   -1
ti_flags:
        .long   0
irq_stack_ptr:
        .quad   irq_stack + 0x4000
        .bss
        .balign 4096
irq_stack:
        .skip   0x4000
