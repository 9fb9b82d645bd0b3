package check
import (
 _ "github.com/prometheus/prometheus/model/rulefmt"
 _ "github.com/prometheus/prometheus/promql/parser"
 _ "github.com/prometheus/prometheus/promql/promqltest"
 _ "github.com/stretchr/testify/require"
 _ "gopkg.in/yaml.v3"
)
