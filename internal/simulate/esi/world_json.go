package esi

import (
	"bytes"
	"math"
	"strconv"
	"time"
)

// The helpers append the text before a value, such as `,"name":`, and the value.

func appendInt(b []byte, before string, v int64) []byte {
	return strconv.AppendInt(append(b, before...), v, 10)
}

func appendFloat(b []byte, before string, v float64) []byte {
	b = append(b, before...)
	n := len(b)
	b = strconv.AppendFloat(b, v, 'f', -1, 64)
	if bytes.IndexByte(b[n:], '.') >= 0 {
		return b
	}
	return append(b, '.', '0')
}

// appendMoney appends ISK; now and then the double next to it, as ESI does.
func appendMoney(b []byte, before string, v float64, odd uint64) []byte {
	v = round2(v)
	if odd%16 == 1 {
		v = math.Nextafter(v, 0)
	}
	return appendFloat(b, before, v)
}

func appendText(b []byte, before, v string) []byte { return appendString(append(b, before...), v) }

// appendPlain appends a text that needs no escaping.
func appendPlain(b []byte, before, v string) []byte {
	b = append(append(b, before...), '"')
	return append(append(b, v...), '"')
}

func appendBool(b []byte, before string, v bool) []byte {
	return strconv.AppendBool(append(b, before...), v)
}

// appendTime appends a moment, in seconds since 1970.
func appendTime(b []byte, before string, second int64) []byte {
	b = append(append(b, before...), '"')
	b = time.Unix(second, 0).UTC().AppendFormat(b, "2006-01-02T15:04:05Z")
	return append(b, '"')
}

// appendList appends n elements as a JSON array.
func appendList(b []byte, n int, element func(b []byte, i int) []byte) []byte {
	b = append(b, '[')
	for i := range n {
		if i > 0 {
			b = append(b, ',')
		}
		b = element(b, i)
	}
	return append(b, ']')
}

// appendOdd appends a field that no specification names, to one in ninety.
func appendOdd(b []byte, odd uint64) []byte {
	if odd%89 == 7 {
		return append(b, `,"provenance":{"era":null,"grade":1.5}`...)
	}
	return b
}

// appendRows appends the elements lo to hi-1 of a list.
func appendRows(b []byte, lo, hi int, element func(b []byte, i int) []byte) []byte {
	return appendList(b, max(0, hi-lo), func(b []byte, i int) []byte { return element(b, lo+i) })
}
