package main

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"

	"github.com/alecthomas/kong"
	"github.com/goccy/go-yaml"
	"golang.org/x/sys/unix"

	"github.com/muster-sync/muster/ingest/anvil"
	"github.com/muster-sync/muster/ingest/notify"
	"github.com/muster-sync/muster/internal/doctor"
)

// settingsChecks look at what this process was given and at this machine.
func (x *examination) settingsChecks() []doctor.Check {
	return []doctor.Check{
		{Name: "settings", Look: x.pure(func() doctor.Outcome { return doctor.Contradictions(x.doctorSettings()) })},
		{Name: "settings.names", Look: func(context.Context) (doctor.Outcome, error) { return x.lookAtNames() }},
		{Name: "settings.worlds", Look: x.pure(func() doctor.Outcome { return doctor.Worlds(x.doctorSettings()) })},
		{Name: "secret-key", Look: x.pure(x.lookAtKey)},
		{Name: "files", Look: func(context.Context) (doctor.Outcome, error) { return x.lookAtFiles() }},
		{Name: "disk", Look: func(context.Context) (doctor.Outcome, error) { return x.lookAtDisk() }},
		{Name: "memory", Look: func(context.Context) (doctor.Outcome, error) { return x.lookAtMemory() }},
	}
}

func (x *examination) pure(look func() doctor.Outcome) func(context.Context) (doctor.Outcome, error) {
	return func(context.Context) (doctor.Outcome, error) { return look(), nil }
}

// doctorSettings are the settings as verdicts want them.
func (x *examination) doctorSettings() doctor.Settings {
	s, w := x.env.settings, x.command.worlds
	_, err := os.Stat(filepath.Join(s.DataDir, "demo"))
	return doctor.Settings{
		OwnKafka: len(s.KafkaBrokers) > 0, OwnClickHouse: s.ClickhouseDSN != "", ClickHouseCluster: s.ClickhouseCluster,
		Partitions: s.KafkaPartitions, Replication: s.KafkaReplication, Listen: s.Listen,
		ESIURL: w.ESIURL, SSOURL: w.SSOURL, SamURL: cmp.Or(w.SamURL, anvil.DefaultSamURL), RawlsURL: cmp.Or(w.RawlsURL, anvil.DefaultRawlsURL),
		SSOClientID: w.SSOClientID, SSOClientSecret: w.SSOClientSecret, SignInClient: w.Door.SignInClientID, SSOCallbackURL: w.SSOCallbackURL, Contact: w.Contact,
		NoCredentials: w.AnvilCredentials == anvil.NoCredentials,
		TwoKeys:       s.SecretKey != "" && s.SecretKeyFile != "", TwoFormerKeys: len(s.SecretKeyPrevious) > 0 && s.SecretKeyPreviousFile != "",
		DemoData: err == nil, Refused: w.refused(),
	}
}

// refused are the reasons for which parts would not start with these settings, in the
// words of the parts themselves.
func (w worlds) refused() []string {
	var reasons []string
	note := func(err error) {
		if err != nil {
			reasons = append(reasons, err.Error())
		}
	}
	_, err := w.Retention.policies()
	note(err)
	if w.AnvilCredentials != anvil.NoCredentials { // what is wrong with that is a matter of the worlds
		note(anvil.ClientConfig{SamURL: w.SamURL, RawlsURL: w.RawlsURL, Credentials: w.AnvilCredentials}.Validate())
	}
	if len(w.Notify.EmailTo) > 0 {
		_, err := w.Notify.to(w.Notify.EmailTo)
		note(err)
	}
	if w.Notify.WebhookURL != "" {
		webhook, err := notify.NewWebhook(w.Notify.WebhookURL, w.Notify.WebhookSecret, noticeTimeout)
		note(err)
		if err == nil {
			webhook.Close()
		}
	}
	return reasons
}

// configurationFile is where settings may be beside flags and the environment.
const configurationFile = "muster.yaml"

// secretFlags are the flags whose values nobody else may read.
var secretFlags = []string{
	"secret-key", "secret-key-previous", "token", "postgres-dsn", "clickhouse-dsn", "sso-client-secret", "sign-in-client-secret",
	"notify-email-password", "notify-webhook-secret", "kafka-password",
}

