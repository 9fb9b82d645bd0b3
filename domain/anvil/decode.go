package anvil

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"

	"github.com/muster-sync/muster/domain/event"
)

// maxFile bounds what is read of one file: a consortium of 10,000 accounts is
// about 5 MB.
const maxFile = 256 << 20

// DecodeDeclared reads a consortium's declaration from JSON (when the first
// character is a brace) or YAML. Lists that are absent are empty; fields that
// are absent have the value that their documentation names; unknown fields,
// wrong types and anything after the declaration are refused. Errors have
// [event.CodeInvalid] and name the line, the record and the field.
//
// The result is normalised (see [Declared.Normalise]) but not yet validated.
func DecodeDeclared(r io.Reader) (Declared, error) {
	data, err := readAll(r)
	if err != nil {
		return Declared{}, fmt.Errorf("reading the declaration: %w", err)
	}
	var d Declared
	if isJSON(data) {
		err = d.decodeJSON(data)
	} else {
		err = d.decodeYAML(data)
	}
	if err != nil {
		return Declared{}, event.Errorf(event.CodeInvalid, "declaration: %w", err)
	}
	d.Normalise()
	return d, nil
}

// DecodePatch reads a patch from a JSON object with the fields "declare",
// "withdraw", "deactivate" and "activate", of which all but one may be absent. The
// first two are declarations as [DecodeDeclared] reads them, as strictly, with only
// the records that they are about; the others are lists of addresses. Errors have [event.CodeInvalid] and name the line, the record and the
// field.
func DecodePatch(r io.Reader) (Patch, error) {
	data, err := readAll(r)
	if err != nil {
		return Patch{}, fmt.Errorf("reading the patch: %w", err)
	}
	var p Patch
	if err := p.decodeJSON(data); err != nil {
		return Patch{}, event.Errorf(event.CodeInvalid, "patch: %w", err)
	}
	p.Declare.Normalise()
	p.Withdraw.Normalise()
	return p, nil
}

