package access

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

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

	// SharedUntil is when the sharing ends; nil for never. No file says so: what an
	// import shares has no end.
	SharedUntil *time.Time `json:"-"`

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
// left out and reported in the order of the file, the others are taken. It fails
// with
// [event.CodeInvalid], naming the line, only if the file as a whole cannot be
// read.
func ReadOrganisation(r io.Reader) (Organisation, []Rejection, error) {
	data, err := io.ReadAll(r)
	if err != nil {
		return Organisation{}, nil, fmt.Errorf("reading the organisation: %w", err)
	}
	p := &organisationReader{data: data, dec: json.NewDecoder(bytes.NewReader(data))}
	if err := p.read(); err != nil {
		return Organisation{}, nil, err
	}
	org := p.check()
	slices.SortStableFunc(p.rejected, func(a, b Rejection) int { return cmp.Compare(a.Line, b.Line) })
	return org, p.rejected, nil
}

// listed is a record with the line on which it begins.
type listed[T any] struct {
	record T
	line   int
}

type organisationReader struct {
	data       []byte
	dec        *json.Decoder
	users      []listed[OrganisationUser]
	characters []listed[OrganisationCharacter]
	rejected   []Rejection

	// counted is how far the lines were counted, and newlines how many ended
	// before it: a file of many records is counted once.
	counted, newlines int
}

// line is the line of what comes next. It must not be asked for an earlier place
// than before.
func (p *organisationReader) line() int {
	offset := int(p.dec.InputOffset())
	for offset < len(p.data) && strings.IndexByte(" \t\r\n,:[", p.data[offset]) >= 0 {
		offset++
	}
	if offset > p.counted {
		p.newlines += bytes.Count(p.data[p.counted:offset], []byte("\n"))
		p.counted = offset
	}
	return 1 + p.newlines
}

func (p *organisationReader) broken(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		err = errors.New("the file ends too early")
	}
	return event.Errorf(event.CodeInvalid, "organisation file, line %d: %w; it must be one JSON object with the lists \"users\" and \"characters\"", p.line(), err)
}

func (p *organisationReader) read() error {
	if err := p.expect('{', "must be an object"); err != nil {
		return p.broken(err)
	}
	for p.dec.More() {
		key, err := p.dec.Token()
		if err != nil {
			return p.broken(err)
		}
		switch key {
		case "users":
			p.users, err = readList(p, p.users, OrganisationUser.record)
		case "characters":
			p.characters, err = readList(p, p.characters, OrganisationCharacter.record)
		default:
			err = fmt.Errorf("key %q is not known", key)
		}
		if err != nil {
			return p.broken(err)
		}
	}
	if err := p.expect('}', "must end with }"); err != nil {
		return p.broken(err)
	}
	if _, err := p.dec.Token(); !errors.Is(err, io.EOF) {
		return p.broken(errors.New("something follows the end of the object"))
	}
	return nil
}

func (p *organisationReader) expect(want json.Delim, rule string) error {
	switch t, err := p.dec.Token(); {
	case err != nil:
		return err
	case t != want:
		return errors.New(rule)
	default:
		return nil
	}
}

// readList takes the records of a list one by one, so that one that does not
// fit is reported with its line and the rest is taken.
func readList[T any](p *organisationReader, list []listed[T], name func(T) string) ([]listed[T], error) {
	if err := p.expect('[', "must be a list"); err != nil {
		return nil, err
	}
	for p.dec.More() {
		line := p.line()
		var raw json.RawMessage
		if err := p.dec.Decode(&raw); err != nil {
			return nil, err
		}
		var record T
		strict := json.NewDecoder(bytes.NewReader(raw))
		strict.DisallowUnknownFields()
		if err := strict.Decode(&record); err != nil {
			p.rejected = append(p.rejected, Rejection{Line: line, Record: name(record), Reason: reason(err)})
			continue
		}
		list = append(list, listed[T]{record, line})
	}
	return list, p.expect(']', "must end with ]")
}

// reason says why a record cannot be read, in the words of its file.
func reason(err error) string {
	if wrong, ok := errors.AsType[*json.UnmarshalTypeError](err); ok {
		return fmt.Sprintf("its %s cannot be a JSON %s", cmp.Or(wrong.Field, "record"), wrong.Value)
	}
	return strings.TrimPrefix(err.Error(), "json: ")
}

func (u OrganisationUser) record() string { return "user " + u.ID }

func (c OrganisationCharacter) record() string { return fmt.Sprintf("character %d", c.ID) }

// check leaves out what contradicts itself.
func (p *organisationReader) check() Organisation {
	var org Organisation
	users, characters := map[string][]int64{}, map[int64]bool{}
	for _, l := range p.users {
		if fault := l.record.fault(users); fault != "" {
			p.rejected = append(p.rejected, Rejection{Line: l.line, Record: l.record.record(), Reason: fault})
			continue
		}
		users[l.record.ID] = l.record.Characters
		org.Users = append(org.Users, l.record)
	}
	for _, l := range p.characters {
		if fault := l.record.fault(users, characters); fault != "" {
			p.rejected = append(p.rejected, Rejection{Line: l.line, Record: l.record.record(), Reason: fault})
			continue
		}
		characters[l.record.ID] = true
		org.Characters = append(org.Characters, l.record)
	}
	return org
}

// fault is the rule that the user breaks, "" for none. known holds the users
// before it, with their characters.
func (u OrganisationUser) fault(known map[string][]int64) string {
	_, twice := known[u.ID]
	switch {
	case event.User(u.ID).Validate() != nil:
		return fmt.Sprintf("its id %q cannot be used: it must not be empty, very long or contain '/' or line ends", u.ID)
	case twice:
		return "its id is there twice: ids are unique"
	case u.Main != nil && !slices.Contains(u.Characters, *u.Main):
		return fmt.Sprintf("its main %d is not among its characters", *u.Main)
	default:
		return ""
	}
}

// fault is the rule that the character breaks, "" for none. users holds all that
// were taken, with their characters, and known the characters before it.
func (c OrganisationCharacter) fault(users map[string][]int64, known map[int64]bool) string {
	switch {
	case c.ID <= 0:
		return "its id must be a positive number"
	case known[c.ID]:
		return "its id is there twice: ids are unique"
	case c.RefreshToken != "" && !c.Registered:
		return "it has a refresh token but is not registered"
	case c.Owner == nil:
		return ""
	}
	owned, there := users[*c.Owner]
	switch {
	case !there:
		return fmt.Sprintf("its owner %q is no user of this file, or was rejected", *c.Owner)
	case !slices.Contains(owned, c.ID):
		return fmt.Sprintf("its owner %q does not list it among its characters", *c.Owner)
	default:
		return ""
	}
}
