package eve_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/muster-sync/muster/domain/eve"
	"github.com/muster-sync/muster/domain/event"
)

func TestLevelsOfADifferenceLaidOverItsBaseAreThoseOfTheWhole(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		draw := func(label string) (json.RawMessage, map[int64]int) {
			// So many that a difference is the shorter way to tell it.
			var skills []string
			want := map[int64]int{}
			for id := range int64(40) {
				if id < 6 && rapid.Bool().Draw(rt, label) {
					continue
				}
				level := 5
				if id < 6 {
					level = rapid.IntRange(0, 5).Draw(rt, label)
				}
				if level > 0 {
					want[id] = level
				}
				skills = append(skills, fmt.Sprintf(`{"skill_id":%d,"active_skill_level":%d,"trained_skill_level":5,"skillpoints_in_skill":256000}`, id, level))
			}
			return json.RawMessage(`{"total_sp":1,"skills":[` + strings.Join(skills, ",") + `]}`), want
		}
		var series eve.Series
		var base uuid.UUID
		full := map[int64]int{}
		for i := range 4 {
			value, want := draw("level")
			e, next, err := eve.Compare("test", series, eve.Snapshot{CharacterID: 5, Section: eve.SectionSkills, FetchedAt: time.Date(2026, 5, 1, 12, i, 0, 0, time.UTC), Value: value})
			require.NoError(rt, err)
			series = next
			if e == nil {
				continue
			}
			var p eve.SectionObserved
			require.NoError(rt, json.Unmarshal(e.Data, &p))
			levels, err := eve.DecodeSkillLevels(p)
			require.NoError(rt, err)
			if p.Encoding == eve.EncodingFull {
				require.Empty(rt, levels.Gone)
				require.Equal(rt, want, levels.Active)
				base, full = e.ID, levels.Active
				continue
			}
			require.Equal(rt, base, *p.Base)
			got := map[int64]int{}
			maps.Copy(got, full)
			for _, id := range levels.Gone {
				delete(got, id)
			}
			maps.Copy(got, levels.Active)
			require.Equal(rt, want, got)
		}
	})
}

func TestLevelsThatNobodyCanReadAreRefused(t *testing.T) {
	for _, p := range []eve.SectionObserved{
		{Encoding: eve.EncodingFull, Value: json.RawMessage(`[]`)},
		{Encoding: eve.EncodingFull, Value: json.RawMessage(`{"skills":[{"active_skill_level":1}]}`)},
		{Encoding: eve.EncodingFull, Value: json.RawMessage(`{"skills":[{"skill_id":1,"active_skill_level":"I"}]}`)},
		{Encoding: eve.EncodingDelta, Value: json.RawMessage(`[]`)},
		{Encoding: eve.EncodingDelta, Value: json.RawMessage(`{"lists":[{"path":"moon","added":[{}]}]}`)},
		{Encoding: eve.EncodingDelta, Value: json.RawMessage(`{"lists":[{"path":"skills","added":[{}]}]}`)},
	} {
		_, err := eve.DecodeSkillLevels(p)
		require.Equal(t, event.CodeInvalid, event.CodeOf(err), "%s", p.Value)
	}
}

func FuzzDecodeSkillLevels(f *testing.F) {
	f.Add(false, []byte(`{"skills":[{"skill_id":3300,"active_skill_level":5}]}`))
	f.Add(true, []byte(`{"lists":[{"path":"skills","changed":[{"skill_id":3300,"active_skill_level":0}],"removed":["3301"]}]}`))
	f.Fuzz(func(t *testing.T, difference bool, value []byte) {
		p := eve.SectionObserved{Section: eve.SectionSkills, Encoding: eve.EncodingFull, Value: value}
		if difference {
			p.Encoding = eve.EncodingDelta
		}
		levels, err := eve.DecodeSkillLevels(p)
		if err != nil {
			require.Equal(t, event.CodeInvalid, event.CodeOf(err))
			return
		}
		for _, level := range levels.Active {
			require.True(t, level >= 1 && level <= eve.MaxSkillLevel)
		}
	})
}
