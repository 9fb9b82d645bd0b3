package esi

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/muster-sync/muster/domain/eve"
	"github.com/muster-sync/muster/domain/event"
	"github.com/muster-sync/muster/ingest/esi/catalogue"
	"github.com/muster-sync/muster/ingest/esi/transport"
)

const (
	// namesEvery is how old the names of assets may become while the list of
	// assets stays the same: a ship can be renamed without it.
	namesEvery = 24 * time.Hour
	// maxNames is how many ids one request for names may hold.
	maxNames = 1000
)

// assets are what a character owns, with the names that it gave to ships and
// containers. Its cursor is when the names were last asked for.
func assets() Section {
	return Section{
		Name:   eve.SectionAssets,
		Parts:  []Part{{Route: catalogue.CharacterAssets()}},
		Heavy:  true,
		Enrich: &Enrichment{Due: namesDue, Ask: askNames},
		Changes: func(r Reading) (Changes, error) {
			changes, err := value(eve.SectionAssets, namedAssets)(r)
			changes.Cursor = []byte(r.FetchedAt.UTC().Format(time.RFC3339))
			return changes, err
		},
	}
}

func namesDue(r Reading) bool {
	asked, err := time.Parse(time.RFC3339, string(r.Cursor))
	return err != nil || r.FetchedAt.Sub(asked) >= namesEvery
}

// nameable tells whether a thing can have a name of its own: assembled ships and
// containers can, what is fitted to a ship cannot.
func nameable(singleton bool, flag string) bool {
	if !singleton {
		return false
	}
	for _, fitted := range []string{"HiSlot", "MedSlot", "LoSlot", "RigSlot", "SubSystemSlot", "ServiceSlot", "FighterTube", "Implant", "Skill", "Booster"} {
		if strings.HasPrefix(flag, fitted) {
			return false
		}
	}
	return true
}

// askNames asks for the names of all things that can have one.
func askNames(ctx context.Context, ask Asker, r *Reading) error {
	list, err := r.list(0)
	if err != nil {
		return badPart(0, err)
	}
	content, err := eve.Dissect(eve.SectionAssets, list)
	if err != nil {
		return badPart(0, err)
	}
	var ids []int64
	for _, item := range content.Lists[0].Items {
		var head struct {
			Singleton bool   `json:"is_singleton"`
			Flag      string `json:"location_flag"`
		}
		id, err := strconv.ParseInt(item.Key, 10, 64)
		if err == nil && json.Unmarshal(item.Raw, &head) == nil && nameable(head.Singleton, head.Flag) {
			ids = append(ids, id)
		}
	}
	asked := naming{ask: ask, names: map[string]string{}}
	for chunk := range slices.Chunk(ids, maxNames) {
		if err := asked.of(ctx, chunk); err != nil {
			return err
		}
	}
	r.Extra = asked.names
	return nil
}

// naming asks for names and collects them.
type naming struct {
	ask   Asker
	names map[string]string
	// refused and answered count the requests that ESI refused and those that it
	// answered.
	refused, answered int
}

const (
	// refusedInARow is how many refusals are paid for before ESI has answered at
	// all: it finds an odd id among a thousand. More are no odd ids but an ESI that
	// knows nothing for the time being.
	refusedInARow = 11
	// refusedAtMost is how many refusals one reading pays for. The list may be an
	// hour old, and what was sold since is not known any more.
	refusedAtMost = 100
)

// of asks for some names. ESI refuses all of them if it does not know one, which is
// then found by halves and left without a name.
func (n *naming) of(ctx context.Context, ids []int64) error {
	body, err := json.Marshal(ids)
	if err != nil {
		return fmt.Errorf("asking for the names of assets: %w", err)
	}
	answer, err := n.ask(ctx, catalogue.CharacterAssetNames(), body)
	var failure *transport.Failure
	if errors.As(err, &failure) && (failure.Status == http.StatusNotFound || failure.Status == http.StatusBadRequest) {
		if n.refused++; n.refused > refusedAtMost || n.answered == 0 && n.refused > refusedInARow {
			return err
		}
		if len(ids) == 1 {
			return nil
		}
		if err := n.of(ctx, ids[:len(ids)/2]); err != nil {
			return err
		}
		return n.of(ctx, ids[len(ids)/2:])
	}
	if err != nil {
		return err
	}
	n.answered++
	var said []struct {
		ID   int64  `json:"item_id"`
		Name string `json:"name"`
	}
	if err := json.Unmarshal(answer, &said); err != nil {
		return &partError{
			part: besideParts, route: catalogue.CharacterAssetNames(), body: answer,
			err: event.Errorf(event.CodeInvalid, "the names of assets: %w", err),
		}
	}
	for _, s := range said {
		// ESI's word for no name.
		if s.Name != "" && s.Name != "None" {
			n.names[strconv.FormatInt(s.ID, 10)] = s.Name
		}
	}
	return nil
}

// namedAssets is the list of assets with their names merged in.
func namedAssets(r Reading) (json.RawMessage, error) {
	list, err := r.list(0)
	if err != nil {
		return nil, err
	}
	names, _ := r.Extra.(map[string]string)
	if len(names) == 0 {
		return list, nil
	}
	content, err := eve.Dissect(eve.SectionAssets, list)
	if err != nil {
		return nil, badPart(0, err)
	}
	items := content.Lists[0].Items
	for i, item := range items {
		name, named := names[item.Key]
		if !named {
			continue
		}
		quoted, err := json.Marshal(name)
		if err != nil {
			return nil, fmt.Errorf("naming asset %s: %w", item.Key, err)
		}
		object := bytes.TrimSpace(item.Raw)
		items[i].Raw = slices.Concat(object[:len(object)-1], []byte(`,"name":`), quoted, []byte{'}'})
	}
	return content.Value(), nil
}
