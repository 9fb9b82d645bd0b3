package web

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
)

// manageData is what the page of an owner's decisions shows.
type manageData struct {
	Shared, Disabled                           bool
	MayShare, MayUnshare, MayRemove, MayForget bool
	MayUpdate, MayDisable, MayReset            bool
	Links                                      []shareLink
	Sections                                   []option
	// Made is a link that was just made: its secret is shown this once.
	Made row
	// Failed is the decision that was refused, Problem why, Typed what was typed.
	Failed  string
	Problem *refusal
	Typed   url.Values
	// Tomorrow is a sensible end of a link.
	Tomorrow string
}

// Value is what was typed into a field of the form that was refused.
func (m manageData) Value(do, name string) string {
	if m.Failed != do {
		return ""
	}
	return m.Typed.Get(name)
}

// shareLink is a link that shows a character to whoever has it.
type shareLink struct {
	row
	Status   cell
	Sections string
	Active   bool
}

// manage shows what an owner, or an administrator, can decide about a character.
func (s *Site) manage(v *visit) error { return v.manage(manageData{}) }

func (v *visit) manage(data manageData) error {
	id := v.path("id")
	links, mine := &asked{path: apiOf(id) + "/share-links"}, &asked{path: "/v1/launcher"}
	d, err := v.frame("manage", links, mine)
	if err != nil {
		return err
	}
	if !d.MayManage {
		return &refusal{Status: http.StatusForbidden, Detail: v.T("manage.not-yours")}
	}
	d.Past = nil
	for _, r := range mine.got.Rows("cards") {
		data.Shared = data.Shared || r.Text("character_id") == id && r.Bool("shared")
	}
	data.Disabled = d.Character.Text("status") == "disabled"
	data.MayShare, data.MayUnshare, data.MayRemove = d.Own && v.Me.May("characters.share"), d.Own && v.Me.May("characters.unshare"), d.Own && v.Me.May("characters.remove")
	data.MayForget, data.MayUpdate, data.MayReset = v.Me.May("characters.forget"), v.Me.May("characters.update"), v.Me.May("characters.reset")
	data.MayDisable = v.Me.May("characters.disable")
	for _, r := range links.got.Rows("items") {
		var names []string
		for _, section := range r.Texts("sections") {
			names = append(names, v.T("section."+section))
		}
		status := r.Text("status")
		data.Links = append(data.Links, shareLink{row: r, Status: cell{Text: v.Word(status), Badge: badgeOf(status)}, Sections: strings.Join(names, ", "), Active: status == "active"})
	}
	chosen := data.Typed["sections"]
	for _, g := range tabGroups() {
		for _, t := range g.Tabs {
			if t.Section != sectionOverview {
				data.Sections = append(data.Sections, option{Value: t.Section, Text: v.T("section." + t.Section), Chosen: slices.Contains(chosen, t.Section)})
			}
		}
	}
	data.Tomorrow = v.site.config.Now().UTC().Add(24 * time.Hour).Format("2006-01-02T15:04")
	d.Extra = data
	status := http.StatusOK
	if data.Problem != nil {
		status = data.Problem.Status
	}
	return v.showTo(status, "manage", v.T("manage.title", "Name", d.Character.Text("name")), d)
}

// decideInManage carries out a decision and comes back to the page, with the problem and what
// was typed if it is refused.
func (s *Site) decideInManage(v *visit) (string, error) {
	// What the address says is no decision: only what was sent counts.
	do, form := v.r.PostFormValue("do"), v.r.PostForm //nolint:forbidigo // a form that was parsed, and no request
	if err := v.whoami(); err != nil {
		return "", err
	}
	made, next, err := v.ownerDecides(do, form)
	var problem *refusal
	switch {
	case err == nil && made != nil:
		return "", v.manage(manageData{Made: made})
	case err == nil:
		return next, nil
	case worthShowing(err, &problem) && problem.Status != http.StatusNotFound:
		return "", v.manage(manageData{Failed: do, Problem: problem, Typed: form})
	default:
		return "", err
	}
}

