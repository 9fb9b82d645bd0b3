package eventlog

import (
	"bytes"
	"errors"
	"log/slog"
	"testing"

	"github.com/IBM/sarama"
	"github.com/ThreeDotsLabs/watermill"
	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kgo"
)

// lines is a logger whose lines can be looked at, without their times.
func lines(level slog.Level) (*slog.Logger, *bytes.Buffer) {
	var out bytes.Buffer
	return slog.New(slog.NewTextHandler(&out, &slog.HandlerOptions{
		Level: level,
		ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
			if a.Key == slog.TimeKey {
				return slog.Attr{}
			}
			return a
		},
	})), &out
}

func TestLibrariesLogThroughSlog(t *testing.T) {
	logger, out := lines(slog.LevelDebug)
	w := watermillLogger{logger}.With(watermill.LogFields{"topic": "t"})
	w.Error("cannot", errors.New("broken"), watermill.LogFields{"b": 2, "a": 1})
	w.Info("subscribing", nil)
	w.Debug("not shown", nil)
	w.Trace("not shown", nil)
	k := kgoLogger{logger}
	require.Equal(t, kgo.LogLevelInfo, k.Level())
	k.Log(kgo.LogLevelWarn, "odd", "broker", 1)
	k.Log(kgo.LogLevelInfo, "usual")
	require.Equal(t, `level=ERROR msg="watermill says" topic=t a=1 b=2 error=broken text=cannot
level=DEBUG msg="watermill says" topic=t text=subscribing
level=WARN msg="kafka client says" text=odd broker=1
level=DEBUG msg="kafka client says" text=usual
`, out.String())

	quiet, _ := lines(slog.LevelInfo)
	require.Equal(t, kgo.LogLevelWarn, kgoLogger{quiet}.Level())
}

func TestSaramaLogsThroughSlog(t *testing.T) {
	before := sarama.Logger
	t.Cleanup(func() { sarama.Logger = before })
	logger, out := lines(slog.LevelDebug)
	LogSarama(logger)
	sarama.Logger.Printf("connected to %d\n", 1)
	sarama.Logger.Println("a", "b")
	sarama.Logger.Print("c")
	require.Equal(t, `level=DEBUG msg="sarama says" text="connected to 1"
level=DEBUG msg="sarama says" text="a b"
level=DEBUG msg="sarama says" text=c
`, out.String())
}
