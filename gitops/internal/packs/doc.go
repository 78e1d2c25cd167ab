// Package packs keeps git objects in pack files under one folder and reads them from many
// goroutines at once.
//
// It exists because go-git's own object storage is neither: its index map, its open files and its
// pack scanner are shared without a lock, and a pack that arrives is seen only after all indexes
// have been read again. Here the set of packs changes under a lock, each read borrows a scanner of
// its own, and many small packs are joined into few by copying bytes. Parsing of packs, inflating
// and deltas are go-git's.
//
// A store holds nothing but packs: no loose objects, no references. Every pack is complete in
// itself, as a server sends it when thin packs are not asked for.
package packs
