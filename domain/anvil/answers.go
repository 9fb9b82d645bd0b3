package anvil

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode"

	"github.com/muster-sync/muster/domain/event"
)

// Answer is one answer of AnVIL, as in files of observations.
type Answer struct {
	Service string `json:"service"`
	// Method is always GET.
	Method string `json:"method"`
	// Path and Query are decoded.
	Path   string `json:"path"`
	Query  string `json:"query"`
	Status int    `json:"status"`
	// Body is the JSON body; null means an empty one.
	Body json.RawMessage `json:"body"`
}

// DecodeAnswers reads a file of observations: a JSON list of answers, or an
// object that has such a list in its field "anvil" and whatever else besides.
// Errors have [event.CodeInvalid] and name the line or the answer at fault.
func DecodeAnswers(r io.Reader) ([]Answer, error) {
	data, err := readAll(r)
	if err != nil {
		return nil, fmt.Errorf("reading the observations: %w", err)
	}
	list := json.RawMessage(data)
	if isJSON(data) {
		var file struct {
			AnVIL json.RawMessage `json:"anvil"`
		}
		if err := json.Unmarshal(data, &file); err != nil {
			return nil, invalidAnswers(data, err)
		}
		if file.AnVIL == nil {
			return nil, event.Errorf(event.CodeInvalid, "observations: the object has no field \"anvil\": it must hold the list of AnVIL's answers")
		}
		list = file.AnVIL
	}
	var raw []json.RawMessage
	if err := json.Unmarshal(list, &raw); err != nil {
		return nil, invalidAnswers(list, err)
	}
	answers := make([]Answer, len(raw))
	for i, one := range raw {
		if err := strictJSON(one, &answers[i]); err != nil {
			return nil, event.Errorf(event.CodeInvalid, "observations: answer %d: %w", i+1, err)
		}
		if bytes.Equal(answers[i].Body, []byte("null")) {
			answers[i].Body = nil
		}
	}
	return answers, nil
}

func invalidAnswers(data []byte, err error) error {
	if bad, ok := errors.AsType[*json.SyntaxError](err); ok {
		return event.Errorf(event.CodeInvalid, "observations: line %d: not JSON: %w", lineAt(data, bad.Offset), err)
	}
	return event.Errorf(event.CodeInvalid, "observations: must be a list of answers, or an object with such a list in \"anvil\": %w", err)
}

// ObserveAnswers makes an observation of a list of answers. It refuses, with
// [event.CodeInvalid], an answer to a question that no audit asks: a misspelt
// path would otherwise look like a missing answer.
func ObserveAnswers(answers []Answer) (*Observed, error) {
	o := NewObserved()
	for i, a := range answers {
		key, err := a.record()
		if err != nil {
			return nil, event.Errorf(event.CodeInvalid, "observations: answer %d: %w", i+1, err)
		}
		o.Record(key, a.Status, a.Body)
	}
	return o, nil
}

// record is what the answer is about.
func (a Answer) record() (RecordKey, error) {
	if a.Method != "GET" && a.Method != "" {
		return RecordKey{}, fmt.Errorf("%s %s %s: every question to AnVIL is a GET", a.Service, a.Method, a.Path)
	}
	switch a.Service {
	case ServiceSam:
		if a.Path == "/api/groups/v1" {
			return RecordKey{Kind: KindGroupList}, nil
		}
		if email, ok := strings.CutPrefix(a.Path, "/api/users/v1/"); ok && email != "" {
			return RecordKey{Kind: KindAccount, Name: strings.ToLower(email)}, nil
		}
		if rest, ok := strings.CutPrefix(a.Path, "/api/groups/v1/"); ok {
			return groupRecord(rest, a.Path)
		}
	case ServiceRawls:
		if a.Path == "/api/workspaces" {
			return RecordKey{Kind: KindWorkspaceList}, nil
		}
		if name, ok := strings.CutPrefix(a.Path, "/api/billing/v2/"); ok && name != "" {
			return RecordKey{Kind: KindBillingProject, Name: name}, nil
		}
		parts := strings.Split(strings.TrimPrefix(a.Path, "/api/workspaces/"), "/")
		if len(parts) == 3 && parts[2] == "acl" {
			return RecordKey{Kind: KindAccessList, Name: parts[0] + "/" + parts[1]}, nil
		}
		if len(parts) == 4 && parts[0] == "v2" && parts[3] == "settings" {
			return RecordKey{Kind: KindSettings, Name: parts[1] + "/" + parts[2]}, nil
		}
	default:
		return RecordKey{}, fmt.Errorf("service %q: must be %q or %q", a.Service, ServiceSam, ServiceRawls)
	}
	return RecordKey{}, fmt.Errorf("%s %s: no audit asks this: is the path misspelt?", a.Service, a.Path)
}

