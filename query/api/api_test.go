package api_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/shopspring/decimal"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/muster-sync/muster/domain/access"
	"github.com/muster-sync/muster/domain/anvil"
	"github.com/muster-sync/muster/domain/eve"
	"github.com/muster-sync/muster/domain/event"
	"github.com/muster-sync/muster/internal/engine/enginetest"
	"github.com/muster-sync/muster/internal/tablefile"
	"github.com/muster-sync/muster/projections/clickhouse"
	"github.com/muster-sync/muster/projections/postgres"
	"github.com/muster-sync/muster/projections/runner"
	"github.com/muster-sync/muster/query/api"
	"github.com/muster-sync/muster/query/explain"
	"github.com/muster-sync/muster/query/export"
)

// The Kafka producer's library measures in a goroutine that it never ends.
func TestMain(m *testing.M) {
	enginetest.Main(m, goleak.IgnoreTopFunction("github.com/rcrowley/go-metrics.(*meterArbiter).tick"))
}

const (
	token   = "a-token-long-enough-for-the-administrator"
	limited = "a-token-of-somebody-who-may-do-nothing"
	// userToken begins the tokens of users of the organisation; their ids follow.
	userToken = "a-token-of-the-user-"
)

var (
	moment    = time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)
	findingID = uuid.MustParse("7d444840-9dc0-11d1-b245-5ffdce74fad2")
	sweepID   = uuid.MustParse("7d444840-9dc0-11d1-b245-5ffdce74fad3")
	tokenID   = uuid.MustParse("7d444840-9dc0-11d1-b245-5ffdce74fad5")
	signInID  = uuid.MustParse("7d444840-9dc0-11d1-b245-5ffdce74fad4")
)

// tokens knows the administrator and somebody without any rights.
type tokens struct{ away bool }

func (a tokens) Authenticate(_ context.Context, given string) (access.Principal, error) {
	switch {
	case a.away:
		return access.Principal{}, event.Errorf(event.CodeUnavailable, "the vault is away")
	case given == token:
		return access.Principal{ID: "token:admin", Superuser: true}, nil
	case given == limited:
		return access.Principal{ID: "token:limited"}, nil
	case strings.HasPrefix(given, userToken):
		user := strings.TrimPrefix(given, userToken)
		// Somebody who was a superuser is held to his view like others.
		return access.Principal{ID: "user:" + user, UserID: user, Superuser: user == "root"}, nil
	default:
		return access.Principal{}, event.Errorf(event.CodeUnauthenticated, "nobody holds this token")
	}
}

// world implements every port of the API. Its fields steer what it answers; it
// notes what it was asked.
type world struct {
	err        error
	block      bool
	panics     bool
	entered    func(context.Context)
	characters []postgres.Character
	section    postgres.Section
	// reference and assets are what is known beside the sections.
	reference postgres.Reference
	assets    []eve.Asset
	referred  postgres.ReferenceRequest
	players   *postgres.Players
	entries   []clickhouse.JournalEntry
	figures   []clickhouse.WalletFigures
	findings  []postgres.Finding
	sweeps    []postgres.Sweep
	shown     bool
	// events is what the index was asked for, lies the event at the place it names.
	events clickhouse.EventFilter
	lies   uuid.UUID

	// exported is how many rows an export has, breaks at which of them it fails.
	exported, breaks int
	export           export.Filter

	// element and record are what sections hold.
	element, record string

	elements postgres.ElementFilter
	records  postgres.RecordFilter
	named    postgres.NameRequest

	// grants are what every user holds, opens the characters that he may open.
	grants access.Grants
	opens  []int64
	// owned are those of them that are his; nil for all.
	owned []int64
	// accessible are the users whom reports show.
	accessible []string
	viewed     access.View
	audience   access.Audience

	users       postgres.UserFilter
	role        api.RoleDefinition
	roleRemoved api.RoleRemoval
	group       api.GroupDefinition
	groupGone   api.GroupRemoval
	members     postgres.GroupMemberFilter
	granted     api.RoleGrant
	changed     api.UserChange

	filter     postgres.CharacterFilter
	compliance postgres.ComplianceFilter
	find       postgres.FinderFilter
	search     postgres.SearchFilter
	found      postgres.FindingFilter
	journal    clickhouse.JournalFilter
	wallet     clickhouse.WalletQuery
	wallets    []clickhouse.WalletQuery
	measure    clickhouse.Measure
	limit      int
	options    anvil.Options
	observed   *anvil.Observed
	declared   api.DeclareInput
	patched    api.PatchInput
	scope      anvil.Scope
	broughtIn  api.ConsortiumImportInput
	acceptance api.AcceptInput
	imported   access.Organisation
	actor      string
	decision   string

	// session is what the browser that is signed in shows, signedIn who that is.
	session  string
	signedIn access.Principal
	returnTo string
	answered api.SignInAnswer
	wanted   access.NewToken
	by       access.Principal
	tokens   []api.HeldToken

	begun     api.BeginRegistration
	decided   api.CharacterDecision
	requested []eve.Section
	reset     bool
	back      api.SignOnAnswer
	// came is what completing a registration comes to.
	came api.Registration

	skillSets    postgres.SkillSets
	holders      []postgres.SkillHolder
	skills       map[int64]eve.Skills
	defined      api.SkillSetDefinition
	definedGroup api.SkillSetGroupDefinition
	removed      api.SkillSetRemoval

	// subject is every character, looked is what was noted, unnoted the error of noting.
	subject access.Subject
	// looking guards looked.
	looking sync.Mutex
	looked  []access.DataViewed
	unnoted error
	looks   postgres.LookFilter
	shared  api.ShareDecision
	issued  api.LinkDecision
}

