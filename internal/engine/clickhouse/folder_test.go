package clickhouse

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestFolderOfAnotherVersionIsRefused(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	f, err := openFolder(dir, "26.7.3")
	require.NoError(t, err)
	require.NoError(t, f.close())

	_, err = openFolder(dir, "26.8.0")
	require.ErrorContains(t, err, dir)
	require.ErrorContains(t, err, "written by library version 26.7.3, and this is version 26.8.0")
	require.ErrorContains(t, err, "rebuild the read models")

	f, err = openFolder(dir, "26.7.3")
	require.NoError(t, err, "a refusal leaves the folder free")
	require.NoError(t, f.close())
}

func TestHeldFolderIsRefused(t *testing.T) {
	dir := t.TempDir()
	f, err := openFolder(dir, "1")
	require.NoError(t, err)
	_, err = openFolder(dir, "1")
	require.ErrorContains(t, err, "in use by process")
	require.NoError(t, f.close())
}

func TestFolderOfSomeoneElseIsRefused(t *testing.T) {
	dir := t.TempDir()
	require.NoError(t, os.Mkdir(filepath.Join(dir, engineName), 0o700))
	_, err := openFolder(dir, "1")
	require.ErrorContains(t, err, "choose another folder")
}

func TestDamagedManifestIsRefused(t *testing.T) {
	dir := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(dir, manifestName), []byte("{"), 0o600))
	_, err := openFolder(dir, "1")
	require.ErrorContains(t, err, manifestName)
}
