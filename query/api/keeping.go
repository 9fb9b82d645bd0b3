package api

import (
	"context"
	"net/http"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/google/uuid"

	"github.com/muster-sync/muster/domain/access"
	"github.com/muster-sync/muster/domain/eve"
	"github.com/muster-sync/muster/domain/event"
)

// Keeper decides on single characters.
type Keeper interface {
	// Begin begins to register a character by EVE's sign-on.
	Begin(context.Context, BeginRegistration) (Registration, error)
	// Registration tells how far that has come.
	Registration(ctx context.Context, id uuid.UUID) (Registration, error)
	// Complete finishes it with what a browser has brought back. It fails with
	// [event.CodeNotFound] for a state that is no good.
	Complete(ctx context.Context, back SignOnAnswer) (Registration, error)
	// Decide disables, enables, removes or forgets a character.
	Decide(context.Context, CharacterDecision) (CharacterChange, error)
	// Request has sections of a character read: all if none is named. With reset
	// they are read anew and in full. It returns the sections.
	Request(ctx context.Context, actor string, character int64, sections []eve.Section, reset bool) ([]eve.Section, error)
}

// BeginRegistration says who has a character registered for whom.
type BeginRegistration struct {
	Actor, UserID string
	// CharacterID is the character that has to log in; 0 is any.
	CharacterID int64
	// Sections are those to consent to; none is all.
	Sections []eve.Section
}

// SignOnAnswer is what a browser brings back from EVE's sign-on.
type SignOnAnswer struct{ State, Code, Error string }

// CharacterDecision is a decision on a character.
type CharacterDecision struct {
	// UserID is the user who decides; empty for a program and for the administrator.
	Actor, UserID string
	CharacterID   int64
	Verb          CharacterVerb
	Reason        string
	// ExpectedVersion is the version of the character that the sender has seen;
	// nil expects nothing.
	ExpectedVersion *int64
}

// CharacterVerb is what is decided on a character.
type CharacterVerb string

// The decisions on characters.
const (
	VerbDisable CharacterVerb = "disable"
	VerbEnable  CharacterVerb = "enable"
	VerbRemove  CharacterVerb = "remove"
	VerbForget  CharacterVerb = "forget"
)

// CharacterChange is what a decision came to.
type CharacterChange struct {
	CharacterID int64 `json:"character_id"`
	Changed     bool  `json:"changed" doc:"false if it was so already."`
	Version     int64 `json:"version" doc:"The number of the last decision on the character."`
	// Shown is false when the read model did not show the change in time: it
	// will.
	Shown bool `json:"-"`
}

// Registration is the registration of a character by EVE's sign-on.
type Registration struct {
	RegistrationID uuid.UUID `json:"registration_id"`
	Status         string    `json:"status" enum:"pending,completed,failed,expired" doc:"pending: the player has not come back from EVE's sign-on."`
	AuthorizeURL   string    `json:"authorize_url,omitempty" doc:"Where the player's browser has to go; only in the answer that begins it. Whoever has it can register a character for the user."`
	ExpiresAt      time.Time `json:"expires_at" doc:"Until when it can be finished."`
	UserID         string    `json:"user_id"`
	Sections       []string  `json:"sections" nullable:"false" doc:"The sections that the player is asked to consent to."`
	Scopes         []string  `json:"scopes" nullable:"false" doc:"The scopes that they need."`
	CharacterID    int64     `json:"character_id,omitempty" doc:"Who has logged in."`
	CharacterName  string    `json:"character_name,omitempty"`
	Outcome        string    `json:"outcome,omitempty" enum:"registered,renewed,reclaimed,transferred" doc:"registered: it was not known. renewed: its owner has come back. reclaimed: it had no owner. transferred: it had another one."`
	Failure        string    `json:"failure,omitempty" doc:"Why nothing was registered."`
}

// Requested are sections that are going to be read.
type Requested struct {
	CharacterID int64    `json:"character_id"`
	Sections    []string `json:"sections" nullable:"false" doc:"They are read before all that is merely due, each as soon as ESI's cache of it has expired."`
}

type beginInput struct {
	Body NewRegistration
}

// NewRegistration says for whom a character is to be registered.
type NewRegistration struct {
	UserID      string   `json:"user_id" minLength:"1" maxLength:"200" doc:"For whom the character is registered."`
	CharacterID int64    `json:"character_id,omitempty" minimum:"0" doc:"The character that has to log in; any if it is left out."`
	Sections    []string `json:"sections,omitempty" maxItems:"100" doc:"The sections to consent to; all if it is left out."`
}