func newWorld() *world {
	isk := func(cents int64) decimal.Decimal { return decimal.New(cents, -2) }
	return &world{
		players:   &postgres.Players{Online: 21345, ReadAt: moment.Add(-time.Minute)},
		subject:   access.Subject{Owner: "owner", Shared: true},
		lies:      eventID,
		skillSets: skillSets(), holders: skillHolders(), skills: map[int64]eve.Skills{90000001: {3300: {Active: 2, Trained: 5, Points: 256000}}},
		signedIn: access.UserPrincipal("ada"),
		tokens: []api.HeldToken{
			{TokenIssued: access.TokenIssued{TokenID: tokenID, Name: "night export", UserID: "ada", IssuedBy: "user:ada", Scope: []access.Action{access.ActionReadCharacters}, ExpiresAt: moment.Add(time.Hour)}, IssuedAt: moment, LastUsedAt: &moment},
			{TokenIssued: access.TokenIssued{TokenID: sweepID, Name: "old", IssuedBy: "token:admin", ExpiresAt: moment.Add(-time.Hour)}, IssuedAt: moment.Add(-2 * time.Hour)},
			{TokenIssued: access.TokenIssued{TokenID: findingID, Name: "lost", IssuedBy: "token:admin", ExpiresAt: moment.Add(time.Hour)}, IssuedAt: moment.Add(-2 * time.Hour), RevokedAt: &moment, RevokedBy: "token:admin"},
		},
		shown: true, exported: 2, element: `{"item_id":5,"type_id":34,"odd":1.50}`, record: `{"mail_id":7,"odd":1.50}`,
		characters: []postgres.Character{
			{CharacterID: 90000001, Name: "=cmd|' /C calc'!A0", CorporationID: 98000001, AllianceID: 99000001, UserID: "u1", Status: postgres.CharacterActive, RegisteredAt: moment, Scopes: []string{"a"}},
			{CharacterID: 90000002, Name: "Bruce, \"B\" Wayne", Status: postgres.CharacterOrphaned, RegisteredAt: moment, FailingSections: 2},
		},
		section: postgres.Section{
			CharacterID: 90000001, ContentHash: "h", Value: json.RawMessage(`{"solar_system_id":30000142,"odd":1.50}`),
			SectionState: postgres.SectionState{Section: eve.SectionLocation, Status: postgres.SectionOK, ObservedAt: &moment, ValidatedAt: &moment},
		},
		entries: []clickhouse.JournalEntry{{ID: 7, Date: moment, Type: "bounty_prizes", Amount: isk(-123450), Balance: new(isk(5)), Tax: isk(0), FirstPartyID: 3, Reason: "+SUM(A1)"}},
		figures: []clickhouse.WalletFigures{{
			WalletGroup: clickhouse.WalletGroup{CharacterID: 5, RefType: "r", Direction: "income"}, Start: moment, End: moment.Add(time.Hour),
			Income: isk(100), Expense: isk(250), Net: isk(-150), Entries: 3, ClosingBalance: new(isk(-5)),
		}},
		observed: anvil.NewObserved(),
		findings: []postgres.Finding{{Finding: anvil.Finding{
			ID: findingID, Model: anvil.ModelManagedGroups, Record: "g", Kind: anvil.ErrNotInAnVIL, Severity: anvil.SeverityMedium,
			Expected: "a", Observed: "b", OpenedAt: moment, ChangedSide: anvil.SideObserved,
			Evidence: []anvil.Evidence{{Side: anvil.SideDeclared, Kind: anvil.KindGroup, Name: "g", EventID: sweepID}},
		}, Open: true, ChangedAt: moment}},
		sweeps: []postgres.Sweep{{ID: sweepID, StartedAt: moment, Completed: &anvil.SweepCompleted{
			SweepID: sweepID, Models: anvil.Models(), StartedAt: moment, CompletedAt: moment.Add(time.Second),
			Covered: map[anvil.Kind]int{anvil.KindGroup: 1}, Calls: 4, Unseen: []anvil.Unseen{{Kind: anvil.KindGroup, Name: "x"}}, UnseenCount: 1,
		}}},
	}
}

