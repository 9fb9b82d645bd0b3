package eve_test

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/muster-sync/muster/domain/eve"
	"github.com/muster-sync/muster/domain/event"
)

func TestAContractIsItsRecordsLaidOverOneAnother(t *testing.T) {
	var c eve.Contract
	for _, item := range []string{
		`{"contract_id":7,"type":"courier","status":"outstanding","issuer_id":1,"assignee_id":2,"acceptor_id":0,"date_issued":"2026-05-01T10:00:00Z","price":0,"reward":1500000.25,"collateral":2e9}`,
		`{"contract_id":7,"items":[{"type_id":34}]}`,
		`{"contract_id":7,"status":"in_progress","acceptor_id":3,"date_accepted":"2026-05-02T10:00:00Z"}`,
		`{"contract_id":7,"status":"finished","date_completed":"2026-05-03T10:00:00Z","reward":null}`,
	} {
		told, err := eve.DecodeContract(json.RawMessage(item))
		require.NoError(t, err)
		c.Amend(&told)
	}
	day := func(d int) time.Time { return time.Date(2026, 5, d, 10, 0, 0, 0, time.UTC) }
	all := eve.ContractCollateral<<1 - 1
	require.Equal(t, eve.Contract{
		ID: 7, Told: all, Type: "courier", Status: "finished", IssuerID: 1, AssigneeID: 2, AcceptorID: 3, Issued: day(1), Accepted: day(2), Completed: day(3), Collateral: 2e11,
	}, c, "null is told")
	require.True(t, c.Counts())
	require.False(t, (&eve.Contract{Type: "courier"}).Counts())
}

func TestWhatTellsNoContractIsRefused(t *testing.T) {
	f := func(item, why string) {
		t.Helper()
		_, err := eve.DecodeContract(json.RawMessage(item))
		require.Equal(t, event.CodeInvalid, event.CodeOf(err), "%v", err)
		require.ErrorContains(t, err, why)
	}
	f(`[]`, "object")
	f(`{"type":"courier"}`, "contract_id")
	f(`{"contract_id":1,"price":-1}`, "price")
	f(`{"contract_id":1,"reward":1e40}`, "reward")
	f(`{"contract_id":1,"date_issued":"soon"}`, "contracts")
}

func TestSidesAndOutcomesOfContracts(t *testing.T) {
	c := eve.Contract{IssuerID: 1, AssigneeID: 2}
	require.Equal(t, []any{eve.RoleIssuer, int64(2)}, []any{c.Role(1), c.Counterparty(1)})
	c.AcceptorID = 3
	require.Equal(t, []any{eve.RoleIssuer, int64(3)}, []any{c.Role(1), c.Counterparty(1)})
	require.Equal(t, []any{eve.RoleAssignee, int64(1)}, []any{c.Role(2), c.Counterparty(2)})
	require.Equal(t, []any{eve.RoleAcceptor, int64(1)}, []any{c.Role(3), c.Counterparty(3)})
	require.Equal(t, []any{eve.RoleOther, int64(1)}, []any{c.Role(4), c.Counterparty(4)})
	for status, want := range map[string]eve.ContractOutcome{
		"outstanding": eve.ContractOpen, "in_progress": eve.ContractOpen, "novel": eve.ContractOpen, "": eve.ContractOpen,
		"finished": eve.ContractFinished, "finished_issuer": eve.ContractFinished, "finished_contractor": eve.ContractFinished,
		"cancelled": eve.ContractUnfinished, "rejected": eve.ContractUnfinished, "failed": eve.ContractUnfinished, "deleted": eve.ContractUnfinished, "reversed": eve.ContractUnfinished,
	} {
		c.Status = status
		require.Equal(t, want, c.Outcome(), status)
	}
}

func FuzzDecodeContract(f *testing.F) {
	f.Add([]byte(`{"contract_id":7,"type":"courier","status":"finished","price":1.5,"date_issued":"2026-05-01T10:00:00Z"}`))
	f.Add([]byte(`{"contract_id":7,"reward":null}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		c, err := eve.DecodeContract(b)
		if err != nil {
			require.Equal(t, event.CodeInvalid, event.CodeOf(err))
			return
		}
		require.Positive(t, c.ID)
		require.GreaterOrEqual(t, min(c.Price, c.Reward, c.Collateral), eve.ISK(0))
		var over eve.Contract
		over.Amend(&c)
		require.Equal(t, c, over)
	})
}
