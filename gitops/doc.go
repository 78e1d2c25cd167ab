// Package gitops is the mirror of the spec repository: what git says, read fast and as often as
// anybody likes.
//
// Webhooks are hints; git is the truth. A delivery only says that something may have happened. The
// job that it starts fetches, and then reads everything it decides on from here: where the branch
// and the pull request's head are, their merge base, the files that differ, their content, the
// commits in between. It can do so twice and gets the same answer, because everything but Fetch
// takes commit ids, and a commit id never changes its meaning.
//
// # What it costs
//
// A question costs what its answer is large, not what the repository is large. Diff descends only
// into folders whose hashes differ and reads no file; MergeBase looks at the commits made since;
// Fetch asks for the references by name and downloads what is new. Files larger than
// Options.MaxBlob are not even downloaded where the server can leave them out. With 100,000 VMs
// (BenchmarkRead, BenchmarkFetch, two cores): Diff of one changed file 0.1 ms and 0.6 ms after a
// start, a merge base 3 µs, 2,500 merges behind 10 ms, one file 0.06 ms, all of platform/ 0.5 ms; a
// fetch with nothing new 4 ms however many pull requests there are, one commit 18 ms, the first clone
// 1.4 s; opening, which verifies every byte, 25 ms.
//
// # What it promises
//
// The mirror is a bare repository without a working tree. Nothing that a repository contains, no
// path, link or mode, ever becomes a path of the file system. Paths and messages come from strangers:
// a path is given exactly as it is in git (it may hold any byte but NUL), and a folder whose entries
// could be read in two ways (a name that is twice there, a name with a slash) is ErrMalformed. What
// names a commit that is not here is ErrNoCommit, never "the file is not there".
//
// It is only a cache. It can be deleted at any time, and a damaged one is thrown away and fetched
// again; Shepherd never pushes (the bot writes through the forge's API).
//
// # How it lives for months
//
// Each fetch that brings something adds a small pack. When there are more than maxPacks, the small
// ones are joined by copying their bytes (internal/packs); nothing is inflated or packed anew. Commits of pull requests that nobody refers to any more
// stay until the mirror has grown to several times its first size; then the next fetch replaces it
// by a fresh clone of the references it knows, while readers go on.
package gitops
