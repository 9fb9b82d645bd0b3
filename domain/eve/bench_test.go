package eve_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"testing"

	"github.com/bytedance/sonic"
	gojson "github.com/goccy/go-json"

	"github.com/muster-sync/muster/domain/eve"
)

// assetPage is a page of a thousand assets, as long as ESI's are.
func assetPage() []byte {
	flags := []string{"Hangar", "Cargo", "HiSlot0", "AutoFit", "DroneBay"}
	var page bytes.Buffer
	page.WriteByte('[')
	for i := range 1000 {
		if i > 0 {
			page.WriteByte(',')
		}
		fmt.Fprintf(&page, `{"is_singleton":%t,"item_id":%d,"location_flag":%q,"location_id":%d,"location_type":"item","quantity":%d,"type_id":%d}`,
			i%3 == 0, 1_000_000_000_000+i*7919%100_000, flags[i%len(flags)], 60_003_760+i%40, 1+i%500, 34+i%4000)
	}
	page.WriteByte(']')
	return page.Bytes()
}

type asset struct {
	ItemID       int64  `json:"item_id"`
	LocationID   int64  `json:"location_id"`
	TypeID       int64  `json:"type_id"`
	Quantity     int64  `json:"quantity"`
	LocationFlag string `json:"location_flag"`
	LocationType string `json:"location_type"`
	Singleton    bool   `json:"is_singleton"`
}

// BenchmarkAssetPage sets what a page costs here, which is taken apart and hashed
// without decoding it, beside what only decoding it costs with several decoders, and
// what checking it costs.
func BenchmarkAssetPage(b *testing.B) {
	page := assetPage()
	run := func(name string, once func() error) {
		b.Run(name, func(b *testing.B) {
			b.SetBytes(int64(len(page)))
			b.ReportAllocs()
			for b.Loop() {
				if err := once(); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
	run("dissect", func() error {
		_, err := eve.Dissect(eve.SectionAssets, page)
		return err
	})
	run("dissect and hash", func() error {
		_, err := eve.ContentHash(eve.SectionAssets, page)
		return err
	})
	for _, d := range []struct {
		name   string
		decode func([]byte, any) error
	}{{"encoding/json", json.Unmarshal}, {"goccy", gojson.Unmarshal}, {"sonic", sonic.ConfigStd.Unmarshal}} {
		run("decode with "+d.name, func() error {
			var assets []asset
			return d.decode(page, &assets)
		})
		run("decode to raw fields with "+d.name, func() error {
			var assets []map[string]json.RawMessage
			return d.decode(page, &assets)
		})
	}
	valid := func(ok bool) error {
		if !ok {
			return fmt.Errorf("the page must be valid")
		}
		return nil
	}
	run("check with encoding/json", func() error { return valid(json.Valid(page)) })
	run("check with goccy", func() error { return valid(gojson.Valid(page)) })
	run("check with sonic", func() error { return valid(sonic.Valid(page)) })
}
