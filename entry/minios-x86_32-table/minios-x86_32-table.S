/*
 * Mini-OS i386: events are enabled before the registers are restored, and a nested frame is folded with a byte table.
 *
 * The stack frame, from the stack pointer upwards. The guest's kernel runs in ring 1, so a frame from kernel mode has
 * no ESP and no SS (nothing is aligned, and the interrupted ESP is the address behind eflags); one from user mode has
 * both.
 *
 *    offset  word      stored by
 *    ------  --------  ---------------------------------------------------------------------------------------
 *      0x38  ss        Xen, from user mode only
 *      0x34  esp       Xen, from user mode only; from kernel mode this is the first word of the interrupted stack
 *      0x30  eflags    Xen; IF here is the inverse of the event mask, the CPU's own IF is always 1
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
 * of the frame have left the stack before it.
 *
 *    offset  instruction             popped
 *      0x00  test pending              0x00    events are enabled from here on
 *      0x03  jump if pending           0x00
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
 *      0x12  mask events               0x00    nothing was popped on this way
 *      0x16  back to the handler       0x00
 */
#include "common/guest.h"
#include "common/frame32.h"

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

.macro restore_all
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
        call    do_hypervisor_callback
        addl    $4, %esp
        movl    HYPERVISOR_shared_info, %esi    # its first vcpu_info is this vCPU's
        movb    $0, VCPU_MASK(%esi)             # an event found events enabled, so it leaves them enabled
label scrit
        testb   $0xff, VCPU_PENDING(%esi)       # of the store, Xen knows nothing: look for ourselves
        jnz_short remask
        restore_all
        addl    $4, %esp                        # orig_eax
        iret
remask: movb    $1, VCPU_MASK(%esi)
        jmp_short call_handler
label ecrit
end_function hypervisor_callback

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
 * first. ESP stays below all of them until they are in place: an exception may still arrive here.
 */
function critical_region_fixup
        subl    $scrit, %eax
        movzbl  critical_fixup_table(%eax), %ecx
        leal    (%esp, %ecx), %esi              # behind the last word that moves
        leal    FRAME_KERNEL_SIZE(%esp), %edi   # the interrupted ESP: behind the nested frame
        shrl    $2, %ecx
        jz      2f
1:      subl    $4, %esi
        subl    $4, %edi
        movl    (%esi), %eax
        movl    %eax, (%edi)
        loop    1b
2:      movl    %edi, %esp
        jmp     call_handler
end_function critical_region_fixup

/*
 * Exceptions. Xen leaves the event mask alone when it delivers one, and so does the way back: it is the interrupted
 * code's at every point between.
 */
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
        jmp     ret_from_exception
end_function \name
.endm

exception_stub divide_error, do_divide_error, 0
exception_stub general_protection, do_general_protection, 1
exception_stub page_fault, do_page_fault, 1

function ret_from_exception
        addl    $8, %esp                        # the handler's arguments
        restore_all
        addl    $4, %esp                        # orig_eax
        iret
end_function ret_from_exception

/* How many bytes of the frame have been restored before the instruction that the byte belongs to. */
        .section .rodata
        .globl  critical_fixup_table
        .type   critical_fixup_table, @object
critical_fixup_table:
        .byte   0x00, 0x00, 0x00                # test pending
        .byte   0x00, 0x00                      # jump if pending
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
        .byte   0x00, 0x00, 0x00, 0x00          # mask events
        .byte   0x00, 0x00                      # back to the handler
critical_fixup_table_end:
        .size   critical_fixup_table, . - critical_fixup_table

        /* One byte of table for each byte of code: an edit that changes the region's length stops here. */
        length_is critical_fixup_table, critical_fixup_table_end, (ecrit - scrit)
