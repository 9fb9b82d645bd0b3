package registration

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/muster-sync/muster/domain/eve"
	"github.com/muster-sync/muster/domain/event"
	"github.com/muster-sync/muster/ingest/esi"
	"github.com/muster-sync/muster/ingest/sso"
)

const (
	// SignInLifetime is how long a registration that was begun can be finished.
	SignInLifetime = 10 * time.Minute
	// keepSignIns is how long what came of a registration can be asked for.
	keepSignIns = 24 * time.Hour
	// finishWithin bounds the end of a registration, whoever has stopped waiting
	// for it.
	finishWithin = 45 * time.Second
	// stateSize is the number of random bytes in a state.
	stateSize = 32
)

// SignInStatus says how far a registration has come.
type SignInStatus string

// The statuses of registrations.
const (
	// SignInPending: the player has not come back from EVE's sign-on.
	SignInPending SignInStatus = "pending"
	// SignInCompleted: the character is registered.
	SignInCompleted SignInStatus = "completed"
	// SignInFailed: nothing was registered.
	SignInFailed SignInStatus = "failed"
	// SignInExpired: the player has not come back in time.
	SignInExpired SignInStatus = "expired"
)

// SignIn is the registration of a character by EVE's sign-on.
type SignIn struct {
	ID     uuid.UUID
	Status SignInStatus
	UserID string
	// Sections are those that were asked for; Scopes those that they need.
	Sections []eve.Section
	Scopes   []string
	// ExpiresAt is until when it can be finished, UTC.
	ExpiresAt time.Time
	// CharacterID and CharacterName are who has logged in; zero until then.
	CharacterID   int64
	CharacterName string
	// Outcome is set of a completed one, Failure of a failed one. Anybody may read
	// them.
	Outcome eve.Registration
	Failure string
}

// BeginInput says who has a character registered for whom.
type BeginInput struct {
	Actor, UserID string
	// CharacterID is the character that has to log in; 0 is any.
	CharacterID int64
	// Sections are those that its owner shall consent to; empty is all.
	Sections []eve.Section
}

// Begun is a registration that was begun.
type Begun struct {
	SignIn

	// AuthorizeURL is where the player's browser has to go. It holds a secret, the
	// state, until the player is back.
	AuthorizeURL string
}

func checkCallback(callback string) error {
	u, err := url.Parse(callback)
	if err != nil || u.Host == "" || (u.Scheme != "http" && u.Scheme != "https") || u.Fragment != "" {
		return event.Errorf(event.CodeInvalid, "MUSTER_SSO_CALLBACK_URL %q: must be the complete http or https address under which browsers reach /sso/callback, as in the EVE application's settings", callback)
	}
	return nil
}

func (k *Keeper) needSignOn() error {
	if k.config.SignOn != nil {
		return nil
	}
	return event.Errorf(event.CodeConflict, "this Muster has no EVE application, so nobody can register a character: set MUSTER_SSO_CLIENT_ID")
}

// Begin begins to register a character by EVE's sign-on. It fails with
// [event.CodeInvalid] for a section that does not exist and for a user that is not
// known, and with [event.CodeConflict] if there is no EVE application.
func (k *Keeper) Begin(ctx context.Context, in BeginInput) (Begun, error) {
	if err := k.needSignOn(); err != nil {
		return Begun{}, err
	}
	if err := k.checkUser(ctx, in.UserID); err != nil {
		return Begun{}, err
	}
	sections, scopes, err := consentTo(in.Sections)
	if err != nil {
		return Begun{}, err
	}
	id, err := uuid.NewRandom()
	if err != nil {
		return Begun{}, event.Errorf(event.CodeInternal, "making the id of a registration: %w", err)
	}
	secret := make([]byte, stateSize)
	// Read never fails; it ends the program instead.
	_, _ = rand.Read(secret)
	state := base64.RawURLEncoding.EncodeToString(secret)
	signIn := k.config.SignOn.BeginSignIn(id, state, k.config.CallbackURL, scopes)
	now := k.config.Now().UTC()
	begun := Begun{AuthorizeURL: signIn.URL, SignIn: SignIn{
		ID: id, Status: SignInPending, UserID: in.UserID, Sections: sections, Scopes: scopes, ExpiresAt: now.Add(SignInLifetime),
	}}
	batch := &pgx.Batch{}
	batch.Queue(`DELETE FROM ingest.sign_in WHERE begun_at < $1`, now.Add(-keepSignIns))
	batch.Queue(`
		INSERT INTO ingest.sign_in (id, state_hash, verifier_sealed, redirect_uri, user_id, expected_id, sections, scopes, actor, begun_at, expires_at)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)`,
		id, hashState(state), signIn.VerifierSealed, k.config.CallbackURL, in.UserID, in.CharacterID, sections, scopes, in.Actor, now, begun.ExpiresAt)
	if err := k.config.Pool.SendBatch(ctx, batch).Close(); err != nil {
		return Begun{}, fmt.Errorf("beginning a registration: %w", err)
	}
	return begun, nil
}

