// Package deploytest holds what an administrator installs against the programs that will read
// it: buildkit's parser and linter, compose's loader, Helm's engine and linter, Kubernetes' types
// and systemd's own verifier. It is a module of its own, so that Muster's dependencies stay few.
package deploytest

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

// root is the folder of the repository.
func root(t *testing.T) string {
	t.Helper()
	at, err := filepath.Abs(filepath.Join("..", ".."))
	require.NoError(t, err)
	require.FileExists(t, filepath.Join(at, "go.mod"))
	return at
}

// read is the text of a file below deploy.
func read(t *testing.T, parts ...string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(append([]string{root(t), "deploy"}, parts...)...))
	require.NoError(t, err)
	return string(text)
}
