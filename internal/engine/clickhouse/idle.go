package clickhouse

import (
	"slices"
	"sync"
)

// maxIdle bounds the connections kept for the next request of their state. Using one again saves half a millisecond,
// most of which a fresh session spends in its first statement.
const maxIdle = 16

// idlePool keeps connections that wait for a request of their state. It is safe for concurrent use.
type idlePool struct {
	mu          sync.Mutex
	connections []*connection // the longest unused first
}

// take removes and answers a connection of the state, nil if there is none.
func (p *idlePool) take(state string) *connection {
	p.mu.Lock()
	defer p.mu.Unlock()
	for i, conn := range slices.Backward(p.connections) {
		if state != "" && conn.state == state {
			p.connections = slices.Delete(p.connections, i, i+1)
			return conn
		}
	}
	return nil
}

// put keeps a connection and closes the longest unused one when there are too many.
func (p *idlePool) put(conn *connection) {
	p.mu.Lock()
	p.connections = append(p.connections, conn)
	var old *connection
	if len(p.connections) > maxIdle {
		old = p.connections[0]
		p.connections = slices.Delete(p.connections, 0, 1)
	}
	p.mu.Unlock()
	if old != nil {
		old.close()
	}
}

// clear closes all connections.
func (p *idlePool) clear() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, conn := range p.connections {
		conn.close()
	}
	p.connections = nil
}
