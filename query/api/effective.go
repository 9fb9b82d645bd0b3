package api

import (
	"context"
	"net/http"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/google/uuid"

	"github.com/muster-sync/muster/domain/access"
	"github.com/muster-sync/muster/domain/anvil"
	"github.com/muster-sync/muster/domain/event"
)

// AccessBasis is what an answer about access rests on.
type AccessBasis struct {
	Consortium string     `json:"consortium"`
	AsOf       *time.Time `json:"as_of" doc:"The moment that the answer is about; null for now."`
	SweepID    *uuid.UUID `json:"sweep_id" nullable:"true" doc:"The last sweep completed by then; null before the first."`
	SweptAt    *time.Time `json:"swept_at" doc:"When that sweep ended; null before the first."`
}

// AccessSide is what is known of a workspace on one side, apart from who has
// access.
type AccessSide struct {
	Unknown              string         `json:"unknown,omitempty" doc:"Why nothing can be said of this side."`
	Absent               bool           `json:"absent,omitempty" doc:"This side has no such workspace."`
	AuthorizationDomains []string       `json:"authorization_domains" nullable:"false" doc:"The groups that one must be in, all of them."`
	Opaque               []anvil.Opaque `json:"opaque" nullable:"false" doc:"Groups of which it cannot be known in full who is in them: others may come in through them, with the rights named here."`
	ProjectOwners        []string       `json:"project_owners" nullable:"false" doc:"The known owners of the billing project. They own its workspaces, and access lists do not name them: there may be more."`
}

// AddressOf is what is known of an address.
type AddressOf struct {
	Address          string `json:"address"`
	IsApp            bool   `json:"is_app" doc:"It is the service account that asks AnVIL."`
	IsServiceAccount bool   `json:"is_service_account" doc:"It is declared as a service account."`
	Account          string `json:"account" enum:"active,inactive,undeclared" doc:"How its account is declared."`
}

// CompareSides is what both sides give to an address.
type CompareSides struct {
	Agreement string               `json:"agreement,omitempty" enum:"agrees,declared_only,observed_only,level_differs,rights_differ,admission_differs,unknown" doc:"How the two sides agree; unknown if what cannot be known could make them agree. Absent if one side was asked for."`
	Declared  *anvil.AddressAccess `json:"declared,omitempty" doc:"Absent if it gives nothing that is known of."`
	Observed  *anvil.AddressAccess `json:"observed,omitempty" doc:"Absent if it gives nothing that is known of."`
}

// AddressInWorkspace is what an address may do in the workspace in question.
type AddressInWorkspace struct {
	AddressOf
	CompareSides
}

// WorkspaceAccess is who can come to a workspace.
type WorkspaceAccess struct {
	AccessBasis

	Workspace string      `json:"workspace"`
	Declared  *AccessSide `json:"declared,omitempty" doc:"Absent if it was not asked for."`
	Observed  *AccessSide `json:"observed,omitempty" doc:"Absent if it was not asked for."`
	Page[AddressInWorkspace]
}

func (w *WorkspaceAccess) rows() any {
	rows := make([]addressRow, len(w.Items))
	for i, item := range w.Items {
		rows[i] = addressRow{item.AddressOf, rowOf(item.CompareSides)}
	}
	return rows
}

// WorkspaceOfAddress is what the address in question may do in a workspace.
type WorkspaceOfAddress struct {
	Workspace string `json:"workspace"`
	CompareSides

	DeclaredSide *AccessSide `json:"declared_side,omitempty" doc:"Absent if it was not asked for."`
	ObservedSide *AccessSide `json:"observed_side,omitempty" doc:"Absent if it was not asked for."`
}

// AccountAccess is to which workspaces an address can come.
type AccountAccess struct {
	AccessBasis
	AddressOf
	Page[WorkspaceOfAddress]
}

func (a *AccountAccess) rows() any {
	rows := make([]workspaceRow, len(a.Items))
	for i, item := range a.Items {
		rows[i] = workspaceRow{Workspace: item.Workspace, accessRow: rowOf(item.CompareSides)}
		if item.DeclaredSide != nil {
			rows[i].DeclaredUnknown = item.DeclaredSide.Doubt()
		}
		if item.ObservedSide != nil {
			rows[i].ObservedUnknown = item.ObservedSide.Doubt()
		}
	}
	return rows
}

// Doubt words what cannot be known of a side; empty if all is known.
func (s *AccessSide) Doubt() string {
	if s.Unknown != "" {
		return s.Unknown
	}
	parts := make([]string, len(s.Opaque))
	for i, o := range s.Opaque {
		parts[i] = o.Group + ": " + o.Reason
	}
	return strings.Join(parts, "; ")
}

