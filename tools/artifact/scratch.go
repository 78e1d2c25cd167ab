package artifact

import (
	"os"
	"syscall"
)

// memory is a file system in memory that Linux machines have. Databases on it start and clone about
// ten times as fast as on a disk.
const memory = "/dev/shm"

// memoryNeeded is the free space without which memory is left alone; containers often have 64 MB.
const memoryNeeded = 2 << 30

// Scratch returns the directories in which temporary data may be kept, the best first: TMPDIR where
// it is set, memory where there is plenty, and the usual ones.
func Scratch() []string {
	var dirs []string
	if dir := os.Getenv("TMPDIR"); dir != "" {
		dirs = append(dirs, dir)
	}
	const writable = 0o2
	if free(memory) >= memoryNeeded && syscall.Access(memory, writable) == nil {
		dirs = append(dirs, memory)
	}
	return append(dirs, "/tmp", "/var/tmp")
}

func free(dir string) uint64 {
	var st syscall.Statfs_t
	if syscall.Statfs(dir, &st) != nil {
		return 0
	}
	return uint64(st.Bavail) * uint64(st.Bsize)
}
