package access

import (
	"slices"
	"strings"

	"github.com/muster-sync/muster/domain/event"
)

// Reach says of which characters somebody may do something.
type Reach int

// How far an action reaches.
const (
	// ReachNone: he may not do it.
	ReachNone Reach = iota
	// ReachOwn: with the characters that he owns. For what is about users, himself.
	ReachOwn
	// ReachSeen: with what he may see: the characters of his [View], the users of his
	// [Audience].
	ReachSeen
	// ReachAll: with everything.
	ReachAll
)

// rule is what an action asks of a user.
type rule struct {
	action Action
	// needs has lists of permissions; all of one list are needed. None is for superusers
	// alone.
	needs [][]Permission
	reach Reach
	// owned tells that it is for the owner, superusers included.
	owned bool
}

// rules are what users may do, by Member Audit's permissions (5.1.0, and 1.9.4 where it
// is the same). What is not here is for superusers alone.
func rules() []rule {
	one := func(p ...Permission) [][]Permission { return [][]Permission{p} }
	return []rule{
		{action: ActionReadCharacters, needs: one(BasicAccess), reach: ReachSeen},
		{action: ActionReadAnalytics, needs: one(BasicAccess), reach: ReachSeen},
		// Not even basic access is asked for: both as in Member Audit.
		{action: ActionReadReports, needs: one(ReportsAccess), reach: ReachSeen},
		{action: ActionExport, needs: [][]Permission{{ExportsAccess}, {ScopedExportsAccess}}, reach: ReachSeen},
		{action: ActionRegisterCharacter, needs: one(BasicAccess), reach: ReachOwn},
		{action: ActionUpdateCharacter, needs: one(BasicAccess), reach: ReachOwn},
		{action: ActionDisableCharacter, needs: one(BasicAccess), reach: ReachOwn},
		{action: ActionEnableCharacter, needs: one(BasicAccess), reach: ReachOwn},
		{action: ActionRemoveCharacter, needs: one(BasicAccess), reach: ReachOwn, owned: true},
		{action: ActionShareCharacter, needs: one(BasicAccess, ShareCharacters), reach: ReachOwn, owned: true},
		{action: ActionUnshareCharacter, needs: one(BasicAccess), reach: ReachOwn, owned: true},
		{action: ActionReadAccessLog, needs: one(BasicAccess), reach: ReachOwn},
		// Everybody who is active.
		{action: ActionReadSelf, needs: one(), reach: ReachOwn},
		{action: ActionManageTokens, needs: one(), reach: ReachOwn},
	}
}

func ruleOf(a Action) rule {
	for _, r := range rules() {
		if r.action == a {
			return r
		}
	}
	return rule{action: a}
}

// ReachOf tells how far the permissions of a user let him do an action. A superuser who
// is active may do everything, but for what is the owner's: to share, to unshare and to
// remove a character.
func ReachOf(g Grants, a Action) Reach {
	r := ruleOf(a)
	switch {
	case !g.Active:
		return ReachNone
	case g.Superuser && !r.owned:
		return ReachAll
	}
	if slices.ContainsFunc(r.needs, g.canAll) {
		return r.reach
	}
	return ReachNone
}

func (g Grants) canAll(needed []Permission) bool {
	for _, p := range needed {
		if !g.Can(p) {
			return false
		}
	}
	return true
}

// ActionsOf lists what the permissions of a user let him do, as far as it reaches, in
// the order of [Actions].
func ActionsOf(g Grants) []Action {
	may := []Action{}
	for _, a := range Actions() {
		if ReachOf(g, a) != ReachNone {
			may = append(may, a)
		}
	}
	return may
}

// AuthorizeUser tells whether a principal who is a user of the organisation may do
// something at all: nil if he may, else an error with [event.CodeForbidden] that names
// the permissions which it needs, or because the token that he uses is not for it. With
// what he may do it [ReachOf] says.
func AuthorizeUser(p Principal, g Grants, a Action) error {
	if a == ActionReadSelf {
		return nil
	}
	if err := p.outOfScope(a); err != nil {
		return err
	}
	if ReachOf(g, a) != ReachNone {
		return nil
	}
	needs := ruleOf(a).needs
	switch {
	case len(needs) == 1 && len(needs[0]) == 0:
		return event.Errorf(event.CodeForbidden, "%s may not do %q: that is for users who are active", p.ID, a)
	case len(needs) == 0:
		return event.Errorf(event.CodeForbidden, "%s may not do %q: that is for active superusers", p.ID, a)
	}
	ways := make([]string, len(needs))
	for i, needed := range needs {
		names := make([]string, len(needed))
		for j, permission := range needed {
			names[j] = string(permission)
		}
		ways[i] = strings.Join(names, " and ")
	}
	return event.Errorf(event.CodeForbidden, "%s may not do %q: that needs %s, and a user who is active", p.ID, a, strings.Join(ways, ", or "))
}

// Actor is a principal with what he was given, if he is a user.
type Actor struct {
	Principal

	// Grants are a user's; zero for a program.
	Grants Grants
}

// May tells whether he may do an action at all, like [AuthorizeUser] for a user and
// [Authorize] for everybody else.
func (a Actor) May(action Action) error {
	if a.UserID != "" {
		return AuthorizeUser(a.Principal, a.Grants, action)
	}
	return Authorize(a.Principal, action)
}

// Administers tells whether he is a superuser: a user who is active, or the
// administrator.
func (a Actor) Administers() bool {
	if a.UserID != "" {
		return a.Grants.Superuser && a.Grants.Active
	}
	return a.Superuser
}
