// Package jobs is the bot's work that must not get lost, as River jobs: for each kind one file with
// its arguments (ids, nothing else) and the envelope that calls a function given at start-up. What a
// job does is written elsewhere; when it runs, how often and in which queue is written here.
package jobs
