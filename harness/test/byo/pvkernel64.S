/*
 * An object of a kernel as it comes from a compiler and an assembler: the event callback and a page fault stub among
 * start-up code that is never entered and calls what nobody here defines; exception table and fixup code; the common
 * part of entry and exit is another object's (pvexit64.S). No event is unmasked here: each frame leaves by the iret
 * hypercall, which unmasks.
 *
 *    offset  word      stored by
 *    ------  --------  ---------------------------------------------
 *       128  rip ...   Xen: rip, cs, rflags, rsp, ss up to 168
 *       120  error     Xen's error code, or -1
 *         0  r15 ...   error_entry: r15 r14 r13 r12 rbp rbx r11 r10 r9 r8 rax rcx rdx rsi rdi
 */
        .section .entry.text, "ax", @progbits

xen_page_fault:
        pop     %rcx
        pop     %r11
        call    error_entry
        mov     %rsp, %rdi
        mov     120(%rsp), %rsi
        movq    $-1, 120(%rsp)
        call    exc_page_fault
        jmp     error_return

xen_hypervisor_callback:
        pop     %rcx
        pop     %r11
        push    $-1
        call    error_entry
        mov     %rsp, %rdi
        mov     %rsp, %rbx
        incl    %gs:irq_count           /* on the interrupt stack unless we are */
        jnz     1f
        mov     %gs:irq_stack_ptr, %rsp
1:      call    xen_pv_evtchn_do_upcall
        mov     %rbx, %rsp
        decl    %gs:irq_count
        jmp     error_return

        .section .fixup, "ax", @progbits
fixup_load:
        xor     %eax, %eax
        jmp     load_done
        .section __ex_table, "a", @progbits
        .long   load_user - ., fixup_load - .

        .text
start_kernel:
        call    setup_arch
        call    mm_init
load_user:
        mov     (%rdi), %rax
load_done:
        lea     init_task(%rip), %rax
        mov     boot_params(%rip), %rbx
        .irpc   a, abcdef
        .irpc   b, 012345
        call    start_\a\b
        lea     table_\a\b(%rip), %rdi
        .endr
        .endr
        call    panic
