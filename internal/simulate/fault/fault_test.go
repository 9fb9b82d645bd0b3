package fault

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var start = time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)

func TestAFaultHappensAsOftenAsItSays(t *testing.T) {
	now := start
	i, err := NewInjector(1, func() time.Time { return now },
		Fault{Kind: Slow, Route: "wallet", Count: 2},
		Fault{Kind: Reset, Rate: 0.25, Route: "location"},
		Fault{Kind: Downtime, Route: "*", For: Duration(time.Minute)})
	require.NoError(t, err)
	kinds := func(route string, n int) map[Kind]int {
		drawn := map[Kind]int{}
		for range n {
			f, _ := i.Draw(route)
			drawn[f.Kind]++
		}
		return drawn
	}
	require.Equal(t, map[Kind]int{Slow: 2, Downtime: 1}, kinds("wallet", 3))
	now = start.Add(time.Minute)
	require.Equal(t, map[Kind]int{"": 3}, kinds("wallet", 3))
	require.InDelta(t, 250, kinds("location", 1000)[Reset], 50)
	require.Len(t, i.Active(), 1)
	i.Clear()
	require.Equal(t, map[Kind]int{"": 100}, kinds("location", 100))
}

func TestABurstHitsTheRequestsThatFollow(t *testing.T) {
	i, err := NewInjector(1, time.Now, Fault{Kind: Maintenance, Route: "wallet", Rate: 0.01, Burst: 4})
	require.NoError(t, err)
	var runs []int
	for failed := 0; len(runs) < 20; {
		_, drawn := i.Draw("location")
		require.False(t, drawn, "another route is spared")
		if _, drawn = i.Draw("wallet"); drawn {
			failed++
			continue
		}
		if failed > 0 {
			runs, failed = append(runs, failed), 0
		}
	}
	for _, run := range runs {
		require.GreaterOrEqual(t, run, 4)
	}
}

func TestAFaultThatMakesNoSenseIsLeftForAnotherRequest(t *testing.T) {
	i, err := NewInjector(1, time.Now, Fault{Kind: Torn, Count: 1})
	require.NoError(t, err)
	_, drawn := i.Draw("journal", Torn)
	require.False(t, drawn)
	_, drawn = i.Draw("journal")
	require.True(t, drawn)
}

func TestInvalidFaultsAreRefusedAndNoneAdded(t *testing.T) {
	i, err := NewInjector(1, time.Now)
	require.NoError(t, err)
	for _, bad := range []Fault{{Kind: "flood"}, {Kind: Hang, Rate: 1.5}, {Kind: Hang, Count: -1}, {Kind: Hang, Burst: -1}, {Kind: HTML, Status: 200}, {Kind: ServerError, Status: 404}} {
		require.Error(t, i.Add(Fault{Kind: Hang}, bad))
	}
	require.Empty(t, i.Active())
}

func TestFaultsAreReadFromJSON(t *testing.T) {
	var f Fault
	require.NoError(t, json.Unmarshal([]byte(`{"kind":"slow","route":"wallet","rate":0.5,"for":"1m30s","delay":"250ms"}`), &f))
	require.Equal(t, Fault{Kind: Slow, Route: "wallet", Rate: 0.5, For: Duration(90 * time.Second), Delay: Duration(250 * time.Millisecond)}, f)
	require.ErrorContains(t, json.Unmarshal([]byte(`{"for":"soon"}`), &f), "write it like 30s")
}

func TestHalfAnAnswerIsNeverJSON(t *testing.T) {
	for _, body := range []string{`12345.67`, `7`, `"address@example.org"`, `[]`, `[1,2,3]`, `{"a":{"b":1}}`, `null`} {
		rec := httptest.NewRecorder()
		WriteHalf(rec, []byte(body))
		require.False(t, json.Valid(rec.Body.Bytes()), "half of %s is %s", body, rec.Body)
	}
}

func TestBrokenConnections(t *testing.T) {
	handler := func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/reset":
			Fault{Kind: Reset}.Break(r)
		case "/hang":
			Fault{Kind: Hang}.Break(r)
		case "/cut":
			WriteCutOff(w, []byte(`{"a":"long enough answer"}`))
		case "/slow":
			Fault{Kind: Slow, Delay: Duration(time.Millisecond)}.Wait(r)
			_, _ = io.WriteString(w, "late")
		}
	}
	server := httptest.NewServer(http.HandlerFunc(handler))
	defer server.Close()
	transport := &http.Transport{}
	defer transport.CloseIdleConnections()
	client := &http.Client{Transport: transport, Timeout: 200 * time.Millisecond}
	get := func(path string) (string, error) {
		resp, err := client.Get(server.URL + path)
		if err != nil {
			return "", err
		}
		defer resp.Body.Close()
		body, err := io.ReadAll(resp.Body)
		return string(body), err
	}
	_, err := get("/reset")
	require.ErrorIs(t, err, io.EOF)
	_, err = get("/hang")
	require.ErrorContains(t, err, "Client.Timeout")
	half, err := get("/cut")
	require.ErrorIs(t, err, io.ErrUnexpectedEOF)
	require.Equal(t, `{"a":"long en`, half)
	late, err := get("/slow")
	require.NoError(t, err)
	require.Equal(t, "late", late)
}
