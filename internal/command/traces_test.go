package command_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/muster-sync/muster/internal/command"
	"github.com/muster-sync/muster/internal/tracing"
	"github.com/muster-sync/muster/internal/tracing/tracingtest"
)

func TestACommandTakesTheTraceOfItsRequestThroughTheOutboxToTheLog(t *testing.T) {
	pool, log := database(t), &memoryLog{}
	bus := idle(t, pool)
	ctx, request := tracingtest.New(t).Tracer().Start(t.Context(), "request")
	_, err := bus.Do(ctx, stream, command.Input{}, note("one"))
	require.NoError(t, err)
	request.End()
	silent, _ := tracingtest.NewShare(t, 0).Tracer().Start(t.Context(), "request")
	_, err = bus.Do(silent, stream, command.Input{}, note("two"))
	require.NoError(t, err)

	forward(t, pool, log)
	eventually(t, func() bool { return pending(t, pool) == 0 }, "both must come to the log")
	facts := log.facts(stream)
	require.Equal(t, request.SpanContext().SpanID(), tracing.Remote(facts[0].TraceParent).SpanID())
	require.Empty(t, facts[1].TraceParent, "it was not recorded")
}
