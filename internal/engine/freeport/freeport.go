// Package freeport finds ports on loopback for engines that were not given one.
package freeport

import (
	"context"
	"fmt"
	"net"
	"strconv"
)

// Find asks the system for ports on 127.0.0.1 that nobody uses now, all different. Nothing reserves them: take them into use soon.
func Find(ctx context.Context, count int) (ports []int, err error) {
	listeners := make([]net.Listener, 0, count)
	defer func() {
		for _, listener := range listeners {
			if closeErr := listener.Close(); closeErr != nil && err == nil {
				err = fmt.Errorf("finding a free port: %w", closeErr)
			}
		}
	}()
	for range count {
		// All stay open until the last is found, so that none is given out twice.
		listener, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
		if err != nil {
			return nil, fmt.Errorf("finding a free port: %w", err)
		}
		listeners = append(listeners, listener)
		_, text, err := net.SplitHostPort(listener.Addr().String())
		if err != nil {
			return nil, fmt.Errorf("finding a free port: %w", err)
		}
		port, err := strconv.Atoi(text)
		if err != nil {
			return nil, fmt.Errorf("finding a free port: %w", err)
		}
		ports = append(ports, port)
	}
	return ports, nil
}

// One is Find for a single port.
func One(ctx context.Context) (int, error) {
	ports, err := Find(ctx, 1)
	if err != nil {
		return 0, err
	}
	return ports[0], nil
}