func groupRecord(rest, path string) (RecordKey, error) {
	name, list, _ := strings.Cut(rest, "/")
	switch {
	case name == "":
	case list == "":
		return RecordKey{Kind: KindGroup, Name: name}, nil
	case list == "member":
		return RecordKey{Kind: KindGroupMembers, Name: name}, nil
	case list == "admin":
		return RecordKey{Kind: KindGroupAdmins, Name: name}, nil
	}
	return RecordKey{}, fmt.Errorf("%s %s: no audit asks this: is the path misspelt?", ServiceSam, path)
}

// Record takes an answer to the observation. A body that cannot be read makes
// the record unknown; Record then reports that, so that the body can be kept
// aside. The record's kind must be one that is asked.
func (o *Observed) Record(key RecordKey, status int, body []byte) (malformed bool) {
	switch key.Kind {
	case KindBillingProject:
		return record(o.BillingProjects, key.Name, status, body, readBilling)
	case KindAccount:
		return record(o.Accounts, key.Name, status, body, readAccount)
	case KindGroupList:
		o.GroupList = read(status, body, readGroupList)
		return o.GroupList.Unknown != ""
	case KindGroup:
		return record(o.Groups, key.Name, status, body, readText)
	case KindGroupMembers:
		return record(o.GroupMembers, key.Name, status, body, readTexts)
	case KindGroupAdmins:
		return record(o.GroupAdmins, key.Name, status, body, readTexts)
	case KindWorkspaceList:
		o.WorkspaceList = read(status, body, readWorkspaceList)
		return o.WorkspaceList.Unknown != ""
	case KindAccessList:
		return record(o.AccessLists, key.Name, status, body, readAccessList)
	case KindSettings:
		return record(o.Settings, key.Name, status, body, readSettings)
	default:
		panic("BUG: nobody asks AnVIL for a record of kind " + string(key.Kind))
	}
}

// Fail notes that a question got no answer that could be used, and why. The
// cause ought to be the same text for the same trouble: each new text is a new
// observation. Status is zero when no answer came at all.
func (o *Observed) Fail(key RecordKey, status int, cause string) {
	failed := Response{Status: status, Unknown: cause}
	switch key.Kind {
	case KindBillingProject:
		o.BillingProjects[key.Name] = Reading[BillingInfo]{Response: failed}
	case KindAccount:
		o.Accounts[key.Name] = Reading[AccountInfo]{Response: failed}
	case KindGroupList:
		o.GroupList = Reading[[]GroupRow]{Response: failed}
	case KindGroup:
		o.Groups[key.Name] = Reading[string]{Response: failed}
	case KindGroupMembers:
		o.GroupMembers[key.Name] = Reading[[]string]{Response: failed}
	case KindGroupAdmins:
		o.GroupAdmins[key.Name] = Reading[[]string]{Response: failed}
	case KindWorkspaceList:
		o.WorkspaceList = Reading[[]WorkspaceRow]{Response: failed}
	case KindAccessList:
		o.AccessLists[key.Name] = Reading[map[string]AccessEntry]{Response: failed}
	case KindSettings:
		o.Settings[key.Name] = Reading[Settings]{Response: failed}
	default:
		panic("BUG: nobody asks AnVIL for a record of kind " + string(key.Kind))
	}
}

// NotFound counts the records of a service that were answered with 404.
func (o *Observed) NotFound(service string) int { return o.eachNotFound(service, "") }

// DoubtNotFound makes unknown, for the given cause, what a service answered with
// 404: one that answers so to everything says nothing about anything.
func (o *Observed) DoubtNotFound(service, cause string) { o.eachNotFound(service, cause) }

func (o *Observed) eachNotFound(service, cause string) int {
	if service == ServiceSam {
		return notFound(o.Accounts, cause) + notFound(o.Groups, cause) + notFound(o.GroupMembers, cause) + notFound(o.GroupAdmins, cause)
	}
	return notFound(o.BillingProjects, cause) + notFound(o.AccessLists, cause) + notFound(o.Settings, cause)
}

