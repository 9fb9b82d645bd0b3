package anvil

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// The error texts of the audits. They are the peer's, letter by letter.
const (
	ErrNotInAnVIL            = "Not in AnVIL"
	ErrDifferentRole         = "App has a different role in this group"
	ErrGroupMembership       = "Group membership does not match in AnVIL"
	ErrAccountAdminMissing   = "Account not an admin in AnVIL"
	ErrAccountMemberMissing  = "Account not a member in AnVIL"
	ErrDeactivatedAccount    = "Account is deactivated but still has membership records in the app."
	ErrGroupAdminMissing     = "Group not an admin in AnVIL"
	ErrGroupMemberMissing    = "Group not a member in AnVIL"
	ErrWorkspaceNotInAnVIL   = "No access or not in AnVIL"
	ErrNotOwner              = "Not an owner on AnVIL"
	ErrIsOwner               = "Owner on AnVIL"
	ErrIsReader              = "Reader on AnVIL"
	ErrIsWriter              = "Writer on AnVIL"
	ErrDifferentAuthDomains  = "Has different auth domains on AnVIL"
	ErrDifferentLock         = "Workspace lock status does not match on AnVIL"
	ErrDifferentRequesterPay = "Workspace bucket requester_pays status does not match on AnVIL"
	ErrWorkspaceSharing      = "Workspace sharing does not match on AnVIL"
	ErrNotShared             = "Not shared in AnVIL"
	ErrDifferentAccess       = "Different access level in AnVIL"
	ErrDifferentCanCompute   = "can_compute value does not match in AnVIL"
	ErrDifferentCanShare     = "can_share value does not match in AnVIL"
)

// What the peer passes and an auditor would question. Default mode reports it
// apart from the peer's errors, see [Outcome.Beyond].
const (
	// ErrProjectOwner: the service account owns the workspace through its billing
	// project. The peer takes a project owner for no owner.
	ErrProjectOwner = "Project owner on AnVIL"
	// ErrHiddenOwner: declared without access, and an owner that is only outside of
	// the authorization domain.
	ErrHiddenOwner = "Owner on AnVIL, outside of the authorization domain"
	// ErrNoAccess: declared with limited access, and listed without any.
	ErrNoAccess = "No access on AnVIL"
	// ErrPending: a declared sharing that nobody has taken up yet.
	ErrPending = "Invitation is pending on AnVIL"
	// ErrNeverRegistered: the account was invited and never signed in.
	ErrNeverRegistered = "Invited to AnVIL but never registered"
	// ErrDisabled: the account cannot sign in.
	ErrDisabled = "Disabled on AnVIL"
)

// NotInApp is the kind of discrepancy of a record that AnVIL has and nobody
// declared. All other kinds are error texts.
const NotInApp = "not_in_app"

// NotDeclared is the expected value of what AnVIL has and nobody declared.
const NotDeclared = "not declared"

// Everything is the key, in [Outcome.Unknown], of all that AnVIL may have
// beyond the declared records, when the list of it could not be read.
const Everything = "*"

// Levels of access in AnVIL's answers that mean something to the audits.
const (
	levelOwner    = "OWNER"
	levelProject  = "PROJECT_OWNER"
	levelWriter   = "WRITER"
	levelReader   = "READER"
	levelNoAccess = "NO ACCESS"
)

// Discrepancy is one point in which a record and AnVIL disagree, with the two
// values side by side.
type Discrepancy struct {
	Model Model `json:"model"`
	// Scope is the group or workspace whose membership or sharing was audited;
	// empty for the other audits.
	Scope string `json:"scope,omitempty"`
	// Record is the key of the record in the results.
	Record string `json:"record"`
	// Kind is an error text or [NotInApp].
	Kind string `json:"kind"`
	// Expected is the declared value and Observed AnVIL's, in words.
	Expected string `json:"expected"`
	Observed string `json:"observed"`
	// Beyond: the peer passes this.
	Beyond bool `json:"beyond,omitempty"`
	// RoleSwap: a member is an admin instead, or the other way round. The peer has
	// an error and an unrelated line of not_in_app for it; in default mode the two
	// are this one discrepancy.
	RoleSwap bool `json:"role_swap,omitempty"`
	// Declared and Seen are the keys of the records that the two sides rest on.
	Declared []RecordKey `json:"-"`
	Seen     []RecordKey `json:"-"`
}

