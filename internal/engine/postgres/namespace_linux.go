package postgres

import "syscall"

// innerID is the user that Postgres believes to be inside the namespace. Any number but 0 will do.
const innerID = 70

// namespaceAttributes start a process in a user namespace in which root's files belong to an ordinary user, and the process is that
// user: it can reach what root owns by ownership alone, and has no capability outside.
func namespaceAttributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{
		Cloneflags:  syscall.CLONE_NEWUSER,
		UidMappings: []syscall.SysProcIDMap{{ContainerID: innerID, HostID: 0, Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{ContainerID: innerID, HostID: 0, Size: 1}},
	}
}
