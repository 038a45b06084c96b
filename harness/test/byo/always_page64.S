/*
 * Every frame leaves by the iret hypercall, which sets the mask itself: whether the code's own unmask reaches the
 * vcpu_info does not show in where a plain event returns to.
 * With OWN_DATA, the byte is data of this object.
 */
#ifndef EVENT_BYTE
#define EVENT_BYTE shinfo+1
#endif
        .text
        .globl  my_callback
my_callback:
        mov     (%rsp), %rcx
        mov     8(%rsp), %r11
        add     $16, %rsp
.irp reg, rax, rcx, rdx, rsi, rdi, r8, r9, r10, r11, rbx, rbp, r12, r13, r14, r15
        push    %\reg
.endr
        cld
        mov     %rsp, %rdi
        sub     $8, %rsp
        call    evtchn_do
        add     $8, %rsp
way_out:
        testl   $0x200, 136(%rsp)
        jz      1f
        movb    $0, EVENT_BYTE(%rip)
1:
.irp reg, r15, r14, r13, r12, rbp, rbx, r11, r10, r9, r8, rdi, rsi, rdx, rcx, rax
        pop     %\reg
.endr
        pushq   $0
        jmp     hypercall_page+23*32

/* Never entered. */
        call    setup_arch
        jmp     start_kernel

#ifdef OWN_DATA
        .data
        .balign 64
shinfo:
        .skip   64
evtchn_upcall_pending:
        .byte   0
evtchn_upcall_mask:
        .byte   0
        .balign 64
in_upcall:
        .skip   64
#endif
        .section .note.GNU-stack, "", @progbits
