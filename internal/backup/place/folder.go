// Package place puts the objects of backups into a folder or into a bucket of an
// object store.
package place

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/muster-sync/muster/domain/event"
)

// Folder keeps objects as files. An object is there as a whole or not at all,
// also after a crash. It is safe for concurrent use.
type Folder struct{ root string }

// NewFolder keeps objects under a folder, which is made when it is first written
// to.
func NewFolder(path string) *Folder { return &Folder{root: filepath.Clean(path)} }

// String is the folder's path.
func (f *Folder) String() string { return f.root }

// partial is the ending of files that are not whole yet.
const partial = ".partial"

func (f *Folder) path(name string) (string, error) {
	if !filepath.IsLocal(filepath.FromSlash(name)) || strings.HasSuffix(name, partial) {
		return "", event.Errorf(event.CodeInvalid, "%q is no name of an object", name)
	}
	return filepath.Join(f.root, filepath.FromSlash(name)), nil
}

// Put writes an object, in place of any of that name.
func (f *Folder) Put(_ context.Context, name string, content io.Reader) error {
	path, err := f.path(name)
	if err != nil {
		return err
	}
	dir := filepath.Dir(path)
	// Others on the machine have no business with it.
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("making the folder of %s: %w", path, err)
	}
	file, err := os.OpenFile(path+partial, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600)
	if err != nil {
		return fmt.Errorf("writing %s: %w", path, err)
	}
	_, err = io.Copy(file, content)
	if err == nil {
		err = file.Sync()
	}
	if err = errors.Join(err, file.Close()); err != nil {
		return errors.Join(fmt.Errorf("writing %s: %w", path, err), os.Remove(path+partial))
	}
	if err := os.Rename(path+partial, path); err != nil {
		return fmt.Errorf("writing %s: %w", path, err)
	}
	return syncFolder(dir)
}

// syncFolder makes the names in a folder last.
func syncFolder(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return fmt.Errorf("opening %s: %w", dir, err)
	}
	if err := errors.Join(d.Sync(), d.Close()); err != nil {
		return fmt.Errorf("syncing %s: %w", dir, err)
	}
	return nil
}

// Open reads an object; [event.CodeNotFound] if there is none of that name.
func (f *Folder) Open(_ context.Context, name string) (io.ReadCloser, error) {
	path, err := f.path(name)
	if err != nil {
		return nil, err
	}
	file, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, event.Errorf(event.CodeNotFound, "there is no %s", path)
	}
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", path, err)
	}
	return file, nil
}

// List tells the names of all objects that begin with prefix, sorted.
func (f *Folder) List(ctx context.Context, prefix string) ([]string, error) {
	var names []string
	from := f.root
	if dir, _, found := cutLast(prefix); found {
		path, err := f.path(dir)
		if err != nil {
			return nil, err
		}
		from = path
	}
	err := filepath.WalkDir(from, func(path string, d fs.DirEntry, err error) error {
		switch {
		case errors.Is(err, fs.ErrNotExist) && path == from:
			return nil
		case err != nil:
			return err
		case d.IsDir() || strings.HasSuffix(path, partial):
			return ctx.Err()
		}
		name, err := filepath.Rel(f.root, path)
		if name = filepath.ToSlash(name); err == nil && strings.HasPrefix(name, prefix) {
			names = append(names, name)
		}
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("listing %s: %w", f.root, err)
	}
	slices.Sort(names)
	return names, nil
}

// cutLast cuts a name at its last slash.
func cutLast(name string) (dir, rest string, found bool) {
	i := strings.LastIndexByte(name, '/')
	if i < 0 {
		return "", name, false
	}
	return name[:i], name[i+1:], true
}
