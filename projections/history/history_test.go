package history_test

import (
	"context"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/muster-sync/muster/domain/anvil"
	"github.com/muster-sync/muster/domain/event"
	"github.com/muster-sync/muster/internal/eventlog"
	"github.com/muster-sync/muster/projections/history"
)

// written is a log in memory.
type written []eventlog.Record

func (w *written) add(t *testing.T, e event.Event) {
	t.Helper()
	at := event.Position{Topic: event.TopicAnVIL, Offset: int64(len(*w))}
	*w = append(*w, eventlog.Record{Position: at, Key: e.Key(), Headers: e.Headers(), Value: e.Data})
}

func (w *written) ReadStream(_ context.Context, _ string, stream event.Stream, from int64, fn func(eventlog.Record) error) error {
	for _, rec := range (*w)[from:] {
		if len(rec.Key) > len(stream) && rec.Key[:len(stream)+1] == string(stream)+"/" {
			if err := fn(rec); err != nil {
				return err
			}
		}
	}
	return nil
}

var noon = time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)

func registry() *event.Registry {
	r := event.NewRegistry()
	anvil.Register(r)
	return r
}

func fact(t *testing.T, hours int, p event.Payload) event.Event {
	t.Helper()
	e, err := event.New(uuid.New(), event.Consortium("primed"), "test", noon.Add(time.Duration(hours)*time.Hour), p)
	require.NoError(t, err)
	return e
}

func account(email string) anvil.AccountDeclared {
	return anvil.AccountDeclared{Account: anvil.Account{Email: email, Status: anvil.StatusActive}}
}

func emails(s *anvil.State) []string {
	var all []string
	for _, a := range s.Declared().Accounts {
		all = append(all, a.Email)
	}
	return all
}

func TestConsortiumIsReadAsOfAMoment(t *testing.T) {
	var log written
	log.add(t, fact(t, 0, anvil.ConsortiumDeclared{ServiceAccount: "app@example.com"}))
	log.add(t, fact(t, 1, account("a@example.com")))
	log.add(t, fact(t, 2, account("b@example.com")))
	log.add(t, fact(t, 3, anvil.AccountWithdrawn{Email: "a@example.com"}))
	r := history.New(&log, registry())
	for _, c := range []struct {
		asOf time.Time
		want []string
	}{
		{noon, nil},
		{noon.Add(time.Hour), []string{"a@example.com"}},
		{noon.Add(150 * time.Minute), []string{"a@example.com", "b@example.com"}},
		{noon.Add(3 * time.Hour), []string{"b@example.com"}},
		{time.Time{}, []string{"b@example.com"}},
	} {
		s, err := r.Consortium(t.Context(), "primed", c.asOf)
		require.NoError(t, err)
		require.Equal(t, c.want, emails(s), "%s", c.asOf)
	}
}

func TestBeforeItsFirstEventAConsortiumIsNotFound(t *testing.T) {
	var log written
	log.add(t, fact(t, 0, anvil.ConsortiumDeclared{ServiceAccount: "app@example.com"}))
	r := history.New(&log, registry())
	_, err := r.Consortium(t.Context(), "primed", noon.Add(-time.Second))
	require.Equal(t, event.CodeNotFound, event.CodeOf(err))
	_, err = r.Consortium(t.Context(), "elsewhere", time.Time{})
	require.Equal(t, event.CodeNotFound, event.CodeOf(err))
}

func TestWhatATombstoneRemovesIsNotToldAnyMore(t *testing.T) {
	var log written
	log.add(t, fact(t, 0, anvil.ConsortiumDeclared{ServiceAccount: "app@example.com"}))
	gone := fact(t, 1, account("a@example.com"))
	log.add(t, gone)
	log.add(t, event.Tombstone(gone.Stream, gone.ID, noon.Add(2*time.Hour), event.Expiry{Policy: "forget", CutOff: noon}))
	story, err := history.New(&log, registry()).Read(t.Context(), event.TopicAnVIL, gone.Stream, time.Time{})
	require.NoError(t, err)
	require.Len(t, story.Facts, 1)
}

func TestWhatCannotBeReadIsReportedAndTheRestIsTold(t *testing.T) {
	var log written
	log.add(t, fact(t, 0, anvil.ConsortiumDeclared{ServiceAccount: "app@example.com"}))
	bad := fact(t, 1, account("a@example.com"))
	bad.Data = []byte(`{"email":7}`)
	log.add(t, bad)
	log = append(log, eventlog.Record{Position: event.Position{Topic: event.TopicAnVIL, Offset: 2}, Key: "anvil:primed/nonsense", Value: []byte("?")})
	log.add(t, fact(t, 2, account("b@example.com")))
	story, err := history.New(&log, registry()).Read(t.Context(), event.TopicAnVIL, bad.Stream, time.Time{})
	require.NoError(t, err)
	require.Len(t, story.Facts, 2)
	require.Equal(t, []event.Position{{Topic: event.TopicAnVIL, Offset: 1}, {Topic: event.TopicAnVIL, Offset: 2}}, story.Unreadable)
}
