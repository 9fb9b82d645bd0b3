package anvil_test

import (
	"context"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	domain "github.com/muster-sync/muster/domain/anvil"
	"github.com/muster-sync/muster/domain/event"
	"github.com/muster-sync/muster/ingest/anvil"
	"github.com/muster-sync/muster/internal/simulate/fault"
)

// imports is an importer with the log that it declares in.
func imports(t *testing.T, asker anvil.Asker) (*anvil.Importer, *logBus, *bench) {
	b := newBench(t, asker)
	bus := &logBus{log: b.log}
	return anvil.NewImporter(b.Sweeper, anvil.NewDeclarer(bus, bus.load)), bus, b
}

func (b *logBus) state(t *testing.T) *domain.State {
	s, err := b.load(t.Context(), stream)
	require.NoError(t, err)
	return s
}

func TestAnImportOfTheSimulatedWorldAgreesWithTheSweepThatFollows(t *testing.T) {
	s := simulate(t)
	require.NoError(t, s.Freeze(s.WorldTime()))
	importer, bus, b := imports(t, newClient(t, s.config))
	in := anvil.ImportInput{Actor: "ada", Consortium: consortium, Import: domain.Import{ServiceAccount: s.Simulator.Declared().ServiceAccount, WithAccounts: true}, DryRun: true}

	planned, err := importer.Import(t.Context(), in)
	require.NoError(t, err)
	require.Empty(t, bus.log.events, "a dry run changes nothing")
	in.DryRun = false
	result, err := importer.Import(t.Context(), in)
	require.NoError(t, err)
	require.Equal(t, planned.Plan, result.Plan)
	require.Equal(t, planned.LeftOut, result.LeftOut)
	require.Equal(t, "ada", bus.log.events[0].Actor)
	require.Contains(t, string(bus.log.events[0].Data), `"reason":"imported from AnVIL"`)
	require.Equal(t, "plan.applied", bus.log.types()[len(bus.log.events)-1])
	for _, kind := range []string{
		"billingproject.declared", "account.declared", "managedgroup.declared", "groupmembership.declared", "accountmembership.declared", "workspace.declared", "sharing.declared",
	} {
		require.Contains(t, bus.log.types(), kind)
	}

	d := bus.state(t).Declared()
	_, err = b.Run(t.Context(), consortium, d, nil)
	require.NoError(t, err)
	require.Empty(t, s.Violations())
	left := map[string]bool{}
	for _, l := range result.LeftOut {
		left[l.Name] = true
	}
	audit := bus.state(t).Audit(domain.Options{})
	require.NotEmpty(t, audit.Workspaces.Verified)
	require.NotEmpty(t, audit.ManagedGroups.Verified)
	for _, x := range audit.Discrepancies() {
		_, address, _ := strings.Cut(x.Record, ": ")
		switch {
		case x.Kind == domain.NotInApp && left[x.Scope+"/"+address]:
			// It was left out, by name and with the cause.
		case x.Kind == domain.ErrGroupMembership || x.Kind == domain.ErrWorkspaceSharing:
			// The sum of what is found below.
		case x.Kind == domain.ErrDifferentCanShare:
			// Nobody can declare that a WRITER may share: it is for the audit to say.
		case x.Beyond:
			// It is as declared, and to be questioned all the same.
		default:
			require.Fail(t, "what was imported differs", "%+v", x)
		}
	}

	before := len(bus.log.events)
	again, err := importer.Import(t.Context(), in)
	require.NoError(t, err)
	require.Empty(t, again.Plan, "the same world once more changes nothing")
	require.Equal(t, result.LeftOut, again.LeftOut)
	require.Len(t, bus.log.events, before)
}

func TestAnImportAddsToTheDeclarationAndWithdrawsNothing(t *testing.T) {
	s := simulate(t)
	require.NoError(t, s.Freeze(s.WorldTime()))
	importer, bus, _ := imports(t, newClient(t, s.config))
	d := s.declaration(t)
	_, err := anvil.NewDeclarer(bus, bus.load).Declare(t.Context(), anvil.DeclareInput{Consortium: consortium, Wanted: d})
	require.NoError(t, err)
	result, err := importer.Import(t.Context(), anvil.ImportInput{Consortium: consortium, Reason: "what else is there"})
	require.NoError(t, err)
	require.NotEmpty(t, result.Plan)
	for _, c := range result.Plan {
		require.NotEqual(t, domain.Withdrawn, c.Action, "%s", c)
		require.NotEqual(t, domain.KindAccount, c.Record.Kind, "accounts were not asked for")
	}
	require.Contains(t, string(bus.log.events[len(bus.log.events)-1].Data), `"reason":"what else is there"`)
	now := bus.state(t).Declared()
	for _, g := range d.ManagedGroups {
		require.True(t, slices.ContainsFunc(now.ManagedGroups, func(n domain.ManagedGroup) bool { return n.Name == g.Name }))
	}
}

