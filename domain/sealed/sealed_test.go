package sealed_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/muster-sync/muster/domain/event"
	"github.com/muster-sync/muster/domain/sealed"
)

const kind event.Type = "muster.eve.mail.changed.v2"

var (
	eventID = uuid.MustParse("0b3cbb39-6a2f-5b0c-8e6a-9bd1bfb6a3f1")
	keyID   = uuid.MustParse("0b3cbb39-6a2f-4b0c-8e6a-9bd1bfb6a3f2")
	names   = map[string]bool{"body": true, "subject": true}
)

func mail(value string) event.Event {
	return event.Event{ID: eventID, Type: kind, Stream: event.Character(90000001), Time: time.Unix(0, 0).UTC(), Data: []byte(value)}
}

func key(t require.TestingT, fill byte) sealed.Key {
	k, err := sealed.NewKey(keyID, bytes.Repeat([]byte{fill}, sealed.KeySize))
	require.NoError(t, err)
	return k
}

// has finds one key and no other.
func has(k sealed.Key) func(uuid.UUID) (sealed.Key, error) {
	return func(id uuid.UUID) (sealed.Key, error) {
		if id != k.ID() {
			return sealed.Key{}, event.Errorf(event.CodeUnavailable, "no key %s", id)
		}
		return k, nil
	}
}

func destroyed(uuid.UUID) (sealed.Key, error) { return sealed.Key{}, sealed.ErrDestroyed }

func TestSealedTextsAreReadWithTheKeyAlone(t *testing.T) {
	f := func(value, opened, forgotten string, secrets ...string) {
		t.Helper()
		e := mail(value)
		s, ok := sealed.Seal(e, key(t, 1), names)
		require.Equal(t, len(secrets) > 0, ok)
		require.Equal(t, len(secrets) > 0, sealed.Has(e.Data, names))
		require.Equal(t, value, string(e.Data), "the caller's copy stays")
		require.True(t, json.Valid(s.Data), string(s.Data))
		for _, secret := range secrets {
			require.NotContains(t, string(s.Data), secret)
		}
		again, _ := sealed.Seal(e, key(t, 1), names)
		require.Equal(t, string(s.Data), string(again.Data), "made again it is the same")
		twice, ok := sealed.Seal(s, key(t, 1), names)
		require.False(t, ok)
		require.Equal(t, string(s.Data), string(twice.Data))

		o, err := sealed.Open(s, has(key(t, 1)))
		require.NoError(t, err)
		require.Equal(t, opened, string(o.Data))
		o, err = sealed.Open(s, destroyed)
		require.NoError(t, err)
		require.Equal(t, forgotten, string(o.Data))
		var indented bytes.Buffer
		require.NoError(t, json.Indent(&indented, s.Data, "", "  "))
		o, err = sealed.Open(mail(indented.String()), has(key(t, 1)))
		require.NoError(t, err)
		require.JSONEq(t, opened, string(o.Data))
	}
	same := func(value string, secrets ...string) { t.Helper(); f(value, value, value, secrets...) }
	same(`{}`)
	same(`{"body":null,"subject":""}`)
	same(`{"a":"\"body\": x","b":"body","c":["subject","body"]}`)
	same(`7`)
	f(`{"items":[{"mail_id":7,"body":"secret one"}]}`, `{"items":[{"mail_id":7,"body":"secret one"}]}`, `{"items":[{"mail_id":7,"body":null,"body_forgotten":true}]}`, "secret one")
	f(`{"items":[{"subject" : "s\"}é\\" ,"body":{"deep":["secret two"]}},{"body":"s3"}],"n":1.50}`,
		`{"items":[{"subject" : "s\"}é\\" ,"body":{"deep":["secret two"]}},{"body":"s3"}],"n":1.50}`,
		`{"items":[{"subject" : null,"subject_forgotten":true ,"body":null,"body_forgotten":true},{"body":null,"body_forgotten":true}],"n":1.50}`, "secret two", "s3", `s\"}`)
	f(`{"body":123456789}`, `{"body":123456789}`, `{"body":null,"body_forgotten":true}`, "123456789")
}