// checkUser fails if a user cannot take characters.
func (k *Keeper) checkUser(ctx context.Context, id string) error {
	users, err := k.config.View.Users(ctx, []string{id})
	if err != nil {
		return err
	}
	switch user, known := users[id]; {
	case !known:
		return event.Errorf(event.CodeInvalid, "there is no user %q: bring users in with `muster import` first", id)
	case !user.Active:
		return event.Errorf(event.CodeInvalid, "user %q is not active: only active users can register characters", id)
	default:
		return nil
	}
}

// consentTo are the sections, all if none is named, and the scopes that they need.
func consentTo(wanted []eve.Section) (sections []eve.Section, scopes []string, err error) {
	sections, scopes = []eve.Section{}, []string{}
	for _, section := range esi.Sections(esi.Options{}) {
		if len(wanted) > 0 && !slices.Contains(wanted, section.Name) {
			continue
		}
		sections = append(sections, section.Name)
		for _, scope := range section.Scopes() {
			if !slices.Contains(scopes, scope) {
				scopes = append(scopes, scope)
			}
		}
	}
	for _, section := range wanted {
		if !slices.Contains(sections, section) {
			return nil, nil, event.Errorf(event.CodeInvalid, "section %q: there is no such section", section)
		}
	}
	slices.Sort(scopes)
	return sections, scopes, nil
}

func hashState(state string) []byte {
	sum := sha256.Sum256([]byte(state))
	return sum[:]
}

// Callback is what a browser brings back from EVE's sign-on.
type Callback struct {
	// State and Code are secrets.
	State, Code string
	// Error is EVE's, such as access_denied; empty if there is none.
	Error string
}

// Complete finishes a registration. It fails with [event.CodeNotFound], and says no
// more, if the state is that of no registration, was used before or is too old.
// With a good state the registration has ended afterwards, well or not, and what
// is returned says how.
func (k *Keeper) Complete(ctx context.Context, in Callback) (SignIn, error) {
	if k.config.SignOn == nil {
		return SignIn{}, errNoSignIn()
	}
	// The player has done his part: it is finished also if his browser leaves.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), finishWithin)
	defer cancel()
	p, err := k.claimState(ctx, in.State)
	if err != nil {
		return SignIn{}, err
	}
	err = k.finish(ctx, &p, in)
	if err == nil {
		p.Status = SignInCompleted
		k.config.Logger.InfoContext(ctx, "character registered", "registration", p.ID.String(), "character", p.CharacterID, "user", p.UserID, "outcome", string(p.Outcome))
		return p.SignIn, nil
	}
	k.config.Logger.WarnContext(ctx, "registration failed", "registration", p.ID.String(), "user", p.UserID, "error", err)
	p.Status, p.Failure = SignInFailed, failureOf(err)
	_, err = k.config.Pool.Exec(ctx, `UPDATE ingest.sign_in SET status = 'failed', failure = $2, character_id = $3, character_name = $4 WHERE id = $1`,
		p.ID, p.Failure, p.CharacterID, p.CharacterName)
	if err != nil {
		return SignIn{}, fmt.Errorf("writing down that a registration failed: %w", err)
	}
	return p.SignIn, nil
}

