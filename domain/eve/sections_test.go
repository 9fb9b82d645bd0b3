package eve_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/muster-sync/muster/domain/eve"
	"github.com/muster-sync/muster/domain/event"
)

func TestDecodersPassOverWhatTheyDoNotKnow(t *testing.T) {
	d, err := eve.DecodeDetails([]byte(`{"name":"Zoë","corporation_id":98000001,"alliance_id":null,"gender":"unheard of","shiny":{"new":[1]}}`))
	require.NoError(t, err)
	require.Equal(t, "Zoë", d.Name)
	require.Zero(t, d.AllianceID)
	require.Equal(t, "unheard of", d.Gender)

	l, err := eve.DecodeLocation([]byte(`{"solar_system_id":30000142,"structure_id":1035466617946,"mood":"good"}`))
	require.NoError(t, err)
	require.Equal(t, eve.Location{SolarSystemID: 30000142, StructureID: 1035466617946}, l)
}

func TestDecodersNeedWhatMakesTheSection(t *testing.T) {
	for value, decode := range map[string]func([]byte) error{
		`{"corporation_id":1}`:             details,
		`{"name":"x"}`:                     details,
		`{"name":1,"corporation_id":1}`:    details,
		`[{"name":"x"}]`:                   details,
		`null`:                             details,
		`{}`:                               location,
		`{"solar_system_id":-1}`:           location,
		`{"solar_system_id":"30000142"}`:   location,
		`{"solar_system_id":30000142.5}`:   location,
		`{"solar_system_id":3e400}`:        location,
		`"12.5"`:                           wallet,
		`[1]`:                              wallet,
		`true`:                             wallet,
		``:                                 wallet,
		`1e40`:                             wallet,
		`{"balance":12}`:                   wallet,
		`{"name":"x","corporation_id":1`:   details,
		`{"name":"x","corporation_id":1}}`: details,
	} {
		require.Equal(t, event.CodeInvalid, event.CodeOf(decode([]byte(value))), value)
	}
}

func details(value []byte) error  { _, err := eve.DecodeDetails(value); return err }
func location(value []byte) error { _, err := eve.DecodeLocation(value); return err }
func wallet(value []byte) error   { _, err := eve.DecodeWallet(value); return err }

func FuzzDecodeSections(f *testing.F) {
	for _, seed := range []string{`{"name":"x","corporation_id":1}`, `{"solar_system_id":1}`, `1.5`, `null`, `"1"`} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, value []byte) {
		for _, decode := range []func([]byte) error{details, location, wallet} {
			if err := decode(value); err != nil {
				require.Equal(t, event.CodeInvalid, event.CodeOf(err))
			}
		}
	})
}
