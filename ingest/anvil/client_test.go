package anvil_test

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"
	"golang.org/x/oauth2"

	domain "github.com/muster-sync/muster/domain/anvil"
	"github.com/muster-sync/muster/domain/event"
	"github.com/muster-sync/muster/ingest/anvil"
)

func TestClientConfigIsRefusedWithTheRemedy(t *testing.T) {
	for name, f := range map[string]struct {
		config anvil.ClientConfig
		want   string
	}{
		"no token to the real services": {anvil.ClientConfig{Credentials: "none"}, "MUSTER_SAM_URL is not set"},
		"no token to another host":      {anvil.ClientConfig{Credentials: "none", SamURL: "http://127.0.0.1:1", RawlsURL: "https://rawls.example.com"}, "only services on this machine"},
		"token in the open":             {anvil.ClientConfig{SamURL: "http://sam.example.com"}, "use https"},
		"no address":                    {anvil.ClientConfig{SamURL: "sam"}, "MUSTER_SAM_URL: must be an http or https address"},
		"password in the address":       {anvil.ClientConfig{SamURL: "https://u:p@sam.example.com"}, "without user"},
		"negative":                      {anvil.ClientConfig{Attempts: -1}, "must not be negative"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := anvil.NewClient(t.Context(), f.config, quiet(), prometheus.NewRegistry())
			require.Equal(t, event.CodeInvalid, event.CodeOf(err))
			require.ErrorContains(t, err, f.want)
		})
	}
	for _, host := range []string{"localhost", "127.0.0.1", "127.8.9.1", "[::1]"} {
		address := "http://" + host + ":8080"
		require.NoError(t, anvil.ClientConfig{Credentials: "none", SamURL: address, RawlsURL: address}.Validate())
	}
}

func TestClientEscapesEachPartOfThePath(t *testing.T) {
	var got []string
	var headers []http.Header
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		got, headers = append(got, r.RequestURI), append(headers, r.Header)
		_, _ = io.WriteString(w, "{}")
	}))
	defer server.Close()
	c := newClient(t, anvil.ClientConfig{SamURL: server.URL + "/base/", RawlsURL: server.URL, Credentials: "none"})
	ask := func(service, query string, segments ...string) anvil.Reply {
		reply, err := c.Ask(t.Context(), domain.Request{Service: service, Segments: segments, Query: query})
		require.NoError(t, err)
		return reply
	}
	require.Equal(t, 200, ask("sam", "", "api", "users", "v1", "a+b/c?d#e f%@example.com").Status)
	require.Equal(t, 200, ask("rawls", domain.WorkspaceFields, "api", "workspaces").Status)
	require.NotEmpty(t, ask("sam", "", "api", "groups", "v1", "..").Failure, "a name must not lead elsewhere")
	for _, h := range headers {
		require.Empty(t, h.Get("Authorization"), "none means none")
		require.Equal(t, "application/json", h.Get("Accept"))
	}
	require.Equal(t, []string{"/base/api/users/v1/a+b%2Fc%3Fd%23e%20f%25@example.com", "/api/workspaces?" + domain.WorkspaceFields}, got)
}

// transport is a service without a network, so that time can be steered.
type transport func(r *http.Request) (*http.Response, error)

func (f transport) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func response(status int, body string, headers ...string) *http.Response {
	h := http.Header{}
	for i := 0; i < len(headers); i += 2 {
		h.Set(headers[i], headers[i+1])
	}
	return &http.Response{StatusCode: status, Header: h, Body: io.NopCloser(strings.NewReader(body))}
}

func fakeClient(t *testing.T, config anvil.ClientConfig, f transport) *anvil.Client {
	config.Transport, config.Credentials = f, anvil.NoCredentials
	config.SamURL, config.RawlsURL = "http://127.0.0.1:1", "http://127.0.0.1:1"
	c, err := anvil.NewClient(t.Context(), config, quiet(), prometheus.NewRegistry())
	require.NoError(t, err)
	return c
}

func question() domain.Request {
	return domain.Request{Record: domain.RecordKey{Kind: domain.KindGroupList}, Service: "sam", Segments: []string{"api", "groups", "v1"}}
}

