package forgetest

import (
	"net/http"
	"slices"
	"time"
)

// Deployment is a deployment as it stands.
type Deployment struct {
	ID          int64
	SHA         string
	Environment string
	Production  bool
	Description string
	Creator     string
	Statuses    []DeploymentStatus // oldest first
}

// DeploymentStatus is a status that was given to a deployment.
type DeploymentStatus struct {
	State          string
	Description    string
	LogURL         string
	EnvironmentURL string
	CreatedAt      time.Time
}

// Deployments lists all deployments of the repository, oldest first.
func (r *Repository) Deployments() []Deployment {
	r.s.mu.Lock()
	defer r.s.mu.Unlock()
	var out []Deployment
	for _, d := range r.r.deployments {
		snapshot := Deployment{
			ID: d.id, SHA: d.sha, Environment: d.environment, Production: d.production, Description: d.description, Creator: d.creator.login,
		}
		for _, st := range d.statuses {
			snapshot.Statuses = append(snapshot.Statuses, DeploymentStatus{
				State: st.state, Description: st.description, LogURL: st.logURL, EnvironmentURL: st.environmentURL, CreatedAt: st.createdAt,
			})
		}
		out = append(out, snapshot)
	}
	return out
}

func (s *Server) deploymentView(r *repository, d *deployment) obj {
	u := s.apiURL("/repos/%s/deployments/%d", r.fullName(), d.id)
	payload := d.payload
	if payload == nil {
		payload = obj{}
	}
	return obj{
		"id": d.id, "node_id": nodeID("Deployment", d.id), "url": u, "sha": d.sha, "ref": d.ref, "task": d.task, "payload": payload,
		"original_environment": d.environment, "environment": d.environment, "description": orNull(d.description),
		"creator": s.userView(d.creator), "created_at": stamp(d.createdAt), "updated_at": stamp(d.updatedAt),
		"statuses_url": u + "/statuses", "repository_url": s.apiURL("/repos/%s", r.fullName()),
		"transient_environment": d.transient, "production_environment": d.production, "performed_via_github_app": nil,
	}
}

func (s *Server) deploymentStatusView(r *repository, d *deployment, st *deploymentStatus) obj {
	u := s.apiURL("/repos/%s/deployments/%d", r.fullName(), d.id)
	return obj{
		"id": st.id, "node_id": nodeID("DeploymentStatus", st.id), "url": u + "/statuses/" + itoa(st.id), "state": st.state,
		"creator": s.userView(st.creator), "description": st.description, "environment": st.environment,
		"target_url": st.targetURL, "created_at": stamp(st.createdAt), "updated_at": stamp(st.createdAt), "deployment_url": u,
		"repository_url": s.apiURL("/repos/%s", r.fullName()), "environment_url": st.environmentURL, "log_url": st.logURL,
		"performed_via_github_app": nil,
	}
}

func postDeployment(c *call) (reply, error) {
	in := struct {
		Ref              string    `json:"ref"`
		Task             string    `json:"task"`
		Environment      string    `json:"environment"`
		Description      string    `json:"description"`
		Payload          any       `json:"payload"`
		RequiredContexts *[]string `json:"required_contexts"`
		Transient        bool      `json:"transient_environment"`
		Production       *bool     `json:"production_environment"`
	}{Task: "deploy", Environment: "production"}
	if err := c.decode(&in); err != nil {
		return reply{}, err
	}
	sha, found := c.repo.resolve(in.Ref)
	if in.Ref == "" || !found {
		return reply{}, refuse(http.StatusUnprocessableEntity, "No ref found for: %s", in.Ref)
	}
	needsGreen := in.RequiredContexts == nil || len(*in.RequiredContexts) > 0
	if needsGreen && c.s.combinedState(c.repo, sha) != "success" {
		return reply{}, refuse(http.StatusConflict, "Conflict: Commit status checks failed for %s.", in.Ref)
	}
	production := in.Environment == "production"
	if in.Production != nil {
		production = *in.Production
	}
	now := c.s.now()
	d := &deployment{
		id: c.s.nextID(), sha: sha, ref: in.Ref, task: in.Task, environment: in.Environment, description: in.Description,
		payload: in.Payload, creator: c.actor.user, createdAt: now, updatedAt: now, transient: in.Transient, production: production,
	}
	c.repo.deployments = append(c.repo.deployments, d)
	c.s.emit(c.actor, c.repo, "deployment", "created", obj{"deployment": c.s.deploymentView(c.repo, d), "workflow": nil, "workflow_run": nil})
	return created(c.s.deploymentView(c.repo, d))
}

