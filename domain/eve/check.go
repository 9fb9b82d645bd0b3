package eve

import (
	"bytes"
	"encoding/json"

	"github.com/muster-sync/muster/domain/event"
)

// kind is what a field must be.
type kind byte

const (
	number kind = iota
	text
	truth
	list
	object
)

func (k kind) String() string {
	return [...]string{"a number", "a text", "true or false", "a list", "an object"}[k]
}

func (k kind) is(value []byte) bool {
	switch value[0] {
	case '"':
		return k == text
	case '{':
		return k == object
	case '[':
		return k == list
	case 't', 'f':
		return k == truth
	default:
		return k == number
	}
}

// need is a field that a section cannot do without.
type need struct {
	field string
	kind  kind
}

func numbers(fields ...string) []need {
	needs := make([]need, len(fields))
	for i, field := range fields {
		needs[i] = need{field, number}
	}
	return needs
}

// needs are the fields that each element of a list, or each record, must have
// beside its key. What ESI may leave out is not among them.
func needs(s Section, path string) []need {
	switch s {
	case SectionAssets:
		return append(numbers("type_id", "location_id", "quantity"), need{"location_flag", text}, need{"location_type", text}, need{"is_singleton", truth})
	case SectionBlueprints:
		return append(numbers("type_id", "location_id", "quantity", "runs", "material_efficiency", "time_efficiency"), need{"location_flag", text})
	case SectionContacts:
		if path == "labels" {
			return []need{{"label_name", text}}
		}
		return append(numbers("standing"), need{"contact_type", text})
	case SectionContracts:
		return append(numbers("issuer_id", "issuer_corporation_id"), need{"type", text}, need{"status", text}, need{"date_issued", text})
	case SectionSkills:
		return numbers("active_skill_level", "trained_skill_level", "skillpoints_in_skill")
	case SectionSkillQueue:
		return numbers("skill_id", "finished_level")
	case SectionWalletTransactions:
		return append(numbers("type_id", "quantity", "unit_price"), need{"date", text}, need{"is_buy", truth})
	case SectionMining:
		return numbers("quantity")
	case SectionStandings:
		return numbers("standing")
	case SectionLoyalty:
		return numbers("loyalty_points")
	case SectionOrders:
		return append(numbers("type_id", "price", "volume_remain", "volume_total"), need{"issued", text})
	case SectionIndustryJobs:
		return append(numbers("activity_id", "blueprint_type_id", "runs"), need{"status", text})
	case SectionCorporationHistory:
		return append(numbers("corporation_id"), need{"start_date", text})
	case SectionKillmails:
		return []need{{"killmail_hash", text}}
	case SectionNotifications:
		return []need{{"type", text}, {"timestamp", text}}
	case SectionFittings:
		return append(numbers("ship_type_id"), need{"items", list})
	default:
		return nil
	}
}

// needsOfHead are the fields that the value itself must have.
func needsOfHead(s Section) []need {
	switch s {
	case SectionAttributes:
		return numbers("charisma", "intelligence", "memory", "perception", "willpower")
	case SectionShip:
		return append(numbers("ship_item_id", "ship_type_id"), need{"ship_name", text})
	case SectionOnline:
		return []need{{"online", truth}}
	case SectionSkills:
		return numbers("total_sp")
	case SectionFWStats:
		return []need{{"kills", object}, {"victory_points", object}}
	default:
		return nil
	}
}

// Check tells whether a value can be that of a section: of the right kind, with
// all keys and with what the section cannot do without. Recording what it refuses
// would tell of a change that never happened. Unknown fields and values are not
// its concern. It fails with [event.CodeInvalid].
func Check(s Section, value []byte) error {
	switch s {
	case SectionDetails:
		_, err := DecodeDetails(value)
		return err
	case SectionLocation:
		_, err := DecodeLocation(value)
		return err
	case SectionWallet:
		_, err := DecodeWallet(value)
		return err
	}
	content, err := Dissect(s, value)
	if err != nil {
		return err
	}
	if content.Head != nil {
		if content.Head[0] != '{' {
			return event.Errorf(event.CodeInvalid, "section %s: must be a JSON object", s)
		}
		if err := meets(needsOfHead(s), appendMembers(nil, content.Head)); err != nil {
			return event.Errorf(event.CodeInvalid, "section %s: %w", s, err)
		}
	}
	var scratch []member
	for _, l := range content.Lists {
		needs := needs(s, l.Path)
		if len(needs) == 0 {
			continue
		}
		for _, item := range l.Items {
			scratch = appendMembers(scratch[:0], item.Raw)
			if err := meets(needs, scratch); err != nil {
				return event.Errorf(event.CodeInvalid, "section %s: element %s: %w", s, item.Key, err)
			}
		}
	}
	return nil
}

// CheckRecord tells whether an item can be a record of a section as ESI lists it.
// It fails with [event.CodeInvalid].
func CheckRecord(s Section, item []byte) error {
	if err := checkJSON(item); err != nil {
		return event.Errorf(event.CodeInvalid, "section %s: %w", s, err)
	}
	return checkRecord(s, item)
}

// RecordsOf are the records of a page that lists them, parts of it, each checked as of
// [CheckRecord]. It fails with [event.CodeInvalid] for what is no list of records.
func RecordsOf(s Section, page []byte) ([]json.RawMessage, error) {
	records, err := Elements(page)
	if err != nil {
		return nil, event.Errorf(event.CodeInvalid, "section %s: %w", s, err)
	}
	for n, record := range records {
		if err := checkRecord(s, record); err != nil {
			return nil, event.Errorf(event.CodeInvalid, "record %d: %w", n+1, err)
		}
	}
	return records, nil
}

// checkRecord checks an item that is valid JSON.
func checkRecord(s Section, item []byte) error {
	shape, ok := ShapeOf(s)
	if !ok || shape.Records == nil {
		return event.Errorf(event.CodeInvalid, "section %q has no records", s)
	}
	key, members, err := keyOf(shape.Records.Key, bytes.TrimSpace(item), nil)
	if err == nil {
		err = meets(needs(s, ""), members)
	}
	if err != nil {
		return event.Errorf(event.CodeInvalid, "section %s: record %s: %w", s, key, err)
	}
	return nil
}

func meets(needs []need, members []member) error {
	for _, n := range needs {
		value := memberOf(members, n.field)
		switch {
		case isNull(value):
			return event.Errorf(event.CodeInvalid, "lacks %s", n.field)
		case !n.kind.is(value):
			return event.Errorf(event.CodeInvalid, "%s must be %s", n.field, n.kind)
		}
	}
	return nil
}
