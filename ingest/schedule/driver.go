package schedule

import (
	"context"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/riverqueue/river/riverdriver"
	"github.com/riverqueue/river/riverdriver/riverpgxv5"
)

// rememberedWorkers is how many of the programs are remembered that have worked on a
// job. A job is a standing order with dozens of runs a day, and only the last one is
// asked for; River remembers a hundred, which is most of each row, and is read and
// written again three times each run.
const rememberedWorkers = 2

// driver is River's, which remembers less.
type driver struct{ *riverpgxv5.Driver }

func newDriver(pool *pgxpool.Pool) driver { return driver{riverpgxv5.New(pool)} }

// GetExecutor implements [riverdriver.Driver].
func (d driver) GetExecutor() riverdriver.Executor { return executor{d.Driver.GetExecutor()} }

type executor struct{ riverdriver.Executor }

// JobGetAvailable implements [riverdriver.Executor].
func (e executor) JobGetAvailable(ctx context.Context, params *riverdriver.JobGetAvailableParams) (*riverdriver.JobGetAvailableResult, error) {
	fewer := *params
	fewer.MaxAttemptedBy = rememberedWorkers
	return e.Executor.JobGetAvailable(ctx, &fewer)
}
