package deploytest

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// mostExposed is what systemd may say at most of how exposed a unit is, of 10.
const mostExposed = 3.0

// units are copied to a folder in which their program is there, with the drop-in for each.
func units(t *testing.T) (folder string, names []string) {
	t.Helper()
	if _, err := exec.LookPath("systemd-analyze"); err != nil {
		t.Skip("systemd-analyze is not installed")
	}
	folder = t.TempDir()
	program := filepath.Join(folder, "muster")
	require.NoError(t, os.WriteFile(program, []byte("#!/bin/sh\n"), 0o755))
	for _, name := range []string{"muster.service", "muster@.service"} {
		text := read(t, "systemd", name)
		require.Contains(t, text, "ExecStart=/usr/local/bin/muster ")
		require.NoError(t, os.WriteFile(filepath.Join(folder, name), []byte(strings.ReplaceAll(text, "/usr/local/bin/muster", program)), 0o644))
		dropIns := filepath.Join(folder, name+".d")
		require.NoError(t, os.Mkdir(dropIns, 0o755))
		require.NoError(t, os.WriteFile(filepath.Join(dropIns, "eve.conf"), []byte(read(t, "systemd", "eve.conf")), 0o644))
	}
	return folder, []string{"muster.service", "muster@ingest.service", "muster@project.service", "muster@serve.service"}
}

func analyze(t *testing.T, folder string, args ...string) (string, error) {
	t.Helper()
	command := exec.CommandContext(t.Context(), "systemd-analyze", args...)
	command.Dir, command.Env = folder, append(os.Environ(), "SYSTEMD_UNIT_PATH="+folder+":", "SYSTEMD_COLORS=0", "SYSTEMD_PAGER=")
	out, err := command.CombinedOutput()
	return string(out), err
}

func TestSystemdTakesTheUnits(t *testing.T) {
	folder, names := units(t)
	for _, name := range names {
		out, err := analyze(t, folder, "verify", "--man=no", "--recursive-errors=no", filepath.Join(folder, name))
		require.NoError(t, err, out)
		for _, line := range strings.Split(out, "\n") {
			require.NotContains(t, line, folder, "nothing is said of this unit")
		}
	}
	require.NoError(t, os.WriteFile(filepath.Join(folder, "wrong.service"), []byte("[Service]\nExecStart=/nowhere\n"), 0o644))
	_, err := analyze(t, folder, "verify", filepath.Join(folder, "wrong.service"))
	require.Error(t, err, "the verifier looks")
}

func TestUnitsAreHardened(t *testing.T) {
	folder, _ := units(t)
	for _, name := range []string{"muster.service", "muster@.service"} {
		out, err := analyze(t, folder, "security", "--offline=yes", "--no-pager", filepath.Join(folder, name))
		require.NoError(t, err, out)
		found := regexp.MustCompile(`Overall exposure level for \S+: (\d+\.\d+)`).FindStringSubmatch(out)
		require.NotNil(t, found, out)
		exposed, err := strconv.ParseFloat(found[1], 64)
		require.NoError(t, err)
		require.Less(t, exposed, mostExposed, out)

		text := read(t, "systemd", name)
		for _, line := range []string{"NoNewPrivileges=yes", "ProtectSystem=strict", "User=muster", "StateDirectory=muster", "Restart=on-failure", "Type=notify"} {
			require.Contains(t, text, "\n"+line+"\n", name)
		}
		require.NotRegexp(t, `(?m)^Environment=.*(KEY|TOKEN|PASSWORD|SECRET|DSN)=`, text, "secrets are files")
	}
}

// Each file that a credential is read from must be handed over by the unit.
func TestCredentialsThatAreNamedAreLoaded(t *testing.T) {
	for _, name := range []string{"muster.service", "muster@.service", "eve.conf"} {
		text := read(t, "systemd", name)
		loaded := map[string]bool{}
		for _, match := range regexp.MustCompile(`(?m)^LoadCredential=([a-z-]+):/etc/muster/secrets/([a-z-]+)$`).FindAllStringSubmatch(text, -1) {
			require.Equal(t, match[1], match[2])
			loaded[match[1]] = true
		}
		named := map[string]bool{}
		for _, match := range regexp.MustCompile(`(?m)^Environment=MUSTER_[A-Z_]+_FILE=%d/([a-z-]+)$`).FindAllStringSubmatch(text, -1) {
			named[match[1]] = true
		}
		require.Equal(t, loaded, named, name)
	}
}

// Each role of one machine shows its metrics at a port of its own.
func TestRolesOfOneMachineListenApart(t *testing.T) {
	seen := map[string]string{}
	for _, name := range []string{"muster.env.example", "ingest.env", "project.env", "serve.env"} {
		for _, match := range regexp.MustCompile(`(?m)^MUSTER_(?:METRICS_)?LISTEN=(127\.0\.0\.1:\d+)$`).FindAllStringSubmatch(read(t, "systemd", name), -1) {
			require.NotContains(t, seen, match[1], name)
			seen[match[1]] = name
		}
	}
	require.Len(t, seen, 5)
}

func TestSysusersTakesTheUser(t *testing.T) {
	if _, err := exec.LookPath("systemd-sysusers"); err != nil {
		t.Skip("systemd-sysusers is not installed")
	}
	etc := filepath.Join(t.TempDir(), "etc")
	require.NoError(t, os.MkdirAll(etc, 0o755))
	file := filepath.Join(t.TempDir(), "muster.conf")
	require.NoError(t, os.WriteFile(file, []byte(read(t, "systemd", "muster.sysusers")), 0o644))
	out, err := exec.CommandContext(t.Context(), "systemd-sysusers", "--root="+filepath.Dir(etc), file).CombinedOutput()
	require.NoError(t, err, string(out))
	users, err := os.ReadFile(filepath.Join(etc, "passwd"))
	require.NoError(t, err)
	require.Regexp(t, `(?m)^muster:x:\d+:\d+:Muster:/var/lib/muster:\S*nologin$`, string(users))
}
