package sqlite

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"jeton/storage"
)

// maxBatch is the most changes in one transaction, so that the first of them
// does not wait long for the last.
const maxBatch = 256

// job is one change on its way to the writer. Its apply runs within the
// transaction of a batch. It may be called for a batch that is then rolled
// back, never twice.
type job struct {
	apply func(*batch) error
	done  chan error
}

// queue holds the jobs that the writer has not taken. Until it is taken a job
// can be withdrawn, and then has certainly not been written.
type queue struct {
	mu     sync.Mutex
	jobs   []*job
	busy   bool // a batch has been taken and not answered
	closed bool
	idle   *sync.Cond
	wake   chan struct{}
}

func (q *queue) add(j *job) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.closed {
		return storage.ErrClosed
	}
	q.jobs = append(q.jobs, j)
	select {
	case q.wake <- struct{}{}:
	default:
	}
	return nil
}

// take hands the oldest jobs to the writer.
func (q *queue) take() []*job {
	q.mu.Lock()
	defer q.mu.Unlock()
	n := min(len(q.jobs), maxBatch)
	batch := slices.Clone(q.jobs[:n])
	q.jobs = slices.Delete(q.jobs, 0, n)
	q.busy = n > 0
	return batch
}

// answer ends the batch that was taken.
func (q *queue) answer(batch []*job, outcome func(i int) error) {
	for i, j := range batch {
		j.done <- outcome(i)
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	q.busy = false
	q.rest()
}

// withdraw takes back a job; it is too late when the writer has it.
func (q *queue) withdraw(j *job) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	i := slices.Index(q.jobs, j)
	if i < 0 {
		return false
	}
	q.jobs = slices.Delete(q.jobs, i, i+1)
	q.rest()
	return true
}

func (q *queue) empty() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return len(q.jobs) == 0
}

func (q *queue) rest() {
	if q.idle != nil && !q.busy && len(q.jobs) == 0 {
		q.idle.Broadcast()
	}
}

// drain refuses new jobs and waits until all have been answered or withdrawn.
func (q *queue) drain() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.closed = true
	q.idle = sync.NewCond(&q.mu)
	for q.busy || len(q.jobs) > 0 {
		q.idle.Wait()
	}
}

// submit runs a job in some batch and returns its outcome.
func (s *Store) submit(ctx context.Context, apply func(*batch) error) error {
	if err := s.usable(); err != nil {
		return err
	}
	if err := ctx.Err(); err != nil {
		return unavailable(err)
	}
	j := &job{apply: apply, done: make(chan error, 1)}
	if err := s.queue.add(j); err != nil {
		return err
	}
	late := time.NewTimer(s.wait)
	defer late.Stop()
	var cause error
	select {
	case err := <-j.done:
		return err
	case <-ctx.Done():
		cause = context.Cause(ctx)
	case <-late.C:
		cause = fmt.Errorf("the write did not get its turn within %v: another process holds %s.lock, or the disk is too slow", s.wait, s.path)
	}
	if s.queue.withdraw(j) {
		return unavailable(cause)
	}
	return <-j.done
}

// Commit implements [storage.Backend].
func (s *Store) Commit(ctx context.Context, c storage.Change) (version uint64, err error) {
	if err := c.Valid(); err != nil {
		return 0, err
	}
	err = s.submit(ctx, func(b *batch) (err error) {
		version, err = b.change(&c)
		return err
	})
	if err != nil {
		return 0, err
	}
	return version, nil
}