type registrationInput struct {
	ID uuid.UUID `path:"id" format:"uuid" doc:"The registration's id."`
}

type decisionInput struct {
	ID              int64 `path:"id" minimum:"1" doc:"The character's id."`
	ExpectedVersion int64 `query:"expected_version" minimum:"-1" default:"-1" doc:"The version that the sender has seen: if it is another by now the answer is 409. -1 expects nothing."`
	Body            *Reason
}

// Reason says why something is decided.
type Reason struct {
	Reason string `json:"reason,omitempty" maxLength:"2000" doc:"Why. It is kept in the log; disable, remove and forget need it."`
}

type decisionOutput struct {
	Status int
	Body   *CharacterChange
}

type requestInput struct {
	ID   int64 `path:"id" minimum:"1" doc:"The character's id."`
	Body *Wanted
}

// Wanted are sections that somebody wants to have read.
type Wanted struct {
	Sections []string `json:"sections,omitempty" maxItems:"100" doc:"The sections; all that its owner has consented to if it is left out."`
}

func (s *Server) registerKeeping() {
	post := func(id, path, summary, description string) huma.Operation {
		return huma.Operation{
			Method: http.MethodPost, OperationID: id, Path: path, Tags: []string{tagCharacters}, Summary: summary, Description: description,
			Errors: []int{http.StatusBadRequest, http.StatusNotFound, http.StatusConflict},
		}
	}
	begin := post("begin-registration", "/v1/characters/registrations", "Begin to register a character by EVE's sign-on",
		"The player's browser has to go to `authorize_url` within ten minutes, log in there and consent. What comes of it is told by the registration.")
	begin.DefaultStatus = http.StatusCreated
	register(s, access.ActionRegisterCharacter, begin, s.beginRegistration)
	register(s, access.ActionRegisterCharacter, huma.Operation{
		OperationID: "get-registration", Path: "/v1/characters/registrations/{id}", Tags: []string{tagCharacters},
		Summary: "How far a registration has come", Errors: []int{http.StatusNotFound},
	}, s.getRegistration)

	for _, d := range []struct {
		verb                 CharacterVerb
		action               access.Action
		summary, description string
	}{
		{VerbDisable, access.ActionDisableCharacter, "Switch the sync of a character off", "What is known of it stays. It holds until it is enabled, whoever registers the character meanwhile."},
		{VerbEnable, access.ActionEnableCharacter, "Switch the sync of a character on again", ""},
		{VerbRemove, access.ActionRemoveCharacter, "End the ownership of a character", "Its login is given back to EVE; what is known of it stays. Who registers it afterwards owns it. Until then it counts as a character of his that is not registered, if its owner has done so himself."},
		{VerbForget, access.ActionForgetCharacter, "Forget a character", "Its login, and all that is known of it, is taken out of what Muster shows. It cannot be undone."},
	} {
		op := accepted(post(string(d.verb)+"-character", "/v1/characters/{id}/"+string(d.verb), d.summary, d.description))
		register(s, d.action, op, func(ctx context.Context, in *decisionInput) (*decisionOutput, error) {
			return s.decideCharacter(ctx, d.verb, in)
		})
	}
	update := post("update-character", "/v1/characters/{id}/update", "Have sections of a character read now",
		"Each is read as soon as ESI's cache of it has expired, before all that is merely due.")
	reset := post("reset-character", "/v1/characters/{id}/reset", "Have sections of a character read anew and in full",
		"Nothing that was kept of ESI's answers is relied on any more. What is known stays.")
	update.DefaultStatus, reset.DefaultStatus = http.StatusAccepted, http.StatusAccepted
	register(s, access.ActionUpdateCharacter, update, func(ctx context.Context, in *requestInput) (*body[Requested], error) {
		return s.requestSections(ctx, in, false)
	})
	register(s, access.ActionResetCharacter, reset, func(ctx context.Context, in *requestInput) (*body[Requested], error) {
		return s.requestSections(ctx, in, true)
	})
	s.registerCallback()
}

