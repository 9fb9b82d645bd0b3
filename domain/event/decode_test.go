package event_test

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/muster-sync/muster/domain/event"
)

// everything has a field of each kind that payloads have.
type everything struct {
	ID       int64             `json:"id"`
	Small    int32             `json:"small,omitempty"`
	Text     string            `json:"text"`
	Flag     bool              `json:"flag"`
	Amount   json.Number       `json:"amount,omitempty"`
	At       time.Time         `json:"at"`
	Perhaps  *time.Time        `json:"perhaps,omitempty"`
	Owner    *int64            `json:"owner"`
	Finding  uuid.UUID         `json:"finding_id"`
	Value    json.RawMessage   `json:"value,omitempty"`
	List     []string          `json:"list"`
	Parts    []part            `json:"parts"`
	ByName   map[string]part   `json:"by_name"`
	Settings map[string]string `json:"settings"`
	part
}

type part struct {
	Name  string `json:"name"`
	Count int    `json:"count"`
}

func (everything) EventType() event.Type { return "muster.eve.thing.tried.v1" }

// Values must be read as encoding/json reads them, whatever is fast: a read model
// that is rebuilt has to come out equal.
func FuzzDecodeAgreesWithEncodingJSON(f *testing.F) {
	for _, seed := range []string{
		`{"id":1,"text":"a\u00e9\ud83d\ude00\n","amount":-12.50,"at":"2026-07-01T00:00:00.123Z","value":{"a":[1, 2.0]},"parts":[{"name":"x","count":3},null]}`,
		`{"ID":1,"Text":"folded","FLAG":true}`, `{"id":1.5}`, `{"id":"1"}`, `{"amount":"12"}`, `{"amount":null,"list":null,"value":null}`,
		`{"id":1,"id":2,"parts":[{"name":"a"}],"parts":[{"count":1}]}`, `{"by_name":{"a":{"name":"b"}},"settings":{"k":"v"}}`, `{"finding_id":"x"}`,
		`{"perhaps":"2026-07-01T02:00:00+02:00","owner":9007199254740993}`, "{\"text\":\"\xff\"}", `{"small":4294967296}`, `null`, `[]`, `{}`, `{"text":"\ud800"}`, `{"id":1} x`,
	} {
		f.Add([]byte(seed))
	}
	r := event.NewRegistry()
	event.Register[everything](r)
	f.Fuzz(func(t *testing.T, data []byte) {
		if data == nil {
			return
		}
		var want everything
		wantErr := json.Unmarshal(data, &want)
		e, err := event.New(uuid.New(), event.Character(1), "test", time.Now(), everything{})
		require.NoError(t, err)
		e.Data = data
		got, err := r.Decode(e)
		if wantErr != nil {
			require.Error(t, err)
			return
		}
		require.NoError(t, err)
		require.Equal(t, want, got)
	})
}