// notFound counts the readings with 404 and, if there is a cause, makes them
// unknown.
func notFound[T any](readings map[string]Reading[T], cause string) int {
	n := 0
	for name, r := range readings {
		if r.Status != 404 || r.Unknown != "" {
			continue
		}
		n++
		if cause != "" {
			r.Unknown = cause
			readings[name] = r
		}
	}
	return n
}

func record[T any](in map[string]Reading[T], name string, status int, body []byte, parse func([]byte) (T, error)) bool {
	r := read(status, body, parse)
	in[name] = r
	return r.Unknown != ""
}

func read[T any](status int, body []byte, parse func([]byte) (T, error)) Reading[T] {
	r := Reading[T]{Response: Response{Status: status}}
	if status != 200 {
		r.Message = errorMessage(body)
		return r
	}
	value, err := parse(body)
	if err != nil {
		r.Unknown = "malformed answer: " + err.Error()
		return r
	}
	r.Value = value
	return r
}

// errorMessage is the message of Terra's error report; bodies of other shapes
// have none.
func errorMessage(body []byte) string {
	var report struct {
		Message string `json:"message"`
	}
	if json.Unmarshal(body, &report) != nil {
		return ""
	}
	return report.Message
}

// unreadable words an error without any of the body's content, which is full of
// addresses, and the same for equal faults.
func unreadable(body []byte, err error) error {
	trimmed := bytes.TrimLeft(body, " \t\r\n")
	var wrong *json.UnmarshalTypeError
	switch {
	case len(trimmed) == 0:
		return errors.New("the body is empty")
	case trimmed[0] == '<':
		return errors.New("the body is HTML")
	case errors.As(err, &wrong):
		return fmt.Errorf("%s where %s is due in field %q", wrong.Value, wrong.Type.Kind(), wrong.Field)
	default:
		return errors.New("the body is no complete JSON")
	}
}

func parseInto(body []byte, value any) error {
	if err := json.Unmarshal(body, value); err != nil {
		return unreadable(body, err)
	}
	return nil
}

func readBilling(body []byte) (BillingInfo, error) {
	var b *struct {
		ProjectName           string   `json:"projectName"`
		InvalidBillingAccount bool     `json:"invalidBillingAccount"`
		Roles                 []string `json:"roles"`
	}
	if err := parseInto(body, &b); err != nil {
		return BillingInfo{}, err
	}
	if b == nil {
		return BillingInfo{}, errors.New("null where an object is due")
	}
	slices.Sort(b.Roles)
	return BillingInfo{Name: b.ProjectName, Roles: b.Roles, InvalidBillingAccount: b.InvalidBillingAccount}, nil
}

func readAccount(body []byte) (AccountInfo, error) {
	var a *struct {
		SubjectID string `json:"userSubjectId"`
		Email     string `json:"userEmail"`
		GoogleID  string `json:"googleSubjectId"`
		Enabled   *bool  `json:"enabled"`
	}
	if err := parseInto(body, &a); err != nil {
		return AccountInfo{}, err
	}
	if a == nil {
		return AccountInfo{}, errors.New("null where an object is due")
	}
	return AccountInfo{SubjectID: a.SubjectID, Email: a.Email, Registered: a.GoogleID != "", Disabled: a.Enabled != nil && !*a.Enabled}, nil
}

func readGroupList(body []byte) ([]GroupRow, error) {
	var rows []struct {
		Name  string `json:"groupName"`
		Email string `json:"groupEmail"`
		Role  string `json:"role"`
	}
	if err := parseInto(body, &rows); err != nil {
		return nil, err
	}
	if rows == nil {
		return nil, errors.New("null where a list is due")
	}
	list := make([]GroupRow, len(rows))
	for i, row := range rows {
		if row.Name == "" || row.Role == "" || hasControl(row.Name) {
			return nil, fmt.Errorf("row %d has no role, or no groupName that can be one", i+1)
		}
		list[i] = GroupRow(row)
	}
	return list, nil
}

func readText(body []byte) (string, error) {
	var s *string
	if err := parseInto(body, &s); err != nil {
		return "", err
	}
	if s == nil {
		return "", errors.New("null where a text is due")
	}
	return *s, nil
}

// hasControl tells whether a text holds a control character: no name does, and
// stores do not take all of them.
func hasControl(s string) bool { return strings.ContainsFunc(s, unicode.IsControl) }

