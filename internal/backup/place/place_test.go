package place_test

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/muster-sync/muster/domain/event"
	"github.com/muster-sync/muster/internal/backup"
	"github.com/muster-sync/muster/internal/backup/place"
)

// keepsObjects is what every place has to do.
func keepsObjects(t *testing.T, p backup.Place) {
	names, err := p.List(t.Context(), "")
	require.NoError(t, err)
	require.Empty(t, names)
	_, err = p.Open(t.Context(), "a/one")
	require.Equal(t, event.CodeNotFound, event.CodeOf(err))

	big := bytes.Repeat([]byte("0123456789abcdef"), 5<<16)
	require.NoError(t, p.Put(t.Context(), "a/one", strings.NewReader("first")))
	require.NoError(t, p.Put(t.Context(), "a/one", strings.NewReader("second")))
	require.NoError(t, p.Put(t.Context(), "b/deep/two", io.MultiReader(bytes.NewReader(big))), "of unknown size")
	require.NoError(t, p.Put(t.Context(), "b/empty", bytes.NewReader(nil)))

	for name, want := range map[string]string{"a/one": "second", "b/deep/two": string(big), "b/empty": ""} {
		in, err := p.Open(t.Context(), name)
		require.NoError(t, err)
		got, err := io.ReadAll(in)
		require.NoError(t, err)
		require.NoError(t, in.Close())
		require.Equal(t, want, string(got), name)
	}
	for prefix, want := range map[string][]string{
		"": {"a/one", "b/deep/two", "b/empty"}, "b/": {"b/deep/two", "b/empty"}, "b/e": {"b/empty"}, "c/": nil,
	} {
		names, err := p.List(t.Context(), prefix)
		require.NoError(t, err)
		require.Equal(t, want, names, prefix)
	}
}

func TestAFolderKeepsObjects(t *testing.T) {
	keepsObjects(t, place.NewFolder(filepath.Join(t.TempDir(), "not", "there", "yet")))
}

// failing is a reader that breaks off.
type failing struct{ rest io.Reader }

var errBroken = errors.New("broken off")

func (f failing) Read(b []byte) (int, error) {
	n, err := f.rest.Read(b)
	if errors.Is(err, io.EOF) {
		return n, errBroken
	}
	return n, err
}

func TestAFolderKeepsNothingOfWhatBreaksOff(t *testing.T) {
	dir := t.TempDir()
	p := place.NewFolder(dir)
	require.NoError(t, p.Put(t.Context(), "a", strings.NewReader("whole")))
	require.ErrorIs(t, p.Put(t.Context(), "a", failing{strings.NewReader("ha")}), errBroken)
	content, err := os.ReadFile(filepath.Join(dir, "a"))
	require.NoError(t, err)
	require.Equal(t, "whole", string(content))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "b.partial"), []byte("left by a crash"), 0o600))
	names, err := p.List(t.Context(), "")
	require.NoError(t, err)
	require.Equal(t, []string{"a"}, names)
}

func TestAFolderIsNotLeft(t *testing.T) {
	p := place.NewFolder(t.TempDir())
	for _, name := range []string{"../a", "/etc/passwd", "a/../../b", ""} {
		require.Equal(t, event.CodeInvalid, event.CodeOf(p.Put(t.Context(), name, strings.NewReader("x"))), name)
		_, err := p.Open(t.Context(), name)
		require.Equal(t, event.CodeInvalid, event.CodeOf(err), name)
	}
}
