package retention_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/klauspost/compress/zstd"
	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/muster-sync/muster/domain/eve"
	"github.com/muster-sync/muster/domain/event"
	"github.com/muster-sync/muster/internal/engine/enginetest"
	"github.com/muster-sync/muster/internal/eventlog"
	chviews "github.com/muster-sync/muster/projections/clickhouse"
	worker "github.com/muster-sync/muster/projections/retention"
)

const (
	// bookkeeping is how long a batch of records is before its length ends.
	bookkeeping = 12
	// codecs are the bits that say how a batch is compressed, byZstd is that of zstd.
	codecs, byZstd = 7, 4
)

// A real Kafka compacts when it thinks it should, by the settings of its topics. Runs and
// what comes with time are all that is needed for the files of its partitions to hold
// nothing more of what was removed or forgotten.
func TestARealKafkaForgetsWhatWasRemoved(t *testing.T) {
	files := enginetest.RealKafkaFiles(t)
	manifest := eventlog.DefaultManifest()
	manifest.MinCompactionLag, manifest.MaxCompactionLag, manifest.Segment = 0, time.Second, 2*time.Second
	o := newOrganisationOn(t, enginetest.RealKafka(t), manifest)
	const stays, forgotten = 1, 2
	const old, young, private = "burn after reading", "keep this letter", "told in confidence"
	for _, id := range []int64{stays, forgotten} {
		o.told(id)
	}
	letter := func(id int64, day time.Time, mail int, body string) {
		o.put(id, o.ago(1), eve.MailChanged{Facts: records(id, eve.SectionMails, day, o.ago(1), fmt.Sprintf(`{"mail_id":%d,"body":%q}`, mail, body))})
	}
	letter(stays, o.ago(700), 1, old)
	letter(stays, o.ago(10), 3, young)
	letter(forgotten, o.ago(10), 3, private)
	o.verified()
	for _, text := range []string{old, young, private} {
		require.Positive(t, inSegments(t, files, text), text)
	}
	o.put(forgotten, o.now, eve.CharacterForgotten{CharacterID: forgotten, Reason: "asked for"})
	o.settle()

	w := worker.New(o.config(360))
	removed, err := w.Run(t.Context())
	require.NoError(t, err)
	require.Equal(t, 2, removed.Touched)
	require.Eventually(t, func() bool {
		// Each run closes segments by its pulses.
		_, err := w.Run(t.Context())
		require.NoError(t, err)
		o.settle()
		certificate, err := w.Prove(t.Context())
		require.NoError(t, err)
		return certificate.Found == 0 && inSegments(t, files, old) == 0 && inSegments(t, files, private) == 0
	}, 2*time.Minute, time.Second)
	require.Positive(t, inSegments(t, files, young), "what is kept is still there")

	tombstones, values := o.scan()
	for key := range values {
		require.NotContains(t, tombstones, key)
	}
	require.Zero(t, o.rows(chviews.EventIndexName, fmt.Sprintf("SELECT count() FROM %%s.event_index FINAL WHERE stream = '%s' AND type != 'muster.eve.character.forgotten.v1'", event.Character(forgotten))))
	o.verified()
	o.replayed()
	o.verified()
}

// inSegments counts the batches in the files of a broker's partitions that hold a text.
func inSegments(t *testing.T, dir, text string) int {
	t.Helper()
	unpack, err := zstd.NewReader(nil)
	require.NoError(t, err)
	defer unpack.Close()
	segments, err := filepath.Glob(filepath.Join(dir, "muster.*", "*.log"))
	require.NoError(t, err)
	require.NotEmpty(t, segments)
	n := 0
	for _, segment := range segments {
		content, err := os.ReadFile(segment)
		if errors.Is(err, fs.ErrNotExist) {
			continue // It was cleaned just now.
		}
		require.NoError(t, err)
		for len(content) > bookkeeping {
			end := bookkeeping + int(binary.BigEndian.Uint32(content[8:bookkeeping]))
			if end == bookkeeping || end > len(content) {
				break // The end of a segment that is still written to.
			}
			var batch kmsg.RecordBatch
			require.NoError(t, batch.ReadFrom(content[:end]), segment)
			records := batch.Records
			if batch.Attributes&codecs == byZstd {
				records, err = unpack.DecodeAll(records, nil)
				require.NoError(t, err, segment)
			} else {
				require.Zero(t, batch.Attributes&codecs, "%s: not compressed by zstd", segment)
			}
			if bytes.Contains(records, []byte(text)) {
				n++
			}
			content = content[end:]
		}
	}
	return n
}
