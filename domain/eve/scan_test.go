package eve

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/require"
)

func FuzzElements(f *testing.F) {
	for _, list := range []string{`[]`, ` [1, "a,]", {"id":7,"a":[1,{}]}, null ] `, `[{"id":1,"id":2}]`, `[1`, `{}`, `[1]]`} {
		f.Add([]byte(list))
	}
	f.Fuzz(func(t *testing.T, list []byte) {
		elements, err := Elements(list)
		var want []json.RawMessage
		if json.Unmarshal(list, &want) != nil || want == nil {
			require.Error(t, err)
			return
		}
		require.NoError(t, err)
		require.Len(t, elements, len(want))
		for i := range want {
			require.Equal(t, string(want[i]), string(elements[i]))
			var head struct {
				ID *json.RawMessage `json:"id"`
			}
			var object map[string]json.RawMessage
			if json.Unmarshal(want[i], &object) != nil || json.Unmarshal(want[i], &head) != nil {
				continue
			}
			require.Equal(t, string(object["id"]), string(fieldOf(elements[i], "id")))
		}
	})
}
