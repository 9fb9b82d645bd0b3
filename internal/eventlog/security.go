package eventlog

import (
	"crypto/tls"

	"github.com/IBM/sarama"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/sasl"
	"github.com/twmb/franz-go/pkg/sasl/plain"
	franz "github.com/twmb/franz-go/pkg/sasl/scram"
	"github.com/xdg-go/scram"

	"github.com/muster-sync/muster/domain/event"
)

// Mechanism is how one proves to brokers who one is, as SASL names it.
type Mechanism string

// The mechanisms.
const (
	// MechanismPlain sends the password as it is. It needs TLS.
	MechanismPlain  Mechanism = "PLAIN"
	MechanismSCRAM2 Mechanism = "SCRAM-SHA-256"
	MechanismSCRAM5 Mechanism = "SCRAM-SHA-512"
)

// Security is how one speaks with brokers: the zero value in the open and as nobody.
type Security struct {
	// TLS is nil for none.
	TLS *tls.Config
	// Mechanism is empty for none; User and Password are for it.
	Mechanism      Mechanism
	User, Password string
}

// Validate fails with [event.CodeInvalid] for what cannot be, and for what would tell a
// password to whoever listens. It never names the password.
func (s Security) Validate() error {
	switch s.Mechanism {
	case "":
		if s.User != "" || s.Password != "" {
			return event.Errorf(event.CodeInvalid, "a user or a password for Kafka is given and no mechanism: say PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512")
		}
		return nil
	case MechanismPlain, MechanismSCRAM2, MechanismSCRAM5:
	default:
		return event.Errorf(event.CodeInvalid, "mechanism %q: must be PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512", s.Mechanism)
	}
	if s.User == "" || s.Password == "" {
		return event.Errorf(event.CodeInvalid, "%s needs a user and a password for Kafka", s.Mechanism)
	}
	if s.Mechanism == MechanismPlain && s.TLS == nil {
		return event.Errorf(event.CodeInvalid, "PLAIN sends the password to Kafka as it is: use TLS, or SCRAM")
	}
	return nil
}

// options are those of franz-go.
func (s Security) options() []kgo.Opt {
	var options []kgo.Opt
	if s.TLS != nil {
		options = append(options, kgo.DialTLSConfig(s.TLS.Clone()))
	}
	var mechanism sasl.Mechanism
	switch s.Mechanism {
	case MechanismPlain:
		mechanism = plain.Auth{User: s.User, Pass: s.Password}.AsMechanism()
	case MechanismSCRAM2:
		mechanism = franz.Auth{User: s.User, Pass: s.Password}.AsSha256Mechanism()
	case MechanismSCRAM5:
		mechanism = franz.Auth{User: s.User, Pass: s.Password}.AsSha512Mechanism()
	default:
		return options
	}
	return append(options, kgo.SASL(mechanism))
}

// secure sets it in a configuration of sarama.
func (s Security) secure(c *sarama.Config) *sarama.Config {
	if s.TLS != nil {
		c.Net.TLS.Enable, c.Net.TLS.Config = true, s.TLS.Clone()
	}
	if s.Mechanism == "" {
		return c
	}
	c.Net.SASL.Enable, c.Net.SASL.Handshake = true, true
	c.Net.SASL.Mechanism, c.Net.SASL.User, c.Net.SASL.Password = sarama.SASLMechanism(s.Mechanism), s.User, s.Password
	switch s.Mechanism {
	case MechanismSCRAM2:
		c.Net.SASL.SCRAMClientGeneratorFunc = func() sarama.SCRAMClient { return &proof{hash: scram.SHA256} }
	case MechanismSCRAM5:
		c.Net.SASL.SCRAMClientGeneratorFunc = func() sarama.SCRAMClient { return &proof{hash: scram.SHA512} }
	default:
	}
	return c
}

// proof is one conversation of SCRAM.
type proof struct {
	*scram.ClientConversation

	hash scram.HashGeneratorFcn
}

// Begin implements [sarama.SCRAMClient].
func (p *proof) Begin(user, password, authorization string) error {
	client, err := p.hash.NewClient(user, password, authorization)
	if err != nil {
		return event.Errorf(event.CodeInvalid, "the user or the password for Kafka cannot be used with SCRAM: they may have no control characters")
	}
	p.ClientConversation = client.NewConversation()
	return nil
}
