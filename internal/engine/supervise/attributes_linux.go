package supervise

import "syscall"

// attributes gives the child a process group of its own, so that Ctrl-C at a terminal reaches only this process, which then stops the
// children in order, and has the kernel signal it when this process dies.
func attributes(base *syscall.SysProcAttr, orphan syscall.Signal) *syscall.SysProcAttr {
	var attr syscall.SysProcAttr
	if base != nil {
		attr = *base
	}
	attr.Setpgid = true
	attr.Pdeathsig = orphan
	return &attr
}
