package jobs

// OfferUndo opens the pull request that takes a quarantined span back, and, once that one is merged,
// prepares the branch that asks for the same again.
type OfferUndo struct {
	// Commit is the last commit of the quarantined span.
	Commit string `json:"commit"`
}

// Kind names the job in the database; it is never renamed.
func (OfferUndo) Kind() string { return "offer_undo" }
