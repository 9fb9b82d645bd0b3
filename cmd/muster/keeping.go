package main

import (
	"cmp"
	"context"
	"net"

	"github.com/google/uuid"

	"github.com/muster-sync/muster/domain/eve"
	"github.com/muster-sync/muster/domain/event"
	"github.com/muster-sync/muster/ingest/notify"
	"github.com/muster-sync/muster/ingest/registration"
	"github.com/muster-sync/muster/ingest/schedule"
	"github.com/muster-sync/muster/ingest/universe"
	"github.com/muster-sync/muster/query/api"
	"github.com/muster-sync/muster/query/viewlog"
)

// newKeeper decides on single characters.
func (r *roles) newKeeper() (*registration.Keeper, error) {
	requests, err := schedule.NewRequests(r.pool, r.logger)
	if err != nil {
		return nil, err
	}
	var signOn registration.SignOn
	if r.vault != nil {
		signOn = r.vault
	}
	return registration.NewKeeper(registration.KeeperConfig{
		Pool: r.pool, Bus: r.bus, View: known{r.stores}, Schedule: requests, SignOn: signOn,
		CallbackURL: cmp.Or(r.worlds.SSOCallbackURL, "http://"+reachable(r.settings.Listen)+"/sso/callback"),
		Forgetting:  []registration.Forgetting{notify.Forget, viewlog.Forget, universe.Forget}, Woken: r.wakeSchedule, Logger: r.logger,
	})
}

// reachable is a listening address as a browser on the same machine has it.
func reachable(listen string) string {
	host, port, err := net.SplitHostPort(listen)
	if err != nil {
		return listen
	}
	if ip := net.ParseIP(host); host == "" || (ip != nil && ip.IsUnspecified()) {
		host = "127.0.0.1"
	}
	return net.JoinHostPort(host, port)
}

// keeper decides on characters for the API.
type keeper struct{ *registration.Keeper }

// Begin implements [api.Keeper].
func (k keeper) Begin(ctx context.Context, in api.BeginRegistration) (api.Registration, error) {
	begun, err := k.Keeper.Begin(ctx, registration.BeginInput(in))
	if err != nil {
		return api.Registration{}, err
	}
	shown := showRegistration(begun.SignIn)
	shown.AuthorizeURL = begun.AuthorizeURL
	return shown, nil
}

// Registration implements [api.Keeper].
func (k keeper) Registration(ctx context.Context, id uuid.UUID) (api.Registration, error) {
	s, err := k.Keeper.Registration(ctx, id)
	return showRegistration(s), err
}

// Complete implements [api.Keeper].
func (k keeper) Complete(ctx context.Context, back api.SignOnAnswer) (api.Registration, error) {
	s, err := k.Keeper.Complete(ctx, registration.Callback(back))
	return showRegistration(s), err
}

func showRegistration(s registration.SignIn) api.Registration {
	shown := api.Registration{
		RegistrationID: s.ID, Status: string(s.Status), ExpiresAt: s.ExpiresAt, UserID: s.UserID, Sections: []string{}, Scopes: append([]string{}, s.Scopes...),
		CharacterID: s.CharacterID, CharacterName: s.CharacterName, Outcome: string(s.Outcome), Failure: s.Failure,
	}
	for _, section := range s.Sections {
		shown.Sections = append(shown.Sections, string(section))
	}
	return shown
}

// Decide implements [api.Keeper].
func (k keeper) Decide(ctx context.Context, in api.CharacterDecision) (api.CharacterChange, error) {
	decide, there := map[api.CharacterVerb]func(context.Context, registration.ChangeInput) (registration.ChangeResult, error){
		api.VerbDisable: k.Disable, api.VerbEnable: k.Enable, api.VerbRemove: k.Remove, api.VerbForget: k.Forget,
	}[in.Verb]
	if !there {
		return api.CharacterChange{}, event.Errorf(event.CodeInternal, "BUG: nobody decides to %s a character", in.Verb)
	}
	result, err := decide(ctx, registration.ChangeInput{Actor: in.Actor, UserID: in.UserID, CharacterID: in.CharacterID, Reason: in.Reason, ExpectedVersion: in.ExpectedVersion})
	return api.CharacterChange{CharacterID: in.CharacterID, Changed: result.Changed, Version: result.Version, Shown: result.Shown}, err
}

// Request implements [api.Keeper].
func (k keeper) Request(ctx context.Context, actor string, character int64, sections []eve.Section, reset bool) ([]eve.Section, error) {
	if reset {
		return k.Reset(ctx, actor, character, sections...)
	}
	return k.Update(ctx, actor, character, sections...)
}