func TestClientAsksAgainWithGrowingPausesAndAsLongAsItIsTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var at []time.Duration
		start := time.Now()
		c := fakeClient(t, anvil.ClientConfig{FirstPause: time.Second}, func(*http.Request) (*http.Response, error) {
			at = append(at, time.Since(start))
			switch len(at) {
			case 1:
				return response(503, ""), nil
			case 2:
				return response(429, "", "Retry-After", "7"), nil
			case 3:
				return nil, errors.New("reset")
			}
			return response(200, "[]"), nil
		})
		reply, err := c.Ask(t.Context(), question())
		require.NoError(t, err)
		require.Equal(t, 200, reply.Status)
		require.Equal(t, "[]", string(reply.Body))
		require.Equal(t, 4, reply.Calls)
		require.InDelta(t, time.Second, at[1]-at[0], float64(time.Second/2), "the first pause, give or take")
		require.Equal(t, 7*time.Second, at[2]-at[1], "as long as the service asked for")
	})
}

func TestClientGivesUp(t *testing.T) {
	for name, f := range map[string]struct {
		service transport
		status  int
		failure string
		calls   int
	}{
		"busy":           {func(*http.Request) (*http.Response, error) { return response(502, "x"), nil }, 502, "", 3},
		"asked too long": {func(*http.Request) (*http.Response, error) { return response(503, "", "Retry-After", "3600"), nil }, 503, "", 1},
		"refused":        {func(*http.Request) (*http.Response, error) { return response(403, "{}"), nil }, 403, "", 1},
		"redirected": {func(*http.Request) (*http.Response, error) {
			return response(302, "", "Location", "https://login.example.com"), nil
		}, 302, "", 1},
		"too large": {func(*http.Request) (*http.Response, error) { return response(200, strings.Repeat("x", 101)), nil }, 200, "malformed answer: it is larger than 100 bytes", 1},
		"no connection": {func(*http.Request) (*http.Response, error) {
			return nil, &net.OpError{Op: "dial", Err: errors.New("refused")}
		}, 0, "no answer: no connection to the service", 3},
		"unknown host": {func(*http.Request) (*http.Response, error) { return nil, &net.DNSError{Name: "secret.example.com"} }, 0, "no answer: the service's host name is not known", 3},
		"cut off": {func(*http.Request) (*http.Response, error) {
			r := response(200, "")
			r.Body = io.NopCloser(io.MultiReader(strings.NewReader("[1,"), failing{}))
			return r, nil
		}, 200, "no answer: the answer was cut off", 3},
		"hanging": {func(r *http.Request) (*http.Response, error) {
			<-r.Context().Done()
			return nil, r.Context().Err()
		}, 0, "no answer: time-out", 3},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := fakeClient(t, anvil.ClientConfig{Attempts: 3, MaxBody: 100, Timeout: 5 * time.Second}, f.service)
				reply, err := c.Ask(t.Context(), question())
				require.NoError(t, err)
				require.Equal(t, f.status, reply.Status)
				require.Equal(t, f.failure, reply.Failure)
				require.Equal(t, f.calls, reply.Calls)
			})
		})
	}
}

type failing struct{}

func (failing) Read([]byte) (int, error) { return 0, io.ErrUnexpectedEOF }

func TestClientStopsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		c := fakeClient(t, anvil.ClientConfig{FirstPause: time.Minute}, func(*http.Request) (*http.Response, error) { return response(503, ""), nil })
		start := time.Now()
		_, err := c.Ask(ctx, question())
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.Equal(t, time.Second, time.Since(start))
	})
}

// keyFile is a service account's key whose tokens come from the given address.
func keyFile(t *testing.T, tokenURL string) string {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	require.NoError(t, err)
	file, err := json.Marshal(map[string]string{
		"type": "service_account", "client_email": "app@example.com", "private_key_id": "1", "token_uri": tokenURL,
		"private_key": string(pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(key)})),
	})
	require.NoError(t, err)
	path := filepath.Join(t.TempDir(), "key.json")
	require.NoError(t, os.WriteFile(path, file, 0o600))
	return path
}

