package retention_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/muster-sync/muster/domain/eve"
	"github.com/muster-sync/muster/domain/event"
	"github.com/muster-sync/muster/domain/retention"
)

func TestEveryVersionOfATypeIsOfOneClass(t *testing.T) {
	registry := event.NewRegistry()
	eve.Register(registry)
	for _, known := range registry.Types() {
		require.Equal(t, retention.ClassOf(eve.Newest(known)), retention.ClassOf(known), known)
	}
	require.Equal(t, retention.ClassHistory, retention.ClassOf(eve.TypeMailRecordedV1))
	require.Equal(t, retention.ClassState, retention.ClassOf(eve.TypeSectionObservedV1))
}
