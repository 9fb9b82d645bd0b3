package eve_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/muster-sync/muster/domain/eve"
	"github.com/muster-sync/muster/domain/event"
)

func TestPersonalTextsAreFieldsOfTheirSection(t *testing.T) {
	some := 0
	for _, shape := range eve.Shapes() {
		kinds := eve.KindsOf(shape.Section)
		for _, name := range eve.PersonalTexts(shape.Section) {
			some++
			require.Contains(t, []eve.FieldKind{eve.FieldText, eve.FieldMarkup}, kinds[name], "%s of %s", name, shape.Section)
			if shape.Records != nil {
				require.NotContains(t, shape.Records.Key, name, "a key must stay readable")
			}
			for _, list := range shape.Lists {
				require.NotContains(t, list.Key, name, "a key must stay readable")
			}
		}
	}
	require.Positive(t, some)
}

func TestTheSectionOfTextsIsReadOffAnyVersion(t *testing.T) {
	f := func(typ event.Type, value string, want eve.Section) {
		t.Helper()
		require.Equal(t, want, eve.SectionWithTexts(event.Event{Type: typ, Stream: event.Character(pilot), Data: []byte(value)}))
	}
	f(eve.TypeMailChanged, `{"section":"mails"}`, eve.SectionMails)
	f(eve.TypeMailChangedV1, ` {"items":[{"section":"x"}],"section":"mails"}`, eve.SectionMails)
	f(eve.TypeSectionObserved, `{"section":"details"}`, eve.SectionDetails)
	f(eve.TypeSectionObservedV1, `[]`, "")
	f(eve.TypeSectionObserved, ``, "")
	f(eve.TypeJournalRecorded, `{"section":"mails"}`, "")
	f(eve.TypeSectionFailed, `{"section":"mails"}`, "")
}

func TestWhatOldVersionsMentionIsFound(t *testing.T) {
	for _, typ := range []event.Type{eve.TypeMailRecorded, eve.TypeMailRecordedV1} {
		var ids []int64
		eve.NewMentions().OfEvent(event.Event{Type: typ, Stream: event.Character(pilot), Data: []byte(`{"character_id":7,"section":"mails","items":[{"mail_id":1,"subject":{"$sealed":"v1.x.y"},"from":90000009}]}`)}, func(m eve.Mention) {
			ids = append(ids, m.ID)
		})
		require.Equal(t, []int64{7, 90000009}, ids)
	}
}
