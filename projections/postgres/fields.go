package postgres

import (
	"fmt"
	"strings"

	"github.com/muster-sync/muster/domain/eve"
)

// FieldKind says what a field of a section holds; see [eve.FieldKind].
type FieldKind = eve.FieldKind

// The kinds of fields, as of package eve.
const (
	FieldText     = eve.FieldText
	FieldBool     = eve.FieldBool
	FieldTime     = eve.FieldTime
	FieldDate     = eve.FieldDate
	FieldInt      = eve.FieldInt
	FieldNumber   = eve.FieldNumber
	FieldISK      = eve.FieldISK
	FieldID       = eve.FieldID
	FieldType     = eve.FieldType
	FieldLocation = eve.FieldLocation
	FieldEntity   = eve.FieldEntity
	FieldMarkup   = eve.FieldMarkup
	FieldJSON     = eve.FieldJSON
)

// Field is a field that ESI sends, under ESI's name; see [eve.Field].
type Field = eve.Field

// FieldSet are fields that lie together; see [eve.FieldSet].
type FieldSet = eve.FieldSet

// FieldSets lists what is known of the fields of all sections; see
// [eve.FieldSets].
func FieldSets() []FieldSet { return eve.FieldSets() }

// sectionView makes the SQL of the view of a set of fields.
type sectionView struct{ eve.FieldSet }

// sectionViews makes the views of all sections: typed columns with ESI's names.
func sectionViews() string {
	var sql strings.Builder
	for _, set := range FieldSets() {
		sql.WriteString(sectionView{set}.sql())
	}
	return sql.String()
}

func (f sectionView) sql() string {
	const place = "t.log_partition, t.log_offset"
	section := "'" + string(f.Section) + "'"
	read := "sections s USING (character_id, section) WHERE t.section = " + section
	switch {
	case f.Section == eve.SectionWallet:
		return fmt.Sprintf("CREATE VIEW wallet AS SELECT t.character_id, (t.value #>> '{}')::numeric AS balance, t.observed_at, %s FROM sections t WHERE t.section = %s;\n", place, section)
	case f.Section == eve.SectionImplants:
		return fmt.Sprintf("CREATE VIEW implants AS SELECT t.character_id, t.key::bigint AS type_id, s.observed_at, %s FROM elements t JOIN %s;\n", place, read)
	case f.Section == eve.SectionRoles:
		return fmt.Sprintf("CREATE VIEW roles AS SELECT t.character_id, t.list AS place, t.key AS role, s.observed_at, %s FROM elements t JOIN %s;\n", place, read)
	case f.Of == eve.OfHead:
		return fmt.Sprintf("CREATE VIEW %s AS SELECT t.character_id, %s, t.observed_at, %s FROM sections t WHERE t.section = %s;\n", f.View, f.columns("t.value"), place, section)
	case f.Of == eve.OfElements:
		return fmt.Sprintf("CREATE VIEW %s AS SELECT t.character_id, %s, s.observed_at, %s FROM %s t JOIN %s AND t.list = '%s';\n", f.View, f.columns("t.value"), place, elementsOf(f.Section), read, f.List)
	case f.Of == eve.OfRecords:
		return fmt.Sprintf("CREATE VIEW %s AS SELECT t.character_id, %s, t.observed_at, %s FROM records t WHERE t.section = %s;\n", f.View, f.columns("t.value"), place, section)
	default:
		shape, _ := eve.ShapeOf(f.Section)
		id := shape.Records.Key[0]
		return fmt.Sprintf(`CREATE VIEW %s AS SELECT t.character_id, number_of(t.value, '%s') AS %s, %s, t.observed_at, %s
			FROM records t CROSS JOIN LATERAL json_array_elements(CASE WHEN json_typeof(t.value #> '{%[6]s}') = 'array' THEN t.value #> '{%[6]s}' ELSE '[]' END) AS n(value) WHERE t.section = %[7]s;
`, f.View, id, id, f.columns("n.value"), place, strings.ReplaceAll(f.Path, ".", ","), section)
	}
}

// elementsOf is the view with the elements of a section's lists.
func elementsOf(s eve.Section) string {
	if s == eve.SectionAssets {
		return "shown"
	}
	return "elements"
}

// trainingState is [eve.TrainingOf] in SQL, at the moment of the query.
func trainingState(from string) string {
	return fmt.Sprintf(`CASE WHEN %[1]s ->> 'start_date' IS NULL OR %[1]s ->> 'finish_date' IS NULL THEN '%[2]s'
		WHEN (%[1]s ->> 'finish_date')::timestamptz <= now() THEN '%[3]s'
		WHEN (%[1]s ->> 'start_date')::timestamptz <= now() THEN '%[4]s' ELSE '%[5]s' END`,
		from, eve.TrainingPaused, eve.TrainingFinished, eve.TrainingActive, eve.TrainingQueued)
}

// columns are the expressions that read the fields from a JSON object.
func (f sectionView) columns(from string) string {
	columns := make([]string, len(f.Fields))
	for i, field := range f.Fields {
		read := fmt.Sprintf("(%s ->> '%s')", from, field.Name)
		switch field.Kind {
		case FieldID, FieldType, FieldLocation, FieldEntity, FieldInt:
			// So that the indexes on ids are of use.
			read = fmt.Sprintf("number_of(%s, '%s')", from, field.Name)
		case FieldNumber, FieldISK:
			read += "::numeric"
		case FieldBool:
			// ESI leaves out what is false.
			read = "coalesce(" + read + "::boolean, false)"
		case FieldTime:
			read += "::timestamptz"
		case FieldDate:
			read += "::date"
		case FieldJSON:
			read = fmt.Sprintf("(%s -> '%s')", from, field.Name)
		case FieldText, FieldMarkup:
		}
		if f.Section == eve.SectionSkillQueue && field.Name == eve.TrainingState {
			read = trainingState(from)
		}
		name := field.Name
		if name == "character_id" {
			// That is whose record it is.
			name = "attacker_id"
		}
		columns[i] = fmt.Sprintf(`%s AS "%s"`, read, name)
	}
	return strings.Join(columns, ", ")
}
