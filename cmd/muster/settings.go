package main

import (
	"bytes"
	"cmp"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/alecthomas/kong"
	"github.com/goccy/go-yaml"

	"github.com/muster-sync/muster/domain/event"
	"github.com/muster-sync/muster/ingest/sso"
	"github.com/muster-sync/muster/internal/engine"
	"github.com/muster-sync/muster/internal/tracing"
	"github.com/muster-sync/muster/projections/runner"
)

// settings are the flags that every subcommand takes. Each can be set in the
// environment and as a key of muster.yaml.
type settings struct {
	DataDir      string        `env:"MUSTER_DATA_DIR" default:"${data_dir}" help:"Folder of the embedded engines' data." placeholder:"DIR"`
	KafkaBrokers []string      `env:"MUSTER_KAFKA_BROKERS" help:"Addresses of Kafka brokers; empty runs the embedded one." placeholder:"HOST:PORT"`
	Kafka        kafkaSettings `embed:"" prefix:"kafka-"`

	PostgresDSN   string `env:"MUSTER_POSTGRES_DSN" help:"Postgres to use; empty runs the embedded one." file:"MUSTER_POSTGRES_DSN_FILE" placeholder:"DSN"`
	ClickhouseDSN string `env:"MUSTER_CLICKHOUSE_DSN" help:"ClickHouse to use; empty runs the embedded one." file:"MUSTER_CLICKHOUSE_DSN_FILE" placeholder:"DSN"`

	ClickhouseCluster string `env:"MUSTER_CLICKHOUSE_CLUSTER" help:"Cluster of the ClickHouse to use, over which tables are made; empty is one server." placeholder:"NAME"`

	KafkaPartitions  int32 `env:"MUSTER_KAFKA_PARTITIONS" default:"12" help:"Partitions of the topics, fixed when they are created."`
	KafkaReplication int16 `env:"MUSTER_KAFKA_REPLICATION" default:"1" help:"Copies of each partition; 3 for a cluster."`

	Listen string `env:"MUSTER_LISTEN" default:"127.0.0.1:8080" help:"Address of the API."`
	URL    string `env:"MUSTER_URL" help:"Where commands find a running Muster; default is the listen address." placeholder:"URL"`
	Token  string `env:"MUSTER_TOKEN" help:"Token for a running Muster; default is the administrator's." file:"MUSTER_TOKEN_FILE" placeholder:"TOKEN"`

	AdminTokenFile string `env:"MUSTER_ADMIN_TOKEN_FILE" help:"File that holds the administrator's token; default is admin-token of the data folder, which is made." placeholder:"FILE"`

	SecretKey     string `env:"MUSTER_SECRET_KEY" help:"Key that seals tokens: 32 bytes in base64 or hex." placeholder:"KEY"`
	SecretKeyFile string `env:"MUSTER_SECRET_KEY_FILE" help:"File that holds the key; default is secret-key of the data folder." placeholder:"FILE"`

	SecretKeyPrevious     []string `env:"MUSTER_SECRET_KEY_PREVIOUS" help:"Further keys that open what is sealed, while the key is being replaced." placeholder:"KEY"`
	SecretKeyPreviousFile string   `env:"MUSTER_SECRET_KEY_PREVIOUS_FILE" help:"File that holds further keys, one in a line." placeholder:"FILE"`

	Traces tracesSettings `embed:"" prefix:"traces-"`

	LogLevel  slog.Level `env:"MUSTER_LOG_LEVEL" default:"INFO" help:"DEBUG, INFO, WARN or ERROR."`
	LogFormat string     `env:"MUSTER_LOG_FORMAT" enum:"text,json" default:"text" help:"Format of the log: text or json."`
}

func defaultDataDir() string {
	if dir := os.Getenv("XDG_DATA_HOME"); dir != "" {
		return filepath.Join(dir, "muster")
	}
	home, err := os.UserHomeDir()
	if err != nil {
		return "muster-data"
	}
	return filepath.Join(home, ".local", "share", "muster")
}

func (s *settings) newLogger(w io.Writer) *slog.Logger {
	options := &slog.HandlerOptions{Level: s.LogLevel}
	var handler slog.Handler = slog.NewTextHandler(w, options)
	if s.LogFormat == "json" {
		handler = slog.NewJSONHandler(w, options)
	}
	if s.Traces.Endpoint != "" {
		handler = tracing.NewHandler(handler)
	}
	return slog.New(handler)
}

func (s *settings) external() engine.Addresses {
	return engine.Addresses{KafkaBrokers: s.KafkaBrokers, PostgresDSN: s.PostgresDSN, ClickHouseDSN: s.ClickhouseDSN}
}

