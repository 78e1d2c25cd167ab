package github

import (
	"errors"
	"strings"
	"time"

	"kv-shepherd.io/shepherd/bot/forge"
)

// What a body may hold and a database may not.
var (
	errNoText = errors.New("a text that cannot be one")
	errNoTime = errors.New("a time that cannot be")
)

// keepable makes sure that an event can be kept: no text has a NUL, which PostgreSQL refuses, and no time is out of
// all bounds. A delivery that cannot be kept would be tried for ever. What people have written is kept without its
// NULs; names with one are no names.
func keepable(e *forge.Event) error {
	names := []string{e.Action, e.Sender.Login, e.HeadSHA}
	times := []time.Time{e.At}
	if p := e.Push; p != nil {
		names, times = append(names, p.Ref, p.Pusher.Login), append(times, p.At)
	}
	if r := e.Review; r != nil {
		names, times = append(names, r.Author.Login, string(r.State), r.URL), append(times, r.SubmittedAt)
		r.Body = withoutNUL(r.Body)
	}
	if c := e.Comment; c != nil {
		names, times = append(names, c.Author.Login, c.URL), append(times, c.CreatedAt)
		c.Body, c.Before = withoutNUL(c.Body), withoutNUL(c.Before)
	}
	if g := e.Group; g != nil {
		names = append(names, g.HeadRef, g.BaseRef)
	}
	for _, s := range names {
		if strings.ContainsRune(s, 0) || len(s) > maxRef {
			return errNoText
		}
	}
	for _, at := range times {
		if !at.IsZero() && (at.Year() < 1970 || at.Year() > 9999) {
			return errNoTime
		}
	}
	return nil
}

func withoutNUL(s string) string { return strings.ReplaceAll(s, "\x00", "\ufffd") }