// Outcome is the result of one audit.
type Outcome struct {
	// Aborted is why the peer would have no result, as class and message of its
	// exception; empty otherwise and always in default mode. The rest is then
	// empty.
	Aborted string
	// Verified are the keys of the declared records without any error.
	Verified []string
	// Errors are the error texts by the key of the declared record.
	Errors map[string][]string
	// Beyond are, by key, the texts of what the peer passes and an auditor would
	// question. It is nil in compat mode.
	Beyond map[string][]string
	// NotInApp is what AnVIL has and nobody declared.
	NotInApp []string
	// Ignored is what AnVIL has and an ignore row covers.
	Ignored []string
	// IgnoredUnmatched are the addresses of ignore rows that cover nothing.
	IgnoredUnmatched []string
	// Unknown says, by key, why a record could not be audited, wholly or in
	// part; [Everything] stands for what no key is known of. A record may have
	// known errors, too. It is nil in compat mode.
	Unknown map[string]string
	// Discrepancies explain each error text and each entry of NotInApp.
	Discrepancies []Discrepancy
}

// OK tells whether the audit saw everything and found nothing wrong.
func (o *Outcome) OK() bool {
	return o.Aborted == "" && len(o.Errors) == 0 && len(o.NotInApp) == 0 && len(o.Beyond) == 0 && len(o.Unknown) == 0
}

// MarshalJSON writes an outcome with the peer's six fields and, in default
// mode, "beyond" and "unknown"; of an aborted one only "aborted". Lists are sorted by code
// point.
func (o *Outcome) MarshalJSON() ([]byte, error) {
	if o.Aborted != "" {
		return json.Marshal(struct {
			Aborted string `json:"aborted"`
		}{o.Aborted})
	}
	return json.Marshal(struct {
		OK               bool                `json:"ok"`
		Verified         []string            `json:"verified"`
		Errors           map[string][]string `json:"errors"`
		NotInApp         []string            `json:"not_in_app"`
		Ignored          []string            `json:"ignored"`
		IgnoredUnmatched []string            `json:"ignored_unmatched"`
		Beyond           map[string][]string `json:"beyond,omitzero"`
		Unknown          map[string]string   `json:"unknown,omitzero"`
	}{o.OK(), notNil(o.Verified), o.Errors, notNil(o.NotInApp), notNil(o.Ignored), notNil(o.IgnoredUnmatched), o.Beyond, o.Unknown})
}

// Result holds the outcomes of the audits that were asked for; nil for the
// others.
type Result struct {
	BillingProjects *Outcome `json:"billing_projects,omitempty"`
	Accounts        *Outcome `json:"accounts,omitempty"`
	ManagedGroups   *Outcome `json:"managed_groups,omitempty"`
	Workspaces      *Outcome `json:"workspaces,omitempty"`
	// Memberships by group and Sharing by workspace have an entry for each
	// sub-audit that was run.
	Memberships map[string]*Outcome `json:"managed_group_memberships,omitzero"`
	Sharing     map[string]*Outcome `json:"workspace_sharing,omitzero"`
}

// Audited is one outcome of a result and what it is the outcome of. As JSON it
// is the outcome alone.
type Audited struct {
	Model Model
	// Scope is the group or workspace of a sub-audit; empty for the others.
	Scope string
	*Outcome
}

// All lists the outcomes of the result, sub-audits after the audit that they
// belong to and in order of their scopes.
func (r *Result) All() []Audited {
	var all []Audited
	add := func(m Model, o *Outcome) {
		if o != nil {
			all = append(all, Audited{m, "", o})
		}
	}
	addSub := func(m Model, subs map[string]*Outcome) {
		for _, scope := range slices.Sorted(maps.Keys(subs)) {
			all = append(all, Audited{m, scope, subs[scope]})
		}
	}
	add(ModelBillingProjects, r.BillingProjects)
	add(ModelAccounts, r.Accounts)
	add(ModelManagedGroups, r.ManagedGroups)
	addSub(ModelMemberships, r.Memberships)
	add(ModelWorkspaces, r.Workspaces)
	addSub(ModelSharing, r.Sharing)
	return all
}

// OK tells whether every audit saw everything and found nothing wrong.
func (r *Result) OK() bool {
	return !slices.ContainsFunc(r.All(), func(a Audited) bool { return !a.Outcome.OK() })
}

// Discrepancies lists what all audits found, in a fixed order.
func (r *Result) Discrepancies() []Discrepancy {
	var all []Discrepancy
	for _, a := range r.All() {
		all = append(all, a.Outcome.Discrepancies...)
	}
	return all
}

