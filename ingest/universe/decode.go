package universe

import (
	"encoding/json"
	"fmt"
	"math"
	"strings"

	"github.com/muster-sync/muster/domain/event"
)

// row reads a row of an export. Rows come in two spellings: CCP's own (_key,
// groupID, names by language) and a plain one (id, group_id, a single name). The
// first trouble is kept; what is read after it counts for nothing.
type row struct {
	fields map[string]json.RawMessage
	err    error
}

// readRow reads a line. It fails with [event.CodeInvalid] if it is no JSON object.
func readRow(line []byte) (*row, error) {
	r := &row{}
	if err := json.Unmarshal(line, &r.fields); err != nil {
		return nil, event.Errorf(event.CodeInvalid, "must be a JSON object: %w", err)
	}
	if r.fields == nil {
		return nil, event.Errorf(event.CodeInvalid, "must be a JSON object")
	}
	return r, nil
}

func (r *row) fail(format string, args ...any) {
	if r.err == nil {
		r.err = event.Errorf(event.CodeInvalid, format, args...)
	}
}

// get is the field under the first of the names that is there; nil for none.
func (r *row) get(names ...string) (string, json.RawMessage) {
	for _, name := range names {
		if v, ok := r.fields[name]; ok && string(v) != "null" {
			return name, v
		}
	}
	return "", nil
}

// id is the row's own id.
func (r *row) id() int64 {
	name, value := r.get("_key", "id")
	if value == nil {
		r.fail("lacks _key or id")
		return 0
	}
	var id int64
	if err := json.Unmarshal(value, &id); err != nil || id < 0 {
		r.fail("%s must be a number that counts from 0, not %.40s", name, value)
	}
	return id
}

// ref is an id of something else; nil if there is none.
func (r *row) ref(names ...string) *int64 {
	name, value := r.get(names...)
	if value == nil {
		return nil
	}
	var id int64
	if err := json.Unmarshal(value, &id); err != nil {
		r.fail("%s must be a whole number, not %.40s", name, value)
	}
	return &id
}

// number is any number; nil if there is none.
func (r *row) number(names ...string) *float64 {
	name, value := r.get(names...)
	if value == nil {
		return nil
	}
	var n float64
	if err := json.Unmarshal(value, &n); err != nil || math.IsInf(n, 0) {
		r.fail("%s must be a number, not %.40s", name, value)
	}
	return &n
}

// flag is a truth value; otherwise if there is none.
func (r *row) flag(otherwise bool, names ...string) bool {
	name, value := r.get(names...)
	if value == nil {
		return otherwise
	}
	var b bool
	if err := json.Unmarshal(value, &b); err != nil {
		r.fail("%s must be true or false, not %.40s", name, value)
	}
	return b
}

// text is a text, in English if there are several languages; nil if there is none.
func (r *row) text(names ...string) *string {
	name, value := r.get(names...)
	if value == nil {
		return nil
	}
	var s string
	if value[0] == '{' {
		var languages map[string]json.RawMessage
		_ = json.Unmarshal(value, &languages) // It is valid, being part of a valid line.
		english, ok := languages["en"]
		if !ok {
			return nil
		}
		value = english
	}
	switch err := json.Unmarshal(value, &s); {
	case err != nil:
		r.fail("%s must be a text or texts by language, not %.40s", name, value)
	case strings.ContainsRune(s, 0):
		r.fail("%s holds a NUL character", name)
	}
	return &s
}

// name is the row's name, which it must have.
func (r *row) name() string {
	s := r.text("name")
	if s == nil || *s == "" {
		r.fail("has no English name")
		return ""
	}
	return *s
}

