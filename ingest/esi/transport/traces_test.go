package transport_test

import (
	"net/http"
	"net/url"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"

	"github.com/muster-sync/muster/ingest/esi/catalogue"
	"github.com/muster-sync/muster/ingest/esi/transport"
	"github.com/muster-sync/muster/internal/tracing/tracingtest"
)

// newTracedRig is a rig whose requests are traced.
func newTracedRig(t *testing.T) (*rig, *tracingtest.Recorder) {
	t.Helper()
	spans := tracingtest.New(t)
	return newRig(t, func(c *transport.Config) { c.Tracer = spans.Tracer() }), spans
}

func TestARequestIsASpanBelowWhatItIsFor(t *testing.T) {
	r, spans := newTracedRig(t)
	r.world.Serve(journalPath, time.Hour, `[1]`)
	ctx, sync := spans.Tracer().Start(t.Context(), "sync")
	defer sync.End()
	got, err := r.client.Get(ctx, transport.Request{Route: catalogue.CharacterWalletJournal(), Character: pilot})
	require.NoError(t, err)
	r.world.Clock.Advance(time.Hour)
	_, err = r.get(catalogue.CharacterWalletJournal(), got.Pages...)
	require.NoError(t, err)

	asked := spans.Named("ESI " + catalogue.CharacterWalletJournal().Operation)
	require.Len(t, asked, 2)
	require.Equal(t, sync.SpanContext().SpanID(), asked[0].Parent.SpanID())
	require.Equal(t, trace.SpanKindClient, asked[0].SpanKind)
	first, second := tracingtest.Attributes(asked[0].Attributes), tracingtest.Attributes(asked[1].Attributes)
	require.Equal(t, map[string]any{
		"http.request.method": "GET", "url.template": "/characters/{character_id}/wallet/journal", "muster.character_id": pilot,
		"http.response.status_code": int64(200), "esi.not_modified": false, "esi.rate_group": first["esi.rate_group"], "esi.tokens": int64(2),
	}, first)
	require.NotEmpty(t, first["esi.rate_group"])
	require.Equal(t, []any{int64(304), true, int64(1)}, []any{second["http.response.status_code"], second["esi.not_modified"], second["esi.tokens"]})
}

func TestESIIsToldNothingOfTraces(t *testing.T) {
	r, spans := newTracedRig(t)
	var sent http.Header
	r.world.Handle(journalPath, http.HandlerFunc(func(w http.ResponseWriter, asked *http.Request) {
		sent = asked.Header.Clone()
		answer(200, `[]`)(w, asked)
	}))
	_, err := r.get(catalogue.CharacterWalletJournal())
	require.NoError(t, err)
	require.NotEmpty(t, spans.Spans())
	require.NotContains(t, sent, "Traceparent")
}

// Neither the token, nor what was asked for beside the route, nor what ESI says comes
// into a span, whatever goes wrong.
func TestNoSecretComesIntoASpan(t *testing.T) {
	const secret = "secret"
	for name, handler := range map[string]http.HandlerFunc{
		"answered":    answer(200, `["secret name"]`, "X-Secret", "secret header"),
		"refused":     answer(403, `{"error":"secret reason"}`),
		"no token":    answer(401, `{"error":"secret-token is no token"}`),
		"failed":      answer(502, `{"error":"secret reason"}`),
		"not JSON":    answer(200, `secret`),
		"limited":     answer(420, `{"error":"secret reason"}`),
		"redirected":  answer(302, ``, "Location", "https://example.org/?token=secret"),
		"broken off":  func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) },
		"not allowed": answer(429, `{"error":"secret reason"}`, "Retry-After", "9"),
	} {
		t.Run(name, func(t *testing.T) {
			r, spans := newTracedRig(t)
			r.world.Handle(journalPath, handler)
			_, err := r.client.Get(t.Context(), transport.Request{
				Route: catalogue.CharacterWalletJournal(), Character: pilot, Query: url.Values{"search": {"secret name"}},
				Prior: []transport.Page{{ETag: `"secret tag"`, Body: []byte(`["secret"]`)}}, Complete: 1,
			})
			require.NotEmpty(t, spans.Spans())
			require.NotContains(t, spans.Text(), secret)
			for _, span := range spans.Spans() {
				require.Equal(t, err != nil, span.Status.Code == codes.Error, spans.Text())
			}
		})
	}
}
