package forge

import "time"

// SentDelivery is a webhook in the forge's own list of what it sent, whether it arrived or not.
type SentDelivery struct {
	ID   int64  // of the attempt, which the forge finds it by
	Hook int64  // the repository's webhook that it was for; 0 for an App's
	GUID string // of the delivery, in lower case: what the intake knows it by
	// Event and RepositoryID say what it is about; RepositoryID is 0 where the forge does not say.
	Event        string
	RepositoryID int64
	SentAt       time.Time
}