func errNoSignIn() error {
	return event.Errorf(event.CodeNotFound, "this sign-in is not known, was used already, or is too old: begin the registration again")
}

// failureOf is what the player and who has begun the registration are told. A
// defect of Muster is for the log.
func failureOf(err error) string {
	switch event.CodeOf(err) {
	case event.CodeInternal, event.CodePoisoned:
		return "a defect of Muster: its log says more; begin again"
	case event.CodeUnavailable:
		return strings.ToValidUTF8(err.Error(), "") + "; begin again"
	default:
		return strings.ToValidUTF8(err.Error(), "")
	}
}

// claimed is a registration whose state was given.
type claimed struct {
	SignIn

	actor, redirect string
	expected        int64
	verifierSealed  []byte
}

// claimState takes the registration of a state; nobody else can any more.
func (k *Keeper) claimState(ctx context.Context, state string) (claimed, error) {
	if state == "" {
		return claimed{}, errNoSignIn()
	}
	var p claimed
	err := k.config.Pool.QueryRow(ctx, `
		WITH before AS (
		    SELECT id, verifier_sealed FROM ingest.sign_in WHERE state_hash = $1 AND used_at IS NULL AND expires_at > $2 FOR UPDATE)
		UPDATE ingest.sign_in s SET used_at = $2, verifier_sealed = NULL FROM before b WHERE s.id = b.id
		RETURNING s.id, s.user_id, s.sections, s.scopes, s.expires_at, s.actor, s.redirect_uri, s.expected_id, b.verifier_sealed`,
		hashState(state), k.config.Now().UTC(),
	).Scan(&p.ID, &p.UserID, &p.Sections, &p.Scopes, &p.ExpiresAt, &p.actor, &p.redirect, &p.expected, &p.verifierSealed)
	switch {
	case errors.Is(err, pgx.ErrNoRows):
		return claimed{}, errNoSignIn()
	case err != nil:
		return claimed{}, fmt.Errorf("looking for a registration: %w", err)
	}
	p.ExpiresAt = p.ExpiresAt.UTC()
	return p, nil
}

// printableError is what an error of OAuth 2.0 looks like; another is not shown.
var printableError = regexp.MustCompile(`^[a-z_]{1,40}$`)

// finish registers the character that has logged in.
func (k *Keeper) finish(ctx context.Context, p *claimed, in Callback) error {
	switch {
	case in.Error == "access_denied":
		return event.Errorf(event.CodeForbidden, "the player has declined at EVE's sign-on")
	case printableError.MatchString(in.Error):
		return event.Errorf(event.CodeForbidden, "EVE's sign-on has ended with the error %s", in.Error)
	case in.Error != "" || in.Code == "":
		return event.Errorf(event.CodeForbidden, "EVE's sign-on has sent the player back without a code")
	}
	claims, grant, err := k.config.SignOn.FinishSignIn(ctx, p.ID, p.verifierSealed, p.redirect, in.Code)
	if err != nil {
		return err
	}
	p.CharacterID, p.CharacterName = claims.CharacterID, claims.Name
	if err = k.take(ctx, p, claims, grant); err != nil {
		// A login that is not kept is not left lying about.
		k.giveBack(ctx, grant)
	}
	return err
}