// BeginSignIn implements [api.SignIns].
func (w *world) BeginSignIn(ctx context.Context, returnTo string) (api.BegunSignIn, error) {
	w.returnTo = returnTo
	return api.BegunSignIn{AuthorizeURL: "https://login.example.org/?state=in.s3cret", Browser: "br0wser", ExpiresAt: moment.Add(10 * time.Minute)}, w.enter(ctx)
}

// FinishSignIn implements [api.SignIns].
func (w *world) FinishSignIn(ctx context.Context, back api.SignInAnswer) (api.SignedIn, error) {
	w.answered = back
	if back.State != "in.good" || back.Browser != "br0wser" {
		return api.SignedIn{}, event.Errorf(event.CodeNotFound, "this sign-in is not known")
	}
	w.session = "sess10n"
	return api.SignedIn{Session: w.session, EndsAt: moment.Add(time.Hour), UserID: "ada", CharacterName: "Ada <b>", ReturnTo: w.returnTo}, w.enter(ctx)
}

// SignedIn implements [api.SignIns].
func (w *world) SignedIn(ctx context.Context, session string) (access.Principal, error) {
	if session == "" || session != w.session {
		return access.Principal{}, event.Errorf(event.CodeUnauthenticated, "this session is over")
	}
	return w.signedIn, w.enter(ctx)
}

// SignOut implements [api.SignIns].
func (w *world) SignOut(ctx context.Context, session string) error {
	if session == w.session {
		w.session = ""
	}
	return w.enter(ctx)
}

// Issue implements [api.Tokens].
func (w *world) Issue(ctx context.Context, by access.Principal, wanted access.NewToken) (api.IssuedToken, error) {
	w.by, w.wanted = by, wanted
	held := w.tokens[0]
	held.UserID, held.Scope = wanted.UserID, wanted.Scope
	return api.IssuedToken{HeldToken: held, Secret: "muster_tok_S3CRET", Shown: w.shown}, w.enter(ctx)
}

// List implements [api.Tokens].
func (w *world) List(ctx context.Context, by access.Principal, after uuid.UUID, limit int) ([]api.HeldToken, error) {
	w.by = by
	left := slices.DeleteFunc(slices.Clone(w.tokens), func(t api.HeldToken) bool { return after != uuid.Nil && t.TokenID.String() >= after.String() })
	return left[:min(limit, len(left))], w.enter(ctx)
}

// Revoke implements [api.Tokens].
func (w *world) Revoke(ctx context.Context, by access.Principal, id uuid.UUID) (api.TokenRevocation, error) {
	w.by = by
	if id != w.tokens[0].TokenID {
		return api.TokenRevocation{}, event.Errorf(event.CodeNotFound, "there is no token %s", id)
	}
	return api.TokenRevocation{TokenID: id, Changed: true, Version: 3, Shown: w.shown}, w.enter(ctx)
}

func (w *world) enter(ctx context.Context) error {
	if w.entered != nil {
		w.entered(ctx)
	}
	if w.panics {
		panic("a defect with a secret in it")
	}
	if w.block {
		<-ctx.Done()
		return ctx.Err()
	}
	return w.err
}

func (w *world) Characters(ctx context.Context, f postgres.CharacterFilter) ([]postgres.Character, error) {
	w.filter = f
	return w.characters, w.enter(ctx)
}

func (w *world) Viewer(ctx context.Context, user string) (postgres.Viewer, error) {
	return postgres.Viewer{UserID: user, Grants: w.grants}, w.enter(ctx)
}

func (w *world) MayOpen(ctx context.Context, view access.View, character int64) (bool, error) {
	if view == (access.View{Owner: view.Owner}) && view.Owner != "" {
		return slices.Contains(w.opens, character) && (w.owned == nil || slices.Contains(w.owned, character)), w.enter(ctx)
	}
	return view.Everything || view != (access.View{}) && slices.Contains(w.opens, character), w.enter(ctx)
}

func (w *world) Opened(ctx context.Context, view access.View) ([]int64, error) {
	w.viewed = view
	return w.opens, w.enter(ctx)
}

func (w *world) AccessibleUsers(ctx context.Context, audience access.Audience) ([]string, error) {
	w.audience = audience
	return w.accessible, w.enter(ctx)
}

func (w *world) Users(ctx context.Context, f postgres.UserFilter) ([]postgres.User, error) {
	w.users = f
	if f.ID != "" && f.ID != "ada" {
		return nil, w.enter(ctx)
	}
	return []postgres.User{{
		UserID: "ada", Name: "Ada", State: "Member", Active: true, Main: &postgres.Main{CharacterID: 90000001, Name: "Bruce Wayne", CorporationID: 98000001},
		Registered: 1, Unregistered: 1, Given: []string{"basic_access"},
		Holdings: []access.Holding{{Role: recruiter().Role}, {Role: recruiter().Role, State: "Member"}},
	}}, w.enter(ctx)
}