func (p *Patch) decodeJSON(data []byte) error {
	in := json.NewDecoder(bytes.NewReader(data))
	line := func() int { return lineAt(data, in.InputOffset()) }
	if err := expect(in, json.Delim('{'), data); err != nil {
		return err
	}
	parts, seen := map[string]*Declared{"declare": &p.Declare, "withdraw": &p.Withdraw}, map[string]bool{}
	lists := map[string]*[]string{"deactivate": &p.Deactivate, "activate": &p.Activate}
	for in.More() {
		token, err := in.Token()
		if err != nil {
			return syntax(data, in, err)
		}
		name, _ := token.(string)
		part, addresses := parts[name], lists[name]
		if part == nil && addresses == nil {
			return fmt.Errorf("line %d: unknown field %q: a patch has declare, withdraw, deactivate and activate", line(), name)
		}
		if seen[name] {
			return fmt.Errorf("line %d: field %q is there twice: merge the two", line(), name)
		}
		seen[name] = true
		if addresses != nil {
			if err := in.Decode(addresses); err != nil {
				return fmt.Errorf("line %d: %s must be a list of addresses: %w", line(), name, err)
			}
			continue
		}
		var raw json.RawMessage
		if err := in.Decode(&raw); err != nil {
			return fmt.Errorf("%s: %w", name, syntax(data, in, err))
		}
		// With the lines before it, errors name the line of the whole.
		before := bytes.Repeat([]byte("\n"), lineAt(data, in.InputOffset()-int64(len(raw)))-1)
		if err := part.decodeJSON(append(before, raw...)); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	if err := expect(in, json.Delim('}'), data); err != nil {
		return err
	}
	if _, err := in.Token(); !errors.Is(err, io.EOF) {
		return fmt.Errorf("line %d: something follows the patch: send one at a time", line())
	}
	if len(seen) == 0 {
		return errors.New("it is empty: say what to declare or to withdraw, such as {\"declare\": {\"accounts\": [{\"email\": \"a@example.com\"}]}}")
	}
	return nil
}

func readAll(r io.Reader) ([]byte, error) {
	data, err := io.ReadAll(io.LimitReader(r, maxFile+1))
	if err != nil {
		return nil, err
	}
	if len(data) > maxFile {
		return nil, event.Errorf(event.CodeInvalid, "it is larger than %d MiB: split it by consortium", maxFile>>20)
	}
	return bytes.TrimPrefix(data, []byte("\xef\xbb\xbf")), nil
}

func isJSON(data []byte) bool {
	data = bytes.TrimLeft(data, " \t\r\n")
	return len(data) > 0 && data[0] == '{'
}

// decoder fills a value from one node of a file, strictly.
type decoder func(into any) error

// lists are the fields of a declaration that hold records, by name. Each takes
// one record.
func (d *Declared) lists() map[string]func(decoder) error {
	return map[string]func(decoder) error{
		"billing_projects":          into(&d.BillingProjects, BillingProject{HasAppAsUser: true}),
		"accounts":                  into(&d.Accounts, Account{Status: StatusActive}),
		"managed_groups":            into(&d.ManagedGroups, ManagedGroup{IsManagedByApp: true}),
		"group_group_memberships":   into(&d.GroupGroupMemberships, GroupMembership{Role: RoleMember}),
		"group_account_memberships": into(&d.GroupAccountMemberships, AccountMembership{Role: RoleMember}),
		"workspaces":                into(&d.Workspaces, Workspace{AppAccess: AppOwner}),
		"workspace_group_sharing":   into(&d.WorkspaceGroupSharing, Sharing{Access: AccessReader}),
		"ignored_group_memberships": into(&d.IgnoredGroupMemberships, IgnoredMembership{}),
		"ignored_workspace_sharing": into(&d.IgnoredWorkspaceSharing, IgnoredSharing{}),
	}
}

// into appends a record that starts as the given one, so that absent fields
// keep its values.
func into[T any](list *[]T, start T) func(decoder) error {
	return func(decode decoder) error {
		record := start
		if err := decode(&record); err != nil {
			return err
		}
		*list = append(*list, record)
		return nil
	}
}

const fieldServiceAccount = "service_account"

func unknownList(line int, name string) error {
	return fmt.Errorf("line %d: unknown field %q: a declaration has %s, billing_projects, accounts, managed_groups, "+
		"group_group_memberships, group_account_memberships, workspaces, workspace_group_sharing, "+
		"ignored_group_memberships, ignored_workspace_sharing", line, name, fieldServiceAccount)
}

// decodeJSON walks the file token by token, because only then an error can
// name the line of the record at fault.
func (d *Declared) decodeJSON(data []byte) error {
	in := json.NewDecoder(bytes.NewReader(data))
	line := func() int { return lineAt(data, in.InputOffset()) }
	if err := expect(in, json.Delim('{'), data); err != nil {
		return err
	}
	lists, seen := d.lists(), map[string]bool{}
	for in.More() {
		token, err := in.Token()
		if err != nil {
			return syntax(data, in, err)
		}
		name, _ := token.(string)
		if seen[name] {
			return fmt.Errorf("line %d: field %q is there twice: merge the two", line(), name)
		}
		seen[name] = true
		if name == fieldServiceAccount {
			if err := in.Decode(&d.ServiceAccount); err != nil {
				return fmt.Errorf("line %d: %s must be a text, the address of the account that asks AnVIL: %w", line(), name, err)
			}
			continue
		}
		add, ok := lists[name]
		if !ok {
			return unknownList(line(), name)
		}
		if err := listJSON(data, in, name, add); err != nil {
			return err
		}
	}
	if err := expect(in, json.Delim('}'), data); err != nil {
		return err
	}
	if _, err := in.Token(); !errors.Is(err, io.EOF) {
		return fmt.Errorf("line %d: something follows the declaration: a file holds one", line())
	}
	return nil
}

func listJSON(data []byte, in *json.Decoder, name string, add func(decoder) error) error {
	if err := expect(in, json.Delim('['), data); err != nil {
		return fmt.Errorf("%s must be a list: %w", name, err)
	}
	for i := 0; in.More(); i++ {
		var raw json.RawMessage
		if err := in.Decode(&raw); err != nil {
			return fmt.Errorf("%s[%d]: %w", name, i, syntax(data, in, err))
		}
		start := lineAt(data, in.InputOffset()-int64(len(raw)))
		if raw[0] != '{' {
			return fmt.Errorf("line %d: %s[%d] must be an object, not %.40s", start, name, i, raw)
		}
		err := add(func(record any) error { return strictJSON(raw, record) })
		if err != nil {
			return fmt.Errorf("line %d: %s[%d]: %w", start, name, i, err)
		}
	}
	return expect(in, json.Delim(']'), data)
}

// strictJSON decodes one object and refuses unknown fields.
func strictJSON(raw []byte, record any) error {
	in := json.NewDecoder(bytes.NewReader(raw))
	in.DisallowUnknownFields()
	err := in.Decode(record)
	if wrong, ok := errors.AsType[*json.UnmarshalTypeError](err); ok {
		return fmt.Errorf("field %q must be %s, not %s", wrong.Field, inWords(wrong.Type.Kind().String()), wrong.Value)
	}
	if err != nil {
		return errors.New(strings.TrimPrefix(err.Error(), "json: "))
	}
	return nil
}

func inWords(kind string) string {
	switch kind {
	case "bool":
		return "true or false"
	case "string":
		return "a text"
	case "slice":
		return "a list of texts"
	default:
		return kind
	}
}

func expect(in *json.Decoder, want json.Delim, data []byte) error {
	token, err := in.Token()
	if err != nil {
		return syntax(data, in, err)
	}
	if token != want {
		return fmt.Errorf("line %d: expected %s, found %v", lineAt(data, in.InputOffset()), want, token)
	}
	return nil
}

func syntax(data []byte, in *json.Decoder, err error) error {
	at := in.InputOffset()
	if bad, ok := errors.AsType[*json.SyntaxError](err); ok {
		at = max(at, bad.Offset)
	}
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return fmt.Errorf("line %d: the file ends too early: is it complete?", lineAt(data, int64(len(data))))
	}
	return fmt.Errorf("line %d: not JSON: %w", lineAt(data, at), err)
}

