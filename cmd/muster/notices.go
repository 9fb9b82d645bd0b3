package main

import (
	"context"
	"time"

	"github.com/muster-sync/muster/domain/anvil"
	"github.com/muster-sync/muster/ingest/notify"
	"github.com/muster-sync/muster/projections/live"
	pgviews "github.com/muster-sync/muster/projections/postgres"
)

// notices are the settings of what people are told.
type notices struct {
	TokenErrors bool          `env:"MUSTER_NOTIFY_TOKEN_ERRORS" default:"true" negatable:"" help:"Tell when a character has to be registered again, once until it is."`
	Findings    string        `env:"MUSTER_NOTIFY_FINDINGS" enum:"none,high,medium,low" default:"medium" help:"From which severity on to tell of findings that were opened, have changed or were resolved: ${enum}."`
	MaxAge      time.Duration `env:"MUSTER_NOTIFY_MAX_AGE" default:"24h" help:"How old an event may be to be news."`

	EmailTo []string `env:"MUSTER_NOTIFY_EMAIL_TO" help:"Who gets notices by e-mail; empty sends none." placeholder:"EMAIL"`
	mailServer

	WebhookURL    string `name:"webhook-url" env:"MUSTER_NOTIFY_WEBHOOK_URL" help:"Where notices are posted as JSON; empty posts none." file:"MUSTER_NOTIFY_WEBHOOK_URL_FILE" placeholder:"URL"`
	WebhookSecret string `env:"MUSTER_NOTIFY_WEBHOOK_SECRET" help:"Signs what is posted." file:"MUSTER_NOTIFY_WEBHOOK_SECRET_FILE" placeholder:"SECRET"`
}

// threshold is from which severity on people are told of findings; empty for none.
func (n notices) threshold() (anvil.Severity, error) {
	if n.Findings == "none" {
		return "", nil
	}
	return anvil.ParseSeverity(n.Findings)
}

// mailServer are the settings of how e-mail is sent, whatever it is about.
type mailServer struct {
	EmailFrom     string `env:"MUSTER_NOTIFY_EMAIL_FROM" help:"Sender of e-mails." placeholder:"EMAIL"`
	EmailHost     string `env:"MUSTER_NOTIFY_EMAIL_HOST" help:"Mail server." placeholder:"HOST"`
	EmailPort     int    `env:"MUSTER_NOTIFY_EMAIL_PORT" default:"587" help:"Port of the mail server."`
	EmailUser     string `env:"MUSTER_NOTIFY_EMAIL_USER" help:"User at the mail server; empty for none." placeholder:"USER"`
	EmailPassword string `env:"MUSTER_NOTIFY_EMAIL_PASSWORD" help:"Password at the mail server." file:"MUSTER_NOTIFY_EMAIL_PASSWORD_FILE" placeholder:"PASSWORD"`
	EmailTLS      string `name:"email-tls" env:"MUSTER_NOTIFY_EMAIL_TLS" enum:"mandatory,implicit,none" default:"mandatory" help:"How the connection is protected: ${enum}."`
}

// to is a way to the recipients by e-mail.
func (s mailServer) to(recipients []string) (*notify.Email, error) {
	return notify.NewEmail(notify.EmailConfig{
		Host: s.EmailHost, Port: s.EmailPort, User: s.EmailUser, Password: s.EmailPassword, From: s.EmailFrom, To: recipients,
		TLS: notify.TLS(s.EmailTLS), Timeout: noticeTimeout,
	})
}

// noticeTimeout bounds one attempt to deliver a notice.
const noticeTimeout = 20 * time.Second

// channels are the ways to people that are configured, beside the log.
func (n notices) channels(r *roles) ([]notify.Channel, error) {
	channels := []notify.Channel{notify.Log{Logger: r.logger}}
	if len(n.EmailTo) > 0 {
		email, err := n.to(n.EmailTo)
		if err != nil {
			return nil, err
		}
		channels = append(channels, email)
	}
	if n.WebhookURL != "" {
		webhook, err := notify.NewWebhook(n.WebhookURL, n.WebhookSecret, noticeTimeout)
		if err != nil {
			return nil, err
		}
		r.stores.close = append(r.stores.close, webhook.Close)
		channels = append(channels, webhook)
	}
	return channels, nil
}

// newNotices makes notices of events, and delivers them.
func (r *roles) newNotices() (*notify.Noticer, *notify.Deliverer, error) {
	settings := r.worlds.Notify
	channels, err := settings.channels(r)
	if err != nil {
		return nil, nil, err
	}
	deliverer, err := notify.NewDeliverer(notify.DelivererConfig{Pool: r.pool, Channels: channels, Registerer: r.metrics, Logger: r.logger})
	if err != nil {
		return nil, nil, err
	}
	threshold, err := settings.threshold()
	if err != nil {
		return nil, nil, err
	}
	noticer, err := notify.NewNoticer(notify.Config{
		Pool: r.pool, Registry: r.registry, Channels: deliverer.Names(), TokenErrors: settings.TokenErrors, Findings: threshold, MaxAge: settings.MaxAge,
		Recipients: pgviews.NewCharacterReader(r.pool, live.New(r.control)).RemovalRecipients,
		Noted:      deliverer.Wake, Registerer: r.metrics, Logger: r.logger,
		Look: func(ctx context.Context, character int64) (notify.Standing, bool, error) {
			all, err := known{r.stores}.Characters(ctx, []int64{character})
			c, there := all[character]
			return notify.Standing{Name: c.Name, UserID: c.UserID, Orphaned: c.UserID == ""}, there, err
		},
	})
	return noticer, deliverer, err
}
