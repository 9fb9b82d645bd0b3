package notify

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/muster-sync/muster/domain/access"
	"github.com/muster-sync/muster/domain/event"
)

// The kinds of notices about compliance groups.
const (
	// KindGroupsGained: a user has registered all his characters, and is in compliance
	// groups for it.
	KindGroupsGained Kind = "compliance_groups_gained"
	// KindGroupsLost: a user is in compliance groups no more.
	KindGroupsLost Kind = "compliance_groups_lost"
)

// aboutUser tells whether the notice is about a user and none of his characters.
func (n Notice) aboutUser() bool { return n.Kind == KindGroupsGained || n.Kind == KindGroupsLost }

// groupsSubject is the notice in one line.
func (n Notice) groupsSubject() string {
	noun := "compliance group "
	if len(n.Groups) != 1 {
		noun = "compliance groups "
	}
	names := make([]string, len(n.Groups))
	for i, g := range n.Groups {
		names[i] = oneLine(g)
	}
	verb := " is now in "
	if n.Kind == KindGroupsLost {
		verb = " is no longer in "
	}
	return "User " + oneLine(n.UserID) + verb + noun + strings.Join(names, ", ")
}

// groupsText is the notice in full, with what to do.
func (n Notice) groupsText() string {
	remedy := "What the groups give can be used from now on. It is lost as soon as one of the characters is not registered any more."
	if n.Kind == KindGroupsLost {
		remedy = "What the groups give is lost until that is put right. Which characters are to be registered:\n  muster compliance users --user " + shellWord(oneLine(n.UserID))
	}
	return fmt.Sprintf("%s.\n\nUser: %s\nWhen: %s\nWhy: %s\n\n%s\n", n.groupsSubject(), oneLine(n.UserID), n.OccurredAt.UTC().Format(time.RFC3339), n.Reason, remedy)
}

// reactToGroups makes a notice of groups that a user has gained or lost by what became
// of him or of his characters. What somebody has defined or removed is no news for its
// members, as in Member Audit: they have neither earned nor forfeited anything.
func (n *Noticer) reactToGroups(ctx context.Context, e event.Recorded) error {
	if e.IsTombstone() || (e.Type != access.TypeGroupsGained && e.Type != access.TypeGroupsLost) {
		return nil
	}
	payload, err := n.config.Registry.Decode(e.Event)
	if err != nil {
		return err
	}
	notice := Notice{EventID: e.ID, OccurredAt: e.Time.UTC()}
	switch p := payload.(type) {
	case access.GroupsGained:
		if p.Designated() {
			return nil
		}
		notice.Kind, notice.UserID = KindGroupsGained, p.UserID
		for _, g := range p.Groups {
			notice.Groups = append(notice.Groups, g.Name)
		}
		notice.Reason = fmt.Sprintf("all %d characters are registered", p.Characters)
		if p.Characters == 1 {
			notice.Reason = "the one character is registered"
		}
	case access.GroupsLost:
		if p.Designated() {
			return nil
		}
		notice.Kind, notice.UserID = KindGroupsLost, p.UserID
		for _, g := range p.Groups {
			notice.Groups = append(notice.Groups, g.Name)
		}
		notice.Reason = lostWords(p)
	}
	var told bool
	err = pgx.BeginFunc(ctx, n.config.Pool, func(tx pgx.Tx) error {
		told, err = n.settle(ctx, tx, e, notice)
		return err
	})
	if err != nil {
		// Postgres may be away; the event is not to blame.
		return event.Errorf(event.CodeUnavailable, "noting what to tell of %s: %w", e.Key(), err)
	}
	if told {
		n.config.Noted()
	}
	return nil
}

// lostWords is why groups were lost, each reason once.
func lostWords(p access.GroupsLost) string {
	var words []string
	seen := map[string]bool{}
	for _, g := range p.Groups {
		for _, r := range g.Reasons {
			if w := reasonWords(r); !seen[w] {
				seen[w] = true
				words = append(words, w)
			}
		}
	}
	const enough = 20
	if more := len(words) - enough; more > 0 {
		words = append(words[:enough], fmt.Sprintf("and %d more", more))
	}
	return strings.Join(words, "; ")
}

// reasonWords is what keeps a user out of a group, in words.
func reasonWords(r access.GroupReason) string {
	since := ""
	if r.Since != nil {
		since = " since " + r.Since.UTC().Format(time.RFC3339)
	}
	switch r.Fault { //nolint:exhaustive // the others keep nobody out of a group, or make no notice
	case access.FaultNeverRegistered:
		return fmt.Sprintf("character %d is not registered%s", r.CharacterID, since)
	case access.FaultLoginLost:
		return fmt.Sprintf("character %d is registered no more%s", r.CharacterID, since)
	case access.FaultNoBasicAccess:
		return "the user does not hold basic_access"
	case access.FaultState:
		return "the group is not open to the user's state"
	case access.FaultNoCharacters:
		return "the user owns no character"
	default:
		return string(r.Fault)
	}
}