func (w *world) OwnedBy(ctx context.Context, _ string) ([]postgres.OwnedCharacter, error) {
	return []postgres.OwnedCharacter{{CharacterID: 90000001, Name: "Bruce Wayne", CorporationID: 98000001, Registered: true, Shared: true}, {CharacterID: 90000003, Name: "Alt"}}, w.enter(ctx)
}

func recruiter() postgres.Role {
	return postgres.Role{
		ID: findingID, Role: access.Role{Name: "Recruiter", Permissions: []string{"characters_access", "view_everything"}, States: []string{"Member"}, Sections: []string{"skills"}},
		DefinedAt: moment, DefinedBy: "token:admin", Granted: 1, Holders: 2,
	}
}

func (w *world) Roles(ctx context.Context) ([]postgres.Role, error) {
	return []postgres.Role{recruiter()}, w.enter(ctx)
}

func (w *world) DefineRole(ctx context.Context, in api.RoleDefinition) (api.RoleDecision, error) {
	w.role = in
	return api.RoleDecision{Changed: true, Version: 3, Shown: w.shown}, w.enter(ctx)
}

func (w *world) RemoveRole(ctx context.Context, in api.RoleRemoval) (api.RoleDecision, error) {
	w.roleRemoved = in
	return api.RoleDecision{Changed: true, Version: 4, Shown: w.shown}, w.enter(ctx)
}

func (w *world) GrantRole(ctx context.Context, in api.RoleGrant) (api.RoleDecision, error) {
	w.granted = in
	return api.RoleDecision{Changed: true, Version: 5, Shown: w.shown}, w.enter(ctx)
}

func (w *world) ChangeUser(ctx context.Context, in api.UserChange) (api.RoleDecision, error) {
	w.changed = in
	return api.RoleDecision{Changed: true, Version: 6, Shown: w.shown}, w.enter(ctx)
}

func (w *world) Character(ctx context.Context, id int64) (postgres.Character, []postgres.SectionState, error) {
	if id != w.characters[0].CharacterID {
		return postgres.Character{}, nil, event.Errorf(event.CodeNotFound, "there is no character %d", id)
	}
	c := w.characters[0]
	c.Login = &postgres.Login{Parked: true, Reason: "EVE says so", RegisteredAt: moment, ChangedAt: moment}
	return c, []postgres.SectionState{w.section.SectionState, {
		Section: eve.SectionWallet, Status: postgres.SectionFailing, NotBefore: &moment,
		Failure: &postgres.SectionFailure{Class: eve.FailureServer, Status: 502, Message: "bad gateway", Since: moment},
	}}, w.enter(ctx)
}

func (w *world) Section(ctx context.Context, id int64, name eve.Section) (postgres.Section, error) {
	s := w.section
	s.CharacterID, s.Section = id, name
	if name == eve.SectionWallet {
		s.Value = json.RawMessage(`-29500.01`)
	}
	return s, w.enter(ctx)
}

func (w *world) State(ctx context.Context, id int64, name eve.Section) (postgres.Section, error) {
	s := w.section
	s.CharacterID, s.Section, s.Value = id, name, nil
	return s, w.enter(ctx)
}

func (w *world) Elements(ctx context.Context, f postgres.ElementFilter) ([]postgres.Element, error) {
	if f.List == "labels" {
		return []postgres.Element{{Key: "1", Value: json.RawMessage(`{"label_id":1,"label_name":"friends"}`)}}, w.enter(ctx)
	}
	w.elements = f
	return []postgres.Element{{Key: "5", Value: json.RawMessage(w.element)}, {Key: "6", Value: json.RawMessage(w.element)}}, w.enter(ctx)
}

func (w *world) Records(ctx context.Context, f postgres.RecordFilter) ([]postgres.Record, error) {
	w.records = f
	return []postgres.Record{{Key: "7", At: moment, ObservedAt: moment, Value: json.RawMessage(w.record)}, {Key: "6", At: moment, ObservedAt: moment, Value: json.RawMessage(w.record)}}, w.enter(ctx)
}

func (w *world) Record(ctx context.Context, _ int64, s eve.Section, key string) (postgres.Record, error) {
	if key != "7" {
		return postgres.Record{}, event.Errorf(event.CodeNotFound, "nothing with the id %s among %s", key, s)
	}
	return postgres.Record{Key: key, At: moment, ObservedAt: moment, Value: json.RawMessage(w.record)}, w.enter(ctx)
}

func (w *world) Names(ctx context.Context, ids postgres.NameRequest) (postgres.Names, error) {
	w.named = ids
	return postgres.Names{
		Types: map[int64]string{34: "Tritanium"}, Locations: map[int64]string{60003760: "Jita IV - Moon 4"}, Entities: map[int64]string{98000001: "Wayne Enterprises"},
	}, w.enter(ctx)
}

func (w *world) Reference(ctx context.Context, ids postgres.ReferenceRequest) (postgres.Reference, error) {
	w.referred = ids
	return w.reference, w.enter(ctx)
}

func (w *world) Assets(ctx context.Context, _ int64) ([]eve.Asset, error) {
	return w.assets, w.enter(ctx)
}

