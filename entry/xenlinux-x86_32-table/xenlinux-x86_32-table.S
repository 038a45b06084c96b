/*
 * Linux 2.6.18-xen i386: events are enabled before the registers are restored, and a nested frame is folded with a
 * byte table. Frames that an NMI handler marked leave by the hypercall, with events masked.
 *
 * The stack frame, from the stack pointer upwards. The guest's kernel runs in ring 1, so a frame from kernel mode has
 * no ESP and no SS (nothing is aligned, and the interrupted ESP is the address behind eflags); one from user mode has
 * both.
 *
 *    offset  word      stored by
 *    ------  --------  ---------------------------------------------------------------------------------------
 *      0x38  oldss     Xen, from user mode only
 *      0x34  oldesp    Xen, from user mode only; from kernel mode this is the first word of the interrupted stack
 *      0x30  eflags    Xen; IF here is the inverse of the event mask, the CPU's own IF is always 1;
 *                      bit 31 is the guest's own: its NMI handler sets it, and nothing else does
 *      0x2c  cs        Xen, with the RPL of the interrupted code: 1 kernel, 3 user; bits 16 to 23 hold the event mask
 *      0x28  eip       Xen
 *      0x24  orig_eax  Xen's error code, or a word that the stub pushes: it is never restored
 *      0x20  es        the entry code, from here down
 *      0x1c  ds
 *      0x18  eax
 *      0x14  ebp
 *      0x10  edi
 *      0x0c  esi
 *      0x08  edx
 *      0x04  ecx
 *      0x00  ebx
 *
 * The critical region, scrit to ecrit, 24 bytes. "popped" is what the table says about the boundary: how many bytes
 * of the frame have left the stack before it. 0xff stands for none, too, and says that ESI holds the vcpu_info's
 * address in the interrupted code: a kernel that has to hold on to that structure would let go of it here.
 *
 *    offset  instruction             popped
 *      0x00  test pending              0xff    events are enabled from here on
 *      0x03  jump if pending           0xff
 *      0x05  pop ebx                   0x00
 *      0x06  pop ecx                   0x04
 *      0x07  pop edx                   0x08
 *      0x08  pop esi                   0x0c
 *      0x09  pop edi                   0x10
 *      0x0a  pop ebp                   0x14
 *      0x0b  pop eax                   0x18
 *      0x0c  pop ds                    0x1c
 *      0x0d  pop es                    0x20
 *      0x0e  add $4, esp               0x24
 *      0x11  iret                      0x28
 *      0x12  mask events               0xff    nothing was popped on this way
 *      0x16  back to the handler       0x00
 */
#include "common/guest.h"
#include "common/frame32.h"

#define VCPU_INFO_IN_USE 0xff /* table value */

#define WORK_REQUESTED 1 /* in work_flags */

/*
 * Completes the frame below orig_eax and makes the C code's assumptions true: DF is clear, and DS and ES are the
 * kernel's. They may be the user's even where kernel code was interrupted, because the exit code restores them before
 * it returns.
 */
.macro save_all
        cld
        pushl   %es
        pushl   %ds
        pushl   %eax
        pushl   %ebp
        pushl   %edi
        pushl   %esi
        pushl   %edx
        pushl   %ecx
        pushl   %ebx
        movl    $FLAT_KERNEL_DS, %edx
        movl    %edx, %ds
        movl    %edx, %es
.endm

.macro restore_regs
        popl    %ebx
        popl    %ecx
        popl    %edx
        popl    %esi
        popl    %edi
        popl    %ebp
        popl    %eax
        popl    %ds
        popl    %es
.endm

        .text

/* Xen enters here to deliver an event, with events masked. */
function hypervisor_callback
        pushl   %eax                            # orig_eax: only its place matters
        save_all
        movl    FRAME_EIP(%esp), %eax
        cmpl    $scrit, %eax
        jb      call_handler
        cmpl    $ecrit, %eax
        jb      critical_region_fixup
call_handler:
        pushl   %esp                            # the frame's address: PUSH stores ESP as it was before
        call    evtchn_do_upcall
        addl    $4, %esp

/*
 * Every way out ends here. Before a return to user mode, events are masked and the kernel's work is looked for, and
 * from there to the region nothing can ask for more of it. An event in the region is folded, and comes through here
 * once more.
 */
label ret_from_intr
        testb   $2, FRAME_CS(%esp)              # RPL 3: to user mode
        jz      ret_to_kernel
resume_userspace:
        movl    HYPERVISOR_shared_info, %esi
        movb    $1, VCPU_MASK(%esi)
        testl   $WORK_REQUESTED, work_flags
        jnz     work_pending
label restore_all
        testl   $(FLAGS_VM | NMI_MASK), FRAME_EFLAGS(%esp)
        jnz     hypervisor_iret
        movl    HYPERVISOR_shared_info, %esi    # its first vcpu_info is this vCPU's
        testb   $(FLAGS_IF >> 8), FRAME_EFLAGS + 1(%esp)
        jz      restore_as_is                   # events were masked there, and still are
        testb   $0xff, VCPU_MASK(%esi)
        jz      restore_as_is                   # they were never masked here
        movb    $0, VCPU_MASK(%esi)