// required are pairs of a skill and its level, one after the other.
func (r *row) required() []int64 {
	_, value := r.get("required_skills")
	if value == nil {
		return nil
	}
	var pairs [][]int64
	if err := json.Unmarshal(value, &pairs); err != nil {
		r.fail("required_skills must be pairs of a skill and a level")
		return nil
	}
	var flat []int64
	for _, pair := range pairs {
		if len(pair) != 2 || pair[0] <= 0 || pair[1] < 1 || pair[1] > 5 {
			r.fail("required_skills must be pairs of a skill and a level from 1 to 5, not %v", pair)
			return nil
		}
		flat = append(flat, pair...)
	}
	return flat
}

// Ids of attributes in the game's dogma.
const (
	attributePrimary   = 180
	attributeSecondary = 181
	attributeRank      = 275
	// attributeSlot is that of the slot that an implant takes.
	attributeSlot = 331
)

// lastSlot is the highest slot that an implant may take.
const lastSlot = 10

// requirements are the attributes that name a required skill, each with that of its
// level.
func requirements() [][2]int64 {
	return [][2]int64{{182, 277}, {183, 278}, {184, 279}, {1285, 1286}, {1289, 1287}, {1290, 1288}}
}

// dogma reads the attributes of a type that matter to skills.
func (r *row) dogma() (rank, primary, secondary, slot *int64, required []int64) {
	_, value := r.get("dogmaAttributes")
	if value == nil {
		return nil, nil, nil, nil, nil
	}
	var list []struct {
		ID    int64   `json:"attributeID"`
		Value float64 `json:"value"`
	}
	if err := json.Unmarshal(value, &list); err != nil {
		r.fail("dogmaAttributes must be a list of attributes: %w", err)
		return nil, nil, nil, nil, nil
	}
	values := make(map[int64]int64, len(list))
	for _, a := range list {
		// Those that matter are small whole numbers.
		if math.Abs(a.Value) < math.MaxInt32 {
			values[a.ID] = int64(a.Value)
		}
	}
	of := func(id int64) *int64 {
		if v, ok := values[id]; ok {
			return &v
		}
		return nil
	}
	for _, pair := range requirements() {
		skill, level := values[pair[0]], values[pair[1]]
		if skill > 0 && level >= 1 && level <= 5 {
			required = append(required, skill, level)
		}
	}
	return of(attributeRank), of(attributePrimary), of(attributeSecondary), of(attributeSlot), required
}

// fileKind is a kind of file of an export, and the table into which its rows are
// taken before they are compared with what is there.
type fileKind struct {
	// names are those of the file without its ending.
	names []string
	// stage is the table, with the columns line, id, and these.
	stage   string
	columns string
	// decode reads the values of the columns.
	decode func(*row) []any
}

// stageColumns are the names of the columns of a stage.
func (k *fileKind) stageColumns() []string {
	columns := []string{"line", "id"}
	for c := range strings.SplitSeq(k.columns, ",") {
		if c != "" {
			columns = append(columns, strings.Fields(c)[0])
		}
	}
	return columns
}

func (k *fileKind) create() string {
	columns := "line bigint, id bigint"
	if k.columns != "" {
		columns += ", " + k.columns
	}
	return fmt.Sprintf("CREATE TEMPORARY TABLE %s (%s) ON COMMIT DROP", k.stage, columns)
}