// Options say how to audit.
type Options struct {
	// Compat gives the peer's results exactly, aborted audits included.
	Compat bool
	// Models limits what is audited; empty means all.
	Models []Model
	// At is the moment whose ignore rows count: those that have expired by then do
	// not. Zero means that none has. The peer's rows do not expire, so it does not
	// matter in compat mode.
	At time.Time
}

// Audit compares what is declared with what was observed. The declaration must
// be normalised and valid (at least [Literal]). It is linear in the size of
// both and changes neither.
func Audit(d Declared, o *Observed, opts Options) *Result {
	models := opts.Models
	if len(models) == 0 {
		models = Models()
	}
	a := newAuditor(d, o, opts)
	var r Result
	if slices.Contains(models, ModelBillingProjects) {
		r.BillingProjects = a.run(a.billingProjects)
	}
	if slices.Contains(models, ModelAccounts) {
		r.Accounts = a.run(a.accounts)
	}
	if slices.Contains(models, ModelManagedGroups) || slices.Contains(models, ModelMemberships) {
		r.Memberships = map[string]*Outcome{}
		r.ManagedGroups = a.run(func(out *Outcome) error { return a.managedGroups(out, r.Memberships) })
	}
	if slices.Contains(models, ModelWorkspaces) || slices.Contains(models, ModelSharing) {
		r.Sharing = map[string]*Outcome{}
		r.Workspaces = a.run(func(out *Outcome) error { return a.workspaces(out, r.Sharing) })
	}
	return &r
}

// abort is the peer's exception, as "class: message". It ends an audit in
// compat mode.
type abort string

func (a abort) Error() string { return string(a) }

// exception is what the peer would raise over the answer.
func (r Response) exception() error {
	message := r.Message
	if message == "" {
		message = "other error"
	}
	switch {
	case r.Status == 0 && r.Unknown == "":
		return abort("NoAnswer: not observed")
	case r.Status == 0 || r.Status == 200:
		return abort("NoAnswer: " + r.Unknown)
	case slices.Contains([]int{400, 403, 404, 409, 500}, r.Status):
		return abort(fmt.Sprintf("AnVILAPIError%d: %s", r.Status, message))
	default:
		return abort("AnVILAPIError: " + message)
	}
}

// cause is why nothing follows from the answer, for default mode.
func (r Response) cause() string {
	switch {
	case r.Unknown != "":
		return r.Unknown
	case r.Status == 0:
		return "not observed"
	case r.Message != "":
		return fmt.Sprintf("status %d: %s", r.Status, r.Message)
	default:
		return fmt.Sprintf("status %d", r.Status)
	}
}

// auditor runs the audits of one declaration and observation.
type auditor struct {
	d      Declared
	o      *Observed
	compat bool
	at     time.Time

	groups map[string]ManagedGroup
	people map[string]Account
}

func newAuditor(d Declared, o *Observed, opts Options) *auditor {
	a := &auditor{
		d: d, o: o, compat: opts.Compat, at: opts.At,
		groups: make(map[string]ManagedGroup, len(d.ManagedGroups)),
		people: make(map[string]Account, len(d.Accounts)),
	}
	for _, g := range d.ManagedGroups {
		a.groups[g.Name] = g
	}
	for _, account := range d.Accounts {
		a.people[account.Email] = account
	}
	return a
}

// run makes an outcome: of an audit that ends in an exception only that.
func (a *auditor) run(audit func(*Outcome) error) *Outcome {
	out := &Outcome{Errors: map[string][]string{}}
	if !a.compat {
		out.Unknown, out.Beyond = map[string]string{}, map[string][]string{}
	}
	if err := audit(out); err != nil {
		return &Outcome{Aborted: err.Error()}
	}
	slices.Sort(out.Verified)
	slices.Sort(out.NotInApp)
	slices.Sort(out.Ignored)
	slices.Sort(out.IgnoredUnmatched)
	for _, byRecord := range []map[string][]string{out.Errors, out.Beyond} {
		for _, texts := range byRecord {
			slices.Sort(texts)
		}
	}
	return out
}

// expired tells whether an ignore row counts no more.
func (a *auditor) expired(at time.Time) bool {
	return !a.compat && !at.IsZero() && !a.at.IsZero() && !a.at.Before(at)
}