func (s *Server) beginRegistration(ctx context.Context, in *beginInput) (*body[Registration], error) {
	if v := viewerOf(ctx); v != nil && in.Body.UserID != v.UserID && access.ReachOf(v.Grants, access.ActionRegisterCharacter) != access.ReachAll {
		return nil, event.Errorf(event.CodeForbidden, "user %s may register characters for himself alone: give his own id as user_id", v.UserID)
	}
	r, err := s.config.Keeper.Begin(ctx, BeginRegistration{
		Actor: principalOf(ctx).ID, UserID: in.Body.UserID, CharacterID: in.Body.CharacterID, Sections: sectionsOf(in.Body.Sections),
	})
	if err != nil {
		return nil, err
	}
	return &body[Registration]{&r}, nil
}

func (s *Server) getRegistration(ctx context.Context, in *registrationInput) (*body[Registration], error) {
	r, err := s.config.Keeper.Registration(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	if v := viewerOf(ctx); v != nil && r.UserID != v.UserID && access.ReachOf(v.Grants, access.ActionRegisterCharacter) != access.ReachAll {
		return nil, event.Errorf(event.CodeNotFound, "there is no registration %s of user %s", in.ID, v.UserID)
	}
	r.AuthorizeURL = ""
	return &body[Registration]{&r}, nil
}

func (s *Server) decideCharacter(ctx context.Context, verb CharacterVerb, in *decisionInput) (*decisionOutput, error) {
	decision := CharacterDecision{Actor: principalOf(ctx).ID, UserID: principalOf(ctx).UserID, CharacterID: in.ID, Verb: verb}
	if in.Body != nil {
		decision.Reason = in.Body.Reason
	}
	if in.ExpectedVersion >= 0 {
		decision.ExpectedVersion = &in.ExpectedVersion
	}
	change, err := s.config.Keeper.Decide(ctx, decision)
	if err != nil {
		return nil, err
	}
	return &decisionOutput{Status: shownStatus(change.Shown), Body: &change}, nil
}

func (s *Server) requestSections(ctx context.Context, in *requestInput, reset bool) (*body[Requested], error) {
	var wanted []eve.Section
	if in.Body != nil {
		wanted = sectionsOf(in.Body.Sections)
	}
	asked, err := s.config.Keeper.Request(ctx, principalOf(ctx).ID, in.ID, wanted, reset)
	if err != nil {
		return nil, err
	}
	out := &Requested{CharacterID: in.ID, Sections: []string{}}
	for _, section := range asked {
		out.Sections = append(out.Sections, string(section))
	}
	return &body[Requested]{out}, nil
}

func sectionsOf(names []string) []eve.Section {
	sections := make([]eve.Section, len(names))
	for i, name := range names {
		sections[i] = eve.Section(name)
	}
	return sections
}

// callbackPath is where EVE's sign-on sends browsers back to. It is the only
// resource outside of /v1 that changes something: the state guards it.
const callbackPath = "/sso/callback"

func (s *Server) registerCallback() {
	s.router.Get(callbackPath, func(w http.ResponseWriter, r *http.Request) {
		q := r.URL.Query()
		if strings.HasPrefix(q.Get("state"), SignInStatePrefix) {
			// An application with a single address has all come back to it.
			s.finishSignIn(w, r)
			return
		}
		came, err := s.config.Keeper.Complete(r.Context(), SignOnAnswer{State: q.Get("state"), Code: q.Get("code"), Error: q.Get("error")})
		switch {
		case err == nil && came.Status == "completed":
			showPage(w, http.StatusOK, page{
				Title: "The character is registered", Character: came.CharacterName, User: came.UserID,
				Text: "You can close this page.",
			})
		case err == nil:
			showPage(w, http.StatusUnprocessableEntity, page{Title: "Nothing was registered", Text: came.Failure})
		case event.CodeOf(err) == event.CodeNotFound && !s.failures.allow(r.RemoteAddr):
			w.Header().Set("Retry-After", "60")
			showPage(w, http.StatusTooManyRequests, page{Title: "Too many attempts", Text: "Wait a minute, and begin the registration again."})
		case event.CodeOf(err) == event.CodeNotFound:
			showPage(w, http.StatusBadRequest, page{Title: "Nothing was registered", Text: "This sign-in is not known, was used already, or is too old. Begin the registration again."})
		default:
			p := s.explain(r.Context(), err)
			s.config.Logger.DebugContext(r.Context(), "a sign-in was not finished", "error", p)
			showPage(w, http.StatusServiceUnavailable, page{Title: "Nothing was registered", Text: "Muster cannot finish this sign-in now. Begin the registration again in a few minutes; the log says more about request " + requestID(r.Context()) + "."})
		}
	})
}
