/*
 * Mini-OS x86-64 as it was before 2013: nested events are not folded.
 *
 * Frame: common/frame64.h. 168 bytes: r15 at 0, orig_rax at 120, what Xen pushes from rip at 128.
 *
 * Region, from the unmask to the return; when it starts, RSP is at the frame's base:
 *
 *    boundary before                         still to do
 *    --------------------------------------  ------------------------------------------------------------------------
 *    scrit: test pending, jump if so         everything
 *    15 moves, 2 adds                        the rest of the registers, the return
 *    marker, feature, RPL, iretq             the return
 *    clear marker, push flag, jump           (a marked frame) the hypercall
 *    mask again, jump back                   (an event was pending) another round with the same frame
 *    :ecrit
 *
 * The two labels mark the region, and nothing looks at them. An event in the region gets a frame of its own below the
 * interrupted one, and returns into the region. Every register ends up right; but the next event can do to the second
 * frame what the second did to the first, and there is no end to it.
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

function error_exit
        mov     HYPERVISOR_shared_info, %rsi
        testl   $FLAGS_IF, FRAME_RFLAGS(%rsp)
        jz      exit_as_is
        testb   $1, VCPU_MASK(%rsi)
        jz      exit_as_is              /* enabled already: an exception that does not mask */

        movb    $0, VCPU_MASK(%rsi)
label scrit
        testb   $0xff, VCPU_PENDING(%rsi)
        jnz     mask_again
        restore_callee_saved
        restore_caller_saved
        hypervisor_iret
mask_again:
        movb    $1, VCPU_MASK(%rsi)
        mov     %rsp, %rdi
        jmp     event_again
label ecrit
end_function error_exit

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
