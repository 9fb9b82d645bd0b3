package eventlog

import (
	"context"
	"fmt"
	"log/slog"
	"strings"

	"github.com/IBM/sarama"
	"github.com/ThreeDotsLabs/watermill"
	"github.com/twmb/franz-go/pkg/kgo"
)

// LogSarama sends the log lines of the sarama library to a logger at debug
// level. Sarama has one logger for the whole process, so this belongs in a
// program's main function, before anything else of this package is used.
func LogSarama(logger *slog.Logger) { sarama.Logger = saramaLogger{logger} }

// saramaLogger adapts a logger to [sarama.StdLogger].
type saramaLogger struct{ logger *slog.Logger }

func (l saramaLogger) Print(v ...any)            { l.log(fmt.Sprint(v...)) }
func (l saramaLogger) Println(v ...any)          { l.log(fmt.Sprintln(v...)) }
func (l saramaLogger) Printf(f string, v ...any) { l.log(fmt.Sprintf(f, v...)) }

func (l saramaLogger) log(text string) {
	l.logger.Debug("sarama: " + strings.TrimSpace(text))
}

// watermillLogger adapts a logger to watermill, one level quieter: what
// watermill says of its own running is no news to an operator.
func watermillLogger(logger *slog.Logger) watermill.LoggerAdapter {
	return watermill.NewSlogLoggerWithLevelMapping(logger, map[slog.Level]slog.Level{
		slog.LevelInfo:       slog.LevelDebug,
		slog.LevelDebug:      watermill.LevelTrace,
		watermill.LevelTrace: watermill.LevelTrace - 4,
	})
}

// kgoLogger adapts a logger to franz-go, with information as debug lines.
type kgoLogger struct{ logger *slog.Logger }

// Level implements [kgo.Logger].
func (l kgoLogger) Level() kgo.LogLevel {
	if l.logger.Enabled(context.Background(), slog.LevelDebug) {
		return kgo.LogLevelInfo
	}
	return kgo.LogLevelWarn
}

// Log implements [kgo.Logger].
func (l kgoLogger) Log(level kgo.LogLevel, msg string, keyvals ...any) {
	to := slog.LevelDebug
	switch level {
	case kgo.LogLevelError:
		to = slog.LevelError
	case kgo.LogLevelWarn:
		to = slog.LevelWarn
	case kgo.LogLevelInfo, kgo.LogLevelDebug, kgo.LogLevelNone:
	}
	l.logger.Log(context.Background(), to, "kafka: "+msg, keyvals...)
}
