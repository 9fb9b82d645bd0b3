//go:build linux

package main

import (
	"context"
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// TestSeveralIngestsShareTheCharacters runs three ingest processes against the
// strict simulator, kills one without warning and starts another: no rule of ESI is
// broken, but those that a process that is killed cannot keep, and every section and
// all that is fetched apart goes on to be read.
func TestSeveralIngestsShareTheCharacters(t *testing.T) {
	if testing.Short() {
		t.Skip("takes a minute")
	}
	d := startDay(t, sizeOfDay(t))
	ingests := []*service{d.ingest}
	begin := func() {
		n := len(ingests) + 1
		ingests = append(ingests, startService(t, d.binary, d.files, fmt.Sprintf("ingest-%d", n), d.env, "ingest"))
	}
	begin()
	begin()
	// sharing waits until three processes share all parts, none of which has a
	// number.
	sharing := func(what string, not int) {
		t.Helper()
		d.eventually(what, func(ctx context.Context) error {
			var owners, shards int
			err := d.stores.pool.QueryRow(ctx, `
				SELECT count(DISTINCT s.owner), count(s.owner) FROM ingest.shard s JOIN ingest.member m ON m.id = s.owner AND m.expires_at > now()
				WHERE s.owner NOT LIKE '%/' || $1::int || '/%'`, not).Scan(&owners, &shards)
			if err == nil && (owners != 3 || shards != 16) {
				err = fmt.Errorf("%d processes share %d of 16 parts", owners, shards)
			}
			return err
		})
	}
	sharing("three share", 0)
	d.wait()
	d.requireNoBreach()

	// The one that is killed cannot know afterwards what it was told last. What it
	// asked is answered before the world forgives.
	ingests[0].mu.Lock()
	pid := ingests[0].cmd.Process.Pid
	ingests[0].mu.Unlock()
	ingests[0].killGroup()
	time.Sleep(4 * poll) //nolint:forbidigo // The simulator does not tell that nobody is left to answer.
	require.NoError(t, d.ask(t.Context(), http.MethodPost, d.esiURL+"/_simulator/forgive", nil))
	killed := time.Now()
	sharing("the killed one's successor has its part", pid)
	t.Logf("all parts were shared again %s after one of three was killed and started again", time.Since(killed))
	d.wait()
	d.settle()
	var books struct {
		Violations []struct{ Rule, Request, Detail string }
	}
	require.NoError(t, d.get(t.Context(), d.esiURL+"/_simulator/violations", &books))
	for _, v := range books.Violations {
		require.Contains(t, allowedBreaches, v.Rule, "%s: %s", v.Request, v.Detail)
	}
	for _, p := range append([]*service{d.serve}, ingests...) {
		require.NoError(t, p.stop(), "stopping %s", p.name)
	}
	for _, p := range []*service{d.project, d.clickhouse, d.postgres, d.kafka, d.esi} {
		require.NoError(t, p.stop(), "stopping %s", p.name)
	}
}