func TestASealedTextCannotBeMoved(t *testing.T) {
	s, _ := sealed.Seal(mail(`{"items":[{"body":"one","subject":"one"},{"body":"one"}]}`), key(t, 1), names)
	var v struct{ Items []map[string]json.RawMessage }
	require.NoError(t, json.Unmarshal(s.Data, &v))
	boxes := []string{string(v.Items[0]["body"]), string(v.Items[0]["subject"]), string(v.Items[1]["body"])}
	require.NotEqual(t, boxes[0], boxes[1], "equal texts show nowhere")
	require.NotEqual(t, boxes[0], boxes[2], "equal texts show nowhere")
	f := func(e event.Event) {
		t.Helper()
		_, err := sealed.Open(e, has(key(t, 1)))
		require.Equal(t, event.CodePoisoned, event.CodeOf(err))
		require.ErrorContains(t, err, "does not belong here")
	}
	swapped := strings.NewReplacer(boxes[0], boxes[2], boxes[2], boxes[0])
	f(mail(swapped.Replace(string(s.Data))))
	f(mail(strings.Replace(string(s.Data), `"subject"`, `"matter"`, 1)))
	other := s
	other.Stream = event.Character(90000002)
	f(other)
	other = s
	other.ID = keyID
	f(other)
	other = s
	other.Type = "muster.eve.mail.recorded.v2"
	f(other)
	_, err := sealed.Open(s, has(key(t, 2)))
	require.Equal(t, event.CodePoisoned, event.CodeOf(err))
}

func TestWhatCannotBeOpenedSaysWhy(t *testing.T) {
	f := func(value string, code event.Code, text string) {
		t.Helper()
		_, err := sealed.Open(mail(value), has(key(t, 1)))
		require.Equal(t, code, event.CodeOf(err))
		require.ErrorContains(t, err, text)
	}
	f(`{"body":{"$sealed":"v9.x.y"}}`, event.CodePoisoned, `opening "body": it is sealed as "v9"`)
	f(`{"body":{"$sealed":"v1.x.y"}}`, event.CodePoisoned, "it is not sealed as it should be")
	f(fmt.Sprintf(`{"body":{"$sealed":"v1.%s.AAAA"}}`, keyID), event.CodePoisoned, "does not belong here")
	f(fmt.Sprintf(`{"body":{"$sealed":"v1.%s.AAAA"}}`, eventID), event.CodeUnavailable, "no key "+eventID.String())
	_, err := sealed.NewKey(keyID, []byte("short"))
	require.Equal(t, event.CodeInvalid, event.CodeOf(err))
	require.NotContains(t, err.Error(), "short")
}

func TestAKeySaysItsNameAlone(t *testing.T) {
	k := key(t, 'S')
	for _, text := range []string{k.String(), fmt.Sprintf("%v %+v %#v %s", k, k, k, k)} {
		require.NotContains(t, text, "SSSS")
		require.Contains(t, text, keyID.String())
	}
	s, _ := sealed.Seal(mail(`{"body":"a","subject":"b"}`), k, names)
	require.Equal(t, []uuid.UUID{keyID}, sealed.KeyIDs(s.Data))
	require.Empty(t, sealed.KeyIDs([]byte(`{"body":"a"}`)))
}

// TestWhateverIsSealedComesBack draws values in which the names stand anywhere.
func TestWhateverIsSealedComesBack(t *testing.T) {
	text := rapid.OneOf(rapid.String(), rapid.SampledFrom([]string{"body", `"body":`, `{"$sealed":"v1"}`, `\`, `\"`}))
	name := rapid.OneOf(rapid.String(), rapid.SampledFrom([]string{"body", "subject", "other"}))
	var value *rapid.Generator[any]
	value = rapid.Custom(func(t *rapid.T) any {
		switch rapid.IntRange(0, 5).Draw(t, "kind") {
		case 0:
			return rapid.MapOfN(name, value, 0, 3).Draw(t, "object")
		case 1:
			return rapid.SliceOfN(value, 0, 3).Draw(t, "list")
		case 2:
			return rapid.Int().Draw(t, "number")
		case 3:
			return nil
		default:
			return text.Draw(t, "text")
		}
	})
	rapid.Check(t, func(t *rapid.T) {
		data, err := json.Marshal(map[string]any{"value": value.Draw(t, "value")})
		require.NoError(t, err)
		s, _ := sealed.Seal(mail(string(data)), key(t, 1), names)
		require.True(t, json.Valid(s.Data))
		o, err := sealed.Open(s, has(key(t, 1)))
		require.NoError(t, err)
		require.Equal(t, string(data), string(o.Data))
		o, err = sealed.Open(s, destroyed)
		require.NoError(t, err)
		require.True(t, json.Valid(o.Data))
	})
}

// FuzzOpen: what is no value of an event is no reason to break off.
func FuzzOpen(f *testing.F) {
	for _, seed := range []string{`{"body":{"$sealed":"v1.0b3cbb39-6a2f-4b0c-8e6a-9bd1bfb6a3f2.AAAA"}}`, `"$sealed"`, `{"$sealed"`, `:{"$sealed":"`, `":{"$sealed":"x"}`, `{"body":"`, `{"body"`} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		s, _ := sealed.Seal(mail(string(data)), key(t, 1), names)
		if json.Valid(data) {
			require.True(t, json.Valid(s.Data))
		}
		if _, err := sealed.Open(mail(string(data)), has(key(t, 1))); err != nil {
			require.NotErrorIs(t, err, sealed.ErrDestroyed)
		}
		sealed.KeyIDs(data)
	})
}
