/* File descriptors that children must not inherit. */
#ifndef DESCRIPTORS_H
#define DESCRIPTORS_H

/* Marks every open descriptor from `first` on close-on-exec; by /proc where the kernel or a seccomp filter has no
 * close_range(2). */
void descriptors_close_on_exec(int first);

#endif
