//go:build unix

package gitops

import (
	"errors"
	"os"
	"syscall"
)

// dirLock keeps two processes from one mirror: each would delete packs that the other reads. The
// kernel frees it when the process ends, however it ends.
type dirLock struct{ f *os.File }

func lockFile(path string) (*dirLock, error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	err = syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	if errors.Is(err, syscall.EWOULDBLOCK) {
		err = ErrInUse
	}
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return &dirLock{f}, nil
}

// release unlocks before it closes: a child process that is just being started still shares the open
// file, and would hold the lock a moment longer.
func (l *dirLock) release() error {
	return errors.Join(syscall.Flock(int(l.f.Fd()), syscall.LOCK_UN), l.f.Close())
}
