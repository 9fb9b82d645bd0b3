//go:build unix && !linux

package postgres

import "syscall"

// namespaceAttributes is nil: there are no user namespaces here.
func namespaceAttributes() *syscall.SysProcAttr { return nil }
