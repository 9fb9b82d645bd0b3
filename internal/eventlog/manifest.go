package eventlog

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/muster-sync/muster/domain/event"
)

// maxMessageBytes is what a broker accepts as one (compressed) record batch.
const maxMessageBytes = 16 << 20

// Manifest states the topics of the log and how each must be set up. Take
// [DefaultManifest] and change what differs.
type Manifest struct {
	// Partitions is the partition count of every topic. It can never change
	// once the topics exist: streams would move and tombstones miss what they
	// remove.
	Partitions int32
	// Replication is the number of copies of every partition.
	Replication int16
	// MinCompactionLag is how long a record stays untouched by compaction.
	MinCompactionLag time.Duration
	// MaxCompactionLag is after how long a record must become subject to
	// compaction, on a partition that is still written to.
	MaxCompactionLag time.Duration
	// DeleteRetention is how long a tombstone outlives the record it removed.
	// It has to be longer than the longest rebuild of a read model: a rebuild
	// that saw the record must also see the tombstone.
	DeleteRetention time.Duration
	// Segment is after how long a segment is closed. Only closed segments are
	// compacted.
	Segment time.Duration
	// PoisonRetention is how long copies of records that nobody could handle
	// are kept. It must not exceed the shortest retention period that can be
	// set, for such copies hold what retention removes elsewhere.
	PoisonRetention time.Duration
}

// DefaultManifest is the manifest for one broker. With it, and a pulse (see
// [Appender.Pulse]) twice a segment, what a tombstone names is gone within two
// days.
func DefaultManifest() Manifest {
	return Manifest{
		Partitions:       12,
		Replication:      1,
		MinCompactionLag: time.Hour,
		MaxCompactionLag: 24 * time.Hour,
		DeleteRetention:  14 * 24 * time.Hour,
		Segment:          12 * time.Hour,
		PoisonRetention:  7 * 24 * time.Hour,
	}
}

// Setting is one setting of a topic by Kafka's name.
type Setting struct{ Name, Value string }

// Topic is one topic of the manifest.
type Topic struct {
	Name     string
	Settings []Setting
}

// Validate reports every value that cannot work, as [event.CodeInvalid].
func (m Manifest) Validate() error {
	var errs []error
	if m.Partitions < 1 {
		errs = append(errs, fmt.Errorf("partitions is %d, must be at least 1", m.Partitions))
	}
	if m.Replication < 1 {
		errs = append(errs, fmt.Errorf("replication is %d, must be at least 1", m.Replication))
	}
	if m.MinCompactionLag < 0 || m.MaxCompactionLag < max(m.MinCompactionLag, time.Millisecond) {
		errs = append(errs, fmt.Errorf("compaction lag is %s to %s: the greatest must be positive and not below the least", m.MinCompactionLag, m.MaxCompactionLag))
	}
	for _, d := range []struct {
		name  string
		value time.Duration
	}{{"delete retention", m.DeleteRetention}, {"segment", m.Segment}, {"poison retention", m.PoisonRetention}} {
		if d.value < time.Millisecond {
			errs = append(errs, fmt.Errorf("%s is %s, must be at least 1ms", d.name, d.value))
		}
	}
	for _, t := range m.Topics() {
		for _, s := range t.Settings {
			if !isTopicSetting(s.Name) {
				errs = append(errs, fmt.Errorf("topic %s: Kafka has no setting %q", t.Name, s.Name))
			}
		}
	}
	if len(errs) > 0 {
		return event.Errorf(event.CodeInvalid, "topic manifest: %w", errors.Join(errs...))
	}
	return nil
}

