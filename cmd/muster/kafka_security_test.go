package main

import (
	"encoding/pem"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/muster-sync/muster/domain/event"
	"github.com/muster-sync/muster/internal/eventlog"
)

func TestHowBrokersAreSpokenWithFollowsFromTheSettings(t *testing.T) {
	server := httptest.NewTLSServer(nil)
	defer server.Close()
	folder := t.TempDir()
	authority, empty := filepath.Join(folder, "ca.pem"), filepath.Join(folder, "empty.pem")
	require.NoError(t, os.WriteFile(authority, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw}), 0o600))
	require.NoError(t, os.WriteFile(empty, nil, 0o600))
	security := func(args ...string) (eventlog.Security, error) {
		return parsed(t, append([]string{"--kafka-brokers", "kafka:9092"}, args...)...).kafkaSecurity()
	}

	s, err := security()
	require.NoError(t, err)
	require.Equal(t, eventlog.Security{}, s)
	s, err = security("--kafka-tls", "--kafka-user", "muster", "--kafka-password", "p", "--kafka-mechanism", "PLAIN")
	require.NoError(t, err)
	require.NotNil(t, s.TLS)
	require.Nil(t, s.TLS.RootCAs, "the system's")
	require.Equal(t, eventlog.MechanismPlain, s.Mechanism)
	s, err = security("--kafka-ca-file", authority, "--kafka-user", "muster", "--kafka-password", "p")
	require.NoError(t, err)
	require.NotNil(t, s.TLS.RootCAs)
	require.Equal(t, eventlog.MechanismSCRAM5, s.Mechanism)

	for why, args := range map[string][]string{
		"use TLS":                      {"--kafka-user", "muster", "--kafka-password", "p", "--kafka-mechanism", "PLAIN"},
		"a user and a password":        {"--kafka-user", "muster"},
		"MUSTER_KAFKA_CA_FILE names":   {"--kafka-ca-file", filepath.Join(folder, "none.pem")},
		"no certificate in PEM":        {"--kafka-ca-file", empty},
		"give both or none":            {"--kafka-cert-file", authority},
		"Muster's certificate for Kaf": {"--kafka-cert-file", authority, "--kafka-key-file", empty},
	} {
		_, err := security(args...)
		require.ErrorContains(t, err, why)
		require.Equal(t, event.CodeInvalid, event.CodeOf(err), why)
	}
	_, err = parsed(t, "--kafka-tls").kafkaSecurity()
	require.ErrorContains(t, err, "brokers of your own")
}