func (w *world) AssetPlaces(ctx context.Context, _ int64, locations, items []int64) (postgres.AssetPlaces, error) {
	found := postgres.AssetPlaces{Place: map[int64]int64{}, Within: map[int64]int{}}
	tree := eve.NewAssetTree(w.assets)
	for _, id := range locations {
		found.Place[id] = tree.PlaceOf(id)
	}
	for _, id := range items {
		found.Within[id] = tree.Within(id)
	}
	return found, w.enter(ctx)
}

func (w *world) UnreadByList(ctx context.Context, _ int64) (map[int64]int64, error) {
	return map[int64]int64{9: 2}, w.enter(ctx)
}

func (w *world) MainOf(ctx context.Context, user string) (*postgres.Main, error) {
	return &postgres.Main{CharacterID: 90000001, Name: "Main of " + user}, w.enter(ctx)
}

func (w *world) MailingLists(ctx context.Context, _ int64) (map[int64]string, error) {
	return map[int64]string{9: "Fleet", 8: "A list that was left"}, w.enter(ctx)
}

func (w *world) AssetsValue(ctx context.Context, _ int64) (*decimal.Decimal, error) {
	return new(decimal.New(1234567, -3)), w.enter(ctx)
}

func (w *world) Journal(ctx context.Context, f clickhouse.JournalFilter) ([]clickhouse.JournalEntry, error) {
	w.journal = f
	return w.entries, w.enter(ctx)
}

func (w *world) Analyse(ctx context.Context, q clickhouse.WalletQuery) ([]clickhouse.WalletFigures, error) {
	w.wallet = q
	return w.figures, w.enter(ctx)
}

// Totals implements [api.Wallets].
func (w *world) Totals(ctx context.Context, q clickhouse.WalletQuery) ([]clickhouse.WalletFigures, error) {
	w.wallets = append(w.wallets, q)
	if len(w.wallets)%2 == 0 {
		// Before there was something else.
		return []clickhouse.WalletFigures{{WalletGroup: clickhouse.WalletGroup{RefType: "gone"}, Income: decimal.New(5, -2), Net: decimal.New(5, -2), Entries: 1}}, w.enter(ctx)
	}
	return w.figures, w.enter(ctx)
}

// Top implements [api.Wallets].
func (w *world) Top(ctx context.Context, q clickhouse.WalletQuery, by clickhouse.Measure, limit int) ([]clickhouse.WalletFigures, clickhouse.WalletFigures, error) {
	w.wallet, w.measure, w.limit = q, by, limit
	return w.figures, clickhouse.WalletFigures{Entries: 9}, w.enter(ctx)
}

// Distribution implements [api.Wallets].
func (w *world) Distribution(ctx context.Context, q clickhouse.WalletQuery) ([]clickhouse.WalletDistribution, error) {
	w.wallet = q
	return []clickhouse.WalletDistribution{{WalletGroup: clickhouse.WalletGroup{CounterpartyID: 7, Direction: "income"}, Entries: 2, Sum: decimal.New(3, 0), Min: decimal.New(1, 0), Most: decimal.New(2, 0)}}, w.enter(ctx)
}

// Export yields rows of the topic's columns.
func (w *world) Export(ctx context.Context, topic string, f export.Filter, out export.Sink) error {
	w.export = f
	described, err := export.Find(topic)
	if err != nil {
		return err
	}
	row := make([]tablefile.Cell, len(described.Columns))
	for i, c := range described.Columns {
		switch c.Kind {
		case tablefile.Text, tablefile.JSON:
			row[i] = tablefile.String(c.Name)
		case tablefile.Number:
			row[i] = tablefile.Decimal("0.5")
		case tablefile.Time:
			row[i] = tablefile.Moment(moment)
		default:
			row[i] = tablefile.Int(1)
		}
	}
	for n := range w.exported {
		if n > 1 && described.Columns[0].Kind == tablefile.Text {
			// Many rows that are alike fit into a few bytes.
			sum := sha256.Sum256([]byte{byte(n), byte(n >> 8), byte(n >> 16)})
			row[0] = tablefile.String(hex.EncodeToString(sum[:]))
		}
		if n == w.breaks-1 {
			return event.Errorf(event.CodeUnavailable, "the store has gone")
		}
		if err := out.Write(row); err != nil {
			return err
		}
	}
	return w.enter(ctx)
}

func (w *world) Import(ctx context.Context, actor string, org access.Organisation) (api.ImportResult, error) {
	w.actor, w.imported = actor, org
	return api.ImportResult{
		Users: len(org.Users), Characters: len(org.Characters), Shown: w.shown,
		Rejections: []access.Rejection{{Record: "character 5", Reason: "it belongs to somebody else"}},
	}, w.enter(ctx)
}

