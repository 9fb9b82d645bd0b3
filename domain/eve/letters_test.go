package eve_test

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/muster-sync/muster/domain/eve"
	"github.com/muster-sync/muster/domain/event"
)

func TestHeadsOfMailsAndNotificationsSayWhoAndWhenAlone(t *testing.T) {
	at := time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)
	mail, err := eve.DecodeMailHead(json.RawMessage(`{"mail_id":7,"from":1,"timestamp":"2026-05-01T12:00:00Z","subject":"secret","body":"secret","recipients":[{"recipient_id":2,"recipient_type":"character"},{"recipient_id":3,"recipient_type":"alliance"}]}`))
	require.NoError(t, err)
	require.Equal(t, eve.MailHead{ID: 7, SentAt: at, FromID: 1, RecipientIDs: []int64{2, 3}}, mail)
	note, err := eve.DecodeNotificationHead(json.RawMessage(`{"notification_id":8,"sender_id":4,"sender_type":"corporation","timestamp":"2026-05-01T12:00:00Z","type":"WarDeclared","text":"secret"}`))
	require.NoError(t, err)
	require.Equal(t, eve.NotificationHead{ID: 8, At: at, Type: "WarDeclared", SenderID: 4}, note)
	for _, bad := range []string{`[]`, `{}`, `{"mail_id":7,"body":"alone"}`, `{"mail_id":7,"timestamp":"2026-05-01T12:00:00Z"}`} {
		_, err := eve.DecodeMailHead(json.RawMessage(bad))
		require.Equal(t, event.CodeInvalid, event.CodeOf(err), bad)
	}
	for _, bad := range []string{`[]`, `{}`, `{"notification_id":7}`, `{"notification_id":7,"timestamp":"2026-05-01T12:00:00Z"}`} {
		_, err := eve.DecodeNotificationHead(json.RawMessage(bad))
		require.Equal(t, event.CodeInvalid, event.CodeOf(err), bad)
	}
}

func FuzzDecodeHeads(f *testing.F) {
	f.Add([]byte(`{"mail_id":7,"from":1,"timestamp":"2026-05-01T12:00:00Z","recipients":[{"recipient_id":2}]}`))
	f.Add([]byte(`{"notification_id":8,"timestamp":"2026-05-01T12:00:00Z","type":"WarDeclared"}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		if m, err := eve.DecodeMailHead(b); err == nil {
			require.Positive(t, min(m.ID, m.FromID))
		}
		if n, err := eve.DecodeNotificationHead(b); err == nil {
			require.NotEmpty(t, n.Type)
		}
	})
}
