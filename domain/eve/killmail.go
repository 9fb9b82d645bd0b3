package eve

import (
	"encoding/json"
	"time"

	"github.com/muster-sync/muster/domain/event"
)

// Killmail is what a killmail says to one character: ESI's GET
// /killmails/{id}/{hash} at compatibility date 2026-06-09.
type Killmail struct {
	ID            int64
	Time          time.Time
	SolarSystemID int64
	// Loss tells that the character is the victim, even if it attacked itself.
	Loss bool
	// FinalBlow tells that it struck the last blow at somebody else.
	FinalBlow bool
	// Attackers counts all of them, those without a character included.
	Attackers int64
	// ShipTypeID is the ship that was lost, VictimID who lost it; zero if it is no
	// character.
	ShipTypeID, VictimID int64
	// Lost are the things that were lost with the ship, dropped and destroyed ones,
	// what lay in containers included.
	Lost []LostItem
}

// LostItem is so many things of one type.
type LostItem struct{ TypeID, Quantity int64 }

// maxLost bounds the items of a killmail: a full freighter has some thousands.
const maxLost = 100_000

type lostItem struct {
	TypeID    int64      `json:"item_type_id"`
	Dropped   int64      `json:"quantity_dropped"`
	Destroyed int64      `json:"quantity_destroyed"`
	Items     []lostItem `json:"items"`
}

// DecodeKillmail reads a record of the section killmails of a character. It fails with
// [event.CodeInvalid] for one without id, moment or the ship that was lost, with
// impossible quantities, or in which the character is on no side.
func DecodeKillmail(character int64, item json.RawMessage) (Killmail, error) {
	var k struct {
		ID            int64     `json:"killmail_id"`
		Time          time.Time `json:"killmail_time"`
		SolarSystemID int64     `json:"solar_system_id"`
		Victim        struct {
			CharacterID int64      `json:"character_id"`
			ShipTypeID  int64      `json:"ship_type_id"`
			Items       []lostItem `json:"items"`
		} `json:"victim"`
		Attackers []struct {
			CharacterID int64 `json:"character_id"`
			FinalBlow   bool  `json:"final_blow"`
		} `json:"attackers"`
	}
	if err := decodeObject(SectionKillmails, item, &k); err != nil {
		return Killmail{}, err
	}
	switch {
	case k.ID <= 0:
		return Killmail{}, lacks(SectionKillmails, "killmail_id")
	case k.Time.IsZero():
		return Killmail{}, lacks(SectionKillmails, "killmail_time")
	case k.Victim.ShipTypeID <= 0:
		return Killmail{}, lacks(SectionKillmails, "victim.ship_type_id")
	}
	m := Killmail{
		ID: k.ID, Time: k.Time.UTC(), SolarSystemID: k.SolarSystemID, Loss: k.Victim.CharacterID == character,
		Attackers: int64(len(k.Attackers)), ShipTypeID: k.Victim.ShipTypeID, VictimID: k.Victim.CharacterID,
	}
	attacks := false
	for _, a := range k.Attackers {
		if a.CharacterID == character {
			attacks = true
			m.FinalBlow = m.FinalBlow || a.FinalBlow && !m.Loss
		}
	}
	if !attacks && !m.Loss {
		return Killmail{}, event.Errorf(event.CodeInvalid, "section %s: character %d is on no side of killmail %d", SectionKillmails, character, k.ID)
	}
	var err error
	m.Lost, err = lostOf(nil, k.Victim.Items)
	if err != nil {
		return Killmail{}, event.Errorf(event.CodeInvalid, "section %s: killmail %d: %w", SectionKillmails, k.ID, err)
	}
	return m, nil
}

func lostOf(all []LostItem, items []lostItem) ([]LostItem, error) {
	for _, i := range items {
		if i.TypeID <= 0 || i.Dropped < 0 || i.Destroyed < 0 || i.Dropped > maxQuantity || i.Destroyed > maxQuantity {
			return nil, event.Errorf(event.CodeInvalid, "an item of type %d, %d dropped and %d destroyed: is none", i.TypeID, i.Dropped, i.Destroyed)
		}
		if n := i.Dropped + i.Destroyed; n > 0 {
			all = append(all, LostItem{i.TypeID, n})
		}
		var err error
		if all, err = lostOf(all, i.Items); err != nil {
			return nil, err
		}
		if len(all) > maxLost {
			return nil, event.Errorf(event.CodeInvalid, "has more than %d items", maxLost)
		}
	}
	return all, nil
}
