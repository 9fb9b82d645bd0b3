package web

import (
	"net/http"
	"net/url"
	"strconv"
)

// registerCharacters adds the pages about characters.
func (s *Site) registerCharacters() {
	s.router.Get("/", s.page(s.launcher))
	s.router.Get("/finder", s.page(s.finder))
	s.router.Get("/search", s.page(s.search))
	s.router.Get("/search/{kind}", s.page(s.search))
	s.router.Get("/characters/{id}", s.page(s.viewer))
	s.router.Get("/characters/{id}/timeline", s.page(s.timeline))
	s.router.Get("/characters/{id}/ledger", s.page(s.ledger))
	s.router.Get("/characters/{id}/views", s.page(s.views))
	s.router.Get("/characters/{id}/manage", s.page(s.manage))
	s.router.Post("/characters/{id}/manage", s.decision(s.decideInManage))
	s.router.Get("/characters/{id}/mails/{record}", s.page(s.mail))
	s.router.Get("/characters/{id}/contracts/{record}", s.page(s.contract))
	s.router.Get("/characters/{id}/killmails/{record}", s.page(s.killmail))
	s.router.Get("/characters/{id}/skill-sets/{record}", s.page(s.characterSkillSet))
	s.router.Get("/characters/{id}/assets/{item}", s.page(s.asset))
	for _, g := range tabGroups() {
		for _, t := range g.Tabs {
			// How characters stand to skill sets follows from other sections.
			if t.Section != sectionOverview && t.Section != "skill-sets" {
				s.router.Get("/characters/{id}/"+t.Section+"/changes", s.page(s.sectionChanges(t.Section)))
			}
		}
	}
	s.router.Get("/characters/{id}/{section}", s.page(s.viewer))
	s.router.Post("/characters/{id}/decide", s.decision(s.decideOnCharacter))
	s.router.Post("/characters/register", s.decision(s.register))
}

// characterPath is the page of a character.
func characterPath(id string) string { return "/characters/" + url.PathEscape(id) }

// toCharacter leads to the character whose id is in a field; nowhere for those whose pages
// nobody may open.
func toCharacter(field string) func(row) string {
	return func(r row) string {
		id := r.Text(field)
		if id == "" || r.Text("status") == "unregistered" {
			return ""
		}
		return characterPath(id)
	}
}

// decideOnCharacter carries out what the owner of a character, or an administrator, has decided.
func (s *Site) decideOnCharacter(v *visit) (string, error) {
	id := url.PathEscape(v.path("id"))
	path := "/v1/characters/" + id
	reason := map[string]any{}
	if text := v.r.PostFormValue("reason"); text != "" {
		reason["reason"] = text
	}
	do := v.r.PostFormValue("do")
	after := v.back(characterPath(id), do)
	var err error
	switch do {
	case "share":
		_, err = v.send(http.MethodPut, path+"/share", nil, map[string]any{})
	case "unshare":
		_, err = v.send(http.MethodDelete, path+"/share", nil, nil)
	case "update":
		_, err = v.send(http.MethodPost, path+"/update", nil, map[string]any{})
	case "remove", "disable", "enable":
		_, err = v.send(http.MethodPost, path+"/"+do, nil, reason)
	default:
		return "", &refusal{Status: http.StatusUnprocessableEntity, Detail: v.T("problem.unknown-decision", "Decision", do)}
	}
	return after, err
}

// register begins to register a character: EVE's sign-on is asked for its login.
func (s *Site) register(v *visit) (string, error) {
	if err := v.whoami(); err != nil {
		return "", err
	}
	body := map[string]any{"user_id": v.Me.Text("user_id")}
	if id, err := strconv.ParseInt(v.r.PostFormValue("character_id"), 10, 64); err == nil && id > 0 {
		body["character_id"] = id
	}
	begun, err := v.send(http.MethodPost, "/v1/characters/registrations", nil, body)
	if err != nil {
		return "", err
	}
	return "", v.show("register", v.T("register.title"), begun)
}
