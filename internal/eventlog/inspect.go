package eventlog

import (
	"context"
	"fmt"
	"slices"
	"strconv"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/muster-sync/muster/domain/event"
)

// Cluster is what brokers tell of themselves.
type Cluster struct {
	Brokers int
	// Versions are guesses by the requests that each broker knows, such as "v4.0",
	// each named once, in order.
	Versions []string
}

// DescribeCluster asks all brokers what they are.
func DescribeCluster(ctx context.Context, brokers []string, security Security) (Cluster, error) {
	var seen Cluster
	err := withAdmin(brokers, security, func(admin *kadm.Client) error {
		versions, err := admin.ApiVersions(ctx)
		if err != nil {
			return fmt.Errorf("asking the brokers: %w", err)
		}
		for _, v := range versions.Sorted() {
			seen.Brokers++
			if v.Err != nil {
				return fmt.Errorf("asking broker %d: %w", v.NodeID, v.Err)
			}
			if guess := v.VersionGuess(); !slices.Contains(seen.Versions, guess) {
				seen.Versions = append(seen.Versions, guess)
			}
		}
		slices.Sort(seen.Versions)
		return nil
	})
	return seen, err
}

// Inspection is how the topics are, beside how the manifest wants them.
type Inspection struct {
	// Topics and Partitions count what exists of what the manifest states.
	Topics, Partitions int
	// Missing are topics that do not exist.
	Missing    []string
	Deviations []Deviation
	// Leaderless are partitions that nobody serves, BelowMinimum those with fewer copies
	// in step than min.insync.replicas, OutOfStep others with a copy that lags.
	Leaderless, BelowMinimum, OutOfStep []Partition
}

// Inspect looks at what [Manifest.Ensure] looks at, and at the copies of partitions. It
// creates nothing.
func (m Manifest) Inspect(ctx context.Context, brokers []string, security Security) (Inspection, error) {
	var seen Inspection
	if err := m.Validate(); err != nil {
		return seen, err
	}
	err := withAdmin(brokers, security, func(admin *kadm.Client) error {
		topics, names := m.Topics(), []string(nil)
		for _, t := range topics {
			names = append(names, t.Name)
		}
		existing, err := admin.ListTopics(ctx, names...)
		if err != nil {
			return fmt.Errorf("listing topics: %w", err)
		}
		topics = slices.DeleteFunc(topics, func(t Topic) bool {
			if existing.Has(t.Name) {
				return false
			}
			seen.Missing = append(seen.Missing, t.Name)
			return true
		})
		if len(topics) == 0 {
			return nil
		}
		names = slices.DeleteFunc(names, func(name string) bool { return slices.Contains(seen.Missing, name) })
		details, configs, err := describe(ctx, admin, names)
		if err != nil {
			return err
		}
		for _, t := range topics {
			seen.Topics++
			seen.Deviations = append(seen.Deviations, m.deviations(t, details[t.Name], configs[t.Name])...)
			seen.look(details[t.Name], minInSync(configs[t.Name]))
		}
		return nil
	})
	return seen, err
}

// minInSync is what a topic's settings say; 1 is Kafka's default.
func minInSync(configs []kadm.Config) int {
	for _, c := range configs {
		if n, err := strconv.Atoi(c.MaybeValue()); c.Key == "min.insync.replicas" && err == nil {
			return n
		}
	}
	return 1
}

// look sorts the partitions of a topic by the worst that there is about them.
func (i *Inspection) look(detail kadm.TopicDetail, least int) {
	for _, p := range detail.Partitions.Sorted() {
		i.Partitions++
		at := Partition{Topic: detail.Topic, ID: p.Partition}
		switch {
		case p.Leader < 0:
			i.Leaderless = append(i.Leaderless, at)
		case len(p.ISR) < least:
			i.BelowMinimum = append(i.BelowMinimum, at)
		case len(p.ISR) < len(p.Replicas):
			i.OutOfStep = append(i.OutOfStep, at)
		}
	}
}

// withAdmin gives up soon: whoever looks wants to know why nothing answers.
func withAdmin(brokers []string, security Security, do func(*kadm.Client) error) error {
	client, err := kgo.NewClient(append(baseOptions(brokers, security, defaultClientID, nil), kgo.RequestRetries(1))...)
	if err != nil {
		return event.Errorf(event.CodeInvalid, "opening a client for brokers %v: %w", brokers, err)
	}
	defer client.Close()
	return do(kadm.NewClient(client))
}
