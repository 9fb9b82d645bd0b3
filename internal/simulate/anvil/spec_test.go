package anvil

import (
	"encoding/json"
	"io"
	"strconv"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/stretchr/testify/require"
)

// The services' own specifications describe what is served.
func TestAnswersFollowTheSpecifications(t *testing.T) {
	documents := map[string]*openapi3.T{
		sam:   load(t, "data/terra/sam-openapi.yaml"),
		rawls: load(t, "data/terra/rawls-openapi.yaml"),
	}
	s, _ := newSim(t, Config{Seed: 2, Accounts: 150, Groups: 60, Workspaces: 60})
	checked := map[string]int{}
	for _, a := range s.Answers() {
		template := templateOf(a.Path)
		item := documents[a.Service].Paths.Value(template)
		require.NotNil(t, item, template)
		response := item.Get.Responses.Value(strconv.Itoa(a.Status))
		if response == nil {
			// Sam's code answers 403 where its specification knows only 404.
			require.Equal(t, 403, a.Status, "%s has no %d", template, a.Status)
			require.Equal(t, sam, a.Service)
			continue
		}
		media := response.Value.Content.Get("application/json")
		if media == nil || media.Schema == nil {
			continue
		}
		if a.Query != "" {
			continue // an answer that is cut down to fields has not all that are required
		}
		// Rawls' code writes the role with a capital, its specification without.
		served := strings.ReplaceAll(string(a.Body), `"roles":["User"]`, `"roles":["user"]`)
		var v any
		require.NoError(t, json.Unmarshal([]byte(served), &v))
		if strings.HasSuffix(template, "/settings") && a.Status == 200 {
			requireSettings(t, documents[rawls], v)
			checked[template]++
			continue
		}
		require.NoError(t, media.Schema.Value.VisitJSON(v), "%s %s", a.Path, a.Body)
		checked[template]++
	}
	full := s.world.reply(call{route: routeWorkspaces}, "", s.WorldTime())
	data, err := full.encode()
	require.NoError(t, err)
	var v any
	require.NoError(t, json.Unmarshal(data, &v))
	require.NoError(t, documents[rawls].Paths.Value("/api/workspaces").Get.Responses.Value("200").Value.
		Content.Get("application/json").Schema.Value.VisitJSON(v))
	require.Len(t, checked, 7)
}

// requireSettings checks each setting against the schema of its own type: the
// specification's choice between them is ambiguous.
func requireSettings(t *testing.T, doc *openapi3.T, settings any) {
	schemas := doc.Components.Schemas
	for _, v := range settings.([]any) {
		setting := v.(map[string]any)
		name := setting["settingType"].(string)
		require.NoError(t, schemas["WorkspaceSetting"].Value.Properties["settingType"].Value.VisitJSON(name))
		require.NoError(t, schemas["WorkspaceSetting"+name+"Config"].Value.VisitJSON(setting["config"]))
	}
}

func load(t *testing.T, name string) *openapi3.T {
	data, err := io.ReadAll(shared(t, name))
	require.NoError(t, err)
	doc, err := openapi3.NewLoader().LoadFromData(data)
	require.NoError(t, err)
	return doc
}

// templateOf is the path of the specification that a path belongs to.
func templateOf(path string) string {
	s := strings.Split(path, "/")
	switch {
	case s[2] == "billing":
		return "/api/billing/v2/{projectId}"
	case s[2] == "users":
		return "/api/users/v1/{email}"
	case s[2] == "groups" && len(s) == 4:
		return "/api/groups/v1"
	case s[2] == "groups" && len(s) == 5:
		return "/api/groups/v1/{groupName}"
	case s[2] == "groups":
		return "/api/groups/v1/{groupName}/{policyName}"
	case len(s) == 3:
		return "/api/workspaces"
	case strings.HasSuffix(path, "/acl"):
		return "/api/workspaces/{workspaceNamespace}/{workspaceName}/acl"
	default:
		return "/api/workspaces/v2/{workspaceNamespace}/{workspaceName}/settings"
	}
}
