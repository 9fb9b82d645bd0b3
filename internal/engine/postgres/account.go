package postgres

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"syscall"
)

// dropAccounts are the users that root becomes to run Postgres, in order of preference.
var dropAccounts = [...]string{name, "nobody"}

// account is the user Postgres runs as. Postgres refuses to run as root, so root has to become somebody else.
type account struct {
	uid, gid int
	// namespace says that root stays the owner of the files, and is shown to Postgres as another user by a user namespace.
	namespace bool
}

// attributes are what a process of this account is started with; nil is this process's own user.
func (a account) attributes() *syscall.SysProcAttr {
	switch {
	case a.namespace:
		return namespaceAttributes()
	case a.uid == os.Geteuid():
		return nil
	default:
		return &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uint32(a.uid), Gid: uint32(a.gid)}}
	}
}

// own gives a file or folder to the account.
func (a account) own(path string) error {
	if a.namespace || a.uid == os.Geteuid() {
		return nil
	}
	if err := os.Chown(path, a.uid, a.gid); err != nil {
		return fmt.Errorf("giving %s to the user Postgres runs as (uid %d): %w", path, a.uid, err)
	}
	return nil
}

// chooseAccount picks the account for a cluster in dir and the programs in install. The owner of a cluster that exists already decides;
// else root takes the first unprivileged user who can reach both folders, and failing that (a data folder below /root, say) a user
// namespace.
func chooseAccount(dir, install string) (account, error) {
	self := account{uid: os.Geteuid(), gid: os.Getegid()}
	if self.uid != 0 {
		return self, nil
	}
	info, err := os.Stat(dir)
	if err == nil {
		stat, ok := info.Sys().(*syscall.Stat_t)
		if !ok {
			return account{}, fmt.Errorf("reading the owner of %s: not known on this platform", dir)
		}
		if stat.Uid == 0 {
			return inNamespace(dir)
		}
		owner := account{uid: int(stat.Uid), gid: int(stat.Gid)}
		if blocked := owner.blockedBy(filepath.Dir(dir)); blocked != "" {
			return account{}, fmt.Errorf("starting Postgres in %s: it belongs to uid %d, who may not enter %s: run \"chmod a+x %s\" or move the data folder", dir, owner.uid, blocked, blocked)
		}
		return owner, nil
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return account{}, fmt.Errorf("looking for a Postgres cluster: %w", err)
	}
	for _, name := range dropAccounts {
		found, err := lookUp(name)
		if err == nil && found.blockedBy(filepath.Dir(dir)) == "" && found.blockedBy(install) == "" {
			return found, nil
		}
	}
	return inNamespace(dir)
}

func inNamespace(dir string) (account, error) {
	if namespaceAttributes() == nil {
		return account{}, fmt.Errorf("starting Postgres in %s: Postgres refuses to run as root, and no other user (%v) can enter that folder: run Muster as another user, or choose a data folder such as /var/lib/muster", dir, dropAccounts)
	}
	return account{namespace: true}, nil
}

func lookUp(name string) (account, error) {
	found, err := user.Lookup(name)
	if err != nil {
		return account{}, err
	}
	uid, err := strconv.Atoi(found.Uid)
	if err != nil {
		return account{}, err
	}
	gid, err := strconv.Atoi(found.Gid)
	if err != nil {
		return account{}, err
	}
	return account{uid: uid, gid: gid}, nil
}

// blockedBy returns the outermost folder on the way to path, itself included, that the account may not enter, or nothing.
func (a account) blockedBy(path string) string {
	path, err := filepath.Abs(path)
	if err != nil {
		return path
	}
	blocked := ""
	for {
		info, err := os.Stat(path)
		if err != nil || !a.mayEnter(info) {
			blocked = path
		}
		parent := filepath.Dir(path)
		if parent == path {
			return blocked
		}
		path = parent
	}
}

// mayEnter reads the permission bits as the kernel does for a user without capabilities and without further groups.
func (a account) mayEnter(info fs.FileInfo) bool {
	stat, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return false
	}
	mode := info.Mode().Perm()
	switch {
	case int(stat.Uid) == a.uid:
		return mode&0o100 != 0
	case int(stat.Gid) == a.gid:
		return mode&0o010 != 0
	default:
		return mode&0o001 != 0
	}
}
