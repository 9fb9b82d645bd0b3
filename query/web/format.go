package web

import (
	"strconv"
	"strings"
	"time"
)

// grouped writes a decimal number with its thousands apart. It works on the digits alone, so
// no amount is rounded.
func (t *tongue) grouped(number string) string {
	sign := ""
	if rest, ok := strings.CutPrefix(number, "-"); ok {
		sign, number = "−", rest
	}
	whole, fraction, hasFraction := strings.Cut(number, ".")
	if strings.Trim(whole, "0123456789") != "" || whole == "" {
		return sign + number
	}
	var b strings.Builder
	b.WriteString(sign)
	for i, digit := range whole {
		if i > 0 && (len(whole)-i)%3 == 0 {
			b.WriteString(t.thousands)
		}
		b.WriteRune(digit)
	}
	if hasFraction {
		b.WriteString(t.decimal)
		b.WriteString(fraction)
	}
	return b.String()
}

// ISK writes an amount as the API has it, such as "-1234.50", exactly.
func (t *tongue) ISK(amount string) string {
	if amount == "" {
		return ""
	}
	return t.grouped(amount)
}

// Number writes a number as the API has it; after the comma there are at most four digits.
func (t *tongue) Number(number any) string {
	text := textOf(number)
	switch n := number.(type) {
	case int:
		text = strconv.Itoa(n)
	case int64:
		text = strconv.FormatInt(n, 10)
	}
	if strings.ContainsAny(text, "eE") {
		return text
	}
	if dot := strings.IndexByte(text, '.'); dot >= 0 && len(text)-dot > 5 {
		text = strings.TrimRight(strings.TrimRight(text[:dot+5], "0"), ".")
	}
	return t.grouped(text)
}

// Percent writes a share such as "99.60" with its sign.
func (t *tongue) Percent(share string) string {
	if share == "" {
		return ""
	}
	return t.grouped(share) + " %"
}

// Formats of times; those of days are the same in every language, so that columns align.
const (
	timeFormat = "2006-01-02 15:04"
	dayFormat  = "2006-01-02"
)

// moment reads a time as the API has it; false for none.
func moment(text string) (time.Time, bool) {
	at, err := time.Parse(time.RFC3339Nano, text)
	if err != nil {
		if at, err = time.Parse(time.DateOnly, text); err != nil {
			return time.Time{}, false
		}
	}
	return at.UTC(), true
}

// Time writes a time to the minute, in UTC.
func (t *tongue) Time(text string) string {
	at, ok := moment(text)
	if !ok {
		return text
	}
	return at.Format(timeFormat)
}

// Day writes the day of a time, in UTC.
func (t *tongue) Day(text string) string {
	at, ok := moment(text)
	if !ok {
		return text
	}
	return at.Format(dayFormat)
}

// Span writes how long something takes or took, by its two largest units.
func (t *tongue) Span(d time.Duration) string {
	if d < 0 {
		d = -d
	}
	days, hours, minutes, seconds := int64(d/(24*time.Hour)), int64(d/time.Hour%24), int64(d/time.Minute%60), int64(d/time.Second%60)
	switch {
	case days > 0 && hours > 0:
		return t.T("span.days-hours", "Days", days, "Hours", hours)
	case days > 0:
		return t.T("span.days", "Days", days)
	case hours > 0:
		return t.T("span.hours-minutes", "Hours", hours, "Minutes", minutes)
	case minutes > 0:
		return t.T("span.minutes", "Minutes", minutes)
	default:
		return t.T("span.seconds", "Seconds", seconds)
	}
}
