package jobs

import (
	"context"
	"sync"

	"github.com/riverqueue/river"
	"github.com/riverqueue/river/rivertype"
)

// taken is one attempt at a job.
type taken struct {
	id      int64
	attempt int
}

// holding knows which jobs this process runs at the moment: the database may believe in more, where it could not be
// told that one has ended.
type holding struct {
	river.MiddlewareDefaults
	mu   sync.Mutex
	jobs map[taken]bool
}

// Work implements rivertype.WorkerMiddleware.
func (h *holding) Work(ctx context.Context, job *rivertype.JobRow, do func(context.Context) error) error {
	this := taken{job.ID, job.Attempt}
	h.mu.Lock()
	h.jobs[this] = true
	h.mu.Unlock()
	defer func() {
		h.mu.Lock()
		delete(h.jobs, this)
		h.mu.Unlock()
	}()
	return do(ctx)
}

func (h *holding) holds(job taken) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.jobs[job]
}
