package api

import (
	"bytes"
	"encoding/json"
	"io"
	"reflect"

	"github.com/bytedance/sonic/decoder"
	"github.com/bytedance/sonic/encoder"
	"github.com/danielgtaylor/huma/v2"
)

// Most of what an answer costs beside its statements is to read JSON of the stores and to
// write it again. sonic does both as encoding/json does, in a fraction of the time; what
// it refuses is for encoding/json to judge.

// answerJSON is [huma.DefaultJSONFormat] with another encoder.
func answerJSON() huma.Format {
	return huma.Format{
		Marshal: func(w io.Writer, v any) error {
			text, err := encode(v)
			if err != nil {
				return err
			}
			_, err = w.Write(append(text, '\n'))
			return err
		},
		Unmarshal: huma.DefaultJSONFormat.Unmarshal,
	}
}

// encode writes a value as answers have it: the keys of maps in order, and nothing escaped
// that is only harmful within HTML.
func encode(v any) ([]byte, error) {
	if known, ok := v.(interface{ encoded() []byte }); ok {
		return known.encoded(), nil
	}
	if text, err := encoder.Encode(v, encoder.SortMapKeys|encoder.CompactMarshaler|encoder.ValidateString); err == nil {
		return text, nil
	}
	var text bytes.Buffer
	slow := json.NewEncoder(&text)
	slow.SetEscapeHTML(false)
	err := slow.Encode(v)
	return bytes.TrimSuffix(text.Bytes(), []byte("\n")), err
}

// decodeAny reads a JSON value whose numbers stay as they are written.
func decodeAny(raw json.RawMessage) (any, error) {
	var fast any
	d := decoder.NewDecoder(string(raw))
	d.UseNumber()
	d.ValidateString()
	if d.Decode(&fast) == nil && d.CheckTrailings() == nil {
		return fast, nil
	}
	slow := json.NewDecoder(bytes.NewReader(raw))
	slow.UseNumber()
	var v any
	err := slow.Decode(&v)
	return v, err
}

// versioned is a thing whose version is named by its text, which is therefore there
// already when the answer is written.
type versioned[T any] struct {
	of   *T
	text []byte
}

// Schema implements [huma.SchemaProvider]: it is described as the thing is.
func (v *versioned[T]) Schema(r huma.Registry) *huma.Schema {
	return r.Schema(reflect.TypeFor[T](), true, "")
}

func (v *versioned[T]) encoded() []byte { return v.text }

func (v *versioned[T]) thing() any { return v.of }

// thingOf is what an answer has, for forms other than JSON.
func thingOf(v any) any {
	if known, ok := v.(interface{ thing() any }); ok {
		return known.thing()
	}
	return v
}