func (w *world) Begin(ctx context.Context, in api.BeginRegistration) (api.Registration, error) {
	w.begun = in
	return api.Registration{
		RegistrationID: signInID, Status: "pending", AuthorizeURL: "https://login.example.org/?state=s3cret", ExpiresAt: moment, UserID: in.UserID, Sections: []string{"wallet"}, Scopes: []string{"a"},
	}, w.enter(ctx)
}

func (w *world) Registration(ctx context.Context, id uuid.UUID) (api.Registration, error) {
	if id != signInID {
		return api.Registration{}, event.Errorf(event.CodeNotFound, "there is no registration %s", id)
	}
	return api.Registration{
		RegistrationID: id, Status: "completed", AuthorizeURL: "s3cret", ExpiresAt: moment, UserID: "ada", Sections: []string{}, Scopes: []string{},
		CharacterID: 90000001, CharacterName: "Bruce Wayne", Outcome: "registered",
	}, w.enter(ctx)
}

func (w *world) Complete(ctx context.Context, back api.SignOnAnswer) (api.Registration, error) {
	w.back = back
	if back.State != "good" {
		return api.Registration{}, event.Errorf(event.CodeNotFound, "this sign-in is not known")
	}
	return w.came, w.enter(ctx)
}

func (w *world) Decide(ctx context.Context, in api.CharacterDecision) (api.CharacterChange, error) {
	w.decided = in
	if in.Verb == api.VerbForget && in.Reason == "" {
		return api.CharacterChange{}, event.Errorf(event.CodeInvalid, "forgetting needs a reason")
	}
	return api.CharacterChange{CharacterID: in.CharacterID, Changed: true, Version: 7, Shown: w.shown}, w.enter(ctx)
}

func (w *world) Request(ctx context.Context, actor string, _ int64, sections []eve.Section, reset bool) ([]eve.Section, error) {
	w.actor, w.requested, w.reset = actor, sections, reset
	return []eve.Section{eve.SectionDetails, eve.SectionWallet}, w.enter(ctx)
}

func (w *world) Audit(ctx context.Context, consortium string, options anvil.Options) (postgres.Audit, error) {
	w.options = options
	if consortium != "acme" {
		return postgres.Audit{}, event.Errorf(event.CodeNotFound, "there is no consortium %q", consortium)
	}
	declared := anvil.Declared{ServiceAccount: "sa@example.com", ManagedGroups: []anvil.ManagedGroup{{Name: "g", Email: "g@firecloud.org", IsManagedByApp: true}}}
	declared.Normalise()
	return postgres.Audit{Result: anvil.Audit(declared, w.observed, options), Sweep: w.sweeps[0].Completed}, w.enter(ctx)
}

func (w *world) Findings(ctx context.Context, _ postgres.FindingFilter) ([]postgres.Finding, error) {
	return w.findings, w.enter(ctx)
}

func (w *world) Finding(ctx context.Context, _ string, id uuid.UUID) (postgres.Finding, error) {
	if id != findingID {
		return postgres.Finding{}, event.Errorf(event.CodeNotFound, "no finding %s", id)
	}
	return w.findings[0], w.enter(ctx)
}

func (w *world) AllFindings(ctx context.Context, filter postgres.FindingFilter) ([]postgres.ConsortiumFinding, error) {
	w.found = filter
	var all []postgres.ConsortiumFinding
	for _, f := range w.findings {
		all = append(all, postgres.ConsortiumFinding{Finding: f, Consortium: "acme"})
	}
	return all, w.enter(ctx)
}

func (w *world) FindingPlace(ctx context.Context, id uuid.UUID) (postgres.FindingPlace, error) {
	f, err := w.Finding(ctx, "acme", id)
	return postgres.FindingPlace{ConsortiumFinding: postgres.ConsortiumFinding{Finding: f, Consortium: "acme"}}, err
}

// explaining is the world as one that explains.
type explaining struct{ *world }

// Finding implements [api.Explainer].
func (w explaining) Finding(ctx context.Context, consortium string, id uuid.UUID) (explain.Explanation, error) {
	f, err := w.world.Finding(ctx, consortium, id)
	if err != nil {
		return explain.Explanation{}, err
	}
	proof := anvil.Proof{EventID: sweepID, Type: anvil.TypeGroupObserved, Topic: event.TopicAnVIL, Partition: 1, Offset: 7}
	cause := anvil.Cause{
		Side: anvil.CauseObserved, At: moment, Words: "it happened", SweepID: &sweepID,
		Records: []anvil.CauseRecord{{Side: anvil.SideObserved, Kind: anvil.KindGroup, Name: "g", Change: "no such group", EventID: sweepID}},
		Window:  &anvil.Window{From: moment.Add(-time.Hour), To: moment, FromSweep: sweepID, ToSweep: sweepID, Unseen: 1, Why: "status 500"},
	}
	return explain.Explanation{
		Explanation: anvil.Explanation{
			Finding: f.Finding, Open: f.Open, ChangedAt: f.ChangedAt, Cause: cause, Narrative: []string{"it happened"},
			Earlier: []anvil.Episode{{OpenedAt: moment, Cause: cause, ResolvedAt: &moment, Resolution: &cause}},
			Parts:   []anvil.Part{{FindingID: findingID, Record: "r", Kind: anvil.NotInApp, OpenedAt: moment, Cause: cause}}, PartCount: 1,
			Timeline: []anvil.Moment{{At: moment, Side: anvil.SideObserved, Kind: anvil.KindGroup, Name: "g", What: "no such group", Agreed: "no", Proof: proof}},
			Touched:  []anvil.Touched{{Side: anvil.SideObserved, Kind: anvil.KindGroup, Name: "h", At: moment, Change: "no such group", EventID: sweepID}}, TouchedCount: 1,
			Evidence: []anvil.Proof{proof},
		},
		Consortium: consortium, Verified: true, Checks: []explain.Check{{What: "the event is in the log", Verified: true, EventID: &sweepID, Position: "t/1@7"}},
	}, w.enter(ctx)
}

