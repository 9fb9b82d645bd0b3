package esi_test

import (
	"bytes"
	"errors"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"github.com/muster-sync/muster/domain/eve"
	"github.com/muster-sync/muster/domain/event"
	"github.com/muster-sync/muster/domain/sealed"
	"github.com/muster-sync/muster/ingest/esi"
	"github.com/muster-sync/muster/ingest/keyring"
)

func TestPersonalTextsAreSealedAndMakeNoChange(t *testing.T) {
	r := newRig(t)
	keys := keyring.New(keyring.Config{Pool: r.pool, Secret: func() ([]byte, error) { return bytes.Repeat([]byte{1}, keyring.SecretSize), nil }})
	var err error
	r.syncer, err = esi.NewSyncer(esi.Config{
		Pool: r.pool, Client: r.client, Appender: r.log, Sealer: keys, Logins: r.vault, Registerer: prometheus.NewRegistry(), Now: r.world.Clock.Now,
	})
	require.NoError(t, err)
	public := r.world.Serve(path(""), time.Hour, `{"name":"Pilot","corporation_id":98000001,"description":"born in a barn"}`)
	box := r.mailbox(t, 1)
	r.world.Serve(path("/mail/1"), 30*time.Second, `{"body":"meet me at the usual place","subject":"s"}`)

	// Whatever becomes of the first try, what is appended in the end is the same.
	r.log.after = func() error { return errors.New("the log is away") }
	_, err = r.syncer.Sync(t.Context(), pilot, eve.SectionDetails)
	require.ErrorContains(t, err, "the log is away")
	r.log.after = nil
	r.sync(t, eve.SectionDetails)
	require.Len(t, r.log.events, 2)
	require.Equal(t, r.log.events[0], r.log.events[1])
	r.sync(t, eve.SectionMails)
	require.Equal(t, 1, r.follow(t, eve.SectionMails).Events)

	texts := []string{"born in a barn", "usual place", `"subject":"s"`, "Fleets", "Inbox"}
	sealedEvents := 0
	registry := event.NewRegistry()
	eve.Register(registry)
	registry.OpenWith(keys.Open)
	model := eve.NewModel()
	for _, e := range r.log.events {
		for _, text := range texts {
			require.NotContains(t, string(e.Data), text, e.Type)
		}
		if len(sealed.KeyIDs(e.Data)) > 0 {
			sealedEvents++
		}
		p, err := registry.Decode(e)
		require.NoError(t, err)
		require.NoError(t, model.Apply(e, p))
	}
	require.Equal(t, len(r.log.events), sealedEvents, "details, headers, labels with lists, and the body")
	require.JSONEq(t, `"meet me at the usual place"`, string(model.Character(pilot).Records[eve.SectionMails]["1"]["body"]))

	// The same texts once more, otherwise spelt or read anew, are no change; others are.
	before := len(r.log.events)
	public.Set(`{ "corporation_id":98000001, "description":"born in a barn", "name":"Pilot"}`)
	r.world.Clock.Advance(25 * time.Hour)
	require.Equal(t, esi.Unchanged, r.sync(t, eve.SectionDetails).Result)
	box.serve()
	require.Equal(t, esi.Unchanged, r.sync(t, eve.SectionMails).Result)
	require.Len(t, r.log.events, before)
	public.Set(`{"name":"Pilot","corporation_id":98000001,"description":"born in a castle"}`)
	r.world.Clock.Advance(2 * time.Hour)
	require.Equal(t, esi.Changed, r.sync(t, eve.SectionDetails).Result)
}