// configuration reads muster.yaml; nil if there is none.
func configuration() (map[string]any, error) {
	content, err := os.ReadFile(configurationFile)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", configurationFile, err)
	}
	values := map[string]any{}
	if err := yaml.Unmarshal(content, &values); err != nil {
		// The library's error quotes lines of the file.
		return nil, doctor.NotLooked{Why: configurationFile + " cannot be read", Remedy: "correct it; it holds keys and values in YAML"}
	}
	return values, nil
}

func (x *examination) lookAtNames() (doctor.Outcome, error) {
	values, err := configuration()
	if err != nil {
		return doctor.Outcome{}, err
	}
	flags, variables := namesOf(x.model)
	found := doctor.Document{There: values != nil}
	for name, value := range values {
		if !flags[strings.ReplaceAll(name, "_", "-")] {
			found.Unknown = append(found.Unknown, name)
		}
		switch value.(type) {
		case []any, map[string]any:
			found.Lists = append(found.Lists, name)
		}
	}
	for _, entry := range os.Environ() {
		name, _, _ := strings.Cut(entry, "=")
		if strings.HasPrefix(name, "MUSTER_") && !variables[name] && !readElsewhere(name) {
			found.Variables = append(found.Variables, name)
		}
	}
	slices.Sort(found.Unknown)
	slices.Sort(found.Lists)
	slices.Sort(found.Variables)
	return doctor.Known(found), nil
}

// namesOf are the names and variables of all flags of all commands: a key of muster.yaml
// goes by its name alone.
func namesOf(model *kong.Application) (flags, variables map[string]bool) {
	flags, variables = map[string]bool{}, map[string]bool{}
	for _, leaf := range model.Leaves(false) {
		for _, group := range leaf.AllFlags(false) {
			for _, flag := range group {
				flags[flag.Name] = true
				for _, name := range flag.Envs {
					variables[name] = true
				}
			}
		}
	}
	return flags, variables
}

// readElsewhere tells of variables that are no flag's: what embedded engines and tests
// read, and what Kubernetes sets for a service that is called muster.
func readElsewhere(name string) bool {
	if strings.HasPrefix(name, "MUSTER_SERVICE_") || strings.HasPrefix(name, "MUSTER_PORT") {
		return true
	}
	for _, prefix := range []string{
		"ENGINES_DIR", "CLICKHOUSE_USER", "CLICKHOUSE_PASSWORD", "LIBCHDB",
		"TEST_", "REQUIRE_", "BENCH_", "CHAOS_", "DAY_", "YEAR_", "SHARED_DIR", "SCREENSHOTS", "ACCESS_ORGANISATIONS",
	} {
		if strings.HasPrefix(name, "MUSTER_"+prefix) {
			return true
		}
	}
	return false
}

// lookAtKey tells whether there is a secret key and whether it is one.
func (x *examination) lookAtKey() (o doctor.Outcome) {
	s := x.env.settings
	_, err := s.secretKey(false)
	switch {
	case errors.Is(err, fs.ErrNotExist) && s.SecretKeyFile == "":
		o.Problems = append(o.Problems, doctor.Problem{
			Verdict: doctor.Warning, Seen: "there is no secret key yet: the first process with an EVE application makes one in the data folder",
			Remedy: "set MUSTER_SECRET_KEY, or MUSTER_SECRET_KEY_FILE, if processes run on several machines",
		})
	case err != nil:
		o.Problems = append(o.Problems, doctor.Problem{Verdict: doctor.Failed, Seen: err.Error(), Remedy: "set MUSTER_SECRET_KEY to 32 bytes in base64 or hex"})
	}
	former, err := s.formerKeys()
	if err != nil {
		o.Problems = append(o.Problems, doctor.Problem{Verdict: doctor.Failed, Seen: err.Error(), Remedy: "correct MUSTER_SECRET_KEY_PREVIOUS or its file"})
	}
	o.Seen = fmt.Sprintf("a key of 32 bytes, %d former ones", len(former))
	return o
}

