/*
 * Mini-OS x86-64 as it should be: folds with a single register saved, and marked frames never come near the region.
 *
 * Frame: common/frame64.h. 168 bytes: r15 at 0, orig_rax at 120, what Xen pushes from rip at 128.
 *
 * Region, from the unmask to the return, 34 bytes. All registers are restored before it starts, but RAX, which holds the
 * address of the vcpu_info and whose value is on the stack, just below rip:
 *
 *    offset  boundary before                     bytes   RSP at           RAX
 *    ------  ----------------------------------  ------  ---------------  ---------------
 *      0x00  scrit: test pending, jump if not    3, 2    the saved RAX    on the stack
 *      0x05  mask again                          4       the saved RAX    on the stack
 *      0x09  pop RAX                             1       the saved RAX    on the stack
 *      0x0a  restore_end: jump if pending        2       rip              restored
 *      0x0c  test feature, jump if set           8, 2    rip              restored
 *      0x16  RPL of CS, of SS                    5, 5    rip              restored
 *      0x20  iretq                               2       rip              restored
 *      0x22  :ecrit
 *
 * Nothing is pushed in the region, nothing of the frame is changed but two RPLs, and nothing is left to do behind it. A
 * marked frame, which has to go back by the hypercall, does so with events still masked: Xen unmasks and returns in one
 * step.
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

/* The common path of all vectors. RAX: what to call with the frame. RBX keeps the frame while the stack is aligned. */
function error_entry
        cld                             /* Xen leaves DF as it was, C wants it clear */
        save_registers
        mov     %rsp, %rdi
        mov     FRAME_ORIG_RAX(%rsp), %rsi
        movq    $-1, FRAME_ORIG_RAX(%rsp)
        mov     %rsp, %rbx
        and     $-16, %rsp
label call_handler
        call    *%rax
        mov     %rbx, %rsp
        jmp     error_exit
end_function error_entry

/* The event callback goes on here. RDI: the frame. RSP is below it, where a return address of no use lies. */
function event_entry
        testb   $3, FRAME_CS(%rdi)
        jnz     event_again             /* from user mode, whatever its rip: nothing of ours was interrupted */
        mov     FRAME_RIP(%rdi), %rax
        cmp     $scrit, %rax
        jb      event_again
        cmp     $ecrit, %rax
        jb      critical_region_fixup
label event_again
        mov     %rdi, %rsp
        mov     %rdi, %rbx
        mov     PDA_IRQ_STACK, %rax
        incl    PDA_IRQ_COUNT
        cmovz   %rax, %rsp              /* only off a thread's stack */
        and     $-16, %rsp
label call_event_handler
        call    do_hypervisor_callback
        mov     %rbx, %rsp
        decl    PDA_IRQ_COUNT
        jmp     error_exit
end_function event_entry

/*
 * Fold the nested frame into the interrupted one. The nested frame has all the registers as they were to be restored,
 * but for RAX before restore_end: that one is on the interrupted stack. The words that Xen pushed for the interrupted
 * frame are still there, at the interrupted RSP: put the nested frame's registers just below them. RSP is the one in the
 * nested frame, since Xen aligned the stack before it pushed. The two areas may overlap, and the source is the lower
 * one, so the copy goes downwards.
 *
 * RDI: the nested frame. RAX: its rip.
 */
function critical_region_fixup
        mov     FRAME_RSP(%rdi), %rsi
        cmp     $restore_end, %rax
        jae     1f
        mov     (%rsi), %rax
        mov     %rax, FRAME_RAX(%rdi)
        add     $8, %rsi
1:      mov     $FRAME_RIP, %ecx        /* 16 words */
2:      sub     $8, %rsi
        mov     -8(%rdi,%rcx), %rax
        mov     %rax, (%rsi)
        sub     $8, %ecx
        jnz     2b
        mov     %rsi, %rdi
        andb    $0xfc, FRAME_CS(%rdi)   /* the region may have set its RPL for the iretq */
        jmp     event_again
end_function critical_region_fixup

function error_exit
        mov     HYPERVISOR_shared_info, %rsi
        testl   $FLAGS_IF, FRAME_RFLAGS(%rsp)
        jz      exit_as_is
        testl   $NMI_MASK, FRAME_RFLAGS(%rsp)
        jnz     exit_as_is              /* by the hypercall, which unmasks */
        testb   $1, VCPU_MASK(%rsi)
        jz      exit_as_is              /* enabled already: an exception that does not mask */

        restore_callee_saved
        restore_caller_saved
        push    %rax
        mov     HYPERVISOR_shared_info, %rax
        movb    $0, VCPU_MASK(%rax)
label scrit
        testb   $0xff, VCPU_PENDING(%rax)
        jz_short 1f
        movb    $1, VCPU_MASK(%rax)     /* leaves ZF alone, as the pop does */
1:      pop     %rax
label restore_end
        jnz_short event_pending
        direct_iret
label ecrit
        length_is scrit, ecrit, 34

/*
 * An event is pending, and masked again. All registers are restored: save them anew, and handle the event for this very
 * frame. No fold: an exception's frame may well have its rip in the region of the frame above it.
 */
label event_pending
        push    $0
        push    %rax
        lea     event_again(%rip), %rax
        jmp     error_entry
end_function error_exit

/* Return with events as they are, or by the hypercall with whatever the frame says. */
function exit_as_is
        restore_callee_saved
        restore_caller_saved
        hypervisor_iret
end_function exit_as_is

/*
 * Xen could not reload a data segment's selector and has loaded 0 instead. It pushes DS, ES, FS and GS, as they were,
 * between R11 and rip: drop them, and return by the hypercall, which is right for either mode and for either mask.
 */
function failsafe_callback
        mov     (%rsp), %rcx
        mov     8(%rsp), %r11
        add     $6 * 8, %rsp
        push    $0
        jmp     HYPERCALL_IRET
end_function failsafe_callback

exception_stub divide_error, do_divide_error, 0
exception_stub general_protection, do_general_protection, 1
exception_stub page_fault, do_page_fault, 1
exception_stub nmi, do_nmi, 0
