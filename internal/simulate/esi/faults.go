package esi

import (
	"time"

	"github.com/muster-sync/muster/internal/simulate/fault"
)

// AllDowntime is how long the servers are down each day when everything is to go
// wrong.
const AllDowntime = 15 * time.Minute

// AllFaults are faults of every kind at rates at which a good client still gets
// its work done. With [AllDowntime] they are all that can go wrong by itself; what
// ends logins is left to the simulator's controls, for nothing can be read then.
func AllFaults() []fault.Fault {
	return []fault.Fault{
		{Kind: fault.ServerError, Rate: 0.01},
		{Kind: fault.ServerError, Rate: 0.003, Status: 503},
		{Kind: fault.ServerError, Rate: 0.003, Status: 504},
		{Kind: fault.ServerError, Rate: 0.0003, Status: 500, Burst: 10},
		{Kind: fault.RateLimited, Rate: 0.002},
		{Kind: fault.RateLimitedBare, Rate: 0.001},
		{Kind: fault.ErrorLimited, Rate: 0.00001},
		{Kind: fault.Truncated, Rate: 0.003},
		{Kind: fault.CutOff, Rate: 0.003},
		{Kind: fault.HTML, Rate: 0.003},
		{Kind: fault.HTML, Rate: 0.002, Status: 502},
		{Kind: fault.WrongTypes, Rate: 0.002},
		{Kind: fault.Slow, Rate: 0.005, Delay: fault.Duration(time.Second)},
		{Kind: fault.Hang, Rate: 0.0005, Delay: fault.Duration(10 * time.Second)},
		{Kind: fault.Reset, Rate: 0.003},
		{Kind: fault.Maintenance, Rate: 0.00005, Burst: 15},
		{Kind: fault.Downtime, Rate: 0.001},
		{Kind: fault.Torn, Rate: 0.05},
		{Kind: fault.Forbidden, Rate: 0.0005},
		{Kind: fault.Throttled, Rate: 0.01, Route: "character-contract-items"},
		{Kind: fault.BareNotModified, Rate: 0.02},
		{Kind: fault.Slow, Rate: 0.02, Route: routeToken, Delay: fault.Duration(3 * time.Second)},
	}
}

// ParseFaults reads faults as [fault.Parse] does; "all" stands for [AllFaults].
func ParseFaults(texts ...string) ([]fault.Fault, error) {
	var out []fault.Fault
	for _, text := range texts {
		if text == "all" {
			out = append(out, AllFaults()...)
			continue
		}
		f, err := fault.Parse(text)
		if err != nil {
			return nil, err
		}
		out = append(out, f)
	}
	return out, nil
}
