package api_test

import (
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/parquet-go/parquet-go"
	"github.com/shopspring/decimal"
	"github.com/stretchr/testify/require"
)

// parquetRows reads a list as Parquet: the types of its columns, and its rows with
// values as JSON has them.
func parquetRows(t *testing.T, c *client, target string, header ...string) (types map[string]string, rows []map[string]any) {
	t.Helper()
	a := c.get(target, append([]string{"Accept", parquetType}, header...)...)
	require.Equal(t, http.StatusOK, a.StatusCode, a.text)
	require.Equal(t, parquetType, a.Header.Get("Content-Type"))
	require.True(t, strings.HasPrefix(a.text, "PAR1"), "%s: %.200s", target, a.text)
	file, err := parquet.OpenFile(strings.NewReader(a.text), int64(len(a.text)))
	require.NoError(t, err)
	types = map[string]string{}
	fields := file.Schema().Fields()
	for _, f := range fields {
		types[f.Name()] = f.Type().String()
	}
	read := make([]parquet.Row, file.NumRows()+1)
	n, err := parquet.NewReader(file).ReadRows(read)
	require.ErrorIs(t, err, io.EOF)
	require.Equal(t, int(file.NumRows()), n)
	for _, row := range read[:n] {
		values := map[string]any{}
		for i, f := range fields {
			if !row[i].IsNull() {
				values[f.Name()] = jsonValue(t, f.Type().String(), row[i])
			}
		}
		rows = append(rows, values)
	}
	return types, rows
}

func jsonValue(t *testing.T, kind string, v parquet.Value) any {
	t.Helper()
	switch {
	case kind == "STRING":
		return v.String()
	case kind == "JSON":
		var value any
		require.NoError(t, json.Unmarshal(v.ByteArray(), &value))
		return value
	case strings.HasPrefix(kind, "INT"):
		return float64(v.Int64())
	case strings.HasPrefix(kind, "DECIMAL"):
		hundredths := int64(0)
		for _, b := range v.ByteArray()[1:] {
			hundredths = hundredths<<8 | int64(b)
		}
		return decimal.New(hundredths, -2).StringFixed(2)
	case strings.HasPrefix(kind, "TIMESTAMP"):
		return time.UnixMilli(v.Int64()).UTC().Format(time.RFC3339)
	case kind == "BOOLEAN":
		return v.Boolean()
	case kind == "DOUBLE":
		return v.Double()
	default:
		require.Fail(t, "unexpected type "+kind)
		return nil
	}
}

// TestParquetSaysWhatTheJSONSays asks every list in both forms.
func TestParquetSaysWhatTheJSONSays(t *testing.T) {
	c := newClient(t)
	c.world.element = `{"item_id":5,"type_id":34,"location_id":60003760,"quantity":1,"is_singleton":true,"location_flag":"Hangar","standing":-9.5,"label_ids":[1,2],"price":0.1,"issued":"2026-05-01T12:00:00Z","name":"a <b>title</b>"}`
	c.world.record = `{"contract_id":7,"type":"courier","price":1e3,"volume":0.5,"date_issued":"2026-05-01T12:00:00Z","for_corporation":false,"issuer_id":98000001,"subject":"s","timestamp":"2026-05-01T12:00:00Z"}`
	lists := 0
	for path, item := range c.server.OpenAPI().Paths {
		if item.Get == nil || item.Get.Responses["200"].Content[parquetType] == nil || strings.Contains(path, "{topic}") {
			continue
		}
		if strings.HasSuffix(path, "/ledger") {
			// A ledger in order has no breaks.
			continue
		}
		lists++
		target := parameters.Replace(path)
		who := ownerAlone(c, item.Get)
		var page struct {
			Items []map[string]any `json:"items"`
		}
		require.NoError(t, json.Unmarshal([]byte(c.get(target, who...).text), &page))
		require.NotEmpty(t, page.Items, path)
		types, rows := parquetRows(t, c, target, who...)
		require.Len(t, rows, len(page.Items), path)
		if strings.HasSuffix(path, "/access/history") {
			// What was and what is, side by side, as columns that the JSON has not.
			require.Contains(t, types, "before_level")
			continue
		}
		if strings.HasSuffix(path, "/access") {
			// Both sides side by side, as columns that the JSON has not.
			require.Contains(t, types, "declared_level")
			continue
		}
		if strings.HasSuffix(path, "/changes") {
			// A row for each change of an event, which the JSON has in a list.
			require.Contains(t, types, "kind")
			continue
		}
		for n, row := range rows {
			for name := range types {
				if name == "event_id" && strings.HasSuffix(path, "/timeline") {
					// The events are made anew for each answer.
					continue
				}
				want := page.Items[n][name]
				if text, ok := want.(string); ok && strings.HasPrefix(types[name], "TIMESTAMP") {
					at, err := time.Parse(time.RFC3339, text)
					require.NoError(t, err)
					want = at.UTC().Format(time.RFC3339)
				}
				require.Equal(t, want, row[name], "%s of %s", name, path)
			}
		}
	}
	require.Greater(t, lists, 20)
}

func TestColumnsOfParquetHaveTheTypesOfTheirFields(t *testing.T) {
	c := newClient(t)
	types, _ := parquetRows(t, c, "/v1/characters/90000001/wallet-journal")
	for name, want := range map[string]string{
		"id": "INT(64,true)", "date": "TIMESTAMP(isAdjustedToUTC=true,unit=MILLIS)", "amount": "DECIMAL(20,2)", "balance": "DECIMAL(20,2)", "first_party_id": "INT(64,true)", "ref_type": "STRING",
	} {
		require.Equal(t, want, types[name], name)
	}
	types, _ = parquetRows(t, c, "/v1/characters/90000001/contacts")
	for name, want := range map[string]string{"contact_id": "INT(64,true)", "contact_name": "STRING", "standing": "DOUBLE", "is_blocked": "BOOLEAN", "label_ids": "JSON"} {
		require.Equal(t, want, types[name], name)
	}
	types, _ = parquetRows(t, c, "/v1/characters/90000001/contracts")
	require.Equal(t, "DECIMAL(20,2)", types["price"])
}

func TestWhatIsNotAsESIDescribesItIsNotLost(t *testing.T) {
	c := newClient(t)
	c.world.element = `{"item_id":5.5,"type_id":"odd","quantity":null,"is_singleton":1,"location_flag":["x"]}`
	types, rows := parquetRows(t, c, "/v1/characters/90000001/assets")
	require.Equal(t, map[string]any{"item_id": 5.5, "type_id": "odd", "is_singleton": float64(1), "location_flag": []any{"x"}}, rows[0])
	require.Equal(t, "JSON", types["item_id"])
	require.Equal(t, "INT(64,true)", types["quantity"], "no value is no other value")
}

func TestAnEmptyListIsAFileOfParquet(t *testing.T) {
	c := newClient(t)
	c.world.characters = nil
	types, rows := parquetRows(t, c, "/v1/characters")
	require.Empty(t, rows)
	require.Equal(t, "INT(64,true)", types["character_id"])
	c.requireProblem(c.get("/v1/characters?limit=0", "Accept", parquetType), http.StatusUnprocessableEntity, "limit")
}
