package clickhouse_test

import "syscall"

// childAttributes keeps a child from outliving a test binary that dies.
func childAttributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
}
