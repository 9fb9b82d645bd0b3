package api_test

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/muster-sync/muster/domain/eve"
	"github.com/muster-sync/muster/projections/postgres"
	"github.com/muster-sync/muster/query/api"
)

// full is a world with pages that are full.
type full struct{ *world }

func (f full) Elements(ctx context.Context, filter postgres.ElementFilter) ([]postgres.Element, error) {
	elements := make([]postgres.Element, filter.Limit)
	for i := range elements {
		id := 1_000_000_000_000 + i
		elements[i] = postgres.Element{Key: fmt.Sprint(id), Value: fmt.Appendf(nil,
			`{"is_singleton":false,"item_id":%d,"location_flag":"Hangar","location_id":60003760,"location_type":"station","quantity":%d,"type_id":%d}`, id, i+1, 587+i%60)}
	}
	return elements, f.enter(ctx)
}

func (f full) Section(ctx context.Context, id int64, name eve.Section) (postgres.Section, error) {
	section, err := f.world.Section(ctx, id, name)
	if name == eve.SectionSkills {
		skills := []byte(`{"skills":[`)
		for i := range 400 {
			skills = fmt.Appendf(skills, `{"active_skill_level":5,"skill_id":%d,"skillpoints_in_skill":%d,"trained_skill_level":5},`, 3300+i, 256000+i)
		}
		section.Value = json.RawMessage(append(skills[:len(skills)-1], `],"total_sp":50000000}`...))
	}
	return section, err
}

// BenchmarkAnswer is what answers cost beside what they ask the stores.
func BenchmarkAnswer(b *testing.B) {
	c := &client{world: newWorld(), log: &syncBuffer{}}
	server, err := api.New(c.config(func(config *api.Config) {
		config.Characters, config.Logger = full{c.world}, slog.New(slog.DiscardHandler)
	}))
	require.NoError(b, err)
	for _, path := range []string{"/wallet", "/assets?limit=100&directly=false&type_id=587", "/skills", "/contracts?limit=50", ""} {
		b.Run("character"+path, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				r := httptest.NewRequestWithContext(b.Context(), http.MethodGet, "/v1/characters/90000001"+path, http.NoBody)
				r.Header.Set("Authorization", "Bearer "+token)
				w := httptest.NewRecorder()
				server.Handler().ServeHTTP(w, r)
				require.Equal(b, http.StatusOK, w.Code, w.Body.String())
			}
		})
	}
}
