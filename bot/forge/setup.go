package forge

// App is how the bot's App is set up at the forge, and what its installation on the repository was granted.
type App struct {
	ID          int64
	Slug        string
	Events      []string          // that it hears
	Permissions map[string]string // that the installation was granted: resource → read, write
	Suspended   bool
	Hook        Hook
	Attempts    []Attempt // the last to deliver its webhooks, newest first
}

// Hook is where the App's webhooks go. The zero Hook: they go nowhere.
type Hook struct {
	URL         string
	ContentType string
	Secret      bool // they are signed
	InsecureTLS bool // the server's certificate is not checked
}

// Attempt is one try to deliver a webhook.
type Attempt struct {
	GUID  string // of the webhook; a redelivery has the same
	Event string
	Code  int // what the receiver answered; 0: nothing
}

// OK reports whether the receiver took it.
func (a Attempt) OK() bool { return a.Code >= 200 && a.Code < 300 }

// Protection is what holds a branch, by branch protection and by rulesets together.
type Protection struct {
	// Detailed reports whether branch protection could be read in full. Without it what only branch protection
	// would say is not known: no force pushes, no deletions, administrators.
	Detailed             bool
	Checks               []RequiredCheck
	DismissesStale       bool
	ForcePushes          bool // nothing that could be read forbids them
	Deletions            bool // the same
	AdministratorsExempt bool
	Bypass               []string // who may merge without what is required
	Rulesets             []int64  // that add to it; who may bypass them is shown to administrators only
}

// RequiredCheck is a check that has to succeed. App is whose it has to be; 0: anybody's.
type RequiredCheck struct {
	Name string
	App  int64
}
