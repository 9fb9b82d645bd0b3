package main

import (
	"crypto/tls"
	"crypto/x509"
	"os"

	"github.com/muster-sync/muster/domain/event"
	"github.com/muster-sync/muster/internal/eventlog"
)

// kafkaSettings say how brokers of one's own are spoken with.
type kafkaSettings struct {
	TLS       bool   `env:"MUSTER_KAFKA_TLS" help:"Speak with brokers by TLS; so does a file of certificates." name:"tls"`
	CAFile    string `env:"MUSTER_KAFKA_CA_FILE" help:"File of the certificates that brokers' are signed by; default is the system's." placeholder:"FILE"`
	CertFile  string `env:"MUSTER_KAFKA_CERT_FILE" help:"File of Muster's own certificate, if brokers ask for one." placeholder:"FILE"`
	KeyFile   string `env:"MUSTER_KAFKA_KEY_FILE" help:"File of its key." placeholder:"FILE"`
	Mechanism string `env:"MUSTER_KAFKA_MECHANISM" enum:"PLAIN,SCRAM-SHA-256,SCRAM-SHA-512" default:"SCRAM-SHA-512" help:"How the user is proved: ${enum}."`
	User      string `env:"MUSTER_KAFKA_USER" help:"User at the brokers; empty is nobody." placeholder:"USER"`
	Password  string `env:"MUSTER_KAFKA_PASSWORD" help:"Password of the user." file:"MUSTER_KAFKA_PASSWORD_FILE" placeholder:"PASSWORD"`
}

// kafkaSecurity is how the brokers are spoken with: the embedded one in the open.
func (s *settings) kafkaSecurity() (eventlog.Security, error) {
	k := s.Kafka
	secured := k.TLS || k.CAFile != "" || k.CertFile != "" || k.KeyFile != ""
	if len(s.KafkaBrokers) == 0 {
		if secured || k.User != "" || k.Password != "" {
			return eventlog.Security{}, event.Errorf(event.CodeInvalid, "TLS and users are for brokers of your own, and the embedded one is on this machine: set MUSTER_KAFKA_BROKERS, or leave the other MUSTER_KAFKA_ settings out")
		}
		return eventlog.Security{}, nil
	}
	security := eventlog.Security{User: k.User, Password: k.Password}
	if k.User != "" || k.Password != "" {
		security.Mechanism = eventlog.Mechanism(k.Mechanism)
	}
	if secured {
		config, err := k.tls()
		if err != nil {
			return eventlog.Security{}, err
		}
		security.TLS = config
	}
	return security, security.Validate()
}

func (k kafkaSettings) tls() (*tls.Config, error) {
	config := &tls.Config{MinVersion: tls.VersionTLS12}
	if k.CAFile != "" {
		text, err := os.ReadFile(k.CAFile)
		if err != nil {
			return nil, event.Errorf(event.CodeInvalid, "reading the certificates that MUSTER_KAFKA_CA_FILE names: %w", err)
		}
		config.RootCAs = x509.NewCertPool()
		if !config.RootCAs.AppendCertsFromPEM(text) {
			return nil, event.Errorf(event.CodeInvalid, "the file %s of MUSTER_KAFKA_CA_FILE has no certificate in PEM: give the certificates that the brokers' are signed by", k.CAFile)
		}
	}
	if (k.CertFile == "") != (k.KeyFile == "") {
		return nil, event.Errorf(event.CodeInvalid, "MUSTER_KAFKA_CERT_FILE and MUSTER_KAFKA_KEY_FILE go together: give both or none")
	}
	if k.CertFile != "" {
		own, err := tls.LoadX509KeyPair(k.CertFile, k.KeyFile)
		if err != nil {
			return nil, event.Errorf(event.CodeInvalid, "reading Muster's certificate for Kafka (MUSTER_KAFKA_CERT_FILE, MUSTER_KAFKA_KEY_FILE): %w", err)
		}
		config.Certificates = []tls.Certificate{own}
	}
	return config, nil
}
