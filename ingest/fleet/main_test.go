package fleet_test

import (
	"testing"

	"github.com/muster-sync/muster/internal/engine/enginetest"
)

func TestMain(m *testing.M) { enginetest.Main(m) }
