package clickhouse

import (
	"context"
	"fmt"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
	"github.com/shopspring/decimal"

	"github.com/muster-sync/muster/domain/eve"
)

// ContractSums count contracts and add up what they are worth. Amounts are ISK, exact to
// hundredths.
type ContractSums struct {
	Contracts                 int64
	Price, Reward, Collateral decimal.Decimal
}

func (s *ContractSums) add(k *eve.Contract) {
	s.Contracts++
	s.Price, s.Reward, s.Collateral = s.Price.Add(exact(k.Price)), s.Reward.Add(exact(k.Reward)), s.Collateral.Add(exact(k.Collateral))
}

// ContractFigures are what became of contracts of one group in one period.
type ContractFigures struct {
	RecordGroup

	// Start is inclusive, End exclusive; UTC.
	Start, End time.Time
	// Each step counts in the period in which it was taken. A contract that ended
	// without a moment that ESI tells counts when Muster first read so.
	Issued, Accepted, Finished, Unfinished ContractSums
	// MedianSeconds and MeanSeconds are how long those that were accepted in the period
	// had been waiting for it; nil if none was.
	MedianSeconds, MeanSeconds *int64
	// Unreadable counts records that are no contracts that can be counted.
	Unreadable int64

	waited []int64
}

// Contracts counts contracts by group and period, each once for each character that has
// it. Groups come in order, each with all its periods. Type, status and sides are those
// that are known last; the corporation is the one at each step.
//
// It fails with [event.CodeInvalid] for a question that cannot be or goes over the
// budget, and with [event.CodeUnavailable] if the projection or ClickHouse is not there.
func (r *RecordReader) Contracts(ctx context.Context, q RecordQuery) ([]ContractFigures, error) {
	bounds, database, where, err := r.begin(ctx, &q, ByCharacter, ByCorporation, ByType, ByStatus, ByRole, ByCounterparty)
	if err != nil {
		return nil, err
	}
	f := contractFold{periodFigures: newPeriodFigures[ContractFigures](&q, bounds), where: where}
	p := &query{}
	err = r.each(ctx, "what became of contracts", contractsSQL(&q, p, database, bounds, r.facts.budget.Facts+1), p, func(rows driver.Rows) error {
		var v contractVersion
		if err := v.scan(rows); err != nil {
			return err
		}
		if v.character != f.character || v.ID != f.now.ID {
			if err := f.flush(); err != nil {
				return err
			}
		}
		f.lay(&v)
		return nil
	})
	if err == nil {
		err = f.flush()
	}
	if err != nil {
		return nil, err
	}
	return f.all(func(f *ContractFigures, g RecordGroup, start, end time.Time) {
		f.RecordGroup, f.Start, f.End = g, start, end
		f.MedianSeconds, f.MeanSeconds = middle(f.waited)
	}), nil
}

// contractsSQL takes all that was told of the contracts of which something may lie in
// the range.
func contractsSQL(q *RecordQuery, p *query, database string, bounds []time.Time, limit int) string {
	known := ""
	if !q.AsOf.IsZero() {
		known = " AND told_at <= fromUnixTimestamp64Milli(" + p.integer(q.AsOf.UnixMilli()) + ", 'UTC')"
	}
	from, to := p.moment(bounds[0]), p.moment(bounds[len(bounds)-1])
	characters := q.filters(p, false)
	return fmt.Sprintf(`SELECT character_id, contract_id, told_at, fields, kind, status, issuer_id, assignee_id, acceptor_id, issued, accepted, completed, price, reward, collateral, day
		FROM %[1]s.contracts FINAL WHERE day <= toDate(%[3]s)%[4]s%[5]s AND (character_id, contract_id) IN (
			SELECT character_id, contract_id FROM %[1]s.contracts WHERE day <= toDate(%[3]s)%[4]s%[5]s
				AND (issued >= %[2]s AND issued < %[3]s OR accepted >= %[2]s AND accepted < %[3]s OR completed >= %[2]s AND completed < %[3]s
					OR told_at >= %[2]s AND told_at < %[3]s OR fields = 0 AND day >= toDate(%[2]s)))
		ORDER BY character_id, contract_id, log_partition, log_offset LIMIT %[6]d`+finalByPartition,
		database, from, to, characters, known, limit)
}

// contractVersion is what one event told of a contract.
type contractVersion struct {
	eve.Contract

	character int64
	told, day time.Time
}

func (v *contractVersion) scan(rows driver.Rows) error {
	var fields uint32
	var price, reward, collateral decimal.Decimal
	if err := rows.Scan(&v.character, &v.ID, &v.told, &fields, &v.Type, &v.Status, &v.IssuerID, &v.AssigneeID, &v.AcceptorID,
		&v.Issued, &v.Accepted, &v.Completed, &price, &reward, &collateral, &v.day); err != nil {
		return err
	}
	v.Told = eve.ContractFields(fields)
	for _, at := range []*time.Time{&v.Issued, &v.Accepted, &v.Completed} {
		if at.Unix() == 0 {
			*at = time.Time{}
		}
	}
	for from, to := range map[*decimal.Decimal]*eve.ISK{&price: &v.Price, &reward: &v.Reward, &collateral: &v.Collateral} {
		*to = eve.ISK(from.Shift(2).IntPart())
	}
	return nil
}

// contractFold puts contracts together and counts them.
type contractFold struct {
	periodFigures[ContractFigures]

	where     memberships
	character int64
	now       eve.Contract
	// ended is when it was first told that the contract has its outcome; day is that of
	// its record.
	ended, day time.Time
}

// lay lays what an event told over the contract.
func (f *contractFold) lay(v *contractVersion) {
	before := f.now.Outcome()
	if f.now.ID == 0 {
		before = eve.ContractOpen
	}
	f.character, f.day = v.character, v.day
	f.now.Amend(&v.Contract)
	if f.now.Outcome() != before {
		f.ended = v.told
	}
}

// flush counts the contract and begins the next.
func (f *contractFold) flush() error {
	k, character, ended, day := f.now, f.character, f.ended, f.day
	f.now, f.character, f.ended = eve.Contract{}, 0, time.Time{}
	if k.ID == 0 {
		return nil
	}
	group := func(at time.Time) RecordGroup {
		return RecordGroup{
			FactGroup:      FactGroup{CharacterID: character, CorporationID: f.where.at(character, at)},
			CounterpartyID: k.Counterparty(character), Kind: k.Type, Status: k.Status, Role: string(k.Role(character)),
		}
	}
	step := func(at time.Time, count func(*ContractFigures)) error { return f.add(at, group(at), count) }
	if !k.Counts() {
		return step(day, func(f *ContractFigures) { f.Unreadable++ })
	}
	if err := step(k.Issued, func(f *ContractFigures) { f.Issued.add(&k) }); err != nil {
		return err
	}
	if !k.Accepted.IsZero() {
		if err := step(k.Accepted, func(f *ContractFigures) {
			f.Accepted.add(&k)
			f.waited = append(f.waited, int64(k.Accepted.Sub(k.Issued)/time.Second))
		}); err != nil {
			return err
		}
	}
	if !k.Completed.IsZero() {
		ended = k.Completed
	}
	switch k.Outcome() {
	case eve.ContractFinished:
		return step(ended, func(f *ContractFigures) { f.Finished.add(&k) })
	case eve.ContractUnfinished:
		return step(ended, func(f *ContractFigures) { f.Unfinished.add(&k) })
	default:
		return nil
	}
}
