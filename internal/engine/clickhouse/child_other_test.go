//go:build !linux

package clickhouse_test

import "syscall"

func childAttributes() *syscall.SysProcAttr { return nil }
