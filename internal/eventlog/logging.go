package eventlog

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"

	"github.com/IBM/sarama"
	"github.com/ThreeDotsLabs/watermill"
	"github.com/twmb/franz-go/pkg/kgo"
)

// LogSarama sends the log lines of the sarama library to a logger at debug
// level. Sarama has one logger for the whole process, so this belongs in a
// program's main function, before anything else of this package is used. The
// first logger stays: what runs by then reads it.
func LogSarama(logger *slog.Logger) {
	if _, done := sarama.Logger.(saramaLogger); !done {
		sarama.Logger = saramaLogger{logger}
	}
}

// saramaLogger adapts a logger to [sarama.StdLogger].
type saramaLogger struct{ logger *slog.Logger }

func (l saramaLogger) Print(v ...any)            { l.log(fmt.Sprint(v...)) }
func (l saramaLogger) Println(v ...any)          { l.log(fmt.Sprintln(v...)) }
func (l saramaLogger) Printf(f string, v ...any) { l.log(fmt.Sprintf(f, v...)) }

func (l saramaLogger) log(text string) {
	l.logger.Debug("sarama says", "text", strings.TrimSpace(text))
}

// watermillLogger adapts a logger to watermill, one level quieter: what
// watermill says of its own running is no news to an operator. It looks at the
// level first, for watermill traces every record.
type watermillLogger struct{ logger *slog.Logger }

// Error implements [watermill.LoggerAdapter].
func (l watermillLogger) Error(msg string, err error, fields watermill.LogFields) {
	l.log(slog.LevelError, msg, fields, slog.Any("error", err))
}

// Info implements [watermill.LoggerAdapter].
func (l watermillLogger) Info(msg string, fields watermill.LogFields) {
	l.log(slog.LevelDebug, msg, fields)
}

// Debug implements [watermill.LoggerAdapter].
func (l watermillLogger) Debug(msg string, fields watermill.LogFields) {
	l.log(watermill.LevelTrace, msg, fields)
}

// Trace implements [watermill.LoggerAdapter].
func (l watermillLogger) Trace(msg string, fields watermill.LogFields) {
	l.log(watermill.LevelTrace-4, msg, fields)
}

// With implements [watermill.LoggerAdapter].
func (l watermillLogger) With(fields watermill.LogFields) watermill.LoggerAdapter {
	return watermillLogger{slog.New(l.logger.Handler().WithAttrs(attributes(fields)))}
}

func (l watermillLogger) log(level slog.Level, msg string, fields watermill.LogFields, more ...slog.Attr) {
	if ctx := context.Background(); l.logger.Enabled(ctx, level) {
		l.logger.LogAttrs(ctx, level, "watermill says", append(attributes(fields), append(more, slog.String("text", msg))...)...)
	}
}

func attributes(fields watermill.LogFields) []slog.Attr {
	all := make([]slog.Attr, 0, len(fields)+1)
	for _, name := range slices.Sorted(maps.Keys(fields)) {
		all = append(all, slog.Any(name, fields[name]))
	}
	return all
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
	l.logger.Log(context.Background(), to, "kafka client says", append([]any{"text", msg}, keyvals...)...)
}
