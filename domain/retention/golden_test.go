package retention_test

import (
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/muster-sync/muster/domain/event"
	"github.com/muster-sync/muster/domain/retention"
)

var update = flag.Bool("update", false, "write golden files that are not there yet; those that are there never change")

func examples() []event.Payload {
	cutOffs := []retention.CutOff{{Class: retention.ClassHistory, At: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)}}
	return []event.Payload{
		retention.Started{RunID: "r1", At: now, Policies: retention.Policies{HistoryDays: 360, StateDays: 360, StateAllDays: 30}, CutOffs: cutOffs},
		retention.Completed{
			RunID: "r1", At: now, Policies: retention.Policies{HistoryDays: 360, StateDays: 360, StateAllDays: 30}, CutOffs: cutOffs, Streams: 3, Touched: 2,
			Tombstones: map[retention.Class]int{retention.ClassHistory: 5}, Closings: 1, Swept: 1,
		},
		retention.Certified{RunID: "r1", Hash: "ab", Previous: "cd", Clean: true, Found: 0},
	}
}

// TestGoldenFilesOfCurrentTypes pins how the events are written and read. A file that
// fails here must not be changed: make a new version of the type.
func TestGoldenFilesOfCurrentTypes(t *testing.T) {
	registry := event.NewRegistry()
	retention.Register(registry)
	require.Len(t, registry.Types(), len(examples()))
	for _, p := range examples() {
		file := filepath.Join("testdata", "golden", string(p.EventType())+".json")
		written, err := json.MarshalIndent(p, "", "  ")
		require.NoError(t, err)
		if _, err := os.Stat(file); *update && os.IsNotExist(err) {
			require.NoError(t, os.MkdirAll(filepath.Dir(file), 0o750))
			require.NoError(t, os.WriteFile(file, append(written, '\n'), 0o600))
		}
		kept, err := os.ReadFile(file)
		require.NoError(t, err)
		require.Equal(t, string(kept), string(written)+"\n")
		decoded, err := registry.Decode(event.Event{ID: uuid.New(), Type: p.EventType(), Stream: event.Org, Data: kept})
		require.NoError(t, err)
		require.Equal(t, p, decoded)
	}
}
