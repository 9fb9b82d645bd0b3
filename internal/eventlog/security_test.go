package eventlog_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kfake"

	"github.com/muster-sync/muster/domain/event"
	"github.com/muster-sync/muster/internal/eventlog"
)

// guarded is a broker that speaks TLS alone and lets in one user.
func guarded(t *testing.T, mechanism eventlog.Mechanism) (brokers []string, s eventlog.Security) {
	t.Helper()
	// Its certificate is for 127.0.0.1.
	server := httptest.NewUnstartedServer(nil)
	server.StartTLS()
	t.Cleanup(server.Close)
	cluster, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.TLS(&tls.Config{Certificates: server.TLS.Certificates}),
		kfake.EnableSASL(), kfake.Superuser(string(mechanism), "muster", "correct horse"))
	require.NoError(t, err)
	t.Cleanup(cluster.Close)
	trusted := x509.NewCertPool()
	trusted.AddCert(server.Certificate())
	return cluster.ListenAddrs(), eventlog.Security{TLS: &tls.Config{RootCAs: trusted, MinVersion: tls.VersionTLS12}, Mechanism: mechanism, User: "muster", Password: "correct horse"}
}

func TestBrokersWithTLSAndUsersAreSpokenWithByAllParts(t *testing.T) {
	for _, mechanism := range []eventlog.Mechanism{eventlog.MechanismPlain, eventlog.MechanismSCRAM2, eventlog.MechanismSCRAM5} {
		t.Run(string(mechanism), func(t *testing.T) {
			brokers, security := guarded(t, mechanism)
			require.NoError(t, security.Validate())
			manifest := eventlog.DefaultManifest()
			manifest.Partitions = 1
			require.NoError(t, manifest.Ensure(t.Context(), brokers, security))
			_, err := manifest.Inspect(t.Context(), brokers, security)
			require.NoError(t, err)
			_, err = eventlog.DescribeCluster(t.Context(), brokers, security)
			require.NoError(t, err)

			appender, err := eventlog.NewAppender(eventlog.AppenderConfig{Brokers: brokers, Security: security})
			require.NoError(t, err)
			defer func() { require.NoError(t, appender.Close()) }()
			e := event.Event{ID: uuid.New(), Type: journal{}.EventType(), Source: "test", Stream: event.Character(1), Time: time.Now(), Data: []byte(`{}`)}
			require.NoError(t, appender.Append(t.Context(), e))

			reader, err := eventlog.NewReader(eventlog.ReaderConfig{Brokers: brokers, Security: security})
			require.NoError(t, err)
			defer reader.Close()
			records, err := reader.ReadAt(t.Context(), []event.Position{{Topic: event.TopicEVE}})
			require.NoError(t, err)
			require.Len(t, records, 1)
			restorer, err := eventlog.NewRestorer(t.Context(), eventlog.RestorerConfig{Brokers: brokers, Security: security}, event.TopicEVE)
			require.NoError(t, err)
			restorer.Close()

			registry := event.NewRegistry()
			event.Register[journal](registry)
			reactors, err := eventlog.NewReactors(eventlog.ReactorsConfig{Brokers: brokers, Security: security, Registry: registry, SessionTimeout: 6 * time.Second, CloseTimeout: 10 * time.Second})
			require.NoError(t, err)
			told := make(chan uuid.UUID, 1)
			require.NoError(t, reactors.Handle("guarded", event.TopicEVE, func(_ context.Context, e event.Recorded) error {
				told <- e.ID
				return nil
			}))
			done := make(chan error, 1)
			go func() { done <- reactors.Run(t.Context()) }()
			require.Equal(t, e.ID, <-told)
			require.NoError(t, reactors.Close())
			require.NoError(t, <-done)
		})
	}
}

func TestAWrongPasswordIsRefusedAndNotTold(t *testing.T) {
	brokers, security := guarded(t, eventlog.MechanismSCRAM5)
	security.Password = "battery staple"
	_, err := eventlog.DescribeCluster(t.Context(), brokers, security)
	require.Error(t, err)
	require.NotContains(t, err.Error(), "battery")
	_, err = eventlog.NewAppender(eventlog.AppenderConfig{Brokers: brokers, Security: security})
	require.Equal(t, event.CodeUnavailable, event.CodeOf(err))
	require.NotContains(t, err.Error(), "battery")

	// Who does not know the certificate does not speak either.
	security.TLS = &tls.Config{MinVersion: tls.VersionTLS12}
	_, err = eventlog.DescribeCluster(t.Context(), brokers, security)
	require.ErrorContains(t, err, "certificate")
}

func TestSecurityThatCannotBeIsRefused(t *testing.T) {
	secured := &tls.Config{MinVersion: tls.VersionTLS12}
	for why, s := range map[string]eventlog.Security{
		"no mechanism":          {User: "muster"},
		`mechanism "GSSAPI"`:    {Mechanism: "GSSAPI", User: "muster", Password: "p"},
		"a user and a password": {Mechanism: eventlog.MechanismSCRAM5, User: "muster"},
		"use TLS, or SCRAM":     {Mechanism: eventlog.MechanismPlain, User: "muster", Password: "p"},
	} {
		require.ErrorContains(t, s.Validate(), why)
		require.Equal(t, event.CodeInvalid, event.CodeOf(s.Validate()))
	}
	require.NoError(t, eventlog.Security{}.Validate())
	require.NoError(t, eventlog.Security{TLS: secured}.Validate())
	require.NoError(t, eventlog.Security{TLS: secured, Mechanism: eventlog.MechanismPlain, User: "muster", Password: "p"}.Validate())
}