func listDeployments(c *call) (reply, error) {
	env, sha, ref, task := c.query("environment"), c.query("sha"), c.query("ref"), c.query("task")
	out := slices.Clone(c.repo.deployments)
	slices.Reverse(out)
	out = slices.DeleteFunc(out, func(d *deployment) bool {
		return env != "" && d.environment != env || sha != "" && d.sha != sha || ref != "" && d.ref != ref || task != "" && d.task != task
	})
	return page(c, out, func(d *deployment) obj { return c.s.deploymentView(c.repo, d) })
}

func (c *call) deployment() (*deployment, error) {
	id, err := c.id("id")
	if err != nil {
		return nil, err
	}
	i := slices.IndexFunc(c.repo.deployments, func(d *deployment) bool { return d.id == id })
	if i < 0 {
		return nil, notFound()
	}
	return c.repo.deployments[i], nil
}

func getDeployment(c *call) (reply, error) {
	d, err := c.deployment()
	if err != nil {
		return reply{}, err
	}
	return ok(c.s.deploymentView(c.repo, d))
}

func listDeploymentStatuses(c *call) (reply, error) {
	d, err := c.deployment()
	if err != nil {
		return reply{}, err
	}
	out := slices.Clone(d.statuses)
	slices.Reverse(out)
	return page(c, out, func(st *deploymentStatus) obj { return c.s.deploymentStatusView(c.repo, d, st) })
}

var deploymentStates = []string{"error", "failure", "inactive", "in_progress", "queued", "pending", "success"}

func postDeploymentStatus(c *call) (reply, error) {
	d, err := c.deployment()
	if err != nil {
		return reply{}, err
	}
	in := struct {
		State          string `json:"state"`
		Description    string `json:"description"`
		Environment    string `json:"environment"`
		EnvironmentURL string `json:"environment_url"`
		LogURL         string `json:"log_url"`
		TargetURL      string `json:"target_url"`
		AutoInactive   bool   `json:"auto_inactive"`
	}{Environment: d.environment, AutoInactive: true}
	if err := c.decode(&in); err != nil {
		return reply{}, err
	}
	if !slices.Contains(deploymentStates, in.State) {
		return reply{}, invalid("DeploymentStatus", "state", "custom", "state is not included in the list")
	}
	if len([]rune(in.Description)) > 140 {
		return reply{}, invalid("DeploymentStatus", "description", "custom", "description is too long (maximum is 140 characters)")
	}
	if in.LogURL == "" {
		in.LogURL = in.TargetURL // the same under its old name
	}
	st := &deploymentStatus{
		id: c.s.nextID(), state: in.State, description: in.Description, environment: in.Environment,
		environmentURL: in.EnvironmentURL, logURL: in.LogURL, targetURL: in.LogURL, creator: c.actor.user, createdAt: c.s.now(),
	}
	c.say(d, st)
	if in.State == "success" && in.AutoInactive {
		c.retire(d)
	}
	return created(c.s.deploymentStatusView(c.repo, d, st))
}

// say adds a status to a deployment, and tells those who listen.
func (c *call) say(d *deployment, st *deploymentStatus) {
	d.statuses = append(d.statuses, st)
	d.updatedAt = st.createdAt
	c.s.emit(c.actor, c.repo, "deployment_status", "created", obj{
		"deployment_status": c.s.deploymentStatusView(c.repo, d, st), "deployment": c.s.deploymentView(c.repo, d),
		"check_run": nil, "workflow": nil, "workflow_run": nil,
	})
}

// retire makes the earlier successful deployments to the same environment inactive, but for those to production and to
// what is transient.
func (c *call) retire(now *deployment) {
	for _, d := range c.repo.deployments {
		n := len(d.statuses)
		if d == now || d.id > now.id || d.environment != now.environment || d.production || d.transient || n == 0 || d.statuses[n-1].state != "success" {
			continue
		}
		c.say(d, &deploymentStatus{id: c.s.nextID(), state: "inactive", environment: d.environment, creator: c.actor.user, createdAt: c.s.now()})
	}
}
