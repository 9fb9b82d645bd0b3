package main

import (
	"bytes"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// printed is what the program prints when it is run as a shell would.
func printed(t *testing.T, args ...string) string {
	t.Helper()
	var stdout, stderr bytes.Buffer
	require.Equal(t, exitOK, program{stdout: &stdout, stderr: &stderr}.run(t.Context(), args), stderr.String())
	return stdout.String()
}

func TestShellsCompleteCommandsAndFlags(t *testing.T) {
	require.Contains(t, printed(t, "completion", "bash"), "source <(muster completion -c bash)")
	require.Contains(t, printed(t, "completion", "-c", "bash"), "complete -o default")
	f := func(line string, want ...string) {
		t.Helper()
		t.Setenv("COMP_LINE", line)
		got := printed(t)
		for _, word := range want {
			require.Contains(t, got, word+"\n")
		}
	}
	f("muster reten", "retention")
	f("muster retention ", "plan", "run", "prove", "status")
	f("muster sweep --cons", "--consortium")
}

func TestTheManualPageHasEveryCommand(t *testing.T) {
	page := printed(t, "--man")
	require.Contains(t, page, ".TH MUSTER 1")
	for _, command := range []string{"retention plan", "skillset import-fitting", "doctor"} {
		require.Contains(t, strings.ReplaceAll(page, "\\-", "-"), command)
	}
}
