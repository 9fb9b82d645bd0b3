package web

import (
	"bytes"
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// registerExports adds the pages from which whole collections are taken out.
func (s *Site) registerExports() {
	s.router.Get("/exports", s.page(s.exports))
	s.router.Get("/exports/{topic}/download", s.page(s.download))
}

// exportCard is a topic with its columns.
type exportCard struct {
	Topic, Title, Text string
	Columns            *table
}

// exportsPage is what the page of exports shows.
type exportsPage struct {
	Topics       []exportCard
	Corporations []option
	// Typed is what was filled in, Problem why there is no file.
	Typed   map[string]string
	Problem *refusal
	Open    string
}

// exports shows what can be taken out.
func (s *Site) exports(v *visit) error { return s.showExports(v, nil) }

func (s *Site) showExports(v *visit, problem *refusal) error {
	if err := v.whoami(); err != nil {
		return err
	}
	var topics, facets row
	if err := v.gather(want{path: "/v1/exports", into: &topics}, want{path: "/v1/finder/facets", into: &facets, optional: true}); err != nil {
		return err
	}
	data := exportsPage{Problem: problem, Open: v.path("topic"), Typed: map[string]string{}}
	for _, name := range []string{"from", "to", "character_id", "corporation_id"} {
		data.Typed[name] = v.param(name)
	}
	for _, c := range facets.Rows("corporations") {
		data.Corporations = append(data.Corporations, option{Value: c.Text("id"), Text: nameOf(c, "name", "id"), Chosen: c.Text("id") == v.param("corporation_id")})
	}
	for _, topic := range topics.Rows("items") {
		name := topic.Text("topic")
		card := exportCard{Topic: name, Title: v.T("export." + name), Text: v.T("export." + name + "-text")}
		card.Columns = v.tableOf(list{ID: "export-columns", Items: "columns", NoFiles: true, Columns: []column{
			{Name: "column", Field: "name"},
			{Name: "holds", Cell: func(v *visit, r row) cell { return cell{Text: v.T("holds." + r.Text("type"))} }},
			{Name: "may_be_empty", Field: "optional", Kind: kindBool},
		}}, topic)
		data.Topics = append(data.Topics, card)
	}
	return v.showTo(statusOf(problem), "exports", v.T("exports.title"), data)
}

// download hands a request for an export on to the API, whose answer goes to the browser as it
// is written. What is refused before that is said on the page.
func (s *Site) download(v *visit) error {
	media := "text/csv"
	if v.param("format") == "parquet" {
		media = "application/vnd.apache.parquet"
	}
	query := url.Values{}
	for _, name := range []string{"character_id", "corporation_id"} {
		if text := v.param(name); text != "" {
			query.Set(name, text)
		}
	}
	if from := v.param("from"); from != "" {
		query.Set("from", instant(from))
	}
	if to := v.param("to"); to != "" {
		query.Set("to", instant(to))
		// The last day is among what is asked for.
		if at, err := time.Parse(time.DateOnly, to); err == nil {
			query.Set("to", at.AddDate(0, 0, 1).Format(time.RFC3339))
		}
	}
	q, err := s.request(v.ctx(), v.r, http.MethodGet, "/v1/exports/"+url.PathEscape(v.path("topic")), query, http.NoBody)
	if err != nil {
		return err
	}
	q.Header.Set("Accept", media)
	if accepted := v.r.Header.Get("Accept-Encoding"); accepted != "" {
		q.Header.Set("Accept-Encoding", accepted)
	}
	through := &passedThrough{ResponseWriter: v.w}
	s.config.API.ServeHTTP(through, q)
	if through.refused == 0 {
		return errAnswered
	}
	problem := &refusal{Title: http.StatusText(through.refused)}
	if err := json.Unmarshal(through.body.Bytes(), problem); err != nil {
		problem.Detail = ""
	}
	problem.Status = through.refused
	if atForm(problem) == nil {
		return problem
	}
	return s.showExports(v, problem)
}

// passedThrough hands an answer through to the browser, but for what is a problem.
type passedThrough struct {
	http.ResponseWriter

	refused int
	own     http.Header
	begun   bool
	body    bytes.Buffer
}

// Header implements [http.ResponseWriter]. What the API sets counts once it answers.
func (p *passedThrough) Header() http.Header {
	if p.own == nil {
		p.own = http.Header{}
	}
	return p.own
}

// WriteHeader implements [http.ResponseWriter].
func (p *passedThrough) WriteHeader(status int) {
	if status >= http.StatusBadRequest {
		p.refused = status
		return
	}
	p.begin()
	p.ResponseWriter.WriteHeader(status)
}

// begin hands the headers on, once.
func (p *passedThrough) begin() {
	if p.begun {
		return
	}
	p.begun = true
	for name, values := range p.own {
		// What guards pages is not the file's to say.
		if !strings.EqualFold(name, "Content-Security-Policy") {
			p.ResponseWriter.Header()[name] = values
		}
	}
	p.own = p.ResponseWriter.Header()
}

// Write implements [http.ResponseWriter].
func (p *passedThrough) Write(b []byte) (int, error) {
	if p.refused != 0 {
		return p.body.Write(b)
	}
	p.begin()
	return p.ResponseWriter.Write(b)
}

// Unwrap lets time limits and flushing reach the connection.
func (p *passedThrough) Unwrap() http.ResponseWriter { return p.ResponseWriter }
