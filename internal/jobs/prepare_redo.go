package jobs

// PrepareRedo prepares, once an undo is merged, the branch that asks for the same content again.
type PrepareRedo struct {
	From string `json:"from"` // the span that was quarantined
	To   string `json:"to"`
	// Base is the merge of the undo: what is asked for again builds on it. Empty in jobs of before: the
	// branch's tip.
	Base string `json:"base,omitempty"`
	// Undo is the number of the pull request that took it back.
	Undo int `json:"undo"`
}

// Kind names the job in the database; it is never renamed.
func (PrepareRedo) Kind() string { return "prepare_redo" }
