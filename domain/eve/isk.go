package eve

import (
	"encoding/json"
	"math/big"
	"strconv"

	"github.com/muster-sync/muster/domain/event"
)

// ISK is an amount of money in hundredths of ISK.
type ISK int64

// maxISKText bounds the text of a number, so that a hostile exponent cannot
// make the parser work for long.
const maxISKText = 64

// ParseISK reads a JSON number such as 243877.49999999997 and rounds it to
// hundredths, halves away from zero, without ever passing through a float. It
// fails with [event.CodeInvalid] for what is no number or does not fit.
func ParseISK(n json.Number) (ISK, error) {
	if isk, ok := parsePlain(string(n)); ok {
		return isk, nil
	}
	return parseAny(string(n))
}

// parsePlain reads the common form: digits with at most two decimals.
func parsePlain(s string) (ISK, bool) {
	i, negative := 0, false
	if len(s) > 0 && s[0] == '-' {
		i, negative = 1, true
	}
	if len(s)-i < 1 || len(s)-i > 18 {
		return 0, false
	}
	if len(s)-i > 1 && s[i] == '0' && s[i+1] != '.' {
		return 0, false // not JSON
	}
	var value int64
	decimals := -1
	for ; i < len(s); i++ {
		switch c := s[i]; {
		case c >= '0' && c <= '9':
			value = value*10 + int64(c-'0')
			if decimals >= 0 {
				decimals++
			}
		case c == '.' && decimals < 0 && i > 0 && s[i-1] != '-':
			decimals = 0
		default:
			return 0, false
		}
	}
	// What may overflow or round goes the long way.
	switch {
	case decimals == 0 || decimals > 2:
		return 0, false
	case decimals < 0:
		if value > 9e15 {
			return 0, false
		}
		value *= 100
	case decimals == 1:
		value *= 10
	}
	if negative {
		value = -value
	}
	return ISK(value), true
}

func parseAny(s string) (ISK, error) {
	if len(s) > maxISKText || !json.Valid([]byte(s)) {
		return 0, event.Errorf(event.CodeInvalid, "amount %.64q: must be a JSON number", s)
	}
	if f, err := strconv.ParseFloat(s, 64); err != nil || f > 1e17 || f < -1e17 {
		return 0, event.Errorf(event.CodeInvalid, "amount %q: must be a number between -1e17 and 1e17 ISK", s)
	}
	r, ok := new(big.Rat).SetString(s)
	if !ok {
		return 0, event.Errorf(event.CodeInvalid, "amount %q: must be a JSON number", s)
	}
	r.Mul(r, big.NewRat(100, 1))
	half := big.NewRat(1, 2)
	if r.Sign() < 0 {
		half.Neg(half)
	}
	r.Add(r, half)
	// Quo truncates towards zero, which after adding the half rounds halves
	// away from zero.
	q := new(big.Int).Quo(r.Num(), r.Denom())
	if !q.IsInt64() {
		return 0, event.Errorf(event.CodeInvalid, "amount %q: too large", s)
	}
	return ISK(q.Int64()), nil
}

// String is the amount with two decimals, such as "-1234.50".
func (a ISK) String() string {
	sign, u := "", uint64(a)
	if a < 0 {
		sign, u = "-", uint64(-a)
	}
	cents := strconv.FormatUint(u%100, 10)
	if len(cents) == 1 {
		cents = "0" + cents
	}
	return sign + strconv.FormatUint(u/100, 10) + "." + cents
}

// MarshalJSON writes the amount as a decimal string, as the API shows money.
func (a ISK) MarshalJSON() ([]byte, error) { return []byte(`"` + a.String() + `"`), nil }

// UnmarshalJSON reads a decimal string or a JSON number.
func (a *ISK) UnmarshalJSON(data []byte) error {
	text := string(data)
	if unquoted, err := strconv.Unquote(text); err == nil {
		text = unquoted
	}
	v, err := ParseISK(json.Number(text))
	if err != nil {
		return err
	}
	*a = v
	return nil
}
