package doctor

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"os"
	"syscall"

	"github.com/ClickHouse/clickhouse-go/v2"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/twmb/franz-go/pkg/kerr"
)

// Reason words why something cannot be reached or asked, for anybody to read: the
// drivers' own errors name hosts, users and databases, and may quote an address with
// its password.
func Reason(err error) string {
	var name *net.DNSError
	var pg *pgconn.PgError
	var ch *clickhouse.Exception
	var kafka *kerr.Error
	var authority x509.UnknownAuthorityError
	var host x509.HostnameError
	var certificate *tls.CertificateVerificationError
	var header tls.RecordHeaderError
	var timeout net.Error
	switch {
	case errors.As(err, &pg):
		return postgresReason(pg)
	case errors.As(err, &ch):
		return clickhouseReason(ch.Code)
	case errors.As(err, &kafka):
		return "Kafka answers " + kafka.Message
	case errors.As(err, &name):
		return "its host name is not known"
	case errors.Is(err, syscall.ECONNREFUSED):
		return "the connection is refused: nothing listens at its address"
	case errors.Is(err, syscall.EHOSTUNREACH), errors.Is(err, syscall.ENETUNREACH):
		return "there is no way to its host"
	case errors.As(err, &authority), errors.As(err, &host), errors.As(err, &certificate):
		return "its certificate is not accepted"
	case errors.As(err, &header):
		return "it does not speak TLS"
	case errors.Is(err, context.Canceled):
		return "the question was taken back"
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, os.ErrDeadlineExceeded), errors.As(err, &timeout) && timeout.Timeout():
		return "no answer in time"
	case errors.Is(err, os.ErrPermission):
		return "permission denied"
	case errors.Is(err, os.ErrNotExist):
		return "it is not there"
	case errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE):
		return "the connection was cut"
	default:
		return "it does not answer as it should"
	}
}

// postgresReason goes by the codes of Postgres' appendix A.
func postgresReason(err *pgconn.PgError) string {
	switch err.Code {
	case "28P01", "28000":
		return "Postgres does not accept the user or the password"
	case "3D000":
		return "the database does not exist"
	case "53300":
		return "all connections of Postgres are taken"
	case "57P03", "57P01":
		return "Postgres is starting or stopping"
	case "42501":
		return "the user of Postgres lacks the right"
	case "42P01", "3F000", "42703":
		return "tables are missing or of another version"
	default:
		return "Postgres answers with code " + err.Code
	}
}

// clickhouseReason goes by ClickHouse's error codes.
func clickhouseReason(code int32) string {
	switch code {
	case 516, 192, 193, 194:
		return "ClickHouse does not accept the user or the password"
	case 497:
		return "the user of ClickHouse lacks the right"
	case 81:
		return "the database does not exist"
	case 60, 47:
		return "tables are missing or of another version"
	case 202:
		return "ClickHouse answers too many questions already"
	default:
		return "ClickHouse refuses the question"
	}
}
