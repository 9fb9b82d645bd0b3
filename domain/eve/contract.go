package eve

import (
	"encoding/json"
	"time"

	"github.com/muster-sync/muster/domain/event"
)

// ContractFields says which fields of a contract an event tells.
type ContractFields uint32

// The fields of a contract.
const (
	ContractType ContractFields = 1 << iota
	ContractStatus
	ContractIssuer
	ContractAssignee
	ContractAcceptor
	ContractIssued
	ContractAccepted
	ContractCompleted
	ContractPrice
	ContractReward
	ContractCollateral
)

// Contract is what a record of the section contracts tells of a contract: ESI's GET
// /characters/{id}/contracts at compatibility date 2026-06-09, without what is fetched
// apart. A record may tell some fields only; [Contract.Amend] lays them over one another.
type Contract struct {
	ID int64
	// Told are the fields that were told; the others are zero.
	Told ContractFields
	// Type and Status are ESI's words; those unknown to Muster are kept.
	Type, Status string
	// Ids are zero for nobody.
	IssuerID, AssigneeID, AcceptorID int64
	// Moments are zero for what has not happened.
	Issued, Accepted, Completed time.Time
	Price, Reward, Collateral   ISK
}

// field is a field of a JSON object that may not be told; null is told, and zero.
type field[T any] struct {
	told  bool
	value T
}

// UnmarshalJSON implements [json.Unmarshaler].
func (f *field[T]) UnmarshalJSON(b []byte) error {
	f.told = true
	return json.Unmarshal(b, &f.value)
}

// DecodeContract reads what a record of the section contracts tells. It fails with
// [event.CodeInvalid] for one without id, or with a moment or an amount that is none.
func DecodeContract(item json.RawMessage) (Contract, error) {
	var c struct {
		ID         int64              `json:"contract_id"`
		Type       field[string]      `json:"type"`
		Status     field[string]      `json:"status"`
		Issuer     field[int64]       `json:"issuer_id"`
		Assignee   field[int64]       `json:"assignee_id"`
		Acceptor   field[int64]       `json:"acceptor_id"`
		Issued     field[time.Time]   `json:"date_issued"`
		Accepted   field[time.Time]   `json:"date_accepted"`
		Completed  field[time.Time]   `json:"date_completed"`
		Price      field[json.Number] `json:"price"`
		Reward     field[json.Number] `json:"reward"`
		Collateral field[json.Number] `json:"collateral"`
	}
	if err := decodeObject(SectionContracts, item, &c); err != nil {
		return Contract{}, err
	}
	if c.ID <= 0 {
		return Contract{}, lacks(SectionContracts, "contract_id")
	}
	k := Contract{
		ID: c.ID, Type: c.Type.value, Status: c.Status.value, IssuerID: c.Issuer.value, AssigneeID: c.Assignee.value, AcceptorID: c.Acceptor.value,
		Issued: c.Issued.value.UTC(), Accepted: c.Accepted.value.UTC(), Completed: c.Completed.value.UTC(),
	}
	for _, amount := range []struct {
		of   *field[json.Number]
		into *ISK
		name string
	}{{&c.Price, &k.Price, "price"}, {&c.Reward, &k.Reward, "reward"}, {&c.Collateral, &k.Collateral, "collateral"}} {
		if amount.of.value == "" {
			continue
		}
		isk, err := ParseISK(amount.of.value)
		if err == nil && isk < 0 {
			err = event.Errorf(event.CodeInvalid, "amount %s: is below zero", isk)
		}
		if err != nil {
			return Contract{}, event.Errorf(event.CodeInvalid, "section %s: contract %d: %s: %w", SectionContracts, c.ID, amount.name, err)
		}
		*amount.into = isk
	}
	for is, told := range map[ContractFields]bool{
		ContractType: c.Type.told, ContractStatus: c.Status.told, ContractIssuer: c.Issuer.told, ContractAssignee: c.Assignee.told, ContractAcceptor: c.Acceptor.told,
		ContractIssued: c.Issued.told, ContractAccepted: c.Accepted.told, ContractCompleted: c.Completed.told,
		ContractPrice: c.Price.told, ContractReward: c.Reward.told, ContractCollateral: c.Collateral.told,
	} {
		if told {
			k.Told |= is
		}
	}
	return k, nil
}

// Amend lays what a later record tells over the contract.
func (c *Contract) Amend(by *Contract) {
	c.ID, c.Told = by.ID, c.Told|by.Told
	set(by.Told&ContractType != 0, &c.Type, by.Type)
	set(by.Told&ContractStatus != 0, &c.Status, by.Status)
	set(by.Told&ContractIssuer != 0, &c.IssuerID, by.IssuerID)
	set(by.Told&ContractAssignee != 0, &c.AssigneeID, by.AssigneeID)
	set(by.Told&ContractAcceptor != 0, &c.AcceptorID, by.AcceptorID)
	set(by.Told&ContractIssued != 0, &c.Issued, by.Issued)
	set(by.Told&ContractAccepted != 0, &c.Accepted, by.Accepted)
	set(by.Told&ContractCompleted != 0, &c.Completed, by.Completed)
	set(by.Told&ContractPrice != 0, &c.Price, by.Price)
	set(by.Told&ContractReward != 0, &c.Reward, by.Reward)
	set(by.Told&ContractCollateral != 0, &c.Collateral, by.Collateral)
}

func set[T any](told bool, to *T, value T) {
	if told {
		*to = value
	}
}

// Counts tells whether enough is known of a contract to count it: its type, and when it
// was issued.
func (c *Contract) Counts() bool { return c.Type != "" && !c.Issued.IsZero() }

// ContractOutcome is how a contract has ended.
type ContractOutcome string

// The outcomes.
const (
	// ContractOpen: outstanding, in progress, or a word that Muster does not know.
	ContractOpen ContractOutcome = "open"
	// ContractFinished: finished, by one side or by both.
	ContractFinished ContractOutcome = "finished"
	// ContractUnfinished: cancelled, rejected, failed, deleted or reversed.
	ContractUnfinished ContractOutcome = "unfinished"
)

// Outcome is how the contract has ended, by its status.
func (c *Contract) Outcome() ContractOutcome {
	switch c.Status {
	case "finished", "finished_issuer", "finished_contractor":
		return ContractFinished
	case "cancelled", "rejected", "failed", "deleted", "reversed":
		return ContractUnfinished
	default:
		return ContractOpen
	}
}

// ContractRole is what a character is to a contract.
type ContractRole string

// The roles.
const (
	RoleIssuer   ContractRole = "issuer"
	RoleAcceptor ContractRole = "acceptor"
	RoleAssignee ContractRole = "assignee"
	// RoleOther: ESI lists the contract for another reason, such as that it is assigned
	// to the character's corporation.
	RoleOther ContractRole = "other"
)

// Role is what a character is to the contract.
func (c *Contract) Role(character int64) ContractRole {
	switch character {
	case c.IssuerID:
		return RoleIssuer
	case c.AcceptorID:
		return RoleAcceptor
	case c.AssigneeID:
		return RoleAssignee
	default:
		return RoleOther
	}
}

// Counterparty is the other side of the contract as a character sees it: for its issuer
// whoever accepted it, before that whom it is meant for, and for everybody else the
// issuer; zero for nobody.
func (c *Contract) Counterparty(character int64) int64 {
	switch {
	case character != c.IssuerID:
		return c.IssuerID
	case c.AcceptorID != 0:
		return c.AcceptorID
	default:
		return c.AssigneeID
	}
}
