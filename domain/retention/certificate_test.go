package retention_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/muster-sync/muster/domain/event"
	"github.com/muster-sync/muster/domain/retention"
)

func certificate(t testing.TB) []byte {
	t.Helper()
	c, err := retention.Certificate{
		MadeAt: now, RunID: "r1", RunAt: now, Policies: retention.DefaultPolicies(), Keys: 3, KeysHash: "ab",
		Partitions: []retention.ScannedPartition{{Topic: event.TopicEVE, End: 9, Records: 4, NotCompacted: 2, Oldest: new(int64(3))}},
		Stores:     []retention.ScannedStore{{Name: "postgres: records", Found: 1}}, NotProven: []string{"backups"}, Previous: "cd",
	}.Sealed()
	require.NoError(t, err)
	require.Equal(t, int64(3), c.Found)
	text, err := json.MarshalIndent(c, "", "  ")
	require.NoError(t, err)
	return text
}

func TestACertificateThatWasChangedIsRefused(t *testing.T) {
	text := string(certificate(t))
	read, err := retention.ReadCertificate([]byte(text))
	require.NoError(t, err)
	require.Equal(t, "r1", read.RunID)
	for _, change := range [][2]string{
		{`"keys": 3`, `"keys": 4`},
		{`"previous": "cd"`, `"previous": "ce"`},
		{`"not_compacted": 2`, `"not_compacted": 0`},
		{`"found": 3`, `"found": 0`},
		{`"backups"`, `"nothing"`},
		{`"format": 1`, `"format": 2`},
		{`"keys_hash"`, `"keys_hush"`},
		{`"run_id": "r1",`, ``},
	} {
		changed := strings.Replace(text, change[0], change[1], 1)
		require.NotEqual(t, text, changed)
		_, err := retention.ReadCertificate([]byte(changed))
		require.Equal(t, event.CodeInvalid, event.CodeOf(err), change[1])
	}
	_, err = retention.ReadCertificate([]byte(text + text))
	require.Equal(t, event.CodeInvalid, event.CodeOf(err))
}

func FuzzReadCertificate(f *testing.F) {
	f.Add(certificate(f))
	f.Add([]byte(`{}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		c, err := retention.ReadCertificate(text)
		if err != nil {
			require.Equal(t, event.CodeInvalid, event.CodeOf(err))
			return
		}
		sealed, err := c.Sealed()
		require.NoError(t, err)
		require.Equal(t, c.Hash, sealed.Hash)
	})
}
