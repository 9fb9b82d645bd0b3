package deploytest

import (
	"context"
	"debug/elf"
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/moby/buildkit/client/llb"
	"github.com/moby/buildkit/client/llb/sourceresolver"
	"github.com/moby/buildkit/frontend/dockerfile/dockerfile2llb"
	"github.com/moby/buildkit/frontend/dockerfile/instructions"
	"github.com/moby/buildkit/frontend/dockerfile/parser"
	"github.com/moby/buildkit/frontend/dockerui"
	"github.com/moby/patternmatcher"
	"github.com/moby/patternmatcher/ignorefile"
	"github.com/opencontainers/go-digest"
	ocispecs "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/stretchr/testify/require"
)

// noRegistry says of every image that nothing is known of it, and asks nobody.
type noRegistry struct{}

func (noRegistry) ResolveImageConfig(_ context.Context, ref string, _ sourceresolver.Opt) (string, digest.Digest, []byte, error) {
	config, err := json.Marshal(ocispecs.Image{Platform: ocispecs.Platform{OS: "linux", Architecture: "amd64"}})
	return ref, digest.FromBytes(config), config, err
}

func stages(t *testing.T) []instructions.Stage {
	t.Helper()
	parsed, err := parser.Parse(strings.NewReader(read(t, "docker", "Dockerfile")))
	require.NoError(t, err)
	all, _, err := instructions.Parse(parsed.AST, nil)
	require.NoError(t, err)
	require.Empty(t, parsed.Warnings)
	return all
}

func TestBuildkitFindsNothingWrongWithTheDockerfile(t *testing.T) {
	lint := func(text string) []string {
		source := llb.NewSourceMap(nil, "Dockerfile", "Dockerfile", []byte(text))
		source.Definition = &llb.Definition{}
		results, err := dockerfile2llb.DockerfileLint(t.Context(), []byte(text), dockerfile2llb.ConvertOpt{
			MetaResolver: noRegistry{}, Config: dockerui.Config{},
			SourceMap: source,
		})
		require.NoError(t, err)
		var found []string
		for _, warning := range results.Warnings {
			found = append(found, warning.RuleName+": "+warning.Detail)
		}
		if results.Error != nil {
			found = append(found, results.Error.Message)
		}
		return found
	}
	require.Empty(t, lint(read(t, "docker", "Dockerfile")))
	require.NotEmpty(t, lint("from golang as build\nMAINTAINER me\n"), "the linter looks")
}

func TestTheImageHoldsOneStaticProgramAndRunsItAsNobody(t *testing.T) {
	all := stages(t)
	require.Len(t, all, 2)
	exact := regexp.MustCompile(`^golang:\d+\.\d+\.\d+-[a-z]+$`)
	require.Regexp(t, exact, all[0].BaseName)
	require.Equal(t, "scratch", all[1].BaseName)

	var mod struct{ Go, Toolchain string }
	text, err := os.ReadFile(filepath.Join(root(t), "go.mod"))
	require.NoError(t, err)
	mod.Go = regexp.MustCompile(`(?m)^go (\d+\.\d+)`).FindStringSubmatch(string(text))[1]
	require.True(t, strings.HasPrefix(all[0].BaseName, "golang:"+mod.Go+"."), "the image is built by Go %s, as go.mod wants", mod.Go)

	build := commandsOf(all[0])
	require.Contains(t, build, "-trimpath")
	require.Contains(t, build, "-X main.version=$VERSION")
	require.Contains(t, build, "CGO_ENABLED=0")

	final := map[string]bool{}
	for _, command := range all[1].Commands {
		final[strings.ToLower(command.Name())] = true
		switch c := command.(type) {
		case *instructions.UserCommand:
			require.Regexp(t, `^[1-9]\d+:[1-9]\d+$`, c.User, "a number, so that a cluster sees that it is not root")
		case *instructions.HealthCheckCommand:
			require.Equal(t, []string{"CMD", "/usr/local/bin/muster", "ready"}, c.Health.Test)
		case *instructions.EntrypointCommand:
			require.False(t, c.PrependShell, "there is no shell")
			require.Equal(t, []string{"/usr/local/bin/muster"}, []string(c.CmdLine))
		}
	}
	for _, needed := range []string{"user", "healthcheck", "entrypoint", "label", "volume"} {
		require.True(t, final[needed], needed)
	}
	require.False(t, final["run"], "nothing runs in an image that has no shell")
	copied := commandsOf(all[1])
	for _, needed := range []string{"ca-certificates.crt", "zoneinfo.zip", "/licenses"} {
		require.Contains(t, copied, needed)
	}
}

