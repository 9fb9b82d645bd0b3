package eve

import (
	"encoding/json"
	"time"
)

// MailHead is what the header of a mail says of who wrote to whom and when; what it is
// about is not in it. It is of ESI's GET /characters/{id}/mail at compatibility date
// 2026-06-09.
type MailHead struct {
	ID     int64
	SentAt time.Time
	FromID int64
	// RecipientIDs are characters, corporations, alliances and mailing lists.
	RecipientIDs []int64
}

// DecodeMailHead reads a record of the section mails that tells the whole header. It
// fails with [event.CodeInvalid] for one without id, moment or sender, such as an
// amendment that tells a body alone.
func DecodeMailHead(item json.RawMessage) (MailHead, error) {
	var m struct {
		ID         int64     `json:"mail_id"`
		Timestamp  time.Time `json:"timestamp"`
		From       int64     `json:"from"`
		Recipients []struct {
			ID int64 `json:"recipient_id"`
		} `json:"recipients"`
	}
	if err := decodeObject(SectionMails, item, &m); err != nil {
		return MailHead{}, err
	}
	switch {
	case m.ID <= 0:
		return MailHead{}, lacks(SectionMails, "mail_id")
	case m.Timestamp.IsZero():
		return MailHead{}, lacks(SectionMails, "timestamp")
	case m.From <= 0:
		return MailHead{}, lacks(SectionMails, "from")
	}
	head := MailHead{ID: m.ID, SentAt: m.Timestamp.UTC(), FromID: m.From}
	for _, r := range m.Recipients {
		head.RecipientIDs = append(head.RecipientIDs, r.ID)
	}
	return head, nil
}

// NotificationHead is what a notification says of its kind; what it is about is not in
// it. It is of ESI's GET /characters/{id}/notifications at compatibility date 2026-06-09.
type NotificationHead struct {
	ID   int64
	At   time.Time
	Type string
	// SenderID is zero if ESI does not tell.
	SenderID int64
}

// DecodeNotificationHead reads a record of the section notifications. It fails with
// [event.CodeInvalid] for one without id, moment or type.
func DecodeNotificationHead(item json.RawMessage) (NotificationHead, error) {
	var n struct {
		ID        int64     `json:"notification_id"`
		Timestamp time.Time `json:"timestamp"`
		Type      string    `json:"type"`
		Sender    int64     `json:"sender_id"`
	}
	if err := decodeObject(SectionNotifications, item, &n); err != nil {
		return NotificationHead{}, err
	}
	switch {
	case n.ID <= 0:
		return NotificationHead{}, lacks(SectionNotifications, "notification_id")
	case n.Timestamp.IsZero():
		return NotificationHead{}, lacks(SectionNotifications, "timestamp")
	case n.Type == "":
		return NotificationHead{}, lacks(SectionNotifications, "type")
	}
	return NotificationHead{ID: n.ID, At: n.Timestamp.UTC(), Type: n.Type, SenderID: n.Sender}, nil
}
