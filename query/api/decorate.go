package api

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/muster-sync/muster/domain/eve"
	"github.com/muster-sync/muster/projections/postgres"
)

// items reads elements of a section and puts names beside their ids. known are
// names that only the character knows, now is the moment that is told of.
func (s *Server) items(ctx context.Context, now time.Time, section eve.Section, raw []json.RawMessage, known map[int64]string) ([]Item, error) {
	d := decorator{kinds: s.kindsOf(section), known: known, sanitiser: s.sanitiser}
	items := make([]Item, len(raw))
	for i, r := range raw {
		item, err := decodeItem(section, r)
		if err != nil {
			return nil, fmt.Errorf("reading section %s: %w", section, internal(err))
		}
		items[i] = item
		d.collect(item)
	}
	names, err := s.config.Characters.Names(ctx, d.wanted)
	if err != nil {
		return nil, err
	}
	d.names = names
	for _, item := range items {
		if err := d.decorate(item); err != nil {
			return nil, fmt.Errorf("reading section %s: %w", section, internal(err))
		}
		if section == eve.SectionSkillQueue {
			item[eve.TrainingState] = eve.TrainingOf(timeOf(item["start_date"]), timeOf(item["finish_date"]), now)
		}
	}
	return items, nil
}

// allKinds are the kinds of the fields of every section.
func allKinds() map[eve.Section]map[string]postgres.FieldKind {
	kinds := map[eve.Section]map[string]postgres.FieldKind{}
	for _, shape := range eve.Shapes() {
		kinds[shape.Section] = eve.KindsOf(shape.Section)
	}
	return kinds
}

// kindsOf are the kinds of the fields of a section. They must not be changed.
func (s *Server) kindsOf(section eve.Section) map[string]postgres.FieldKind {
	if kinds, known := s.kinds[section]; known {
		return kinds
	}
	return eve.KindsOf(section)
}

// timeOf is a moment as ESI writes it; zero for what is none.
func timeOf(v any) time.Time {
	text, _ := v.(string)
	at, err := time.Parse(time.RFC3339, text)
	if err != nil {
		return time.Time{}
	}
	return at
}

// decodeItem reads an element. What is no object becomes one.
func decodeItem(section eve.Section, raw json.RawMessage) (Item, error) {
	// Numbers stay as ESI has sent them.
	v, err := decodeAny(raw)
	if err != nil {
		return nil, err
	}
	if object, ok := v.(map[string]any); ok {
		return object, nil
	}
	if section == eve.SectionWallet {
		return Item{"balance": v}, nil
	}
	if section == eve.SectionImplants {
		return Item{"type_id": v}, nil
	}
	return Item{"value": v}, nil
}

// decorator makes of what ESI has sent what the API shows.
type decorator struct {
	sanitiser sanitiser
	kinds     map[string]postgres.FieldKind
	known     map[int64]string
	wanted    postgres.NameRequest
	names     postgres.Names
}

func (d *decorator) collect(v any) {
	switch v := v.(type) {
	case Item:
		d.collect(map[string]any(v))
	case map[string]any:
		for name, field := range v {
			if id, ok := idOf(field); ok {
				switch d.kinds[name] { //nolint:exhaustive // the others have no names
				case postgres.FieldType:
					d.wanted.Types = append(d.wanted.Types, id)
				case postgres.FieldLocation:
					d.wanted.Locations = append(d.wanted.Locations, id)
				case postgres.FieldEntity:
					d.wanted.Entities = append(d.wanted.Entities, id)
				}
				continue
			}
			d.collect(field)
		}
	case []any:
		for _, element := range v {
			d.collect(element)
		}
	}
}

// decorate adds names and makes money of numbers.
func (d *decorator) decorate(v any) error {
	switch v := v.(type) {
	case Item:
		return d.decorate(map[string]any(v))
	case map[string]any:
		// What is added on the way may come by, too: it is left as it is.
		for name := range v {
			if err := d.field(v, name); err != nil {
				return err
			}
		}
	case []any:
		for _, element := range v {
			if err := d.decorate(element); err != nil {
				return err
			}
		}
	}
	return nil
}

func (d *decorator) field(object map[string]any, name string) error {
	if text, is := object[name].(string); is && d.kinds[name] == postgres.FieldMarkup {
		if _, there := object[plainField(name)]; !there {
			object[plainField(name)] = plainText(text)
		}
		if _, there := object[htmlField(name)]; !there {
			if clean, ok := d.sanitiser.html(text); ok {
				object[htmlField(name)] = clean
			}
		}
		return nil
	}
	number, is := object[name].(json.Number)
	if !is {
		return d.decorate(object[name])
	}
	if d.kinds[name] == postgres.FieldISK {
		isk, err := eve.ParseISK(number)
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		object[name] = Money(isk.String())
		return nil
	}
	id, ok := idOf(number)
	if !ok {
		return nil
	}
	resolved := ""
	switch d.kinds[name] { //nolint:exhaustive // the others have no names
	case postgres.FieldType:
		resolved = d.names.Types[id]
	case postgres.FieldLocation:
		resolved = d.names.Locations[id]
	case postgres.FieldEntity:
		if resolved = d.names.Entities[id]; resolved == "" {
			resolved = d.known[id]
		}
	}
	if resolved == "" {
		return nil
	}
	beside := nameField(name)
	if _, there := object[beside]; !there {
		object[beside] = resolved
	}
	return nil
}

