package jobs

import (
	"context"
	"errors"
	"log/slog"

	"github.com/riverqueue/river"
	"github.com/riverqueue/river/rivertype"
)

// warnings passes on what needs somebody's eye: River tells of every count and every schedule.
type warnings struct{ slog.Handler }

func (w warnings) Enabled(ctx context.Context, l slog.Level) bool {
	return l >= slog.LevelWarn && w.Handler.Enabled(ctx, l)
}

func (w warnings) WithAttrs(as []slog.Attr) slog.Handler { return warnings{w.Handler.WithAttrs(as)} }
func (w warnings) WithGroup(name string) slog.Handler    { return warnings{w.Handler.WithGroup(name)} }

// failures logs the jobs that went wrong: here an error stops being returned.
type failures struct{ log *slog.Logger }

// HandleError implements river.ErrorHandler.
func (f failures) HandleError(ctx context.Context, job *rivertype.JobRow, err error) *river.ErrorHandlerResult {
	var cancelled *rivertype.JobCancelError
	again := job.Attempt < job.MaxAttempts && !errors.As(err, &cancelled)
	f.log.WarnContext(ctx, "job failed", "kind", job.Kind, "job", job.ID, "args", string(job.EncodedArgs), "attempt", job.Attempt, "again", again, "error", err)
	return nil
}

// HandlePanic implements river.ErrorHandler.
func (f failures) HandlePanic(ctx context.Context, job *rivertype.JobRow, panicked any, trace string) *river.ErrorHandlerResult {
	f.log.ErrorContext(ctx, "job panicked", "kind", job.Kind, "job", job.ID, "args", string(job.EncodedArgs), "panic", panicked, "trace", trace)
	return nil
}