// Topics lists the topics with all settings that the log depends on. Settings
// that equal Kafka's defaults are stated, too: an operator may have changed the
// broker's defaults.
func (m Manifest) Topics() []Topic {
	var topics []Topic
	for _, name := range event.Topics() {
		topics = append(topics, Topic{Name: name, Settings: append(m.shared(),
			Setting{cleanupPolicy, "compact"},
			// Without these a broker that applies time retention to compacted
			// topics, as the embedded one does, would delete history.
			Setting{retentionMS, "-1"},
			Setting{retentionBytes, "-1"},
			Setting{"min.compaction.lag.ms", millis(m.MinCompactionLag)},
			Setting{"max.compaction.lag.ms", millis(m.MaxCompactionLag)},
			Setting{"delete.retention.ms", millis(m.DeleteRetention)},
			// Tombstones are few. At Kafka's default of one half, compaction
			// would wait for as much new data as there is old.
			Setting{"min.cleanable.dirty.ratio", "0.01"},
			Setting{segmentMS, millis(m.Segment)},
			Setting{"segment.bytes", strconv.Itoa(256 << 20)},
		)})
	}
	return append(topics, Topic{Name: event.TopicPoison, Settings: append(m.shared(),
		Setting{cleanupPolicy, "delete"},
		Setting{retentionMS, millis(m.PoisonRetention)},
		Setting{retentionBytes, "-1"},
		Setting{segmentMS, millis(m.Segment)},
	)})
}

// shared are the settings that all topics have in common.
func (m Manifest) shared() []Setting {
	return []Setting{
		{"compression.type", "producer"},
		{"max.message.bytes", strconv.Itoa(maxMessageBytes)},
		// The timestamp of a record is when it was recorded, not when a
		// broker stored it.
		{"message.timestamp.type", "CreateTime"},
		{"min.insync.replicas", strconv.Itoa(m.minInSync())},
		{"unclean.leader.election.enable", "false"},
	}
}

// minInSync makes an acknowledged append survive the loss of one broker where
// there are enough copies, without refusing appends when one broker is away.
func (m Manifest) minInSync() int {
	if m.Replication >= 3 {
		return 2
	}
	return 1
}

func millis(d time.Duration) string { return strconv.FormatInt(d.Milliseconds(), 10) }

// Deviation is one respect in which a topic is not as the manifest states.
type Deviation struct {
	Topic, Setting, Have, Want string
	// Remedy is what an operator can do about it.
	Remedy string
}

// DeviationError lists everything in which the broker's topics differ from the
// manifest.
type DeviationError struct{ Deviations []Deviation }

// Error names each deviation and its remedy, one a line.
func (e *DeviationError) Error() string {
	var text strings.Builder
	text.WriteString("the topics are not as the log needs them:")
	for _, d := range e.Deviations {
		fmt.Fprintf(&text, "\n  topic %s: %s is %q, must be %q: %s", d.Topic, d.Setting, d.Have, d.Want, d.Remedy)
	}
	return text.String()
}

// Ensure creates the topics that are missing and then compares every setting
// of all topics with what the broker reports. It changes no topic that exists.
// All deviations are reported in one *[DeviationError] under
// [event.CodeConflict]; a broker that cannot be reached is
// [event.CodeUnavailable].
func (m Manifest) Ensure(ctx context.Context, brokers []string, security Security) error {
	if err := m.Validate(); err != nil {
		return err
	}
	client, err := kgo.NewClient(baseOptions(brokers, security, defaultClientID, nil)...)
	if err != nil {
		return event.Errorf(event.CodeInvalid, "opening a client for brokers %v: %w", brokers, err)
	}
	defer client.Close()
	admin := kadm.NewClient(client)

	topics := m.Topics()
	names := make([]string, len(topics))
	for i, t := range topics {
		names[i] = t.Name
	}
	if err := m.createMissing(ctx, admin, topics, names); err != nil {
		return event.Errorf(event.CodeUnavailable, "creating topics: %w", err)
	}
	details, configs, err := describe(ctx, admin, names)
	if err != nil {
		return event.Errorf(event.CodeUnavailable, "reading the topics' settings: %w", err)
	}
	var found []Deviation
	for _, t := range topics {
		found = append(found, m.deviations(t, details[t.Name], configs[t.Name])...)
	}
	if len(found) > 0 {
		return event.Errorf(event.CodeConflict, "checking the topic manifest: %w", &DeviationError{found})
	}
	return nil
}

