package postgres

import "syscall"

// namespaceAttributes start a process in a user namespace in which root's files belong to an ordinary user, and the process is that
// user: it can reach what root owns by ownership alone, and has no capability outside. Postgres insists that the user has a name, so it has to
// be one that exists.
func namespaceAttributes() *syscall.SysProcAttr {
	for _, name := range dropAccounts {
		if inner, err := lookUp(name); err == nil {
			return &syscall.SysProcAttr{
				Cloneflags:  syscall.CLONE_NEWUSER,
				UidMappings: []syscall.SysProcIDMap{{ContainerID: inner.uid, HostID: 0, Size: 1}},
				GidMappings: []syscall.SysProcIDMap{{ContainerID: inner.gid, HostID: 0, Size: 1}},
			}
		}
	}
	return nil
}
