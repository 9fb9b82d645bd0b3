package api_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/danielgtaylor/huma/v2"
	"github.com/go-chi/chi/v5"
	"github.com/stretchr/testify/require"

	"github.com/muster-sync/muster/domain/access"
)

// routes are all registered routes, with their parameters filled in.
func routes(t *testing.T, c *client) map[string][]string {
	t.Helper()
	found := map[string][]string{}
	router, ok := c.server.Handler().(chi.Routes)
	require.True(t, ok)
	require.NoError(t, chi.Walk(router, func(method, route string, _ http.Handler, _ ...func(http.Handler) http.Handler) error {
		found[route] = append(found[route], method)
		return nil
	}))
	return found
}

var parameters = strings.NewReplacer("/v1/launcher", "/v1/launcher?user_id=u1", "/analytics/wallet/top", "/analytics/wallet/top?group_by=counterparty", "/characters/{id}", "/characters/90000001", "{consortium}", "acme", "/tokens/{id}", "/tokens/"+tokenID.String(), "/events/{id}", "/events/"+eventID.String(), "{stream}", "eve:character:90000001", "/findings/{id}", "/findings/"+findingID.String(), "/registrations/{id}", "/registrations/"+signInID.String(),
	"/workspaces/{billing_project}/{name}", "/workspaces/bp/ws", "{email}", "a@example.com", "{mail_id}", "7", "{contract_id}", "7", "{killmail_id}", "7", "{topic}", "contract", "{link}", linkID.String(), "{item_id}", "2", "{skill_set_id}", gunnersID.String(), "{user_id}", "ada", "/users/{id}", "/users/ada", "/roles/{name}", "/roles/recruiter", "/compliance-groups/{name}", "/compliance-groups/registered",
	"/skill-sets/{id}/missing", "/skill-sets/"+gunnersID.String()+"/missing?character_id=90000001", "/skill-sets/{id}", "/skill-sets/"+gunnersID.String(), "/skill-set-groups/{id}", "/skill-set-groups/"+shieldID.String())

func TestNoRouteAnswersWithoutAValidToken(t *testing.T) {
	// The state guards the callback; TestOnlyAGoodStateFinishesARegistration.
	// Signing in is what one does without a token; TestSomebodySignsInAndOutAgain.
	open := []string{"/auth/sign-in", "/auth/callback", "/auth/sign-out", "/sso/callback", "/livez", "/readyz", "/metrics", "/docs", "/docs/docs.js", "/docs/docs.css", "/openapi.json", "/openapi.yaml", "/openapi-3.0.json", "/openapi-3.0.yaml"}
	guarded := 0
	c := newClient(t)
	for route, methods := range routes(t, c) {
		if slices.Contains(open, route) {
			continue
		}
		require.True(t, strings.HasPrefix(route, "/v1/"), route)
		for _, method := range methods {
			guarded++
			target := parameters.Replace(route)
			for _, authorization := range []string{"", "Bearer ", "Bearer wrong", "Basic " + token, token, "Bearer" + token} {
				// A server of its own: too many attempts are told to wait.
				c := newClient(t)
				a := c.do(method, target, "{}", "Authorization", authorization)
				c.requireProblem(a, http.StatusUnauthorized, "token")
				require.Equal(t, `Bearer realm="muster"`, a.Header.Get("WWW-Authenticate"), "%s %s", method, target)
				require.NotContains(t, a.text, token)
			}
			if route == "/v1/me" {
				continue // who somebody is is no secret from himself
			}
			c.requireProblem(c.do(method, target, "{}", "Authorization", "Bearer "+limited), http.StatusForbidden, "may not do")
		}
	}
	require.Equal(t, 199, guarded, "a route was added or taken away: see that this test still sees them all")
	c.requireProblem(c.get("/v1/no/such/thing", "Authorization", ""), http.StatusUnauthorized, "token")
	c.requireProblem(c.get("/v1/no/such/thing"), http.StatusNotFound, "no such resource")
	c.requireProblem(c.do(http.MethodDelete, "/v1/characters", ""), http.StatusMethodNotAllowed, "DELETE")
}

func TestEveryOperationSaysWhichActionItIs(t *testing.T) {
	c := newClient(t)
	seen := map[string]bool{}
	for path, item := range c.server.OpenAPI().Paths {
		for _, op := range operations(item) {
			action, ok := op.Extensions["x-muster-action"].(string)
			require.True(t, ok, path)
			require.Contains(t, access.Actions(), access.Action(action))
			require.NotEmpty(t, op.Security, path)
			seen[action] = true
		}
	}
	for _, action := range access.Actions() {
		require.True(t, seen[string(action)], "%s guards nothing", action)
	}
}

func operations(item *huma.PathItem) map[string]*huma.Operation {
	all := map[string]*huma.Operation{http.MethodGet: item.Get, http.MethodPost: item.Post, http.MethodPut: item.Put, http.MethodPatch: item.Patch, http.MethodDelete: item.Delete}
	maps.DeleteFunc(all, func(_ string, op *huma.Operation) bool { return op == nil })
	return all
}

