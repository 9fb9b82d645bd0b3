package skillset_test

import (
	"context"
	"errors"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/muster-sync/muster/domain/eve"
	"github.com/muster-sync/muster/domain/event"
	"github.com/muster-sync/muster/ingest/skillset"
	"github.com/muster-sync/muster/internal/command"
)

// organisation is a bus with a read model that shows each decision at once.
type organisation struct {
	t       *testing.T
	known   *eve.SkillSets
	inputs  []command.Input
	version int64
	shown   bool
	away    error
}

func newOrganisation(t *testing.T) (*organisation, *skillset.Definer) {
	o := &organisation{t: t, known: eve.NewSkillSets(), shown: true}
	return o, skillset.NewDefiner(o, func(context.Context) (*eve.SkillSets, error) { return o.known, o.away })
}

func (o *organisation) Do(ctx context.Context, stream event.Stream, in command.Input, decide command.Decide) (command.Receipt, error) {
	require.Equal(o.t, event.Org, stream)
	o.inputs = append(o.inputs, in)
	// A decision may run more than once; only the last counts.
	if _, err := decide(ctx, nil, o.version); err != nil {
		return command.Receipt{}, err
	}
	events, err := decide(ctx, nil, o.version)
	require.NoError(o.t, err)
	for _, p := range events {
		o.known.Apply(p)
		o.version++
	}
	return command.Receipt{Stream: stream, Version: o.version}, nil
}

func (o *organisation) Await(context.Context, ...command.Receipt) (bool, error) { return o.shown, nil }

func gunners(name string) eve.SkillSet {
	return eve.SkillSet{Name: name, Visible: true, Skills: []eve.SetSkill{{TypeID: 3300, Required: 3}}}
}

func TestSkillSetsAreDefinedReplacedAndRemoved(t *testing.T) {
	o, d := newOrganisation(t)
	made, err := d.DefineSkillSet(t.Context(), skillset.DefineInput{Actor: "ada", Set: gunners("Gunners"), ExpectedVersion: new(int64(0))})
	require.NoError(t, err)
	require.Equal(t, skillset.Result{ID: made.ID, Changed: true, Version: 1, Shown: true}, made)
	require.NotEqual(t, uuid.Nil, made.ID)
	require.Equal(t, command.Input{Actor: "ada", ExpectedVersion: new(int64(0))}, o.inputs[0])
	require.Equal(t, map[uuid.UUID]eve.SkillSet{made.ID: gunners("Gunners")}, o.known.Sets)

	_, err = d.DefineSkillSet(t.Context(), skillset.DefineInput{Set: gunners("gunners")})
	require.Equal(t, event.CodeConflict, event.CodeOf(err))
	o.shown = false
	again, err := d.DefineSkillSet(t.Context(), skillset.DefineInput{Set: gunners("gunners"), Overwrite: true})
	require.NoError(t, err)
	require.Equal(t, skillset.Result{ID: made.ID, Changed: true, Version: 2}, again)
	same, err := d.DefineSkillSet(t.Context(), skillset.DefineInput{ID: made.ID, Set: gunners("gunners")})
	require.NoError(t, err)
	require.False(t, same.Changed)

	removed, err := d.RemoveSkillSet(t.Context(), skillset.RemoveInput{ID: made.ID, Reason: "over"})
	require.NoError(t, err)
	require.True(t, removed.Changed)
	require.Empty(t, o.known.Sets)
	_, err = d.RemoveSkillSet(t.Context(), skillset.RemoveInput{ID: made.ID})
	require.Equal(t, event.CodeNotFound, event.CodeOf(err))
}

func TestGroupsAreDefinedReplacedAndRemoved(t *testing.T) {
	o, d := newOrganisation(t)
	set, err := d.DefineSkillSet(t.Context(), skillset.DefineInput{Set: gunners("Gunners")})
	require.NoError(t, err)
	group := eve.SkillSetGroup{Name: "Shield", Doctrine: true, Active: true, SkillSetIDs: []uuid.UUID{set.ID}}
	made, err := d.DefineSkillSetGroup(t.Context(), skillset.GroupInput{Actor: "ada", Group: group})
	require.NoError(t, err)
	require.Equal(t, group, o.known.Groups[made.ID])
	_, err = d.DefineSkillSetGroup(t.Context(), skillset.GroupInput{Group: group})
	require.Equal(t, event.CodeConflict, event.CodeOf(err))
	group.Name = "Armour"
	again, err := d.DefineSkillSetGroup(t.Context(), skillset.GroupInput{ID: made.ID, Group: group})
	require.NoError(t, err)
	require.Equal(t, made.ID, again.ID)
	require.Equal(t, "Armour", o.known.Groups[made.ID].Name)
	_, err = d.RemoveSkillSetGroup(t.Context(), skillset.RemoveInput{ID: made.ID})
	require.NoError(t, err)
	require.Empty(t, o.known.Groups)
	require.Len(t, o.known.Sets, 1, "its sets stay")
	_, err = d.DefineSkillSetGroup(t.Context(), skillset.GroupInput{ID: made.ID, Group: group})
	require.Equal(t, event.CodeNotFound, event.CodeOf(err))
}

func TestNothingIsDecidedOnWhatCannotBeRead(t *testing.T) {
	o, d := newOrganisation(t)
	o.away = errors.New("the read model is away")
	_, err := d.DefineSkillSet(t.Context(), skillset.DefineInput{Set: gunners("Gunners")})
	require.ErrorIs(t, err, o.away)
	require.Empty(t, o.known.Sets)
}
