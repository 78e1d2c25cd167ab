package forge

import "fmt"

// MaxDeploymentText is how many characters a deployment's or its status's description may have.
const MaxDeploymentText = 140

// Deployment is what is being brought to an environment, as forges list it there.
type Deployment struct {
	SHA         string
	Environment string
	Production  bool
	Description string
	PullRequest int // kept in the payload, for whoever listens to the forge
}

// DeploymentState is where a deployment stands.
type DeploymentState string

// The states that the bot uses.
const (
	DeploymentQueued     DeploymentState = "queued"
	DeploymentInProgress DeploymentState = "in_progress"
	DeploymentSuccess    DeploymentState = "success"
	DeploymentFailure    DeploymentState = "failure"
	DeploymentInactive   DeploymentState = "inactive"
)

// Final reports whether nothing is under way in the state.
func (s DeploymentState) Final() bool { return s != DeploymentQueued && s != DeploymentInProgress }

// DeploymentStatus is one thing that was said of a deployment. Nothing that was said is taken back: the newest counts.
type DeploymentStatus struct {
	ID          int64 // the forge's
	State       DeploymentState
	Description string
	LogURL      string // where people read on
}

// CommentURL is where people see a comment of a pull request. GitHub and Gitea address it alike.
func CommentURL(pullURL string, id int64) string {
	if id == 0 || pullURL == "" {
		return pullURL
	}
	return fmt.Sprintf("%s#issuecomment-%d", pullURL, id)
}
