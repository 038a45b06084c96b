/*
 * Mini-OS x86-64 with the patch of 2013 in its first version: folds by a table with one byte for each byte of code.
 *
 * Frame: common/frame64.h. 168 bytes: r15 at 0, orig_rax at 120, what Xen pushes from rip at 128.
 *
 * Region, from the unmask to the return, 149 bytes; when it starts, RSP is at the frame's base:
 *
 *    offset  boundary before                          bytes         RSP    gone from the frame (the table's value)
 *    ------  ---------------------------------------  ------------  -----  ---------------------------------------
 *      0x00  scrit: test pending                      3             +0     0x00
 *      0x03  jump if pending                          6             +0     0x00
 *      0x09  r15, r14, r13, r12, rbp, rbx             4, then 5     +0     0x00
 *      0x26  add $0x30                                4             +0     0x00
 *      0x2a  r11, r10, r9, r8, rax, rcx, rdx, rsi,    4, then 5     +48    0x30
 *            rdi
 *      0x56  add $0x50                                4             +48    0x30
 *      0x5a  test marker, jump if set                 8, 2          +128   0x80
 *      0x64  test feature, jump if set                8, 2          +128   0x80
 *      0x6e  RPL of CS, of SS                         5, 5          +128   0x80
 *      0x78  iretq                                    2             +128   0x80
 *      0x7a  clear marker                             8             +128   0x80
 *      0x82  push flag                                2             +128   0x80
 *      0x84  jump to the hypercall page               5             +120   0x78: the word is the flag's now
 *      0x89  mask again, frame to RDI, jump back      4, 3, 5       +0     0x00
 *      0x95  :ecrit
 */
#include "common/minios64.h"

        .text

function hypervisor_callback
        take_rcx_r11
        push    $0
        push    %rax
        lea     event_entry(%rip), %rax
        jmp     error_entry
end_function hypervisor_callback

/* The common path of all vectors. RAX: what to call with the frame. */
function error_entry
        cld                             /* Xen leaves DF as it was, C wants it clear */
        save_registers
        mov     %rsp, %rdi
        mov     FRAME_ORIG_RAX(%rsp), %rsi
        movq    $-1, FRAME_ORIG_RAX(%rsp)
label call_handler
        call    *%rax                   /* RSP mod 16 is 8 here; the ABI wants 0 */
        jmp     error_exit
end_function error_entry

/* The event callback goes on here. RDI: the frame. The return address is of no use. */
function event_entry
        mov     %rdi, %rsp
        mov     FRAME_RIP(%rsp), %rax
        cmp     $scrit, %rax
        jb      event_again
        cmp     $ecrit, %rax
        jb      critical_region_fixup
label event_again
        mov     PDA_IRQ_STACK, %rax
        incl    PDA_IRQ_COUNT
        cmovz   %rax, %rsp              /* only off a thread's stack */
        push    %rdi
label call_event_handler
        call    do_hypervisor_callback  /* on a stack just switched to, RSP mod 16 is 8 here; the ABI wants 0 */
        pop     %rsp
        decl    PDA_IRQ_COUNT
        jmp     error_exit
end_function event_entry

/*
 * Fold the nested frame into the interrupted one. The registers that the region had already restored are right in the
 * nested frame, and the table says how many bytes of the interrupted frame they were. Copy as many from the bottom of
 * the nested frame to where they were: just below the interrupted RSP. That is the one in the frame, since Xen aligned
 * the stack before it pushed. The two areas may overlap, and the source is the lower one, so the copy goes downwards.
 *
 * RSP: the nested frame. RAX: its rip.
 */
function critical_region_fixup
        movzbl  critical_fixup_table - scrit(%rax), %ecx
        mov     FRAME_RSP(%rsp), %rdi
        test    %ecx, %ecx
        jz      2f
1:      sub     $8, %rdi
        mov     -8(%rsp,%rcx), %rdx
        mov     %rdx, (%rdi)
        sub     $8, %ecx
        jnz     1b
2:      mov     %rdi, %rsp
        andb    $0xfc, FRAME_CS(%rsp)   /* the region may have set its RPL for the iretq */
        jmp     event_again
end_function critical_region_fixup

function error_exit
        mov     HYPERVISOR_shared_info, %rsi
        testl   $FLAGS_IF, FRAME_RFLAGS(%rsp)
        jz      exit_as_is
        testb   $1, VCPU_MASK(%rsi)
        jz      exit_as_is              /* enabled already: an exception that does not mask */

        movb    $0, VCPU_MASK(%rsi)
label scrit
        testb   $0xff, VCPU_PENDING(%rsi)
        jnz_near mask_again
        restore_callee_saved
        restore_caller_saved
        hypervisor_iret
mask_again:
        movb    $1, VCPU_MASK(%rsi)
        mov     %rsp, %rdi
        jmp_near event_again
label ecrit
end_function error_exit

        .section .rodata
        .globl  critical_fixup_table
        .type   critical_fixup_table, @object
critical_fixup_table:
        .fill   3, 1, 0x00              /* test pending */
        .fill   6, 1, 0x00              /* jump if pending */
        .fill   4 + 5 * 5, 1, 0x00      /* r15, r14, r13, r12, rbp, rbx */
        .fill   4, 1, 0x00              /* add $0x30 */
        .fill   4 + 8 * 5, 1, 0x30      /* r11, r10, r9, r8, rax, rcx, rdx, rsi, rdi */
        .fill   4, 1, 0x30              /* add $0x50 */
        .fill   8 + 2, 1, 0x80          /* test marker, jump */
        .fill   8 + 2, 1, 0x80          /* test feature, jump */
        .fill   5 + 5, 1, 0x80          /* RPL of CS and SS */
        .fill   2, 1, 0x80              /* iretq */
        .fill   8, 1, 0x80              /* clear marker */
        .fill   2, 1, 0x80              /* push flag */
        .fill   5, 1, 0x78              /* jump to the hypercall page */
        .fill   4 + 3 + 5, 1, 0x00      /* mask again, frame to RDI, jump back */
critical_fixup_table_end:
        .size   critical_fixup_table, . - critical_fixup_table

        .if     (ecrit - scrit) != (critical_fixup_table_end - critical_fixup_table)
        .error  "critical_fixup_table must have one byte for each byte of code from scrit to ecrit"
        .endif

        .text

/* Return with events as they are. */
function exit_as_is
        restore_callee_saved
        restore_caller_saved
        hypervisor_iret
end_function exit_as_is

/*
 * Xen could not reload a data segment's selector. It pushes DS, ES, FS and GS between R11 and RIP; that they stay on the
 * stack here, and that CS keeps RPL 0, is wrong, and was so.
 */
function failsafe_callback
        take_rcx_r11
        iretq
end_function failsafe_callback

exception_stub divide_error, do_divide_error, 0
exception_stub general_protection, do_general_protection, 1
exception_stub page_fault, do_page_fault, 1
exception_stub nmi, do_nmi, 0
