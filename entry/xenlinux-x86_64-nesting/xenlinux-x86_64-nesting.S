/*
 * Linux 2.6.18-xen, x86-64: a critical region that nothing folds, so frames nest.
 *
 * The frame, and what Xen has pushed of it: common/frame64.h. When each word goes back, and what an event may still
 * overwrite:
 *
 *    offset      words                                restored
 *    ----------  -----------------------------------  ------------------------------------------------------------
 *    160 to 128  ss rsp rflags cs rip                 by the return: iretq, or the iret hypercall
 *           120  orig_rax                             dropped in the region
 *    112 to  48  rdi rsi rdx rcx rax r8 r9 r10 r11    in the region
 *     40 to   0  rbx rbp r12 r13 r14 r15              before it, while events are masked
 *
 * The region is [scrit, ecrit). Events are unmasked when it is entered and RSP points at r11. An event there gets a frame
 * of its own below RSP, aligned to 16 bytes; it is not merged with this one.
 *
 *    boundary before                        bytes          RSP - base  next
 *    -------------------------------------  -------------  ----------  --------------------------------------------
 *    test of evtchn_upcall_pending          3              48
 *    jump if pending                        2              48          to "mask again"
 *    mov r11 r10 r9 r8 rax rcx rdx rsi rdi  4 then 8 of 5  48
 *    add $80                                4              48
 *    test of the NMI marker                 8              128
 *    jump if marked                         2              128         to "clear the marker"
 *    test of CS for user mode               5              128
 *    jump if user                           2              128         to "clear the marker"
 *    or RPL 3 into CS and SS                5 and 5        128
 *    iretq                                  2              128         kernel mode resumes
 *    clear the marker                       8              128
 *    push of the hypercall's flag word      2              128
 *    jump to the hypercall page             5              120         five more boundaries there, still unmasked
 *    mask again                             4              48
 *    sub $48, store of the six registers    4, 5 of 5, 4   48, then 0  masked
 *    jump to the handler's call             5              0           masked
 */
#include "common/frame64.h"
#include "common/guest.h"

#define WORK_PENDING 1 /* bit of work_flags */

        .text

/*
 * Leave, RSP at rip. User mode has page tables and a GS base of its own, and the end of an NMI is Xen's to know: both
 * need the hypercall, which unmasks events as IF in the frame says. Kernel mode runs in ring 3, so its selectors need
 * that RPL to pass iretq.
 */
.macro return_from_frame
        testl   $NMI_MASK, IRET_RFLAGS(%rsp)
        jnz     .Lby_hypercall\@
        testb   $3, IRET_CS(%rsp)
        jnz     .Lby_hypercall\@
        orb     $3, IRET_CS(%rsp)
        orb     $3, IRET_SS(%rsp)
        iretq
.Lby_hypercall\@:
        andl    $~NMI_MASK, IRET_RFLAGS(%rsp)
        pushq   $0                      /* no VGCF_in_syscall: all registers as in the frame */
        jmp     HYPERCALL_IRET
.endm

function hypervisor_callback
        take_rcx_r11
        pushq   $0                      /* orig_rax */
        push    %rax
        save_registers
        cld
label handle_event                      /* RSP: the frame. Events are masked */
        mov     %rsp, %rdi
        incl    PDA_IRQ_COUNT
        cmovz   PDA_IRQ_STACK, %rsp     /* only the first level switches */
        push    %rdi
        call    do_hypervisor_callback
        pop     %rsp
        decl    PDA_IRQ_COUNT

label error_exit                        /* events and exceptions leave here */
        mov     HYPERVISOR_shared_info(%rip), %rsi
        movb    $1, VCPU_MASK(%rsi)     /* what is tested below stays true until the unmask */
        testb   $3, FRAME_CS(%rsp)
        jz      restore
        testl   $WORK_PENDING, work_flags(%rip)
        jnz     work
label restore
        restore_callee_saved
        testb   $FLAGS_IF >> 8, FRAME_RFLAGS - FRAME_R11 + 1(%rsp)
        jz      restore_masked
        movb    $0, VCPU_MASK(%rsi)
label scrit
        testb   $0xff, VCPU_PENDING(%rsi)
        jnz     mask_again              /* raised while masked: Xen does not tell again */
        restore_caller_saved
        return_from_frame
label mask_again
        movb    $1, VCPU_MASK(%rsi)
        sub     $FRAME_R11, %rsp        /* nested frames have overwritten the six words */
        mov     %rbx, FRAME_RBX(%rsp)
        mov     %rbp, FRAME_RBP(%rsp)
        mov     %r12, FRAME_R12(%rsp)
        mov     %r13, FRAME_R13(%rsp)
        mov     %r14, FRAME_R14(%rsp)
        mov     %r15, FRAME_R15(%rsp)
        jmp     handle_event
label ecrit

/* No region: what is left to restore, with events masked. */
label restore_masked
        restore_caller_saved
        return_from_frame

/* Where Linux would deliver signals or reschedule before user mode goes on. Then everything is tested anew. */
label work
        andl    $~WORK_PENDING, work_flags(%rip)
        jmp     error_exit
end_function hypervisor_callback

/* RSP at the rdi slot, which holds RAX; RAX: the handler. */
function error_entry
        save_registers
        cld
        mov     %rsp, %rdi
        mov     FRAME_ORIG_RAX(%rsp), %rsi
        call    *%rax
        jmp     error_exit
end_function error_entry

.macro exception name, handler
function \name
        take_rcx_r11
        pushq   $0
        push    %rax
        lea     \handler(%rip), %rax
        jmp     error_entry
end_function \name
.endm

.macro exception_with_error_code name, handler
function \name
        take_rcx_r11                    /* RSP at the error code, in orig_rax's slot */
        push    %rax
        lea     \handler(%rip), %rax
        jmp     error_entry
end_function \name
.endm

        exception divide_error, do_divide_error
        exception_with_error_code general_protection, do_general_protection
        exception_with_error_code page_fault, do_page_fault

/*
 * An NMI also comes while events are masked, and it is over for Xen only with the iret hypercall. So its frame is marked,
 * and events stay masked until the hypercall restores what IF in the frame says.
 */
function nmi
        take_rcx_r11
        pushq   $0
        push    %rax
        save_registers
        cld
        mov     %rsp, %rdi
        call    do_nmi
        orl     $NMI_MASK, FRAME_RFLAGS(%rsp)
        mov     HYPERVISOR_shared_info(%rip), %rsi
        movb    $1, VCPU_MASK(%rsi)
        restore_callee_saved
        jmp     restore_masked
end_function nmi
