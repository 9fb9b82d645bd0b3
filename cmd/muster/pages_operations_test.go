//go:build linux

package main

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"
	"github.com/stretchr/testify/require"
)

// operations: an administrator sees how everything fares, and decides who may do what.
func (p *site) operations(t *testing.T) {
	chief := p.as(t, 90000001)
	text := chief.open("/sync")
	var self struct {
		MainName string `json:"main_name"`
	}
	p.read(t, "/v1/users/u1", &self)
	require.NotEmpty(t, self.MainName)
	chief.shows(".self a", self.MainName)
	require.Contains(t, text, "How far the read models are")
	require.Equal(t, 34, chief.count("#list-section-status tbody tr"), "each section that is read")
	chief.shot("sync")
	require.Contains(t, chief.open("/projections"), "event_index")
	chief.do(chromedp.SetValue(`select[name="projection"]`, "wallet", chromedp.ByQuery))
	require.Contains(t, chief.follow(`form[action="/projections"] button`), "The rebuild has begun.")
	// The table tells by itself when the next generation is live.
	chief.do(chromedp.Poll(`Array.from(document.querySelectorAll("[sse-connect] tbody tr")).some(r => r.cells[0].textContent === "wallet" && r.cells[1].textContent === "2" && r.cells[3].textContent.includes("live"))`, nil, chromedp.WithPollingTimeout(0)))
	chief.shot("projections")
	require.Contains(t, chief.open("/parked"), "Nothing is parked.")
	require.Contains(t, chief.open("/retention"), "for ever", "the demo of the tests keeps everything")
	chief.shot("retention")
	require.Contains(t, chief.follow(`a[href="/retention/plan"]`), "Nothing would go now.")

	// A role is defined and granted; a wrong one is refused, and what was typed is still there.
	chief.open("/roles")
	chief.fill(`input[name="name"]`, "Quartermasters")
	chief.fill(`input[name="states"]`, "No such state, with a name that is far longer than a state's name may be: "+longName())
	require.Contains(t, chief.follow(`button[value="define"]`), "Quartermasters", "the form is still filled in")
	require.Equal(t, 1, chief.count(`[role="alert"]`))
	chief.fill(`input[name="states"]`, "")
	chief.do(chromedp.Click(`input[value="finder_access"]`, chromedp.ByQuery))
	require.Contains(t, chief.follow(`button[value="define"]`), "The role is defined.")
	text = chief.open("/users")
	require.Contains(t, text, "Member")
	// A role that was only accepted so far is there a moment later.
	chief.eventually("the role can be chosen", func(context.Context) error {
		chief.open("/users/u2")
		var there bool
		chief.do(chromedp.Evaluate(`Array.from(document.querySelectorAll('select[name="role"] option')).some(o => o.textContent === "Quartermasters")`, &there))
		if !there {
			return errors.New("it is not there")
		}
		return nil
	})
	chief.do(chromedp.SetValue(`select[name="role"]`, "Quartermasters", chromedp.ByQuery))
	chief.follow(`button[value="grant"]`)
	chief.eventually("the role is the user's", func(context.Context) error {
		if text := chief.open("/users/u2"); !strings.Contains(text, "Revoke Quartermasters") {
			return errors.New(text)
		}
		return nil
	})
	chief.shot("user")

	// A token is shown once.
	chief.open("/me/tokens")
	chief.fill(`form[action="/me/tokens"] input[name="name"]`, "nightly report")
	chief.do(chromedp.Click(`input[value="reports.read"]`, chromedp.ByQuery))
	require.Contains(t, chief.follow(`form[action="/me/tokens"] button`), "muster_tok_")
	require.NotContains(t, chief.open("/me/tokens"), "muster_tok_")

	// From an event to its stream and back.
	chief.open("/events")
	require.Contains(t, chief.follow("#list-events tbody tr td:nth-child(2) a"), "What it says")
	chief.shot("event")
	require.Contains(t, chief.follow(`.facts a[href^="/streams/"]`), "Events of the stream")

	// A member has none of that.
	var users struct {
		Items []struct {
			ID        string `json:"user_id"`
			Main      int64  `json:"main_id"`
			Superuser bool   `json:"superuser"`
		} `json:"items"`
	}
	p.read(t, "/v1/users?limit=1000", &users)
	for _, u := range users.Items {
		if u.ID == "u3" {
			member := p.as(t, u.Main)
			require.NotContains(t, member.open("/"), "Read models", "nothing is offered that is not allowed")
			for _, path := range []string{"/sync", "/projections", "/parked", "/retention", "/events", "/users", "/roles"} {
				require.Contains(t, member.openTo(http.StatusForbidden, path), "You may not do this")
			}
		}
	}
}

func longName() string {
	b := make([]byte, 300)
	for i := range b {
		b[i] = 'x'
	}
	return string(b)
}