// ownerDecides has the API decide what a form says. Of a new link, what the API has made is
// returned; else where to go.
func (v *visit) ownerDecides(do string, form url.Values) (made row, next string, err error) {
	id := v.path("id")
	path, here := apiOf(id), characterPath(id)+"/manage"
	body := map[string]any{}
	if reason := strings.TrimSpace(form.Get("reason")); reason != "" {
		body["reason"] = reason
	}
	switch do {
	case "share":
		if until := form.Get("until"); until != "" {
			body["until"] = instant(until)
		}
		_, err = v.send(http.MethodPut, path+"/share", nil, body)
	case "unshare":
		_, err = v.send(http.MethodDelete, path+"/share", nil, nil)
	case "update", "reset":
		if sections := form["sections"]; len(sections) > 0 {
			body["sections"] = sections
		}
		_, err = v.send(http.MethodPost, path+"/"+do, nil, body)
	case "disable", "enable":
		_, err = v.send(http.MethodPost, path+"/"+do, nil, body)
	case "remove":
		_, err = v.send(http.MethodPost, path+"/remove", nil, body)
		here = "/"
	case "forget":
		if strings.TrimSpace(form.Get("name")) != form.Get("expected") || form.Get("expected") == "" {
			return nil, "", &refusal{Status: http.StatusUnprocessableEntity, Detail: v.T("manage.forget-name")}
		}
		_, err = v.send(http.MethodPost, path+"/forget", nil, body)
		here = "/"
	case "link":
		body = map[string]any{"expires_at": instant(form.Get("expires_at"))}
		if sections := form["sections"]; len(sections) > 0 {
			body["sections"] = sections
		}
		if note := strings.TrimSpace(form.Get("note")); note != "" {
			body["note"] = note
		}
		made, err = v.send(http.MethodPost, path+"/share-links", nil, body)
		return made, "", err
	case "revoke-link":
		_, err = v.send(http.MethodDelete, path+"/share-links/"+url.PathEscape(form.Get("link_id")), nil, nil)
	default:
		return nil, "", &refusal{Status: http.StatusUnprocessableEntity, Detail: v.T("problem.unknown-decision", "Decision", do)}
	}
	if err != nil {
		return nil, "", err
	}
	return nil, v.back(here, do), nil
}

// views shows who has looked at a character.
func (s *Site) views(v *visit) error {
	l := list{
		ID: "views", Path: apiOf(v.path("id")) + "/views",
		Filters: []filter{{Name: "viewer"}, {Name: "section"}, {Name: "since", Kind: "datetime"}, {Name: "until", Kind: "datetime"}},
		Columns: []column{
			{Name: "viewer", Field: "viewer_user_id", Else: "viewer_id"},
			{Name: "section", Cell: func(v *visit, r row) cell {
				section := r.Text("section")
				if tabOf(section) != nil {
					return cell{Text: v.T("section." + section)}
				}
				return cell{Text: v.Word(section)}
			}},
			as(kindWord, "way", "way"), as(kindNumber, "looks", "count"), as(kindTime, "first_at", "first_at"), as(kindTime, "last_at", "last_at"),
		},
	}
	query := v.queryOf(l)
	if format := v.param("format"); format != "" {
		return v.file(l.Path, query, format, "views")
	}
	content := &asked{path: l.Path, query: query}
	d, err := v.frame("manage", content)
	if err != nil {
		return err
	}
	if content.err != nil && !worthShowing(content.err, &d.Problem) {
		return content.err
	}
	d.Past, d.Table = nil, v.tableOf(l, content.got)
	d.Extra = v.T("views.title")
	return v.showTo(d.status(), "views", v.T("views.of", "Name", d.Character.Text("name")), d)
}
