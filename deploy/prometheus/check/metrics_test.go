package check_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// root is that of the repository.
var root = filepath.Join("..", "..", "..")

// registered are the names of the metrics that the sources of Muster make, by reading
// them: most are registered only where an outside world, a broker or an engine is at
// hand. A name is a constant text in the options of a metric, or is handed to a local
// function that makes metrics of one kind.
func registered(t *testing.T) map[string]bool {
	t.Helper()
	names := map[string]bool{}
	add := func(name string, suffixes ...string) {
		for _, suffix := range suffixes {
			names[name+suffix] = true
		}
	}
	for _, folder := range []string{"cmd", "ingest", "internal", "projections", "query"} {
		require.NoError(t, filepath.WalkDir(filepath.Join(root, folder), func(path string, entry fs.DirEntry, err error) error {
			if err != nil || entry.IsDir() && entry.Name() == "node_modules" {
				return err
			}
			if entry.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
				return nil
			}
			file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
			if err != nil {
				return err
			}
			readMetrics(file, add)
			return nil
		}))
	}
	return names
}

// readMetrics calls add with the metrics of a file and what series of them end with.
func readMetrics(file *ast.File, add func(name string, suffixes ...string)) {
	made := func(opts *ast.CompositeLit, name string) {
		suffixes := []string{""}
		if selected, is := opts.Type.(*ast.SelectorExpr); is && selected.Sel.Name == "HistogramOpts" {
			suffixes = []string{"_bucket", "_sum", "_count"}
		}
		parts := []string{}
		for _, field := range []string{"Namespace", "Subsystem"} {
			if part, is := text(fieldOf(opts, field)); is {
				parts = append(parts, part)
			}
		}
		add(strings.Join(append(parts, name), "_"), suffixes...)
	}
	// What local functions make, by their name: the options that have the name as a variable.
	makers := map[string]*ast.CompositeLit{}
	ast.Inspect(file, func(n ast.Node) bool {
		assigned, is := n.(*ast.AssignStmt)
		if !is || len(assigned.Lhs) != 1 {
			return true
		}
		function, is := assigned.Rhs[0].(*ast.FuncLit)
		name, named := assigned.Lhs[0].(*ast.Ident)
		if is && named {
			ast.Inspect(function, func(n ast.Node) bool {
				if opts, is := optionsOf(n); is {
					if _, constant := text(fieldOf(opts, "Name")); !constant {
						makers[name.Name] = opts
					}
				}
				return true
			})
		}
		return true
	})
	ast.Inspect(file, func(n ast.Node) bool {
		if opts, is := optionsOf(n); is {
			if name, constant := text(fieldOf(opts, "Name")); constant {
				made(opts, name)
			}
		}
		call, is := n.(*ast.CallExpr)
		if !is || len(call.Args) == 0 {
			return true
		}
		name, constant := text(call.Args[0])
		if !constant {
			return true
		}
		switch called := call.Fun.(type) {
		case *ast.Ident:
			if opts := makers[called.Name]; opts != nil {
				made(opts, name)
			}
		case *ast.SelectorExpr:
			if called.Sel.Name == "NewDesc" {
				add(name, "")
			}
		}
		return true
	})
}

// optionsOf is a literal of the options of a metric.
func optionsOf(n ast.Node) (*ast.CompositeLit, bool) {
	literal, is := n.(*ast.CompositeLit)
	if !is {
		return nil, false
	}
	selected, is := literal.Type.(*ast.SelectorExpr)
	if !is {
		return nil, false
	}
	from, is := selected.X.(*ast.Ident)
	return literal, is && from.Name == "prometheus" && strings.HasSuffix(selected.Sel.Name, "Opts")
}

func fieldOf(literal *ast.CompositeLit, name string) ast.Expr {
	for _, element := range literal.Elts {
		if pair, is := element.(*ast.KeyValueExpr); is {
			if key, is := pair.Key.(*ast.Ident); is && key.Name == name {
				return pair.Value
			}
		}
	}
	return nil
}

// text is a constant text.
func text(e ast.Expr) (string, bool) {
	literal, is := e.(*ast.BasicLit)
	if !is || literal.Kind != token.STRING {
		return "", false
	}
	value, err := strconv.Unquote(literal.Value)
	return value, err == nil
}

// others are the metrics that do not come from Muster's own sources: those of the Go
// runtime and of the process that client_golang shows, and what Prometheus adds.
var others = []string{"up", "process_resident_memory_bytes", "process_cpu_seconds_total", "process_start_time_seconds"}

func TestMetricsAreFoundInTheSources(t *testing.T) {
	names := registered(t)
	for _, name := range []string{
		"muster_projection_lag_seconds", "muster_projection_commit_seconds_bucket", "muster_api_request_seconds_count", "muster_command_outbox_depth",
		"muster_engine_up", "muster_esi_errors_left", "muster_retention_runs_total", "muster_projection_parked",
	} {
		require.True(t, names[name], name)
	}
	require.False(t, names["muster_api_request_seconds"], "a histogram has no series of its own name")
}
