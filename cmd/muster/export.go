package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/muster-sync/muster/domain/event"
)

// exportTimeout bounds the download of one export.
const exportTimeout = time.Hour

// exportCommand takes whole collections out of a running Muster.
type exportCommand struct {
	Topic exportTopic `cmd:"" default:"withargs" help:"Download an export."`
	List  exportList  `cmd:"" help:"List what can be exported."`
}

// Help implements kong's detailed help.
func (c *exportCommand) Help() string {
	return `The topics are Member Audit's, with its columns in its order: wallet-journal, contract, contract-item.

Examples:
  muster export list
  muster export wallet-journal
  muster export contract --corporation 98000001 --format parquet -o contracts.parquet
  muster export wallet-journal --character 90000001 --from 2026-01-01T00:00:00Z -o - | head`
}

type exportTopic struct {
	Topic       string    `arg:"" help:"What to export, as muster export list has it." placeholder:"TOPIC"`
	Out         string    `short:"o" help:"File to write, - for standard output; default muster_TOPIC.csv or .parquet here." placeholder:"FILE"`
	Format      string    `help:"Format: ${enum}." enum:"csv,parquet" default:"csv"`
	Character   int64     `help:"Only of this character." placeholder:"ID"`
	Corporation int64     `help:"Only of characters that are in this corporation now." placeholder:"ID"`
	From        time.Time `help:"At this moment or later, such as 2026-01-01T00:00:00Z." placeholder:"TIME"`
	To          time.Time `help:"Before this moment." placeholder:"TIME"`
}

// Help implements kong's detailed help.
func (c *exportTopic) Help() string {
	return `The file appears when it is whole: until then it grows beside its place under another name, and is removed if
something fails. What goes to standard output is whole only if the exit status is 0.`
}

func (c *exportTopic) path() string {
	query := url.Values{}
	for name, id := range map[string]int64{"character_id": c.Character, "corporation_id": c.Corporation} {
		if id != 0 {
			query.Set(name, strconv.FormatInt(id, 10))
		}
	}
	for name, at := range map[string]time.Time{"from": c.From, "to": c.To} {
		if !at.IsZero() {
			query.Set(name, at.Format(time.RFC3339Nano))
		}
	}
	path := "/v1/exports/" + url.PathEscape(c.Topic)
	if len(query) > 0 {
		path += "?" + query.Encode()
	}
	return path
}

// Run implements the subcommand.
func (c *exportTopic) Run(ctx context.Context, env *environment) error {
	api, err := env.settings.client()
	if err != nil {
		return err
	}
	api.http.Timeout = exportTimeout
	accept := "text/csv"
	if c.Format == "parquet" {
		accept = "application/vnd.apache.parquet"
	}
	content, err := api.open(ctx, c.path(), accept)
	if err != nil {
		return err
	}
	defer func() { _ = content.Close() }()
	if c.Out == "-" {
		_, err := io.Copy(env.stdout, content)
		return brokenOff(c.Topic, err)
	}
	name := c.Out
	if name == "" {
		// A topic that the server knows has no separators in it.
		name = "muster_" + filepath.Base(c.Topic) + "." + c.Format
	}
	size, err := download(env, c.Topic, name, content)
	if err != nil {
		return err
	}
	fmt.Fprintf(env.stderr, "%s: %d bytes\n", name, size)
	return nil
}

func brokenOff(topic string, err error) error {
	if err == nil {
		return nil
	}
	return event.Errorf(event.CodeUnavailable, "the export of %s broke off, what came of it is not whole: try again, the log of Muster says why (%w)", topic, err)
}

// download writes content to a new file in the folder of name, and gives it that name
// when it is whole.
func download(env *environment, topic, name string, content io.Reader) (size int64, err error) {
	file, err := os.CreateTemp(filepath.Dir(name), "."+filepath.Base(name)+".*.part")
	if err != nil {
		return 0, fmt.Errorf("making a file for the export: %w", err)
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, file.Close(), os.Remove(file.Name()))
		}
	}()
	bar := newProgress(env.stderr, env.logger, "export "+topic)
	size, err = io.Copy(file, &watched{Reader: content, told: func(n int64) {
		// In steps: where there is no terminal each is a line.
		bar.set(strconv.FormatInt(n>>23<<3, 10)+" MiB", 0, 0)
	}})
	bar.end()
	if err != nil {
		return 0, brokenOff(topic, err)
	}
	if err := file.Sync(); err != nil {
		return 0, fmt.Errorf("writing %s: %w", name, err)
	}
	if err := os.Rename(file.Name(), name); err != nil {
		return 0, fmt.Errorf("writing %s: %w", name, err)
	}
	// It is in its place whatever closing says: all of it is on the disk.
	_ = file.Close()
	return size, nil
}

// watched tells how much was read.
type watched struct {
	io.Reader

	n    int64
	told func(int64)
}

// Read implements [io.Reader].
func (c *watched) Read(p []byte) (int, error) {
	n, err := c.Reader.Read(p)
	c.n += int64(n)
	c.told(c.n)
	return n, err
}

// open asks for a file. The caller closes it; reading fails if it breaks off.
func (c *client) open(ctx context.Context, path, accept string) (io.ReadCloser, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, c.base+path, http.NoBody)
	if err != nil {
		return nil, event.Errorf(event.CodeInvalid, "asking Muster at %s: %w", c.base, err)
	}
	request.Header.Set("Authorization", "Bearer "+c.token)
	request.Header.Set("Accept", accept)
	response, err := c.http.Do(request)
	if err != nil {
		return nil, event.Errorf(event.CodeUnavailable, "reaching Muster at %s: %w; is `muster up` running, and is MUSTER_URL right?", c.base, err)
	}
	if response.StatusCode == http.StatusOK {
		return response.Body, nil
	}
	defer func() { _ = response.Body.Close() }()
	data, err := io.ReadAll(io.LimitReader(response.Body, 1<<20))
	if err != nil {
		return nil, fmt.Errorf("reading Muster's answer: %w", err)
	}
	return nil, refusal(response, data)
}

type exportList struct {
	Output string `short:"o" enum:"table,json,csv" default:"table" help:"Format: ${enum}."`
}

// Run implements the subcommand.
func (c *exportList) Run(ctx context.Context, env *environment) error {
	api, err := env.settings.client()
	if err != nil {
		return err
	}
	var page struct {
		Items []struct {
			Topic       string `json:"topic"`
			Title       string `json:"title"`
			Description string `json:"description"`
			Columns     []struct {
				Name     string `json:"name"`
				Type     string `json:"type"`
				Optional bool   `json:"optional"`
			} `json:"columns"`
			Formats []string `json:"formats"`
		} `json:"items"`
	}
	if err := api.do(ctx, http.MethodGet, "/v1/exports", nil, "", &page); err != nil {
		return err
	}
	t := newTable("topic", "columns", "description")
	for _, i := range page.Items {
		t.row(i.Topic, strconv.Itoa(len(i.Columns)), i.Description)
	}
	return t.show(env.stdout, c.Output, page.Items)
}