// fileKinds are all kinds of files that are read; an export has many others.
func fileKinds() []*fileKind {
	named := func(r *row) []any { return []any{r.name()} }
	return []*fileKind{
		{names: []string{"categories"}, stage: "stage_category", columns: "name text", decode: named},
		{names: []string{"groups"}, stage: "stage_group", columns: "name text, category_id bigint", decode: func(r *row) []any {
			return []any{r.name(), r.ref("categoryID", "category_id")}
		}},
		{
			names: []string{"types"}, stage: "stage_type",
			columns: "name text, group_id bigint, volume double precision, base_price double precision, published boolean, required bigint[]",
			decode: func(r *row) []any {
				return []any{
					r.name(), r.ref("groupID", "group_id"), r.number("volume"), r.number("basePrice", "base_price"),
					r.flag(true, "published"), r.required(),
				}
			},
		},
		{
			names: []string{"skills"}, stage: "stage_skill", columns: "rank bigint, primary_attribute bigint, secondary_attribute bigint, required bigint[]",
			decode: func(r *row) []any {
				rank := r.ref("rank")
				if rank == nil || *rank < 1 || *rank > 100 {
					r.fail("rank must be a number from 1 to 100")
				}
				return []any{rank, r.ref("primary"), r.ref("secondary"), r.required()}
			},
		},
		{
			names: []string{"typeDogma"}, stage: "stage_dogma", columns: "rank bigint, primary_attribute bigint, secondary_attribute bigint, slot bigint, required bigint[]",
			decode: func(r *row) []any {
				rank, primary, secondary, slot, required := r.dogma()
				return []any{rank, primary, secondary, slot, required}
			},
		},
		{names: []string{"implants"}, stage: "stage_implant", columns: "slot bigint", decode: func(r *row) []any {
			slot := r.ref("slot")
			if slot == nil || *slot < 1 || *slot > lastSlot {
				r.fail("slot must be a number from 1 to %d", lastSlot)
			}
			return []any{slot}
		}},
		{
			names: []string{"systems", "mapSolarSystems"}, stage: "stage_system",
			columns: "name text, security double precision, constellation text, region text, constellation_id bigint, region_id bigint",
			decode: func(r *row) []any {
				return []any{
					r.name(), r.number("securityStatus", "security"), r.text("constellation"), r.text("region"),
					r.ref("constellationID", "constellation_id"), r.ref("regionID", "region_id"),
				}
			},
		},
		{names: []string{"mapConstellations", "constellations"}, stage: "stage_constellation", columns: "name text", decode: named},
		{names: []string{"mapRegions", "regions"}, stage: "stage_region", columns: "name text", decode: named},
		{
			names: []string{"stations", "npcStations"}, stage: "stage_station",
			columns: "name text, system_id bigint, type_id bigint, owner_id bigint, operation_id bigint, planet bigint, moon bigint, says_operation boolean",
			decode: func(r *row) []any {
				return []any{
					r.text("name"), r.ref("solarSystemID", "system_id"), r.ref("typeID", "type_id"), r.ref("ownerID", "corporation_id"),
					r.ref("operationID"), r.ref("celestialIndex"), r.ref("orbitIndex"), r.flag(false, "useOperationName"),
				}
			},
		},
		{names: []string{"planets", "mapPlanets"}, stage: "stage_planet", columns: "name text, system_id bigint, celestial bigint", decode: func(r *row) []any {
			return []any{r.text("name"), r.ref("solarSystemID", "system_id"), r.ref("celestialIndex")}
		}},
		{names: []string{"stationOperations"}, stage: "stage_operation", columns: "name text", decode: func(r *row) []any {
			return []any{r.text("operationName", "name")}
		}},
		{names: []string{"factions"}, stage: "stage_faction", columns: "name text", decode: named},
		{names: []string{"races"}, stage: "stage_race", columns: "name text", decode: named},
		{names: []string{"bloodlines"}, stage: "stage_bloodline", columns: "name text, race_id bigint", decode: func(r *row) []any {
			return []any{r.name(), r.ref("raceID", "race_id")}
		}},
		{names: []string{"npc_corporations", "npcCorporations"}, stage: "stage_corporation", columns: "name text, faction_id bigint", decode: func(r *row) []any {
			return []any{r.name(), r.ref("factionID", "faction_id")}
		}},
	}
}

// decodeLine reads a line of a file of the kind: its id and the values of the
// columns.
func (k *fileKind) decodeLine(line []byte) (int64, []any, error) {
	r, err := readRow(line)
	if err != nil {
		return 0, nil, err
	}
	id := r.id()
	values := k.decode(r)
	return id, values, r.err
}

// edition is what an export says of itself.
type edition struct {
	Build    int64  `json:"buildNumber"`
	Released string `json:"releaseDate"`
}