// accessRow is what both sides give to an address, as columns of a table.
type accessRow struct {
	Agreement          string `json:"agreement"`
	DeclaredLevel      string `json:"declared_level"`
	DeclaredCanShare   bool   `json:"declared_can_share"`
	DeclaredCanCompute bool   `json:"declared_can_compute"`
	DeclaredAdmission  string `json:"declared_admission"`
	DeclaredPaths      string `json:"declared_paths"`
	ObservedLevel      string `json:"observed_level"`
	ObservedCanShare   bool   `json:"observed_can_share"`
	ObservedCanCompute bool   `json:"observed_can_compute"`
	ObservedAdmission  string `json:"observed_admission"`
	ObservedPaths      string `json:"observed_paths"`
	Pending            bool   `json:"pending"`
}

type addressRow struct {
	AddressOf
	accessRow
}

type workspaceRow struct {
	Workspace string `json:"workspace"`
	accessRow
	DeclaredUnknown string `json:"declared_unknown"`
	ObservedUnknown string `json:"observed_unknown"`
}

func rowOf(c CompareSides) accessRow {
	row := accessRow{Agreement: c.Agreement}
	if d := c.Declared; d != nil {
		row.DeclaredLevel, row.DeclaredCanShare, row.DeclaredCanCompute = d.Level, d.CanShare, d.CanCompute
		row.DeclaredAdmission, row.DeclaredPaths = d.AdmissionText(), d.PathsText()
	}
	if o := c.Observed; o != nil {
		row.ObservedLevel, row.ObservedCanShare, row.ObservedCanCompute, row.Pending = o.Level, o.CanShare, o.CanCompute, o.Pending
		row.ObservedAdmission, row.ObservedPaths = o.AdmissionText(), o.PathsText()
	}
	return row
}

// SideInput says which sides to look at.
type SideInput struct {
	Side string `query:"side" enum:"declared,observed,both" default:"both" doc:"The side to look at; both are compared."`
}

func (in SideInput) sides() []anvil.Side {
	if in.Side == "both" {
		return []anvil.Side{anvil.SideDeclared, anvil.SideObserved}
	}
	return []anvil.Side{anvil.Side(in.Side)}
}

type workspaceAccessInput struct {
	PageInput
	ConsortiumPath
	AsOfInput
	SideInput

	BillingProject string `path:"billing_project" minLength:"1" maxLength:"300" doc:"The billing project's name."`
	Name           string `path:"name" minLength:"1" maxLength:"300" doc:"The workspace's name."`
}

type workspaceAccessOutput struct {
	Link string `header:"Link" doc:"The address of the next page, with rel=\"next\"; absent at the end."`
	Body *WorkspaceAccess
}

type accountAccessInput struct {
	PageInput
	ConsortiumPath
	AsOfInput
	SideInput

	Email string `path:"email" minLength:"1" maxLength:"300" doc:"The address, in any case of letters."`
}

type accountAccessOutput struct {
	Link string `header:"Link" doc:"The address of the next page, with rel=\"next\"; absent at the end."`
	Body *AccountAccess
}

type declaredInput struct {
	Conditional
	ConsortiumPath
	AsOfInput
}

// registerEffective adds what is told of access and of the declaration; op makes
// an operation of a consortium.
func (s *Server) registerEffective(op func(method, id, path, summary string, errors ...int) huma.Operation) {
	const groups = " Through nested groups, in which admins are as members are, and past authorization domains. What cannot be known is said: it is never guessed."
	workspace := op(http.MethodGet, "list-workspace-access", "/workspaces/{billing_project}/{name}/access", "List who can come to a workspace, and how")
	workspace.Description = "Everybody whom the declaration or AnVIL gives access, by address." + groups
	register(s, access.ActionReadAnvil, asTable(workspace), s.workspaceAccess)
	account := op(http.MethodGet, "list-account-access", "/accounts/{email}/access", "List the workspaces that an address can come to, and how")
	account.Description = "The workspaces to which an address has access, or of which that cannot be known, by name." + groups
	register(s, access.ActionReadAnvil, asTable(account), s.accountAccess)
	declared := op(http.MethodGet, "get-declaration", "/declared", "What is declared")
	declared.Description = "In the form that declarations take, each list in the order of names: it can be sent to declare-consortium as it is."
	register(s, access.ActionReadAnvil, notModified(declared), s.getDeclared)
}

// state is the state of a consortium as of a moment.
func (s *Server) state(ctx context.Context, consortium string, at time.Time) (*anvil.State, error) {
	consortia, err := s.consortia(ctx, consortium, at)
	if err != nil {
		return nil, err
	}
	return consortia.State(ctx, consortium)
}

func basisOf(consortium string, at time.Time, state *anvil.State) AccessBasis {
	b := AccessBasis{Consortium: consortium}
	if !at.IsZero() {
		b.AsOf = utcTime(&at)
	}
	if sweep, ok := state.LastSweep(); ok {
		b.SweepID, b.SweptAt = &sweep.SweepID, utcTime(&sweep.CompletedAt)
	}
	return b
}