func (w *world) Sweeps(ctx context.Context, _ string, _ *postgres.SweepCursor, _ int) ([]postgres.Sweep, error) {
	return w.sweeps, w.enter(ctx)
}

func (w *world) Declare(ctx context.Context, in api.DeclareInput) (api.DeclareResult, error) {
	w.declared = in
	plan, err := anvil.Plan(anvil.Declared{}, in.Wanted, anvil.Strict)
	if err != nil {
		return api.DeclareResult{}, err
	}
	return api.DeclareResult{Plan: plan, Version: 4, Shown: w.shown}, w.enter(ctx)
}

func (w *world) Accept(ctx context.Context, in api.AcceptInput) (bool, error) {
	w.acceptance = in
	return w.shown, w.enter(ctx)
}

func (w *world) Patch(ctx context.Context, in api.PatchInput) (api.DeclareResult, error) {
	w.patched = in
	current := anvil.Declared{ServiceAccount: "sa@example.com", Accounts: []anvil.Account{{Email: "old@example.com", Status: anvil.StatusActive}}}
	current.Normalise()
	next, err := in.Patch.Apply(current)
	if err != nil {
		return api.DeclareResult{}, err
	}
	plan, err := anvil.Plan(current, next, anvil.Strict)
	if err != nil {
		return api.DeclareResult{}, err
	}
	return api.DeclareResult{Plan: plan, Version: 5, Shown: w.shown}, w.enter(ctx)
}

func (w *world) ImportConsortium(ctx context.Context, in api.ConsortiumImportInput) (api.ConsortiumImportResult, error) {
	w.broughtIn = in
	plan, err := anvil.Plan(anvil.Declared{}, anvil.Declared{ServiceAccount: "sa@example.com", Accounts: []anvil.Account{{Email: "a@example.com", Status: anvil.StatusActive}}}, anvil.Strict)
	if err != nil {
		return api.ConsortiumImportResult{}, err
	}
	return api.ConsortiumImportResult{
		DeclareResult: api.DeclareResult{Plan: plan, Version: 6, Shown: w.shown},
		LeftOut:       []anvil.LeftOut{{Kind: anvil.KindWorkspace, Name: "bp/ws", Cause: "the service account is READER there, no OWNER"}},
	}, w.enter(ctx)
}

func (w *world) Sweep(ctx context.Context, actor, _ string, models []anvil.Model, scope anvil.Scope) (postgres.Sweep, error) {
	w.actor, w.options.Models, w.scope = actor, models, scope
	sweep := w.sweeps[0]
	if !w.shown {
		sweep.Completed = nil
	}
	return sweep, w.enter(ctx)
}

func (w *world) Projections(ctx context.Context) ([]api.Projection, error) {
	return []api.Projection{{
		Name: "wallet", Live: 2, LagRecords: 3, LagSeconds: 1.5, Parked: 1,
		Generations: []api.Generation{{Number: 2, Version: 1, Status: "live", CreatedAt: moment, PromotedAt: &moment}},
	}}, w.enter(ctx)
}

func (w *world) Sections(ctx context.Context) ([]postgres.SectionCount, error) {
	return []postgres.SectionCount{{Section: eve.SectionWallet, Status: postgres.SectionOK, Characters: 9, OldestValidatedAt: &moment}, {Section: eve.SectionWallet, Status: postgres.SectionNotYet, Characters: 1}}, w.enter(ctx)
}

func (w *world) Stats(ctx context.Context) (api.Stats, error) {
	counts := map[string]int64{"x": 1}
	took := map[string]api.SectionTook{"assets": {Max: new(2.5)}}
	return api.Stats{
		Users: 1, Characters: counts, Sections: counts, Failing: counts, OpenFindings: counts,
		Settings: map[string]any{"MEMBERAUDIT_APP_NAME": nil, "MUSTER_MAX_MAILS": 250}, OtherSections: took,
		UpdateStatistics: map[string]api.RingStats{"ring_3": {Sections: took, Max: &api.RunStats{Section: "assets", Character: 7, Duration: 2.5}, Total: api.RingTotal{StartedAt: &moment}}},
		Consortia:        map[string]api.ConsortiumStats{"acme": {Declared: counts, Observed: counts, Sweeps: 1}}, Events: counts, Projections: []api.ProjectionLag{{Name: "wallet"}},
	}, w.enter(ctx)
}

