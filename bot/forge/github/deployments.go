package github

import (
	"context"
	"fmt"

	gh "github.com/google/go-github/v60/github"

	"kv-shepherd.io/shepherd/bot/forge"
)

// CreateDeployment announces a deployment of a commit to an environment. It merges nothing, waits for no check and makes
// no other deployment inactive. An App that was not given the permission gets forge.ErrRefused, and nothing else of
// the client's depends on it: deployments have a token of their own. A second run announces a second one. One call.
func (c *Client) CreateDeployment(ctx context.Context, d forge.Deployment) (forge.Posted, error) {
	doing := "create a deployment to " + d.Environment
	if !validSHA(d.SHA) || d.Environment == "" {
		return forge.Posted{}, fmt.Errorf("%s: %w: no commit or no environment", doing, forge.ErrRefused)
	}
	request := &gh.DeploymentRequest{
		Ref: &d.SHA, AutoMerge: gh.Bool(false), RequiredContexts: &[]string{}, Environment: &d.Environment,
		Description: gh.String(clip(d.Description, forge.MaxDeploymentText)), TransientEnvironment: gh.Bool(false),
		ProductionEnvironment: &d.Production, Payload: map[string]int{"pull_request": d.PullRequest},
	}
	return c.post(ctx, doing, func(owner, name string) (posted, *gh.Response, error) {
		return wrap(c.deployer.Repositories.CreateDeployment(ctx, owner, name, request))
	})
}

// FindDeployment finds the oldest deployment of a commit to an environment that the bot itself announced. It returns
// forge.ErrNotFound when there is none. One call a hundred deployments, and those of [Client.Self] once.
func (c *Client) FindDeployment(ctx context.Context, sha, environment string) (int64, error) {
	doing := "look for the deployment to " + environment
	if !validSHA(sha) || environment == "" {
		return 0, fmt.Errorf("%s: %w: no commit or no environment", doing, forge.ErrRefused)
	}
	self, err := c.Self(ctx)
	if err != nil {
		return 0, err
	}
	var list []*gh.Deployment
	err = c.inRepository(ctx, doing, func(owner, name string) error {
		list, err = pages(func(page gh.ListOptions) ([]*gh.Deployment, *gh.Response, error) {
			opts := &gh.DeploymentsListOptions{SHA: sha, Environment: environment, ListOptions: page}
			return c.deployer.Repositories.ListDeployments(ctx, owner, name, opts)
		})
		return err
	})
	if err != nil {
		return 0, err
	}
	found := int64(0)
	for _, d := range list { // newest first
		if d.GetCreator().GetID() == self.ID && d.GetSHA() == sha && d.GetEnvironment() == environment {
			found = d.GetID()
		}
	}
	if found == 0 {
		return 0, fmt.Errorf("%s: %w", doing, forge.ErrNotFound)
	}
	return found, nil
}

// CreateDeploymentStatus says where a deployment stands. Other deployments to the environment stay as they are. A second
// run says it a second time. One call.
func (c *Client) CreateDeploymentStatus(ctx context.Context, id int64, s forge.DeploymentStatus) (forge.Posted, error) {
	request := &gh.DeploymentStatusRequest{
		State: gh.String(string(s.State)), Description: gh.String(clip(s.Description, forge.MaxDeploymentText)),
		LogURL: optional(s.LogURL), AutoInactive: gh.Bool(false),
	}
	return c.post(ctx, fmt.Sprintf("say how deployment %d stands", id), func(owner, name string) (posted, *gh.Response, error) {
		return wrap(c.deployer.Repositories.CreateDeploymentStatus(ctx, owner, name, id, request))
	})
}

// DeploymentStatuses are the ones that the bot itself gave a deployment, newest first. One call a hundred, and those of
// [Client.Self] once.
func (c *Client) DeploymentStatuses(ctx context.Context, id int64) ([]forge.DeploymentStatus, error) {
	self, err := c.Self(ctx)
	if err != nil {
		return nil, err
	}
	var list []*gh.DeploymentStatus
	err = c.inRepository(ctx, fmt.Sprintf("list the statuses of deployment %d", id), func(owner, name string) error {
		list, err = pages(func(page gh.ListOptions) ([]*gh.DeploymentStatus, *gh.Response, error) {
			return c.deployer.Repositories.ListDeploymentStatuses(ctx, owner, name, id, &page)
		})
		return err
	})
	if err != nil {
		return nil, err
	}
	var out []forge.DeploymentStatus
	for _, s := range list {
		if s.GetCreator().GetID() == self.ID {
			out = append(out, forge.DeploymentStatus{
				ID: s.GetID(), State: forge.DeploymentState(s.GetState()), Description: s.GetDescription(), LogURL: s.GetLogURL(),
			})
		}
	}
	return out, nil
}
