package eve_test

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/muster-sync/muster/domain/eve"
	"github.com/muster-sync/muster/domain/event"
)

const killmail = `{"killmail_id":5,"killmail_hash":"ab","killmail_time":"2026-05-01T10:00:00Z","solar_system_id":30000142,
	"victim":{"character_id":1,"ship_type_id":587,"damage_taken":9,"items":[{"item_type_id":34,"flag":5,"singleton":0,"quantity_dropped":2,"quantity_destroyed":3},{"item_type_id":3467,"flag":5,"singleton":0,"quantity_destroyed":1,"items":[{"item_type_id":35,"flag":0,"singleton":0,"quantity_dropped":7}]},{"item_type_id":36,"flag":5,"singleton":0}]},
	"attackers":[{"character_id":2,"final_blow":false},{"character_id":3,"final_blow":true},{"faction_id":500001,"final_blow":false}]}`

func TestAKillmailIsALossToOneAndAKillToOthers(t *testing.T) {
	want := eve.Killmail{
		ID: 5, Time: time.Date(2026, 5, 1, 10, 0, 0, 0, time.UTC), SolarSystemID: 30000142, Attackers: 3, ShipTypeID: 587, VictimID: 1,
		Lost: []eve.LostItem{{TypeID: 34, Quantity: 5}, {TypeID: 3467, Quantity: 1}, {TypeID: 35, Quantity: 7}},
	}
	for character, change := range map[int64]func(*eve.Killmail){
		1: func(k *eve.Killmail) { k.Loss = true }, 2: func(*eve.Killmail) {}, 3: func(k *eve.Killmail) { k.FinalBlow = true },
	} {
		got, err := eve.DecodeKillmail(character, json.RawMessage(killmail))
		require.NoError(t, err)
		want := want
		change(&want)
		require.Equal(t, want, got)
	}
}

func TestWhatTellsNoKillmailIsRefused(t *testing.T) {
	f := func(item, why string) {
		t.Helper()
		_, err := eve.DecodeKillmail(1, json.RawMessage(item))
		require.Equal(t, event.CodeInvalid, event.CodeOf(err), "%v", err)
		require.ErrorContains(t, err, why)
	}
	f(`7`, "object")
	f(`{}`, "killmail_id")
	f(`{"killmail_id":5}`, "killmail_time")
	f(`{"killmail_id":5,"killmail_time":"2026-05-01T10:00:00Z"}`, "ship_type_id")
	f(`{"killmail_id":5,"killmail_time":"2026-05-01T10:00:00Z","victim":{"ship_type_id":587}}`, "no side")
	f(`{"killmail_id":5,"killmail_time":"2026-05-01T10:00:00Z","victim":{"character_id":1,"ship_type_id":587,"items":[{"item_type_id":34,"quantity_dropped":-1}]}}`, "is none")
}

func FuzzDecodeKillmail(f *testing.F) {
	f.Add([]byte(killmail))
	f.Add([]byte(`{"killmail_id":5,"killmail_time":"2026-05-01T10:00:00Z","victim":{"character_id":1,"ship_type_id":587}}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		k, err := eve.DecodeKillmail(1, b)
		if err != nil {
			require.Equal(t, event.CodeInvalid, event.CodeOf(err))
			return
		}
		require.False(t, k.Loss && k.FinalBlow)
		for _, i := range k.Lost {
			require.Positive(t, i.Quantity)
		}
	})
}