func readTexts(body []byte) ([]string, error) {
	var texts []*string
	if err := parseInto(body, &texts); err != nil {
		return nil, err
	}
	if texts == nil {
		return nil, errors.New("null where a list is due")
	}
	list := make([]string, len(texts))
	for i, s := range texts {
		if s == nil {
			return nil, fmt.Errorf("entry %d is null", i+1)
		}
		list[i] = *s
	}
	return list, nil
}

func readWorkspaceList(body []byte) ([]WorkspaceRow, error) {
	var rows []struct {
		AccessLevel string `json:"accessLevel"`
		Workspace   struct {
			Namespace           string `json:"namespace"`
			Name                string `json:"name"`
			IsLocked            bool   `json:"isLocked"`
			AuthorizationDomain []struct {
				MembersGroupName string `json:"membersGroupName"`
			} `json:"authorizationDomain"`
		} `json:"workspace"`
	}
	if err := parseInto(body, &rows); err != nil {
		return nil, err
	}
	if rows == nil {
		return nil, errors.New("null where a list is due")
	}
	list := make([]WorkspaceRow, len(rows))
	for i, row := range rows {
		w := row.Workspace
		if w.Namespace == "" || w.Name == "" || row.AccessLevel == "" || hasControl(w.Namespace+w.Name) {
			return nil, fmt.Errorf("entry %d has no accessLevel, or no namespace or name that can be one", i+1)
		}
		list[i] = WorkspaceRow{
			Namespace: w.Namespace, Name: w.Name, AccessLevel: row.AccessLevel, IsLocked: w.IsLocked,
			AuthorizationDomains: make([]string, len(w.AuthorizationDomain)),
		}
		for j, domain := range w.AuthorizationDomain {
			list[i].AuthorizationDomains[j] = domain.MembersGroupName
		}
	}
	return list, nil
}

// readAccessList reads the entries in the order in which they stand in the
// body: of two spellings of one address the last one counts, as for the peer.
func readAccessList(body []byte) (map[string]AccessEntry, error) {
	var shell *struct {
		ACL json.RawMessage `json:"acl"`
	}
	if err := parseInto(body, &shell); err != nil {
		return nil, err
	}
	if shell == nil || len(shell.ACL) == 0 || shell.ACL[0] != '{' {
		return nil, errors.New("field \"acl\" is no object")
	}
	in := json.NewDecoder(bytes.NewReader(shell.ACL))
	if _, err := in.Token(); err != nil {
		return nil, unreadable(shell.ACL, err)
	}
	entries := map[string]AccessEntry{}
	for in.More() {
		key, err := in.Token()
		if err != nil {
			return nil, unreadable(shell.ACL, err)
		}
		var e *struct {
			AccessLevel string `json:"accessLevel"`
			Pending     bool   `json:"pending"`
			CanShare    bool   `json:"canShare"`
			CanCompute  bool   `json:"canCompute"`
		}
		if err := in.Decode(&e); err != nil {
			return nil, unreadable(shell.ACL, err)
		}
		if e == nil || e.AccessLevel == "" {
			return nil, errors.New("an entry of \"acl\" has no accessLevel")
		}
		email, _ := key.(string)
		entries[strings.ToLower(email)] = AccessEntry{AccessLevel: e.AccessLevel, CanShare: e.CanShare, CanCompute: e.CanCompute, Pending: e.Pending}
	}
	return entries, nil
}

// readSettings looks into the one setting that is audited: what others hold is
// their own.
func readSettings(body []byte) (Settings, error) {
	var list []struct {
		Type   string          `json:"settingType"`
		Config json.RawMessage `json:"config"`
	}
	if err := parseInto(body, &list); err != nil {
		return Settings{}, err
	}
	if list == nil {
		return Settings{}, errors.New("null where a list is due")
	}
	for _, s := range list {
		if s.Type != "GcpBucketRequesterPays" {
			continue
		}
		var config struct {
			Enabled *bool `json:"enabled"`
		}
		if err := parseInto(s.Config, &config); err != nil {
			return Settings{}, err
		}
		if config.Enabled == nil {
			return Settings{}, errors.New("setting GcpBucketRequesterPays does not say whether it is enabled")
		}
		return Settings{RequesterPays: *config.Enabled}, nil
	}
	return Settings{}, nil
}
