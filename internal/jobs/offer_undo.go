package jobs

// OfferUndo opens the pull request that takes a quarantined span of the branch back.
type OfferUndo struct {
	From string `json:"from"` // the commit before the span
	To   string `json:"to"`   // the span's last commit
}

// Kind names the job in the database; it is never renamed.
func (OfferUndo) Kind() string { return "offer_undo" }