func sideOf(side *anvil.SideAccess) *AccessSide {
	if side == nil {
		return nil
	}
	return &AccessSide{
		Unknown: side.Unknown, Absent: side.Absent, AuthorizationDomains: side.AuthorizationDomains, Opaque: side.Opaque, ProjectOwners: side.ProjectOwners,
	}
}

func addressOf(c anvil.ComparedAccess) AddressOf {
	out := AddressOf{Address: c.Address, IsApp: c.IsApp, IsServiceAccount: c.IsServiceAccount, Account: "undeclared"}
	switch {
	case c.Inactive:
		out.Account = string(anvil.StatusInactive)
	case c.Known:
		out.Account = string(anvil.StatusActive)
	}
	return out
}

// sidesOf is what both sides give to an address.
func sidesOf(c anvil.ComparedAccess) CompareSides {
	return CompareSides{Agreement: string(c.Agreement), Declared: c.Declared, Observed: c.Observed}
}

func (s *Server) workspaceAccess(ctx context.Context, in *workspaceAccessInput) (*workspaceAccessOutput, error) {
	key := in.BillingProject + "/" + in.Name
	list := "access/" + in.Consortium + "/" + key + "/" + in.Side + listAsOf(in.AsOf)
	after, err := cursorOf[string](in.PageInput, list)
	if err != nil {
		return nil, err
	}
	state, err := s.state(ctx, in.Consortium, in.AsOf)
	if err != nil {
		return nil, err
	}
	effective := anvil.NewEffectiveAccess(state.Declared(), state.Observed())
	if !effective.Knows(key) {
		return nil, event.Errorf(event.CodeNotFound, "consortium %q has no workspace %q: it is neither declared nor in AnVIL's list; the case of letters counts", in.Consortium, key)
	}
	found := effective.Workspace(key, in.sides()...)
	items := following(found.Addresses, after, func(c anvil.ComparedAccess) string { return c.Address })
	page, err := pageOf(in.PageInput, list, items[:min(len(items), in.Limit+1)], func(c anvil.ComparedAccess) AddressInWorkspace {
		return AddressInWorkspace{addressOf(c), sidesOf(c)}
	}, func(c anvil.ComparedAccess) string { return c.Address })
	if err != nil {
		return nil, err
	}
	return &workspaceAccessOutput{Link: page.Link, Body: &WorkspaceAccess{
		AccessBasis: basisOf(in.Consortium, in.AsOf, state), Workspace: key, Declared: sideOf(found.Declared), Observed: sideOf(found.Observed), Page: *page.Body,
	}}, nil
}

// following is the part of an ordered list that comes after a key; all of it if
// there is none.
func following[T any](list []T, after *string, key func(T) string) []T {
	if after == nil {
		return list
	}
	for i, v := range list {
		if key(v) > *after {
			return list[i:]
		}
	}
	return nil
}

func (s *Server) accountAccess(ctx context.Context, in *accountAccessInput) (*accountAccessOutput, error) {
	address := strings.ToLower(in.Email)
	list := "access-of/" + in.Consortium + "/" + address + "/" + in.Side + listAsOf(in.AsOf)
	after, err := cursorOf[string](in.PageInput, list)
	if err != nil {
		return nil, err
	}
	state, err := s.state(ctx, in.Consortium, in.AsOf)
	if err != nil {
		return nil, err
	}
	effective := anvil.NewEffectiveAccess(state.Declared(), state.Observed())
	identity := func(key string) string { return key }
	var items []anvil.WorkspaceAccess
	for _, key := range following(effective.Workspaces(), after, identity) {
		if w := effective.Of(address, key, in.sides()...); len(w.Addresses) > 0 || w.Doubtful() {
			items = append(items, w)
		}
		if len(items) > in.Limit {
			break
		}
	}
	page, err := pageOf(in.PageInput, list, items, workspaceOf, func(w anvil.WorkspaceAccess) string { return w.Workspace })
	if err != nil {
		return nil, err
	}
	return &accountAccessOutput{Link: page.Link, Body: &AccountAccess{
		AccessBasis: basisOf(in.Consortium, in.AsOf, state), AddressOf: addressOf(effective.Address(address)), Page: *page.Body,
	}}, nil
}

func workspaceOf(w anvil.WorkspaceAccess) WorkspaceOfAddress {
	out := WorkspaceOfAddress{Workspace: w.Workspace, DeclaredSide: sideOf(w.Declared), ObservedSide: sideOf(w.Observed)}
	if len(w.Addresses) > 0 {
		out.CompareSides = sidesOf(w.Addresses[0])
	} else if w.Declared != nil && w.Observed != nil {
		out.Agreement = string(anvil.AgreementUnknown)
	}
	return out
}

func (s *Server) getDeclared(ctx context.Context, in *declaredInput) (*single[anvil.Declared], error) {
	state, err := s.state(ctx, in.Consortium, in.AsOf)
	if err != nil {
		return nil, err
	}
	return singleOf(in.Conditional, new(state.Declared().Ordered()))
}