func (k *Keeper) take(ctx context.Context, p *claimed, claims sso.Claims, grant sso.Grant) error {
	switch {
	case p.expected != 0 && p.expected != claims.CharacterID:
		return event.Errorf(event.CodeConflict, "character %d has logged in, but it is character %d that is to be registered: begin again and choose that one at EVE's sign-on", claims.CharacterID, p.expected)
	case len(p.Scopes) > 0 && grant.RefreshToken == "":
		return event.Errorf(event.CodeUnavailable, "EVE's sign-on has given no login that lasts")
	}
	claim := eve.Claim{CharacterID: claims.CharacterID, Name: claims.Name, UserID: p.UserID, OwnerHash: claims.Owner, Scopes: claims.Scopes}
	in := ChangeInput{Actor: p.actor, CharacterID: claims.CharacterID}
	receipts, err := k.decide(ctx, in, p.UserID, func(ctx context.Context, tx pgx.Tx, s eve.Standing) ([]event.Payload, error) {
		// Since the beginning somebody may have been sent away.
		if err := k.checkUser(ctx, p.UserID); err != nil {
			return nil, err
		}
		events, came, err := eve.DecideRegistration(s, claim)
		if err != nil {
			return nil, err
		}
		p.Outcome = came
		return events, k.keep(ctx, tx, p, s, grant)
	})
	if err != nil {
		return err
	}
	k.config.Woken()
	if _, err := k.config.Bus.Await(ctx, receipts...); err != nil {
		k.config.Logger.WarnContext(ctx, "a registration does not show yet", "character", claims.CharacterID, "error", err)
	}
	return nil
}

// keep writes down what a registration brings, within its transaction: the login
// first of all.
func (k *Keeper) keep(ctx context.Context, tx pgx.Tx, p *claimed, s eve.Standing, grant sso.Grant) error {
	var err error
	if grant.RefreshToken != "" {
		err = k.config.SignOn.PutTx(ctx, tx, grant)
	} else {
		// Nothing was asked for that needs a login; EVE has ended any earlier one.
		err = sso.DeleteTx(ctx, tx, p.CharacterID)
	}
	if err != nil {
		return err
	}
	if s.Known && !s.Disabled {
		// Sections that waited for the login, or were only due some time, are read
		// now. A new character is found by the schedule.
		if _, err := k.config.Schedule.RefreshTx(ctx, tx, p.CharacterID); err != nil {
			return err
		}
	}
	if !s.Known {
		if err := esi.Remember(ctx, tx, p.CharacterID); err != nil {
			return err
		}
	}
	_, err = tx.Exec(ctx, `UPDATE ingest.sign_in SET status = 'completed', character_id = $2, character_name = $3, outcome = $4 WHERE id = $1`,
		p.ID, p.CharacterID, p.CharacterName, string(p.Outcome))
	if err != nil {
		return fmt.Errorf("writing down what a registration came to: %w", err)
	}
	return nil
}

// Registration tells how far a registration has come. It fails with
// [event.CodeNotFound] if there is none, or if it was begun more than a day ago.
func (k *Keeper) Registration(ctx context.Context, id uuid.UUID) (SignIn, error) {
	s := SignIn{ID: id}
	err := k.config.Pool.QueryRow(ctx, `
		SELECT status, user_id, sections, scopes, expires_at, character_id, character_name, outcome, failure FROM ingest.sign_in WHERE id = $1`, id,
	).Scan(&s.Status, &s.UserID, &s.Sections, &s.Scopes, &s.ExpiresAt, &s.CharacterID, &s.CharacterName, &s.Outcome, &s.Failure)
	switch {
	case errors.Is(err, pgx.ErrNoRows):
		return s, event.Errorf(event.CodeNotFound, "there is no registration %s: it was never begun, or more than %s ago", id, keepSignIns)
	case err != nil:
		return s, fmt.Errorf("reading a registration: %w", err)
	}
	s.ExpiresAt = s.ExpiresAt.UTC()
	if s.Status == SignInPending && !k.config.Now().Before(s.ExpiresAt.Add(finishWithin)) {
		s.Status = SignInExpired
	}
	return s, nil
}

// forgetSignIns removes what is kept of a character's registrations.
func forgetSignIns(ctx context.Context, tx pgx.Tx, character int64) error {
	if _, err := tx.Exec(ctx, `DELETE FROM ingest.sign_in WHERE character_id = $1 OR expected_id = $1`, character); err != nil {
		return fmt.Errorf("forgetting the registrations of character %d: %w", character, err)
	}
	return nil
}
