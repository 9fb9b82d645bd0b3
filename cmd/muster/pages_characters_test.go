//go:build linux

package main

import (
	"fmt"
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"
)

// characters: a member sees his characters at a glance, and a recruiter finds others.
func (p *site) characters(t *testing.T) {
	nobody := p.nobody(t)
	require.Contains(t, nobody.open("/"), "Sign in with EVE Online", "who has not signed in is asked to")

	var all struct {
		Items []struct {
			ID   int64  `json:"character_id"`
			Name string `json:"name"`
			User string `json:"user_id"`
		} `json:"items"`
	}
	p.read(t, "/v1/characters?limit=1000", &all)
	require.NotEmpty(t, all.Items)
	chief := p.as(t, 90000001)
	home := chief.open("/")
	require.Contains(t, home, "Register a character")
	chief.shot("launcher")
	for _, c := range all.Items {
		if c.User == "u1" {
			require.Contains(t, home, c.Name)
		}
	}
	chief.open("/finder")
	chief.shot("finder")
	require.Equal(t, len(all.Items), chief.count("#list-finder tbody tr"))
	chief.choose(`select[name="status"]`, "unregistered")
	chief.shows("#list-finder", "There is nothing here.")

	chief.size(390, 844)
	chief.open("/")
	chief.shot("launcher-phone")
	chief.size(1280, 900)

	// Somebody else's characters are not there for a member.
	for _, c := range all.Items {
		if c.User != "u1" && c.User != "" {
			member := p.as(t, c.ID)
			require.Contains(t, member.open("/"), c.Name)
			require.Contains(t, member.openTo(http.StatusNotFound, fmt.Sprintf("/characters/%d", 90000001)), "There is no such thing")
			break
		}
	}
}
