/*
 * Linux with pvops, x86-64: every return is the iret hypercall, and events stay masked until Xen is in it. There is no
 * critical region, so there is nothing to fold.
 *
 * The frame, and what Xen has pushed of it: common/frame64.h. When each word goes back:
 *
 *    offset      words                                restored
 *    ----------  -----------------------------------  ------------------------------------------------------------
 *    160 to 128  ss rsp rflags cs rip                 by Xen, in the hypercall, together with the event mask
 *           120  orig_rax                             dropped; the hypercall's flag word takes its place
 *    112 to   0  all other registers                  before the hypercall, events masked
 *
 * The boundaries after the mask store of error_exit, on to the hypercall page's last one, take NMIs and exceptions only.
 * The first boundary that takes an event again is the interrupted one, on Xen's side of the return.
 */
#include "common/frame64.h"
#include "common/guest.h"

#define WORK_PENDING 1 /* bit of work_flags */

        /* Where this CPU's vcpu_info is: in the shared info page, or where the guest has registered it. */
        vcpu_info_pointer xen_vcpu

        .text

function hypervisor_callback
        take_rcx_r11
        pushq   $0                      /* orig_rax */
        push    %rax
        save_registers
        cld
        mov     %rsp, %rdi
        incl    PDA_IRQ_COUNT
        cmovz   PDA_IRQ_STACK, %rsp     /* only the first level switches */
        push    %rdi
        call    do_hypervisor_callback
        pop     %rsp
        decl    PDA_IRQ_COUNT

label error_exit                        /* events, exceptions and NMIs leave here */
        mov     xen_vcpu(%rip), %rsi
        movb    $1, VCPU_MASK(%rsi)     /* what is tested below stays true until the hypercall */
        testb   $3, FRAME_CS(%rsp)
        jz      restore
        testl   $WORK_PENDING, work_flags(%rip)
        jnz     work
label restore
        restore_callee_saved
        restore_caller_saved
label xen_iret
        pushq   $0                      /* no VGCF_in_syscall: all registers as in the frame */
        jmp     HYPERCALL_IRET

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
        exception nmi, do_nmi
