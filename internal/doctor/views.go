package doctor

import (
	"fmt"
	"strings"
	"time"
)

// View is how one read model stands.
type View struct {
	Name string
	// Live says that it has tables which are asked; Generation is their number and
	// Version that of the fold that filled them. Want is the version of this program.
	Live                      bool
	Generation, Version, Want int
	// Missing are tables that the store does not have.
	Missing []string
	// Owned says that a process folds it, or builds it anew, right now.
	Owned bool
}

// Views judges whether all read models are there and are looked after.
func Views(all []View) (o Outcome) {
	o.Seen = fmt.Sprintf("%d read models live and followed", len(all))
	start := "start muster project or muster up"
	var idle []string
	for _, v := range all {
		switch {
		case !v.Live:
			o.fail(start+"; the first build takes as long as the log is", "%s has no live generation", v.Name)
		case v.Version < v.Want:
			o.warn(start+" of this version: it builds a new generation beside", "%s was folded by version %d, this program has %d", v.Name, v.Version, v.Want)
		case v.Version > v.Want:
			o.fail("run the newer version of Muster", "%s was folded by version %d, this program has %d", v.Name, v.Version, v.Want)
		}
		if !v.Owned {
			idle = append(idle, v.Name)
		}
	}
	if len(idle) > 0 {
		o.warn(start, "no process folds %s", strings.Join(idle, ", "))
	}
	return o
}

// Tables judges whether the stores hold what the live generations consist of.
func Tables(all []View) (o Outcome) {
	o.Seen = "all tables of the live generations are there"
	for _, v := range all {
		if len(v.Missing) > 0 {
			o.fail("run muster replay "+v.Name, "%s, generation %d: tables are missing: %s", v.Name, v.Generation, strings.Join(v.Missing, ", "))
		}
	}
	return o
}

// Lag is how far a read model is behind the log, looked at twice.
type Lag struct {
	Name string
	// Before and After are the records that wait at each look, Moved those applied in
	// between.
	Before, After, Moved int64
	// Behind is how long ago the last record was applied that was appended to a
	// partition where others wait. Of a quiet partition it says nothing.
	Behind time.Duration
}

const (
	lagWarning = time.Minute
	lagFailed  = 15 * time.Minute
)

// Lags judges whether read models keep up. One that moves is at most a warning.
func Lags(all []Lag) (o Outcome) {
	o.Seen = "nothing waits"
	var waiting int64
	for _, l := range all {
		waiting += l.After
		remedy := "look at the log of muster project, at muster poison list and at muster_projection_lag_seconds"
		switch {
		case l.Before == 0 || l.After == 0 || l.Behind < lagWarning:
		case l.Moved == 0 && l.Behind >= lagFailed:
			o.fail(remedy, "%s stands still: %d records wait, the last one applied is %s old", l.Name, l.After, l.Behind.Round(time.Second))
		case l.Moved == 0:
			o.warn(remedy, "%s did not move while looked at: %d records wait, the last one applied is %s old", l.Name, l.After, l.Behind.Round(time.Second))
		default:
			o.warn("wait until it has caught up", "%s catches up: %d records wait, the last one applied is %s old", l.Name, l.After, l.Behind.Round(time.Second))
		}
	}
	if waiting > 0 {
		o.Seen = fmt.Sprintf("%d records wait, none for long", waiting)
	}
	return o
}

// Parked judges how many events each read model has set aside.
func Parked(count map[string]int) (o Outcome) {
	o.Seen = "no event is set aside"
	for _, name := range sortedKeys(count) {
		o.fail("see muster poison list, then muster poison retry or skip", "%s has set %d events aside", name, count[name])
	}
	return o
}

// Logins are the logins of characters, counted.
type Logins struct {
	// Configured says that there is an EVE application.
	Configured bool
	// Active work, Known of them have told their scopes, Ended have to be registered again.
	Active, Known, Ended int
	// NotConsented counts the active ones whose scopes do not cover a section.
	NotConsented map[string]int
}

// Consent judges logins and what their owners consented to.
func Consent(l Logins) (o Outcome) {
	o.Seen = fmt.Sprintf("%d logins work, all sections are consented to by some", l.Active)
	switch {
	case l.Active+l.Ended == 0:
		o.Seen = "no character has a login yet"
	case l.Active == 0:
		o.Seen = "no login works"
	}
	if l.Active+l.Ended > 0 && !l.Configured {
		o.warn("set MUSTER_SSO_CLIENT_ID, if this is the setup of the process that ingests", "%d characters have logins, but no EVE application is configured: nothing is read", l.Active+l.Ended)
	}
	if l.Ended > 0 {
		o.warn("have them registered again; muster sync and the notices name them", "%d of %d logins have ended", l.Ended, l.Active+l.Ended)
	}
	var nobody []string
	for _, section := range sortedKeys(l.NotConsented) {
		if l.Known > 0 && l.NotConsented[section] >= l.Known {
			nobody = append(nobody, section)
		}
	}
	if len(nobody) > 0 {
		o.warn("add the scopes to the EVE application (docs/sections.md names them) and have characters registered again", "nobody has consented to: %s", strings.Join(nobody, ", "))
	}
	return o
}

// Sealed is what the secret key opens.
type Sealed struct{ Current, Former, Unopened int64 }

// Opens judges whether the secret key is the one that what is kept was sealed with.
func Opens(s Sealed) (o Outcome) {
	o.Seen = fmt.Sprintf("opens all %d secrets that are kept", s.Current)
	if s.Former > 0 {
		o.warn("run muster secret rotate", "%d secrets are under a former key", s.Former)
	}
	if s.Unopened > 0 {
		o.fail("set MUSTER_SECRET_KEY to the key that sealed them, or add it to MUSTER_SECRET_KEY_PREVIOUS and run muster secret rotate", "%d of %d secrets open with none of the keys", s.Unopened, s.Current+s.Former+s.Unopened)
	}
	return o
}