// cluster is where the tables of ClickHouse lie.
func (s *settings) cluster() (runner.Cluster, error) {
	if s.ClickhouseCluster != "" && s.ClickhouseDSN == "" {
		return runner.Cluster{}, event.Errorf(event.CodeInvalid, "MUSTER_CLICKHOUSE_CLUSTER names a cluster of your own servers, and the embedded ClickHouse is none: set MUSTER_CLICKHOUSE_DSN, or leave the cluster out")
	}
	return runner.Cluster{Name: s.ClickhouseCluster}, nil
}

// secretKey reads the key that seals tokens. With create it makes one in the
// data folder where none is configured.
func (s *settings) secretKey(create bool) ([]byte, error) {
	if s.SecretKey != "" {
		return parseKey(s.SecretKey, "MUSTER_SECRET_KEY")
	}
	path := s.SecretKeyFile
	if path == "" {
		path = filepath.Join(s.DataDir, "secret-key")
	}
	content, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) && create && s.SecretKeyFile == "" {
		return createKey(path)
	}
	if err != nil {
		return nil, event.Errorf(event.CodeInvalid, "reading the key that seals tokens: %w; set MUSTER_SECRET_KEY or MUSTER_SECRET_KEY_FILE", err)
	}
	return parseKey(string(bytes.TrimSpace(content)), path)
}

// formerKeys reads the keys that open what the one of secretKey has not sealed.
func (s *settings) formerKeys() ([][]byte, error) {
	texts, from := s.SecretKeyPrevious, "MUSTER_SECRET_KEY_PREVIOUS"
	if len(texts) == 0 && s.SecretKeyPreviousFile != "" {
		content, err := os.ReadFile(s.SecretKeyPreviousFile)
		if err != nil {
			return nil, event.Errorf(event.CodeInvalid, "reading the keys that were in use before: %w; see MUSTER_SECRET_KEY_PREVIOUS_FILE", err)
		}
		texts, from = strings.Fields(string(content)), s.SecretKeyPreviousFile
	}
	var keys [][]byte
	for _, text := range texts {
		key, err := parseKey(text, from)
		if err != nil {
			return nil, err
		}
		keys = append(keys, key)
	}
	return keys, nil
}

func createKey(path string) ([]byte, error) {
	key := sso.NewKey()
	if err := writeSecret(path, base64.StdEncoding.EncodeToString(key)); err != nil {
		return nil, err
	}
	return key, nil
}

func parseKey(text, from string) ([]byte, error) {
	for _, decode := range []func(string) ([]byte, error){base64.StdEncoding.DecodeString, hex.DecodeString} {
		if key, err := decode(text); err == nil && len(key) == sso.KeySize {
			return key, nil
		}
	}
	return nil, event.Errorf(event.CodeInvalid, "the key in %s is not %d bytes in base64 or hex: make one with `openssl rand -base64 %d`", from, sso.KeySize, sso.KeySize)
}

// writeSecret writes a file that only its owner can read.
func writeSecret(path, content string) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return fmt.Errorf("making the folder of %s: %w", path, err)
	}
	if err := os.WriteFile(path, []byte(content+"\n"), 0o600); err != nil {
		return fmt.Errorf("writing %s: %w", path, err)
	}
	return nil
}

// adminTokenPath is where the administrator's token is.
func (s *settings) adminTokenPath() string {
	return cmp.Or(s.AdminTokenFile, filepath.Join(s.DataDir, "admin-token"))
}

// adminToken reads the administrator's token, or makes one in the data folder. A file
// that was named is given from elsewhere, to several processes perhaps, and is not made.
func (s *settings) adminToken() (string, error) {
	content, err := os.ReadFile(s.adminTokenPath())
	if err == nil {
		return string(bytes.TrimSpace(content)), nil
	}
	if s.AdminTokenFile != "" {
		return "", event.Errorf(event.CodeInvalid, "reading the administrator's token: %w; see MUSTER_ADMIN_TOKEN_FILE", err)
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return "", fmt.Errorf("reading the admin token: %w", err)
	}
	secret, err := randomBytes(32)
	if err != nil {
		return "", err
	}
	token := "muster_" + base64.RawURLEncoding.EncodeToString(secret)
	return token, writeSecret(s.adminTokenPath(), token)
}

// yamlFile lets kong read defaults from a YAML file with the flags' names.
func yamlFile(r io.Reader) (kong.Resolver, error) {
	values := map[string]any{}
	if err := yaml.NewDecoder(r).Decode(&values); err != nil && !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("reading muster.yaml: %w", err)
	}
	return kong.ResolverFunc(func(_ *kong.Context, _ *kong.Path, flag *kong.Flag) (any, error) {
		for _, name := range []string{flag.Name, strings.ReplaceAll(flag.Name, "-", "_")} {
			if v, ok := values[name]; ok {
				return fmt.Sprint(v), nil
			}
		}
		return nil, nil
	}), nil
}

// shutdownTimeout bounds how long a stop waits for work in progress.
const shutdownTimeout = 15 * time.Second