func (w *world) ParkedEvents(ctx context.Context, projection string) ([]runner.Parked, error) {
	return []runner.Parked{{Projection: projection, Position: event.Position{Topic: "t", Partition: 1, Offset: 9}, State: "poisoned", Reason: "odd", ParkedAt: moment}}, w.enter(ctx)
}

func (w *world) Retry(ctx context.Context, projection string, at event.Position) error {
	w.decision = "retry " + projection + " " + at.String()
	return w.enter(ctx)
}

// Rebuild implements [api.Rebuilder].
func (w *world) Rebuild(ctx context.Context, projection, actor string) error {
	w.decision = "rebuild " + projection + " by " + actor
	return w.enter(ctx)
}

func (w *world) Skip(ctx context.Context, projection string, at event.Position, actor, reason string) error {
	if reason == "" {
		return event.Errorf(event.CodeInvalid, "say why")
	}
	w.decision = strings.Join([]string{"skip", projection, at.String(), actor, reason}, " ")
	return w.enter(ctx)
}

// client asks a server in the same process.
type client struct {
	t      *testing.T
	world  *world
	server *api.Server
	log    *syncBuffer
}

type syncBuffer struct {
	mu sync.Mutex
	bytes.Buffer
}

func (b *syncBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.Buffer.Write(p)
}

func (b *syncBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.Buffer.String()
}

func newClient(t *testing.T, change ...func(*api.Config)) *client {
	t.Helper()
	c := &client{t: t, world: newWorld(), log: &syncBuffer{}}
	var err error
	c.server, err = api.New(c.config(change...))
	require.NoError(t, err)
	return c
}

// configOf is a configuration that a client has, with changes.
func configOf(t *testing.T, change ...func(*api.Config)) api.Config {
	t.Helper()
	c := &client{t: t, world: newWorld(), log: &syncBuffer{}}
	return c.config(change...)
}

func (c *client) config(change ...func(*api.Config)) api.Config {
	w, registry := c.world, prometheus.NewRegistry()
	config := api.Config{
		Version: "1.2.3", Authenticator: tokens{}, SignIns: w, Tokens: w, Rate: -1, Characters: w, Compliance: w, Finder: w, Searcher: w, Figures: w, Wallets: w, Facts: trends{}, FindingTrends: trends{}, RecordFigures: trends{}, OrganisationTrends: trends{}, AnVILTrends: trends{}, Prices: trends{}, Exports: w, Importer: w, Keeper: w, Users: w, RoleKeeper: w, SkillSets: w, SkillSetDefiner: w, Looks: accessLog{w}, AccessLog: accessLog{w}, Sharer: w, Links: w, Consortia: consortia{w}, Past: w, Events: indexed{w}, Records: indexed{w}, Explainer: explaining{w}, Declarer: w, ConsortiumImporter: w, Sweeper: w, Operations: w, Rebuilder: w, Retention: w,
		Gatherer: registry, Registerer: registry, Logger: slog.New(slog.NewJSONHandler(c.log, &slog.HandlerOptions{Level: slog.LevelDebug})),
		Now: func() time.Time { return moment },
	}
	for _, f := range change {
		f(&config)
	}
	return config
}

// answer is an answer with its body.
type answer struct {
	*http.Response
	text string
}

func (c *client) do(method, target, body string, header ...string) answer {
	c.t.Helper()
	r := httptest.NewRequestWithContext(c.t.Context(), method, target, strings.NewReader(body))
	r.Header.Set("Authorization", "Bearer "+token)
	for i := 0; i < len(header); i += 2 {
		if header[i+1] == "" {
			r.Header.Del(header[i])
		} else {
			r.Header.Set(header[i], header[i+1])
		}
	}
	return c.send(r)
}

func (c *client) send(r *http.Request) answer {
	c.t.Helper()
	w := httptest.NewRecorder()
	c.server.Handler().ServeHTTP(w, r)
	text, err := io.ReadAll(w.Result().Body)
	require.NoError(c.t, err)
	return answer{w.Result(), string(text)}
}

func (c *client) get(target string, header ...string) answer {
	c.t.Helper()
	return c.do(http.MethodGet, target, "", header...)
}

// requireProblem asks for a problem of the status whose detail says something.
func (c *client) requireProblem(a answer, status int, detail string) map[string]any {
	c.t.Helper()
	require.Equal(c.t, status, a.StatusCode, a.text)
	require.Equal(c.t, "application/problem+json", a.Header.Get("Content-Type"))
	var p map[string]any
	require.NoError(c.t, json.Unmarshal([]byte(a.text), &p))
	require.InDelta(c.t, status, p["status"], 0)
	require.Contains(c.t, a.text, detail)
	return p
}
