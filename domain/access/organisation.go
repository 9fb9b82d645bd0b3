package access

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/muster-sync/muster/domain/event"
)

// Organisation is what an import brings in: users, and the characters that they
// own.
type Organisation struct {
	Users      []OrganisationUser      `json:"users"`
	Characters []OrganisationCharacter `json:"characters"`
}

// OrganisationUser is one user of an imported organisation.
type OrganisationUser struct {
	ID          string   `json:"id"`
	Name        string   `json:"name,omitempty"`
	Superuser   bool     `json:"superuser"`
	Active      bool     `json:"active"`
	State       string   `json:"state"`
	Permissions []string `json:"permissions"`
	Main        *int64   `json:"main"`
	Characters  []int64  `json:"characters"`
}

// OrganisationCharacter is one character of an imported organisation. The last
// three fields are what is needed to sync it; without a refresh token only its
// public sections are read.
type OrganisationCharacter struct {
	ID            int64   `json:"id"`
	Name          string  `json:"name,omitempty"`
	CorporationID int64   `json:"corporation_id"`
	AllianceID    *int64  `json:"alliance_id"`
	Registered    bool    `json:"registered"`
	Shared        bool    `json:"shared"`
	Owner         *string `json:"owner"`

	RefreshToken string   `json:"refresh_token,omitempty"`
	OwnerHash    string   `json:"owner_hash,omitempty"`
	Scopes       []string `json:"scopes,omitempty"`
}

// Rejection is a record of an import that was not taken, and why.
type Rejection struct {
	// Line is the line of the file on which the record begins; 0 if unknown.
	Line int `json:"line,omitempty"`
	// Record names it, such as "character 1001".
	Record string `json:"record"`
	Reason string `json:"reason"`
}

// ReadOrganisation reads an organisation file. Records that break a rule are
// left out and reported, the others are taken. It fails with
// [event.CodeInvalid], naming the line, only if the file as a whole cannot be
// read.
func ReadOrganisation(r io.Reader) (Organisation, []Rejection, error) {
	data, err := io.ReadAll(r)
	if err != nil {
		return Organisation{}, nil, fmt.Errorf("reading the organisation: %w", err)
	}
	p := &organisationReader{data: data, dec: json.NewDecoder(bytes.NewReader(data))}
	org, err := p.read()
	if err != nil {
		return Organisation{}, nil, err
	}
	org = p.check(org)
	return org, p.rejected, nil
}

type organisationReader struct {
	data     []byte
	dec      *json.Decoder
	rejected []Rejection
	lines    map[string]int
}

func (p *organisationReader) line() int {
	offset := int(p.dec.InputOffset())
	for offset < len(p.data) && strings.IndexByte(" \t\r\n,:[", p.data[offset]) >= 0 {
		offset++
	}
	return 1 + bytes.Count(p.data[:offset], []byte("\n"))
}

func (p *organisationReader) broken(err error) error {
	return event.Errorf(event.CodeInvalid, "organisation file, line %d: %w; it must be one JSON object with the lists \"users\" and \"characters\"", p.line(), err)
}

func (p *organisationReader) read() (Organisation, error) {
	var org Organisation
	p.lines = map[string]int{}
	if t, err := p.dec.Token(); err != nil || t != json.Delim('{') {
		if err == nil {
			err = fmt.Errorf("begins with %v", t)
		}
		return org, p.broken(err)
	}
	for p.dec.More() {
		key, err := p.dec.Token()
		if err != nil {
			return org, p.broken(err)
		}
		switch key {
		case "users":
			err = readList(p, func(u OrganisationUser) { org.Users = append(org.Users, u) }, func(u OrganisationUser) string { return "user " + u.ID })
		case "characters":
			err = readList(p, func(c OrganisationCharacter) { org.Characters = append(org.Characters, c) },
				func(c OrganisationCharacter) string { return fmt.Sprintf("character %d", c.ID) })
		default:
			err = fmt.Errorf("key %v is not known", key)
		}
		if err != nil {
			return org, p.broken(err)
		}
	}
	return org, nil
}

// readList takes the records of a list one by one, so that one that does not
// fit is reported with its line and the rest is taken.
func readList[T any](p *organisationReader, take func(T), name func(T) string) error {
	if t, err := p.dec.Token(); err != nil || t != json.Delim('[') {
		return fmt.Errorf("must be a list: %w", err)
	}
	for p.dec.More() {
		line := p.line()
		var raw json.RawMessage
		if err := p.dec.Decode(&raw); err != nil {
			return err
		}
		var record T
		strict := json.NewDecoder(bytes.NewReader(raw))
		strict.DisallowUnknownFields()
		if err := strict.Decode(&record); err != nil {
			p.rejected = append(p.rejected, Rejection{Line: line, Record: name(record), Reason: strings.TrimPrefix(err.Error(), "json: ")})
			continue
		}
		p.lines[name(record)] = line
		take(record)
	}
	_, err := p.dec.Token()
	return err
}

// check leaves out what contradicts itself.
func (p *organisationReader) check(org Organisation) Organisation {
	reject := func(record, format string, args ...any) bool {
		p.rejected = append(p.rejected, Rejection{Line: p.lines[record], Record: record, Reason: fmt.Sprintf(format, args...)})
		return true
	}
	users, characters := map[string]bool{}, map[int64]bool{}
	org.Users = slices.DeleteFunc(org.Users, func(u OrganisationUser) bool {
		name := "user " + u.ID
		switch {
		case event.User(u.ID).Validate() != nil:
			return reject(name, "its id %q cannot be used: it must not be empty or contain '/'", u.ID)
		case users[u.ID]:
			return reject(name, "its id is there twice: ids are unique")
		case u.Main != nil && !slices.Contains(u.Characters, *u.Main):
			return reject(name, "its main %d is not among its characters", *u.Main)
		}
		users[u.ID] = true
		return false
	})
	org.Characters = slices.DeleteFunc(org.Characters, func(c OrganisationCharacter) bool {
		name := fmt.Sprintf("character %d", c.ID)
		switch {
		case c.ID <= 0:
			return reject(name, "its id must be a positive number")
		case characters[c.ID]:
			return reject(name, "its id is there twice: ids are unique")
		case c.Owner != nil && !users[*c.Owner]:
			return reject(name, "its owner %q is no user of this file, or was rejected", *c.Owner)
		case c.Owner != nil && !owns(org.Users, *c.Owner, c.ID):
			return reject(name, "its owner %q does not list it among its characters", *c.Owner)
		case c.RefreshToken != "" && !c.Registered:
			return reject(name, "it has a refresh token but is not registered")
		}
		characters[c.ID] = true
		return false
	})
	return org
}

func owns(users []OrganisationUser, id string, character int64) bool {
	i := slices.IndexFunc(users, func(u OrganisationUser) bool { return u.ID == id })
	return i >= 0 && slices.Contains(users[i].Characters, character)
}
