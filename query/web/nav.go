package web

import "strings"

// navGroup is a group of the navigation.
type navGroup struct {
	Title string
	Links []navLink
}

// navLink is one page in the navigation.
type navLink struct {
	Text, Href string
	Here       bool
}

// place is a page that the navigation has for those who may do an action.
type place struct {
	text, href, action string
}

// places are the pages of the navigation, by groups. Who may see what a page shows is the
// API's to say; here it is only what is worth offering to whom.
func places() []struct {
	text   string
	places []place
} {
	return []struct {
		text   string
		places []place
	}{
		{"nav.characters", []place{
			{"nav.launcher", "/", "characters.read"},
			{"nav.finder", "/finder", "finder_access"},
			{"nav.search", "/search", "characters.read"},
		}},
		{"nav.organisation", organisationPlaces()},
		{"nav.anvil", anvilPlaces()},
		{"nav.operations", operationsPlaces()},
	}
}

// navigation is what is offered to who looks.
func (v *visit) navigation() []navGroup {
	var groups []navGroup
	for _, g := range places() {
		shown := navGroup{Title: v.T(g.text)}
		for _, p := range g.places {
			if p.action != "" && !v.Me.May(p.action) {
				continue
			}
			here := v.r.URL.Path == p.href || p.href != "/" && strings.HasPrefix(v.r.URL.Path, p.href+"/")
			shown.Links = append(shown.Links, navLink{Text: v.T(p.text), Href: p.href, Here: here})
		}
		if len(shown.Links) > 0 {
			groups = append(groups, shown)
		}
	}
	return groups
}
