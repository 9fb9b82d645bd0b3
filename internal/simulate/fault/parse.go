package fault

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Parse reads a fault as a person writes it: a kind, then perhaps a colon and
// the name of a route, then settings after commas, such as
// "server-error:character-assets,rate=0.05,status=503" or "maintenance,for=30s".
// The settings are rate, count, for, until, burst, status and delay.
func Parse(text string) (Fault, error) {
	head, settings, _ := strings.Cut(text, ",")
	kind, route, _ := strings.Cut(head, ":")
	f := Fault{Kind: Kind(kind), Route: route}
	for setting := range strings.SplitSeq(settings, ",") {
		if setting == "" {
			continue
		}
		name, value, _ := strings.Cut(setting, "=")
		if err := f.set(name, value); err != nil {
			return Fault{}, fmt.Errorf("fault %q: %w", text, err)
		}
	}
	return f, f.Validate()
}

func (f *Fault) set(name, value string) (err error) {
	switch name {
	case "rate":
		f.Rate, err = strconv.ParseFloat(value, 64)
	case "count":
		f.Count, err = strconv.Atoi(value)
	case "for":
		err = f.For.UnmarshalText([]byte(value))
	case "until":
		f.Until, err = time.Parse(time.RFC3339, value)
	case "burst":
		f.Burst, err = strconv.Atoi(value)
	case "status":
		f.Status, err = strconv.Atoi(value)
	case "delay":
		err = f.Delay.UnmarshalText([]byte(value))
	default:
		return fmt.Errorf("no setting is named %q: use rate, count, for, until, burst, status or delay", name)
	}
	if err != nil {
		return fmt.Errorf("setting %s: %w", name, err)
	}
	return nil
}