// lineAt is the line, from 1, of a byte of the data.
func lineAt(data []byte, offset int64) int {
	offset = min(max(offset, 0), int64(len(data)))
	return 1 + bytes.Count(data[:offset], []byte("\n"))
}

// decodeYAML walks the syntax tree as decodeJSON walks the tokens.
func (d *Declared) decodeYAML(data []byte) error {
	file, err := parser.ParseBytes(data, 0)
	if err != nil {
		return inYAML(err)
	}
	if len(file.Docs) != 1 || file.Docs[0].Body == nil {
		return errors.New("a file holds exactly one declaration, as a mapping")
	}
	root := file.Docs[0].Body
	fields, ok := mapping(root)
	if !ok {
		return fmt.Errorf("line %d: a declaration is a mapping of lists, not %s", lineOf(root), root.Type())
	}
	lists := d.lists()
	for _, field := range fields {
		name := field.Key.String()
		if name == fieldServiceAccount {
			if err := yaml.NodeToValue(field.Value, &d.ServiceAccount, yaml.Strict()); err != nil {
				return inYAML(err)
			}
			continue
		}
		add, ok := lists[name]
		if !ok {
			return unknownList(lineOf(field.Key), name)
		}
		if err := listYAML(field.Value, name, add); err != nil {
			return err
		}
	}
	return nil
}

func listYAML(node ast.Node, name string, add func(decoder) error) error {
	if node.Type() == ast.NullType {
		return nil
	}
	list, ok := node.(*ast.SequenceNode)
	if !ok {
		return fmt.Errorf("line %d: %s must be a list, not %s", lineOf(node), name, node.Type())
	}
	for i, item := range list.Values {
		if _, ok := mapping(item); !ok {
			return fmt.Errorf("line %d: %s[%d] must be a mapping, not %s", lineOf(item), name, i, item.Type())
		}
		err := add(func(record any) error { return yaml.NodeToValue(item, record, yaml.Strict()) })
		if err != nil {
			return fmt.Errorf("%s[%d]: %w", name, i, inYAML(err))
		}
	}
	return nil
}

func mapping(node ast.Node) ([]*ast.MappingValueNode, bool) {
	switch n := node.(type) {
	case *ast.MappingNode:
		return n.Values, true
	case *ast.MappingValueNode:
		return []*ast.MappingValueNode{n}, true
	default:
		return nil, false
	}
}

func lineOf(node ast.Node) int {
	if t := node.GetToken(); t != nil && t.Position != nil {
		return t.Position.Line
	}
	return 0
}

// inYAML turns an error of the YAML library, which prints a part of the file
// over several lines, into one line.
func inYAML(err error) error {
	var at yaml.Error
	if !errors.As(err, &at) {
		return err
	}
	message, _, _ := strings.Cut(at.GetMessage(), "\n")
	if t := at.GetToken(); t != nil && t.Position != nil {
		return fmt.Errorf("line %d: %s", t.Position.Line, message)
	}
	return errors.New(message)
}