func (m Manifest) createMissing(ctx context.Context, admin *kadm.Client, topics []Topic, names []string) error {
	existing, err := admin.ListTopics(ctx, names...)
	if err != nil {
		return fmt.Errorf("listing topics: %w", err)
	}
	for _, t := range topics {
		if existing.Has(t.Name) {
			continue
		}
		settings := make(map[string]*string, len(t.Settings))
		for _, s := range t.Settings {
			settings[s.Name] = &s.Value
		}
		_, err := admin.CreateTopic(ctx, m.Partitions, m.Replication, settings, t.Name)
		// Another process may be starting at the same time.
		if err != nil && !errors.Is(err, kerr.TopicAlreadyExists) {
			return fmt.Errorf("creating topic %s with %d partitions and %d replicas: %w", t.Name, m.Partitions, m.Replication, err)
		}
	}
	return nil
}

// describe reads the topics' partitions and settings. A topic just created may
// be unknown to the broker that is asked for a moment, so it asks again.
func describe(ctx context.Context, admin *kadm.Client, names []string) (kadm.TopicDetails, map[string][]kadm.Config, error) {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	for {
		details, configs, err := describeOnce(ctx, admin, names)
		if err == nil || !kerr.IsRetriable(err) {
			return details, configs, err
		}
		select {
		case <-ctx.Done():
			return nil, nil, err
		case <-time.After(100 * time.Millisecond):
		}
	}
}

func describeOnce(ctx context.Context, admin *kadm.Client, names []string) (kadm.TopicDetails, map[string][]kadm.Config, error) {
	details, err := admin.ListTopics(ctx, names...)
	if err != nil {
		return nil, nil, fmt.Errorf("listing topics: %w", err)
	}
	for _, name := range names {
		detail, ok := details[name]
		if !ok {
			return nil, nil, fmt.Errorf("topic %s: %w", name, kerr.UnknownTopicOrPartition)
		}
		if detail.Err != nil {
			return nil, nil, fmt.Errorf("topic %s: %w", name, detail.Err)
		}
	}
	described, err := admin.DescribeTopicConfigs(ctx, names...)
	if err != nil {
		return nil, nil, fmt.Errorf("describing settings: %w", err)
	}
	configs := make(map[string][]kadm.Config, len(described))
	for _, r := range described {
		if r.Err != nil {
			return nil, nil, fmt.Errorf("settings of topic %s: %w", r.Name, r.Err)
		}
		configs[r.Name] = r.Configs
	}
	return details, configs, nil
}

func (m Manifest) deviations(t Topic, detail kadm.TopicDetail, configs []kadm.Config) []Deviation {
	var found []Deviation
	deviates := func(setting, have, want, remedy string, args ...any) {
		found = append(found, Deviation{t.Name, setting, have, want, fmt.Sprintf(remedy, args...)})
	}
	if have := len(detail.Partitions); have != int(m.Partitions) {
		deviates("partition count", strconv.Itoa(have), strconv.Itoa(int(m.Partitions)),
			"configure Muster for %d partitions; a topic's count must never change, or its streams would move to other partitions", have)
	}
	if have := detail.Partitions.NumReplicas(); have < int(m.Replication) {
		deviates("replication factor", strconv.Itoa(have), strconv.Itoa(int(m.Replication)),
			"add replicas with kafka-reassign-partitions, or configure Muster for a replication factor of %d", have)
	}
	have := make(map[string]kadm.Config, len(configs))
	for _, c := range configs {
		have[c.Key] = c
	}
	for _, s := range t.Settings {
		c, known := have[s.Name]
		if value := c.MaybeValue(); !known || value != s.Value {
			deviates(s.Name, value, s.Value,
				"run kafka-configs --alter --entity-type topics --entity-name %s --add-config %s=%s", t.Name, s.Name, s.Value)
		}
	}
	// A misspelt name is kept by some brokers without a word, while the
	// setting that was meant stays at its default.
	slices.SortFunc(configs, func(a, b kadm.Config) int { return strings.Compare(a.Key, b.Key) })
	for _, c := range configs {
		if c.Source == kmsg.ConfigSourceDynamicTopicConfig && !isTopicSetting(c.Key) {
			deviates(c.Key, c.MaybeValue(), "",
				"Kafka has no such setting; run kafka-configs --alter --entity-type topics --entity-name %s --delete-config %s", t.Name, c.Key)
		}
	}
	return found
}
