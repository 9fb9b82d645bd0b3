package sealed_test

import (
	"flag"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/muster-sync/muster/domain/eve"
	"github.com/muster-sync/muster/domain/event"
	"github.com/muster-sync/muster/domain/sealed"
)

var update = flag.Bool("update", false, "write golden files that are not there yet; those that are there never change")

// TestGoldenSealedValue pins how a value is sealed: what was written is opened for
// ever, and what is made again is the same. A file that fails here must not be changed.
func TestGoldenSealedValue(t *testing.T) {
	const plain = `{"character_id":90000001,"section":"mails","day":"2026-08-31","fetched_at":"2026-09-01T12:00:00Z","items":[{"mail_id":7,"body":"hello, \u003cb\u003eyou\u003c/b\u003e"}]}`
	e := mail(plain)
	names := map[string]bool{}
	for _, name := range eve.PersonalTexts(eve.SectionWithTexts(e)) {
		names[name] = true
	}
	s, ok := sealed.Seal(e, key(t, 7), names)
	require.True(t, ok)
	file := filepath.Join("testdata", string(kind)+".json")
	if _, err := os.Stat(file); *update && os.IsNotExist(err) {
		require.NoError(t, os.WriteFile(file, s.Data, 0o600))
	}
	kept, err := os.ReadFile(file)
	require.NoError(t, err)
	require.Equal(t, string(kept), string(s.Data))

	registry := event.NewRegistry()
	eve.Register(registry)
	e.Data = kept
	_, err = registry.Decode(e)
	require.Equal(t, event.CodeUnavailable, event.CodeOf(err), "without keys it is not read wrongly")

	registry.OpenWith(func(e event.Event) (event.Event, error) { return sealed.Open(e, has(key(t, 7))) })
	p, err := registry.Decode(e)
	require.NoError(t, err)
	require.JSONEq(t, `{"mail_id":7,"body":"hello, <b>you</b>"}`, string(p.(eve.MailChanged).Items[0]))

	registry.OpenWith(func(e event.Event) (event.Event, error) { return sealed.Open(e, destroyed) })
	p, err = registry.Decode(e)
	require.NoError(t, err)
	require.JSONEq(t, `{"mail_id":7,"body":null,"body_forgotten":true}`, string(p.(eve.MailChanged).Items[0]))
}
