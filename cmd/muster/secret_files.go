package main

import (
	"os"
	"strings"

	"github.com/alecthomas/kong"

	"github.com/muster-sync/muster/domain/event"
)

// secretFiles reads secrets from files, as systemd, compose and Kubernetes hand them over. A
// flag with the tag `file` gets its value from the file that the environment variable of that
// name tells. A value that is given itself goes before, be it in the environment or as a flag.
func secretFiles(lookup func(string) (string, bool)) kong.Resolver {
	return kong.ResolverFunc(func(_ *kong.Context, _ *kong.Path, flag *kong.Flag) (any, error) {
		variable := flag.Tag.Get("file")
		if variable == "" {
			return nil, nil
		}
		for _, env := range flag.Envs {
			if value, _ := lookup(env); value != "" {
				return nil, nil
			}
		}
		path, _ := lookup(variable)
		if path == "" {
			return nil, nil
		}
		content, err := os.ReadFile(path)
		if err != nil {
			return nil, event.Errorf(event.CodeInvalid, "reading the file that %s names: %w", variable, err)
		}
		text := strings.TrimSpace(string(content))
		if text == "" {
			return nil, event.Errorf(event.CodeInvalid, "the file %s that %s names is empty: write the secret into it, or leave the variable out", path, variable)
		}
		return text, nil
	})
}
