package statefile

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

type line struct {
	N int `json:"n"`
}

func read(t *testing.T, dir string) (all []int) {
	require.NoError(t, Read(dir, "state.jsonl", func(l line) error {
		all = append(all, l.N)
		return nil
	}))
	return all
}

func open(t *testing.T, dir string, first ...int) *Log[line] {
	l, err := Rewrite(dir, "state.jsonl", func(l *Log[line]) error {
		for _, n := range first {
			if err := l.Append(line{n}); err != nil {
				return err
			}
		}
		return nil
	})
	require.NoError(t, err)
	t.Cleanup(func() { _ = l.Close() })
	return l
}

func TestWhatWasAppendedIsReadAgain(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "new", "folder")
	require.Empty(t, read(t, dir))
	l := open(t, dir, 1, 2)
	require.NoError(t, l.Append(line{3}))
	require.Equal(t, []int{1, 2, 3}, read(t, dir))
	open(t, dir, 7)
	require.Equal(t, []int{7}, read(t, dir))
}

func TestALineThatWasCutOffIsLeftOut(t *testing.T) {
	dir := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(dir, "state.jsonl"), []byte("{\"n\":1}\n{\"n\":2"), 0o644))
	require.Equal(t, []int{1}, read(t, dir))
}

func TestABrokenLineIsNamed(t *testing.T) {
	dir := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(dir, "state.jsonl"), []byte("{\"n\":1}\nnothing\n"), 0o644))
	err := Read(dir, "state.jsonl", func(line) error { return nil })
	require.ErrorContains(t, err, "state.jsonl line 2")
	require.ErrorContains(t, err, "remove the file")
	refused := errors.New("of another world")
	require.ErrorIs(t, Read(dir, "state.jsonl", func(line) error { return refused }), refused)
}

func TestAFailedRewriteLeavesTheOldFile(t *testing.T) {
	dir := t.TempDir()
	open(t, dir, 1, 2)
	_, err := Rewrite(dir, "state.jsonl", func(*Log[line]) error { return errors.New("no") })
	require.Error(t, err)
	require.Equal(t, []int{1, 2}, read(t, dir))
}

func TestANilLogDoesNothing(t *testing.T) {
	var l *Log[line]
	require.NoError(t, l.Append(line{1}))
	require.NoError(t, l.Close())
}
