package api

import (
	"context"
	"strconv"

	"github.com/danielgtaylor/huma/v2"

	"github.com/muster-sync/muster/domain/access"
	"github.com/muster-sync/muster/domain/event"
	"github.com/muster-sync/muster/projections/postgres"
)

// mostLookedUp bounds the ids of one request for names.
const mostLookedUp = 1000

// Names are names by id. Those that are not known are missing.
type Names struct {
	Types     map[string]string `json:"types" doc:"Of types."`
	Locations map[string]string `json:"locations" doc:"Of solar systems, stations and structures."`
	Entities  map[string]string `json:"entities" doc:"Of characters, corporations, alliances and factions."`
}

type namesInput struct {
	Types     []int64 `query:"types" doc:"Ids of types, separated by commas."`
	Locations []int64 `query:"locations" doc:"Ids of places."`
	Entities  []int64 `query:"entities" doc:"Ids of somebody."`
}

func (s *Server) registerUniverse() {
	register(s, access.ActionReadCharacters, huma.Operation{
		OperationID: "get-names", Path: "/v1/universe/names", Tags: []string{tagCharacters}, Summary: "Names of types, places and somebody",
		Description: "At most 1000 ids. Ids without a known name are left out.",
	}, s.getNames)
}

func (s *Server) getNames(ctx context.Context, in *namesInput) (*body[Names], error) {
	if n := len(in.Types) + len(in.Locations) + len(in.Entities); n > mostLookedUp {
		return nil, event.Errorf(event.CodeInvalid, "%d ids are too many: name at most %d in types, locations and entities", n, mostLookedUp)
	}
	found, err := s.config.Characters.Names(ctx, postgres.NameRequest{Types: in.Types, Locations: in.Locations, Entities: in.Entities})
	if err != nil {
		return nil, err
	}
	return &body[Names]{&Names{Types: byText(found.Types), Locations: byText(found.Locations), Entities: byText(found.Entities)}}, nil
}

// byText has ids as JSON writes keys.
func byText(names map[int64]string) map[string]string {
	texts := make(map[string]string, len(names))
	for id, name := range names {
		texts[strconv.FormatInt(id, 10)] = name
	}
	return texts
}
