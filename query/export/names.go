package export

import (
	"context"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/muster-sync/muster/domain/eve"
	"github.com/muster-sync/muster/internal/tablefile"
	"github.com/muster-sync/muster/projections/postgres"
)

// named are the names that a batch of rows needs.
type named struct {
	owners map[int64]postgres.Owner
	names  postgres.Names
	// blueprints tells of types whether they are blueprints.
	blueprints map[int64]bool
}

// wanted gathers the ids whose names a batch needs. Zero stands for nobody.
type wanted struct {
	owners, entities, locations, types map[int64]struct{}
}

func newWanted() wanted {
	return wanted{map[int64]struct{}{}, map[int64]struct{}{}, map[int64]struct{}{}, map[int64]struct{}{}}
}

func want(set map[int64]struct{}, ids ...int64) {
	for _, id := range ids {
		if id != 0 {
			set[id] = struct{}{}
		}
	}
}

// look looks up what is wanted, and the names of the owners' corporations.
func (e *Exporter) look(ctx context.Context, w wanted) (named, error) {
	var n named
	var err error
	ids := func(set map[int64]struct{}) []int64 { return slices.Sorted(maps.Keys(set)) }
	if len(w.owners) > 0 {
		if n.owners, err = e.characters.Owners(ctx, ids(w.owners)); err != nil {
			return n, err
		}
	}
	for _, o := range n.owners {
		want(w.entities, o.CorporationID)
	}
	if n.names, err = e.characters.Names(ctx, postgres.NameRequest{Types: ids(w.types), Locations: ids(w.locations), Entities: ids(w.entities)}); err != nil {
		return n, err
	}
	if len(w.types) > 0 {
		n.blueprints, err = e.characters.Blueprints(ctx, ids(w.types))
	}
	return n, err
}

// unnamed is what is written of somebody or something whose name is not known: its
// id is all there is to say.
func unnamed(id int64) string { return "#" + strconv.FormatInt(id, 10) }

// entity is the name of a character, a corporation, an alliance or a faction; none
// for nobody.
func (n named) entity(id int64) tablefile.Cell {
	if id == 0 {
		return tablefile.Cell{}
	}
	if name := n.names.Entities[id]; name != "" {
		return tablefile.String(name)
	}
	return tablefile.String(unnamed(id))
}

func (n named) location(id int64) tablefile.Cell {
	if id == 0 {
		return tablefile.Cell{}
	}
	if name := n.names.Locations[id]; name != "" {
		return tablefile.String(name)
	}
	return tablefile.String("Unknown location " + unnamed(id))
}

func (n named) typeName(id int64) string {
	if name := n.names.Types[id]; name != "" {
		return name
	}
	return unnamed(id)
}

func optionalTime(t *time.Time) tablefile.Cell {
	if t == nil {
		return tablefile.Cell{}
	}
	return tablefile.Moment(*t)
}

func optionalISK(isk *eve.ISK) tablefile.Cell {
	if isk == nil {
		return tablefile.Cell{}
	}
	return tablefile.Hundredths(int64(*isk))
}

func optionalInt(n *int64) tablefile.Cell {
	if n == nil {
		return tablefile.Cell{}
	}
	return tablefile.Int(*n)
}

func optionalText(text string) tablefile.Cell {
	if text == "" {
		return tablefile.Cell{}
	}
	return tablefile.String(text)
}

// words writes one of ESI's words as people read it.
func words(text string) string { return strings.ReplaceAll(text, "_", " ") }

// titleCase begins each run of letters with a capital and makes the others small, as
// Python's str.title does, which Member Audit uses.
func titleCase(text string) string {
	inside := false
	return strings.Map(func(r rune) rune {
		began := inside
		inside = unicode.IsLetter(r)
		switch {
		case !inside:
			return r
		case began:
			return unicode.ToLower(r)
		default:
			return unicode.ToTitle(r)
		}
	}, text)
}