// nameField is the field with the name of what another field has the id of.
func nameField(name string) string { return strings.TrimSuffix(name, "_id") + "_name" }

// plainField is the field with the plain text of one that holds markup.
func plainField(name string) string { return name + "_plain" }

// htmlField is the field with the harmless HTML of one that holds markup.
func htmlField(name string) string { return name + "_html" }

func idOf(v any) (int64, bool) {
	number, ok := v.(json.Number)
	if !ok {
		return 0, false
	}
	id, err := number.Int64()
	return id, err == nil && id > 0
}

func hasName(k postgres.FieldKind) bool {
	return k == postgres.FieldType || k == postgres.FieldLocation || k == postgres.FieldEntity
}

// columnNames are the columns of tables: the fields in ESI's order, each id followed
// by its name, each text with markup by the plain text. A name that ESI sends itself
// is a field, and once there.
func columnNames(fields []postgres.Field) []string {
	var columns []string
	add := func(name string) {
		if !slices.Contains(columns, name) {
			columns = append(columns, name)
		}
	}
	for _, f := range fields {
		add(f.Name)
		if hasName(f.Kind) {
			add(nameField(f.Name))
		}
		if f.Kind == postgres.FieldMarkup {
			add(plainField(f.Name))
		}
	}
	return columns
}

// objectSchema describes an object with ESI's fields.
func objectSchema(fields []postgres.Field) *huma.Schema {
	object := &huma.Schema{
		Type: huma.TypeObject, AdditionalProperties: true, Properties: map[string]*huma.Schema{},
		Description: "ESI's own fields, each if ESI has sent it; those that are not listed here are kept, too.",
	}
	for _, f := range fields {
		object.Properties[f.Name] = schemaOf(f.Kind)
		if hasName(f.Kind) {
			object.Properties[nameField(f.Name)] = &huma.Schema{Type: huma.TypeString, Description: "If it is known."}
		}
		if f.Kind == postgres.FieldMarkup {
			object.Properties[plainField(f.Name)] = &huma.Schema{Type: huma.TypeString, Description: "The text without markup."}
			object.Properties[htmlField(f.Name)] = &huma.Schema{Type: huma.TypeString, Description: "The text as HTML that may be shown: plain formatting and links alone. Absent if it is too long."}
		}
	}
	return object
}

// shape describes the answer of a section in an operation: that of the type, with
// what its items or its value are, and beside them what besides knows of.
func (s *Server) shape(op *huma.Operation, answer reflect.Type, at string, object *huma.Schema, besides func(string) *huma.Schema) {
	registry := s.api.OpenAPI().Components.Schemas
	base := registry.Schema(answer, true, "")
	described := *registry.SchemaFromRef(base.Ref)
	described.Properties = maps.Clone(described.Properties)
	for name := range described.Properties {
		if list := besides(name); list != nil && name != at {
			described.Properties[name] = list
		}
	}
	if at == "items" {
		object.Properties["provenance"] = describedProvenance(registry)
		described.Properties[at] = &huma.Schema{Type: huma.TypeArray, Items: object}
	} else {
		object.Nullable = answer == reflect.TypeFor[ItemSection]()
		object.Type = huma.TypeObject
		described.Properties[at] = object
	}
	described.PrecomputeMessages()
	if op.Responses == nil {
		op.Responses = map[string]*huma.Response{}
	}
	if op.Responses["200"] == nil {
		op.Responses["200"] = &huma.Response{Description: "OK"}
	}
	if op.Responses["200"].Content == nil {
		op.Responses["200"].Content = map[string]*huma.MediaType{}
	}
	op.Responses["200"].Content[mediaJSON] = &huma.MediaType{Schema: &described}
}

// schemaOf describes a field. ESI may leave any field without a value.
func schemaOf(kind postgres.FieldKind) *huma.Schema {
	switch kind {
	case postgres.FieldBool:
		return &huma.Schema{Type: huma.TypeBoolean, Nullable: true}
	case postgres.FieldInt, postgres.FieldID, postgres.FieldType, postgres.FieldLocation, postgres.FieldEntity:
		return &huma.Schema{Type: huma.TypeInteger, Format: "int64", Nullable: true}
	case postgres.FieldNumber:
		return &huma.Schema{Type: huma.TypeNumber, Nullable: true}
	case postgres.FieldISK:
		return &huma.Schema{Type: huma.TypeString, Description: "ISK with two decimals", Examples: []any{"1234.50"}, Nullable: true}
	case postgres.FieldMarkup:
		return &huma.Schema{Type: huma.TypeString, Description: "As its writer made it, with whatever markup: never show it to people as HTML.", Nullable: true}
	case postgres.FieldJSON:
		return &huma.Schema{}
	default:
		return &huma.Schema{Type: huma.TypeString, Nullable: true}
	}
}
