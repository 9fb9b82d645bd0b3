package transport

import (
	"cmp"
	"slices"
	"sync"
)

// Usage is what was asked of one operation of ESI and what it cost.
type Usage struct {
	// Operation is ESI's name of it, Group the rate group that paid; empty for the
	// shared error limit.
	Operation, Group string
	// Requests counts those that were sent, NotModified those of them that were
	// answered with 304, Errors those that failed.
	Requests, NotModified, Errors int64
	// Tokens is what the answers cost.
	Tokens int64
}

// usage counts. It is safe for concurrent use.
type usage struct {
	mu     sync.Mutex
	counts map[[2]string]*Usage
}

func (u *usage) count(operation, group string, status int) {
	u.mu.Lock()
	defer u.mu.Unlock()
	key := [2]string{operation, group}
	c := u.counts[key]
	if c == nil {
		c = &Usage{Operation: operation, Group: group}
		u.counts[key] = c
	}
	c.Requests++
	switch {
	case status == 304:
		c.NotModified++
	case status == 0 || status >= 400:
		c.Errors++
	}
	if group != "" && status != 0 {
		c.Tokens += int64(costOf(status))
	}
}

// Usage is what was asked since the client was made, by operation.
func (c *Client) Usage() []Usage {
	c.usage.mu.Lock()
	defer c.usage.mu.Unlock()
	used := make([]Usage, 0, len(c.usage.counts))
	for _, u := range c.usage.counts {
		used = append(used, *u)
	}
	slices.SortFunc(used, func(a, b Usage) int {
		return cmp.Or(cmp.Compare(a.Operation, b.Operation), cmp.Compare(a.Group, b.Group))
	})
	return used
}