func TestClientSendsTheTokenOfItsServiceAccount(t *testing.T) {
	var tokens, refuse atomic.Int64
	issuer := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if refuse.Load() > 0 {
			w.Header().Set("Content-Type", "application/json")
			w.WriteHeader(http.StatusBadRequest)
			_, _ = io.WriteString(w, `{"error":"invalid_grant","error_description":"top secret"}`)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		_, _ = fmt.Fprintf(w, `{"access_token":"token-%d","token_type":"Bearer","expires_in":3600}`, tokens.Add(1))
	}))
	defer issuer.Close()
	var got []string
	service := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { got = append(got, r.Header.Get("Authorization")) }))
	defer service.Close()
	config := anvil.ClientConfig{SamURL: service.URL, RawlsURL: service.URL, Credentials: keyFile(t, issuer.URL)}
	c := newClient(t, config)
	require.NoError(t, c.CheckToken())
	for range 2 {
		_, err := c.Ask(t.Context(), question())
		require.NoError(t, err)
	}
	require.Equal(t, []string{"Bearer token-1", "Bearer token-1"}, got, "a token is kept while it is good")

	refuse.Store(1)
	other := newClient(t, config)
	err := other.CheckToken()
	require.Equal(t, event.CodeUnavailable, event.CodeOf(err))
	require.ErrorContains(t, err, "refused with status 400 (invalid_grant)")
	require.NotContains(t, err.Error(), "secret")
	reply, err := other.Ask(t.Context(), question())
	require.NoError(t, err)
	require.Contains(t, reply.Failure, "no access token: refused with status 400")
	require.Len(t, got, 2, "nothing is asked without a token")
	http.DefaultClient.CloseIdleConnections()
}

func TestClientRefusesAKeyFileThatIsNone(t *testing.T) {
	path := filepath.Join(t.TempDir(), "key.json")
	require.NoError(t, os.WriteFile(path, []byte(`{"type":"service_account","private_key":"hush"`), 0o600))
	_, err := anvil.NewClient(t.Context(), anvil.ClientConfig{Credentials: path}, quiet(), prometheus.NewRegistry())
	require.ErrorContains(t, err, "no key file of a Google service account")
	require.NotContains(t, err.Error(), "hush")
	_, err = anvil.NewClient(t.Context(), anvil.ClientConfig{Credentials: path + "x"}, quiet(), prometheus.NewRegistry())
	require.ErrorContains(t, err, "reading the key file")
}

func TestClientTakesTokensFromElsewhere(t *testing.T) {
	service := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, r.Header.Get("Authorization"))
	}))
	defer service.Close()
	c := newClient(t, anvil.ClientConfig{SamURL: service.URL, RawlsURL: service.URL, Tokens: oauth2.StaticTokenSource(&oauth2.Token{AccessToken: "x"})})
	reply, err := c.Ask(t.Context(), question())
	require.NoError(t, err)
	require.Equal(t, "Bearer x", string(reply.Body))
}

func TestFolderKeepsTheNewestSamplesWithinItsBounds(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "quarantine")
	f := &anvil.Folder{Dir: dir, MaxFiles: 3, MaxBody: 4}
	for i := range 5 {
		sample := anvil.Sample{
			Stream: stream, Kind: domain.KindAccount, Name: "a@example.com", Status: 200,
			At: time.Date(2026, 1, 1, 0, 0, i, 0, time.UTC), Body: fmt.Appendf(nil, "%d-too-long", i),
		}
		require.NoError(t, f.Keep(t.Context(), sample))
	}
	entries, err := os.ReadDir(dir)
	require.NoError(t, err)
	require.Len(t, entries, 3)
	info, err := entries[0].Info()
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o600), info.Mode())
	data, err := os.ReadFile(filepath.Join(dir, entries[0].Name()))
	require.NoError(t, err)
	var kept anvil.Sample
	require.NoError(t, json.Unmarshal(data, &kept))
	require.Equal(t, "2-to", string(kept.Body))
}