label scrit
        testb   $0xff, VCPU_PENDING(%esi)       # of the store, Xen knows nothing: look for ourselves
        jnz_short remask
        restore_regs
        addl    $4, %esp                        # orig_eax
        iret
remask: movb    $1, VCPU_MASK(%esi)
        jmp_short call_handler
label ecrit
end_function hypervisor_callback

/* Leaves the event mask as it is. */
function restore_as_is
        restore_regs
        addl    $4, %esp                        # orig_eax
        iret
end_function restore_as_is

/*
 * A return to kernel code is a return to user mode all the same, as far as work is concerned, if that code is the
 * critical region: an exception there lets events in, one of them may ask for work, and the region's own test lies
 * behind it.
 */
function ret_to_kernel
        movl    FRAME_EIP(%esp), %eax
        subl    $scrit, %eax
        cmpl    $(ecrit - scrit), %eax
        jb      resume_userspace
        jmp     restore_all
end_function ret_to_kernel

/* The kernel would reschedule or deliver signals here. For the way out it matters that the flags are tested again. */
function work_pending
        movl    $0, work_flags
        jmp     resume_userspace
end_function work_pending

/*
 * Virtual-8086 mode is beyond an `iret` in ring 1, and Xen has to hear of the end of an NMI. Xen sets the event mask
 * from the frame's IF in the same step as it returns, so nothing is ever unmasked on this way, and there is nothing
 * to fold.
 */
function hypervisor_iret
        andl    $~NMI_MASK, FRAME_EFLAGS(%esp)
        restore_regs
        addl    $4, %esp                        # orig_eax
        jmp     HYPERCALL_IRET
end_function hypervisor_iret

/*
 * The event interrupted the region: the stack holds the rest of a frame, and below it the whole nested one. Its
 * registers are those of the first frame wherever they had been restored already, so their words are moved up to
 * where they came from, and the two have become one:
 *
 *      before                          after, for a table value of 8
 *      first frame from edx on         first frame from edx on
 *      nested eflags                   nested ecx
 *      nested cs                       nested ebx                <- esp
 *      ...
 *      nested ebx      <- esp
 *
 * The words overlap their new places where more than half of the frame had been restored, so the last one moves
 * first. ESP stays below all of them until they are in place: an exception or an NMI may still arrive here.
 */
function critical_region_fixup
        subl    $scrit, %eax
        movzbl  critical_fixup_table(%eax), %ecx
        cmpb    $VCPU_INFO_IN_USE, %cl
        jne     1f
        xorl    %ecx, %ecx                      # nothing to let go of: there is one vCPU, and its address is fixed
1:      leal    (%esp, %ecx), %esi              # behind the last word that moves
        leal    FRAME_KERNEL_SIZE(%esp), %edi   # the interrupted ESP: behind the nested frame
        shrl    $2, %ecx
        jz      3f
2:      subl    $4, %esi
        subl    $4, %edi
        movl    (%esi), %eax
        movl    %eax, (%edi)
        loop    2b
3:      movl    %edi, %esp
        jmp     call_handler
end_function critical_region_fixup

/* Exceptions share the way out. Some are delivered with events masked (TI_GET_IF), others leave the mask alone. */
.macro exception_stub name, handler, has_error_code
function \name
        .if     !\has_error_code
        pushl   $0
        .endif
        save_all
        movl    %esp, %eax
        pushl   FRAME_ORIG_EAX(%esp)
        pushl   %eax
        call    \handler                        # handler(frame, error code)
        addl    $8, %esp
        jmp     ret_from_intr
end_function \name
.endm

exception_stub divide_error, do_divide_error, 0
exception_stub general_protection, do_general_protection, 1
exception_stub page_fault, do_page_fault, 1

/*
 * An NMI arrives whether events are masked or not, with events masked. Its handler marks the frame, and so it leaves
 * by the hypercall. It never looks for work: no event handler can have run in between, and what it interrupted has
 * its own test.
 */
function nmi
        pushl   %eax                            # orig_eax: only its place matters
        save_all
        pushl   %esp
        call    do_nmi
        addl    $4, %esp
        jmp     restore_all
end_function nmi

/* How many bytes of the frame have been restored before the instruction that the byte belongs to. */
        .section .rodata
        .globl  critical_fixup_table
        .type   critical_fixup_table, @object
critical_fixup_table:
        .byte   0xff, 0xff, 0xff                # test pending
        .byte   0xff, 0xff                      # jump if pending
        .byte   0x00                            # pop ebx
        .byte   0x04                            # pop ecx
        .byte   0x08                            # pop edx
        .byte   0x0c                            # pop esi
        .byte   0x10                            # pop edi
        .byte   0x14                            # pop ebp
        .byte   0x18                            # pop eax
        .byte   0x1c                            # pop ds
        .byte   0x20                            # pop es
        .byte   0x24, 0x24, 0x24                # add $4, esp
        .byte   0x28                            # iret
        .byte   0xff, 0xff, 0xff, 0xff          # mask events
        .byte   0x00, 0x00                      # back to the handler
critical_fixup_table_end:
        .size   critical_fixup_table, . - critical_fixup_table

        /* One byte of table for each byte of code: an edit that changes the region's length stops here. */
        length_is critical_fixup_table, critical_fixup_table_end, (ecrit - scrit)

modelled_handler evtchn_do_upcall