// lookAtFiles tells who may read the files that hold secrets.
func (x *examination) lookAtFiles() (doctor.Outcome, error) {
	s := x.env.settings
	var files []doctor.File
	look := func(path, what string, named bool) {
		info, err := os.Stat(path)
		switch {
		case errors.Is(err, fs.ErrNotExist) && !named:
			return
		case err != nil:
			files = append(files, doctor.File{Path: path, What: what, Missing: errors.Is(err, fs.ErrNotExist), Unreadable: true})
			return
		}
		// Access asks for this user without opening the file.
		files = append(files, doctor.File{Path: path, What: what, Mode: info.Mode(), Unreadable: unix.Access(path, unix.R_OK) != nil})
	}
	look(cmp.Or(s.SecretKeyFile, filepath.Join(s.DataDir, "secret-key")), "the key that seals logins", s.SecretKeyFile != "" && s.SecretKey == "")
	if s.SecretKeyPreviousFile != "" {
		look(s.SecretKeyPreviousFile, "former keys", len(s.SecretKeyPrevious) == 0)
	}
	look(s.adminTokenPath(), "the administrator's token", false)
	look(filepath.Join(s.DataDir, "engines.json"), "passwords of the embedded engines", false)
	if key := x.command.AnvilCredentials; key != "" && key != anvil.NoCredentials {
		look(key, "the key of the service account", true)
	}
	values, err := configuration()
	if err != nil {
		return doctor.Outcome{}, err
	}
	for name := range values {
		if slices.Contains(secretFlags, strings.ReplaceAll(name, "_", "-")) {
			look(configurationFile, "secrets among the settings", true)
			break
		}
	}
	return doctor.Files(files), nil
}

// lookAtDisk tells how much room the data folder has.
func (x *examination) lookAtDisk() (doctor.Outcome, error) {
	folder, err := filepath.Abs(x.env.settings.DataDir)
	if err != nil {
		return doctor.Outcome{}, fmt.Errorf("finding the data folder: %w", err)
	}
	name := "data folder"
	for {
		var disk unix.Statfs_t
		err := unix.Statfs(folder, &disk)
		if errors.Is(err, fs.ErrNotExist) && folder != filepath.Dir(folder) {
			folder, name = filepath.Dir(folder), "where the data folder will be"
			continue
		}
		if err != nil {
			return doctor.Outcome{}, fmt.Errorf("asking for the room on the disk: %w", err)
		}
		block := uint64(disk.Bsize)
		return doctor.Disks([]doctor.Disk{{Name: name, Free: disk.Bavail * block, Total: disk.Blocks * block}}), nil
	}
}

// lookAtMemory tells how much memory there is and may be used.
func (x *examination) lookAtMemory() (doctor.Outcome, error) {
	m := doctor.Memory{Embedded: x.embedsDatabase()}
	if limit := debug.SetMemoryLimit(-1); limit != math.MaxInt64 {
		m.Limit = uint64(limit)
	}
	for _, path := range []string{"/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"} {
		content, err := os.ReadFile(path)
		if err != nil {
			continue
		}
		// Version 2 says "max" where there is no bound, version 1 an enormous number.
		if n, err := strconv.ParseUint(string(bytes.TrimSpace(content)), 10, 64); err == nil && n < 1<<50 {
			m.Group = n
		}
	}
	content, err := os.ReadFile("/proc/meminfo")
	if err != nil && m.Group == 0 {
		return doctor.Outcome{}, doctor.NotLooked{Why: "this system does not tell how much memory there is", Remedy: "256 MiB for each role, and 2 GiB with embedded engines, are enough"}
	}
	lines := bufio.NewScanner(bytes.NewReader(content))
	for lines.Scan() {
		name, value, _ := strings.Cut(lines.Text(), ":")
		kib, err := strconv.ParseUint(strings.TrimSuffix(strings.TrimSpace(value), " kB"), 10, 64)
		switch {
		case err != nil:
		case name == "MemTotal":
			m.Machine = kib << 10
		case name == "MemAvailable":
			m.Available = kib << 10
		}
	}
	return doctor.Memories(m), nil
}
