package eve

import (
	"bytes"
	"encoding/json"
	"time"

	"github.com/muster-sync/muster/domain/event"
)

// The decoders of sections are lenient where ESI is: fields they do not know
// are kept, enumerations are open, what is absent is zero. They are strict about
// what a section cannot do without, because a value that lacks it would be
// recorded as a change that never happened.

// Details is the public side of a character: ESI's GET /characters/{id} at
// compatibility date 2026-06-09.
type Details struct {
	Name             string      `json:"name"`
	CorporationID    int64       `json:"corporation_id"`
	AllianceID       int64       `json:"alliance_id,omitempty"`
	FactionID        int64       `json:"faction_id,omitempty"`
	RaceID           int64       `json:"race_id,omitempty"`
	BloodlineID      int64       `json:"bloodline_id,omitempty"`
	Gender           string      `json:"gender,omitempty"`
	Birthday         time.Time   `json:"birthday,omitzero"`
	SecurityStatus   json.Number `json:"security_status,omitempty"`
	Description      string      `json:"description,omitempty"`
	CorporationTitle string      `json:"corporation_title,omitempty"`
	CharacterTitleID string      `json:"character_title_id,omitempty"`
	AchievementScore int64       `json:"achievement_score,omitempty"`
}

// DecodeDetails reads the value of the section details. It fails with
// [event.CodeInvalid] if it is no object with a name and a corporation.
func DecodeDetails(value []byte) (Details, error) {
	var d Details
	if err := decodeObject(SectionDetails, value, &d); err != nil {
		return Details{}, err
	}
	switch {
	case d.Name == "":
		return Details{}, lacks(SectionDetails, "name")
	case d.CorporationID <= 0:
		return Details{}, lacks(SectionDetails, "corporation_id")
	}
	return d, nil
}

// Location is where a character is. At most one of station and structure is
// set; neither in space.
type Location struct {
	SolarSystemID int64 `json:"solar_system_id"`
	StationID     int64 `json:"station_id,omitempty"`
	StructureID   int64 `json:"structure_id,omitempty"`
}

// DecodeLocation reads the value of the section location. It fails with
// [event.CodeInvalid] if it is no object with a solar system.
func DecodeLocation(value []byte) (Location, error) {
	var l Location
	if err := decodeObject(SectionLocation, value, &l); err != nil {
		return Location{}, err
	}
	if l.SolarSystemID <= 0 {
		return Location{}, lacks(SectionLocation, "solar_system_id")
	}
	return l, nil
}

// DecodeWallet reads the value of the section wallet, a bare number. It fails
// with [event.CodeInvalid] for anything else.
func DecodeWallet(value []byte) (ISK, error) {
	var n *json.Number
	// json.Number would also take a quoted number, which ESI never sends.
	if trimmed := bytes.TrimSpace(value); len(trimmed) == 0 || trimmed[0] == '"' {
		return 0, event.Errorf(event.CodeInvalid, "section %s: must be a JSON number", SectionWallet)
	}
	if err := json.Unmarshal(value, &n); err != nil {
		return 0, event.Errorf(event.CodeInvalid, "section %s: %w", SectionWallet, err)
	}
	if n == nil {
		return 0, event.Errorf(event.CodeInvalid, "section %s: must be a JSON number, is null", SectionWallet)
	}
	balance, err := ParseISK(*n)
	if err != nil {
		return 0, event.Errorf(event.CodeInvalid, "section %s: %w", SectionWallet, err)
	}
	return balance, nil
}

// MailingLists are the names of the mailing lists in a value of the section mails,
// by their ids. Lists that cannot be read are passed over.
func MailingLists(value []byte) map[int64]string {
	var box struct {
		Lists []json.RawMessage `json:"lists"`
	}
	names := map[int64]string{}
	if json.Unmarshal(value, &box) != nil {
		return names
	}
	for _, raw := range box.Lists {
		var list struct {
			ID   int64  `json:"mailing_list_id"`
			Name string `json:"name"`
		}
		if json.Unmarshal(raw, &list) == nil && list.ID != 0 && list.Name != "" {
			names[list.ID] = list.Name
		}
	}
	return names
}

func decodeObject(s Section, value []byte, into any) error {
	if trimmed := bytes.TrimSpace(value); len(trimmed) == 0 || trimmed[0] != '{' {
		return event.Errorf(event.CodeInvalid, "section %s: must be a JSON object", s)
	}
	if err := json.Unmarshal(value, into); err != nil {
		return event.Errorf(event.CodeInvalid, "section %s: %w", s, err)
	}
	return nil
}

func lacks(s Section, field string) error {
	return event.Errorf(event.CodeInvalid, "section %s: lacks %s", s, field)
}
