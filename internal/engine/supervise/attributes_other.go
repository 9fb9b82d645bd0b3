//go:build unix && !linux

package supervise

import "syscall"

// attributes gives the child a process group of its own, so that Ctrl-C at a terminal reaches only this process, which then stops the
// children in order. There is no parent-death signal here: see Spec.OrphanSignal.
func attributes(base *syscall.SysProcAttr, _ syscall.Signal) *syscall.SysProcAttr {
	var attr syscall.SysProcAttr
	if base != nil {
		attr = *base
	}
	attr.Setpgid = true
	return &attr
}