// unknown notes that a record could not be audited. In compat mode that is the
// end of the audit.
func (a *auditor) unknown(out *Outcome, key string, why Response) error {
	if a.compat {
		return why.exception()
	}
	if _, before := out.Unknown[key]; !before {
		out.Unknown[key] = why.cause()
	}
	return nil
}

// wrong notes an error of a declared record.
func wrong(out *Outcome, d Discrepancy) {
	out.Errors[d.Record] = append(out.Errors[d.Record], d.Kind)
	out.Discrepancies = append(out.Discrepancies, d)
}

// question notes what the peer passes; in compat mode it does nothing.
func (a *auditor) question(out *Outcome, d Discrepancy) {
	if a.compat {
		return
	}
	d.Beyond = true
	out.Beyond[d.Record] = append(out.Beyond[d.Record], d.Kind)
	out.Discrepancies = append(out.Discrepancies, d)
}

// undeclared notes what AnVIL has beyond the declared. The peer stops at the
// second result of the same key; in default mode the two become one.
func (a *auditor) undeclared(out *Outcome, seen map[string]int, d Discrepancy) error {
	if first, twice := seen[d.Record]; twice {
		if a.compat {
			return abort("ValueError: Already added a result for " + d.Record + ".")
		}
		out.Discrepancies[first].Observed += ", " + d.Observed
		return nil
	}
	seen[d.Record] = len(out.Discrepancies)
	out.NotInApp = append(out.NotInApp, d.Record)
	out.Discrepancies = append(out.Discrepancies, d)
	return nil
}

// settle counts a record as verified if nothing was noted against it.
func settle(out *Outcome, key string) {
	if len(out.Errors[key]) == 0 && len(out.Beyond[key]) == 0 && out.Unknown[key] == "" {
		out.Verified = append(out.Verified, key)
	}
}

func (a *auditor) billingProjects(out *Outcome) error {
	for _, b := range a.d.BillingProjects {
		if !b.HasAppAsUser {
			continue
		}
		r := a.o.BillingProjects[b.Name]
		d := Discrepancy{
			Model: ModelBillingProjects, Record: b.Name, Kind: ErrNotInAnVIL,
			Expected: "exists, with the service account as a user", Observed: "missing, or the service account is no user of it",
			Declared: []RecordKey{{KindBillingProject, b.Name}}, Seen: []RecordKey{{KindBillingProject, b.Name}},
		}
		if err := a.exists(out, r.Response, d, 404); err != nil {
			return err
		}
		settle(out, b.Name)
	}
	return nil
}

func (a *auditor) accounts(out *Outcome) error {
	for _, account := range a.d.Accounts {
		if account.Status != StatusActive {
			continue
		}
		r := a.o.Accounts[account.Email]
		d := Discrepancy{
			Model: ModelAccounts, Record: account.Email, Kind: ErrNotInAnVIL,
			Expected: "exists as an account", Observed: "no such account",
			Declared: []RecordKey{{KindAccount, account.Email}}, Seen: []RecordKey{{KindAccount, account.Email}},
		}
		if r.Status == 204 {
			d.Observed = "the address is a group's"
		}
		if err := a.exists(out, r.Response, d, 404, 204); err != nil {
			return err
		}
		if r.Found() {
			a.usable(out, d, r.Value)
		}
		settle(out, account.Email)
	}
	return nil
}

// usable questions an account that exists, and that nobody can use.
func (a *auditor) usable(out *Outcome, d Discrepancy, info AccountInfo) {
	d.Expected = "can be used"
	switch {
	case info.Disabled:
		d.Kind, d.Observed = ErrDisabled, "disabled"
		a.question(out, d)
	case !info.Registered:
		d.Kind, d.Observed = ErrNeverRegistered, "invited, never registered"
		a.question(out, d)
	}
}

// exists judges a record whose status alone decides. The peer does not look
// into the body of a 200.
func (a *auditor) exists(out *Outcome, r Response, d Discrepancy, missing ...int) error {
	switch {
	case slices.Contains(missing, r.Status) && r.Unknown == "":
		wrong(out, d)
	case !r.Found() && (r.Status != 200 || !a.compat):
		if err := a.unknown(out, d.Record, r); err != nil {
			return err
		}
	}
	return nil
}

func yesNo(b bool, yes, no string) string {
	if b {
		return yes
	}
	return no
}

func list(names []string) string {
	if len(names) == 0 {
		return "none"
	}
	return strings.Join(names, ", ")
}