func TestAnImportNeedsAServiceAccountAndAnAnVILThatAnswers(t *testing.T) {
	s := simulate(t)
	importer, bus, b := imports(t, newClient(t, s.config))
	_, err := importer.Import(t.Context(), anvil.ImportInput{Consortium: consortium})
	require.Equal(t, event.CodeInvalid, event.CodeOf(err))
	require.ErrorContains(t, err, "name the account that asks AnVIL")
	_, err = importer.Import(t.Context(), anvil.ImportInput{Consortium: "a/b"})
	require.Equal(t, event.CodeInvalid, event.CodeOf(err))

	in := anvil.ImportInput{Consortium: consortium, Import: domain.Import{ServiceAccount: "app@example.com"}}
	for _, kind := range []fault.Kind{fault.Maintenance, fault.HTML, fault.Truncated, fault.WrongTypes, fault.ServerError, fault.Reset} {
		t.Run(string(kind), func(t *testing.T) {
			require.NoError(t, s.Faults().Add(fault.Fault{Kind: kind}))
			defer s.Faults().Clear()
			_, err := importer.Import(t.Context(), in)
			require.Equal(t, event.CodeUnavailable, event.CodeOf(err), err)
			require.ErrorContains(t, err, "neither of AnVIL's lists could be read")
		})
	}
	require.Empty(t, bus.log.events)
	require.NotEmpty(t, b.samples.list, "what could not be read is kept aside")
}

// What fails is left out by name; everything else is imported as if nothing had
// failed, and nothing is guessed.
func TestAnImportLeavesOutWhatFailsAndNothingElse(t *testing.T) {
	for _, kind := range []fault.Kind{fault.ServerError, fault.Truncated, fault.CutOff, fault.HTML, fault.WrongTypes, fault.Reset} {
		for _, route := range []string{"group-members", "workspace-acl", "workspace-settings", "billing-project", "user", "workspaces"} {
			t.Run(string(kind)+" "+route, func(t *testing.T) {
				s := simulate(t)
				require.NoError(t, s.Freeze(s.WorldTime()))
				s.config.Attempts = 1
				service := s.Simulator.Declared().ServiceAccount
				full := importOf(t, s, service)
				require.NoError(t, s.Faults().Add(fault.Fault{Kind: kind, Route: route}))
				importer, bus, _ := imports(t, newClient(t, s.config))
				result, err := importer.Import(t.Context(), anvil.ImportInput{Consortium: consortium, Import: domain.Import{ServiceAccount: service, WithAccounts: true}})
				require.NoError(t, err)
				require.NotEmpty(t, result.LeftOut)
				plan, err := domain.Plan(bus.state(t).Declared(), full, domain.Strict)
				require.NoError(t, err)
				require.NotEmpty(t, plan)
				for _, c := range plan {
					require.Equal(t, domain.Added, c.Action, "%s: what is imported is what would be without the fault", c)
				}
			})
		}
	}
}

func importOf(t *testing.T, s *simulated, service string) domain.Declared {
	importer, bus, _ := imports(t, newClient(t, s.config))
	_, err := importer.Import(t.Context(), anvil.ImportInput{Consortium: consortium, Import: domain.Import{ServiceAccount: service, WithAccounts: true}})
	require.NoError(t, err)
	return bus.state(t).Declared()
}

// A declaration that changes while AnVIL is asked is not lost.
func TestAnImportIsDecidedOnTheDeclarationAsItIsThen(t *testing.T) {
	var bus *logBus
	var once sync.Once
	world := newTerra(smallWorld(answer("rawls", "/api/workspaces", 200, `[]`)))
	client := newClient(t, world.start(t))
	asker := askerFunc(func(ctx context.Context, q domain.Request) (anvil.Reply, error) {
		var err error
		once.Do(func() {
			_, err = anvil.NewDeclarer(bus, bus.load).Declare(ctx, anvil.DeclareInput{Consortium: consortium, Wanted: declared(t, `{"service_account": "app@example.com", "accounts": [{"email": "a@example.com"}]}`)})
		})
		if err != nil {
			return anvil.Reply{}, err
		}
		return client.Ask(ctx, q)
	})
	var importer *anvil.Importer
	importer, bus, _ = imports(t, asker)
	_, err := importer.Import(t.Context(), anvil.ImportInput{Consortium: consortium, Import: domain.Import{ServiceAccount: "app@example.com"}})
	require.NoError(t, err)
	d := bus.state(t).Declared()
	require.Len(t, d.Accounts, 1)
	require.Equal(t, []domain.AccountMembership{{Group: "g1", Account: "a@example.com", Role: domain.RoleMember}}, d.GroupAccountMemberships)
}
