package forge

import (
	"context"
	"time"
)

type newsKey struct{}

// News marks what is done with ctx as telling only: where the forge lets us do little it waits, and what decides (judging,
// checks, merging) goes on. What is not marked decides.
func News(ctx context.Context) context.Context { return context.WithValue(ctx, newsKey{}, true) }

// IsNews reports whether ctx is marked by [News].
func IsNews(ctx context.Context) bool { return ctx.Value(newsKey{}) != nil }

// Ask is a request that is about to be sent.
type Ask struct {
	Identity string // whose limits it counts against, as installation/5
	Creates  bool   // it creates or changes something: that has limits of its own
	News     bool
}

// Allowance is what an answer says of the limits of requests. The zero Allowance says nothing.
type Allowance struct {
	Limit, Remaining int           // requests in a period, and how many are left of it; Limit 0: not told
	Period           int64         // the end of the period by the forge's clock, in seconds
	Reset            time.Duration // how long that is from the answer on
	Free             bool          // the answer cost nothing
	// Wait is positive where the request was refused because of a limit: for so long the forge wants no other one.
	Wait   time.Duration
	Spent  bool // the period's requests are used up; otherwise it is a limit on how fast they come
	Reason string
}

// Answer is a forge's answer to a question, kept to ask whether it is still so.
type Answer struct {
	// ETags name this body, newest first: a forge may give one body another tag for another token.
	ETags       []string
	Link        string // where the other pages of a list are
	ContentType string
	Body        []byte
}