// The image has no loader, so its program must not need one.
func TestTheImagesProgramIsStatic(t *testing.T) {
	build := commandsOf(stages(t)[0])
	tags := regexp.MustCompile(`-tags (\S+)`).FindStringSubmatch(build)
	require.NotNil(t, tags)
	program := filepath.Join(t.TempDir(), "muster")
	command := exec.CommandContext(t.Context(), "go", "build", "-tags", tags[1], "-trimpath", "-o", program, "./cmd/muster")
	command.Dir, command.Env = root(t), append(os.Environ(), "CGO_ENABLED=0", "GOOS=linux")
	out, err := command.CombinedOutput()
	require.NoError(t, err, string(out))
	built, err := elf.Open(program)
	require.NoError(t, err)
	defer func() { require.NoError(t, built.Close()) }()
	for _, segment := range built.Progs {
		require.NotEqual(t, elf.PT_INTERP, segment.Type, "the program wants a loader")
	}
}

func commandsOf(stage instructions.Stage) string {
	var text strings.Builder
	for _, command := range stage.Commands {
		if printable, ok := command.(interface{ String() string }); ok {
			text.WriteString(printable.String() + "\n")
		}
	}
	return text.String()
}

func TestTheContextHasWhatIsBuiltAndNoSecrets(t *testing.T) {
	file, err := os.Open(filepath.Join(root(t), ".dockerignore"))
	require.NoError(t, err)
	defer func() { require.NoError(t, file.Close()) }()
	patterns, err := ignorefile.ReadAll(file)
	require.NoError(t, err)
	matcher, err := patternmatcher.New(patterns)
	require.NoError(t, err)
	left := func(path string) bool {
		out, err := matcher.MatchesOrParentMatches(filepath.ToSlash(path))
		require.NoError(t, err)
		return !out
	}

	command := exec.CommandContext(t.Context(), "go", "list", "-deps", "-json=Dir,GoFiles,EmbedFiles,Module", "./cmd/muster")
	command.Dir, command.Env = root(t), append(os.Environ(), "CGO_ENABLED=0", "GOFLAGS=-mod=readonly")
	command.Stderr = os.Stderr
	listed, err := command.Output()
	require.NoError(t, err)
	needed := []string{"go.mod", "go.sum", "LICENSE"}
	decoder := json.NewDecoder(strings.NewReader(string(listed)))
	for {
		var p struct {
			Dir                 string
			GoFiles, EmbedFiles []string
			Module              *struct{ Main bool }
		}
		err := decoder.Decode(&p)
		if errors.Is(err, io.EOF) {
			break
		}
		require.NoError(t, err)
		if p.Module == nil || !p.Module.Main {
			continue
		}
		for _, name := range append(p.GoFiles, p.EmbedFiles...) {
			path, err := filepath.Rel(root(t), filepath.Join(p.Dir, name))
			require.NoError(t, err)
			needed = append(needed, path)
		}
	}
	require.Greater(t, len(needed), 100)
	for _, path := range needed {
		require.True(t, left(path), "%s is needed for building, and .dockerignore leaves it out", path)
	}
	for _, path := range []string{
		".git/config", ".env", "bin/muster", "data/secret-key", "deploy/compose/secrets/secret-key", "deploy/compose/.env", "docs/api.md", "query/web/assets/node_modules/x.js",
		"cmd/muster/main_test.go", "admin-token", "engines.json",
	} {
		require.False(t, left(path), "%s must not come along", path)
	}
}