// bodies are requests that the operations with a body take.
var bodies = map[string]string{
	"import-organisation": `{"users": [{"id": "u1", "superuser": false, "active": true, "state": "Member", "permissions": [], "main": null, "characters": [7]}],
		"characters": [{"id": 7, "corporation_id": 1, "alliance_id": null, "registered": true, "shared": false, "owner": "u1"}, {"id": -1}]}`,
	"declare-consortium":     "service_account: sa@example.com\naccounts:\n  - email: a@example.com\n",
	"patch-declaration":      `{"declare": {"accounts": [{"email": "A@example.com"}]}, "withdraw": {"accounts": [{"email": "old@example.com"}]}}`,
	"accept-finding":         `{"reason": "a guest of the year", "until": "2027-01-01T00:00:00Z"}`,
	"begin-registration":     `{"user_id": "ada", "sections": ["wallet"]}`,
	"forget-character":       `{"reason": "asked for"}`,
	"share-character":        `{"until": "2026-06-01T00:00:00Z"}`,
	"create-share-link":      `{"expires_at": "2026-05-02T00:00:00Z", "sections": ["wallet"], "note": "for Bob"}`,
	"create-skill-set":       `{"name": "Pilots", "skills": [{"type_name": "GUNNERY", "required": 3}, {"type_id": 3301, "required": null, "recommended": 5}]}`,
	"replace-skill-set":      `{"name": "Pilots", "visible": false, "skills": [{"type_id": 3300, "required": 3}]}`,
	"import-fitting":         `{"text": "[Rifter, Fast]\n\nOld Thing I\n"}`,
	"import-skill-plan":      `{"text": "Gunnery IV\nGunneri 2", "name": "Plan", "dry_run": true}`,
	"create-skill-set-group": `{"name": "Armour"}`, "replace-skill-set-group": `{"name": "Armour", "doctrine": true}`,
	"issue-token":             `{"name": "night export", "program": true, "scope": ["characters.read"]}`,
	"change-user":             `{"active": false}`,
	"define-role":             `{"permissions": ["basic_access"], "states": ["Member"]}`,
	"define-compliance-group": `{"description": "All characters are registered.", "states": ["Member"]}`,
	"decide-poison":           `{"action": "retry", "projection": "wallet", "topic": "t", "partition": 1, "offset": 9}`,
}

// TestEveryOperationAnswersAsDeclared asks each operation of the OpenAPI document
// and holds the answer against the document, as it is served.
func TestEveryOperationAnswersAsDeclared(t *testing.T) {
	for _, shown := range []bool{true, false} {
		c := newClient(t)
		c.world.shown = shown
		document := c.server.OpenAPI()
		for path, item := range document.Paths {
			for method, op := range operations(item) {
				t.Run(fmt.Sprintf("%s shown %v", op.OperationID, shown), func(t *testing.T) {
					who := ownerAlone(c, op)
					a := c.do(method, parameters.Replace(path), bodies[op.OperationID], who...)
					require.Less(t, a.StatusCode, 300, a.text)
					requireDeclared(t, document, op, a)
					// What does not exist, what is wrong and what is away are declared, too.
					c.requireProblem(c.do(method, withParameter(parameters.Replace(path)), bodies[op.OperationID]), http.StatusUnprocessableEntity, "no_such_parameter")
					for _, status := range []int{401, 403, 422, 429, 500, 503} {
						require.Contains(t, op.Responses, fmt.Sprint(status))
					}
				})
			}
		}
	}
}

// withParameter adds a parameter that no operation has.
func withParameter(target string) string {
	if strings.Contains(target, "?") {
		return target + "&no_such_parameter=1"
	}
	return target + "?no_such_parameter=1"
}

func requireDeclared(t *testing.T, document *huma.OpenAPI, op *huma.Operation, a answer) {
	t.Helper()
	response := op.Responses[fmt.Sprint(a.StatusCode)]
	require.NotNil(t, response, "status %d is not declared", a.StatusCode)
	declared := response.Content[a.Header.Get("Content-Type")]
	require.NotNil(t, declared, "media type %q is not declared", a.Header.Get("Content-Type"))
	if a.Header.Get("Content-Disposition") != "" {
		// A file.
		require.Equal(t, huma.TypeString, declared.Schema.Type)
		require.NotEmpty(t, a.text)
		return
	}
	var body any
	require.NoError(t, json.Unmarshal([]byte(a.text), &body))
	result := &huma.ValidateResult{}
	huma.Validate(document.Components.Schemas, declared.Schema, huma.NewPathBuffer([]byte{}, 0), huma.ModeReadFromServer, body, result)
	require.Empty(t, result.Errors, a.text)
	result.Reset()
	huma.Validate(document.Components.Schemas, declared.Schema, huma.NewPathBuffer([]byte{}, 0), huma.ModeReadFromServer, map[string]any{"odd": true}, result)
	require.NotEmpty(t, result.Errors, "the description would take anything")
}

func TestEveryOperationIsInTheManual(t *testing.T) {
	manual, err := os.ReadFile(filepath.Join("..", "..", "docs", "api.md"))
	require.NoError(t, err)
	c := newClient(t)
	for path, item := range c.server.OpenAPI().Paths {
		for method := range operations(item) {
			require.Contains(t, string(manual), "`"+method+" "+path+"`")
		}
	}
}

func TestTheDocumentIsServedAndValid(t *testing.T) {
	c := newClient(t)
	a := c.get("/openapi.json", "Authorization", "")
	require.Equal(t, http.StatusOK, a.StatusCode)
	var document struct {
		OpenAPI string `json:"openapi"`
		Info    struct{ Title, Version string }
		Paths   map[string]map[string]struct {
			OperationID string `json:"operationId"`
			Summary     string
		}
	}
	require.NoError(t, json.Unmarshal([]byte(a.text), &document))
	require.Equal(t, "3.1.0", document.OpenAPI)
	require.Equal(t, "1.2.3", document.Info.Version)
	ids := map[string]bool{}
	for _, methods := range document.Paths {
		for _, op := range methods {
			require.NotEmpty(t, op.Summary)
			require.False(t, ids[op.OperationID], op.OperationID)
			ids[op.OperationID] = true
		}
	}
	require.Len(t, ids, 199)
}
