// Package domain holds the words that every other package speaks: problems and their codes,
// operations, environments, and the states of events, tickets and VMs with their legal moves. It
// is pure: no I/O, no clock, no database.
package domain
