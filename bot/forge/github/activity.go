package github

import (
	"context"
	"fmt"
	"net/url"
	"strings"
	"time"

	gh "github.com/google/go-github/v60/github"

	"kv-shepherd.io/shepherd/bot/forge"
)

// Movements lists who moved a branch, newest first, the last hundred times. It is for pushes that no webhook told of.
// One call.
func (c *Client) Movements(ctx context.Context, branch string) ([]forge.Movement, error) {
	doing := "list who moved branch " + branch
	var list []struct {
		ID        int64         `json:"id"`
		Kind      string        `json:"activity_type"`
		Ref       string        `json:"ref"`
		Before    string        `json:"before"`
		After     string        `json:"after"`
		Timestamp *gh.Timestamp `json:"timestamp"`
		Actor     *gh.User      `json:"actor"`
	}
	ref := "refs/heads/" + strings.TrimPrefix(branch, "refs/heads/")
	err := c.inRepository(ctx, doing, func(owner, name string) error {
		_, err := get(ctx, c.gh, fmt.Sprintf("repos/%s/%s/activity?per_page=%d&ref=%s", owner, name, perPage, url.QueryEscape(ref)), &list)
		return err
	})
	if err != nil {
		return nil, err
	}
	var out []forge.Movement
	for _, m := range list {
		if m.ID <= 0 || m.Ref != ref || m.Before == "" || m.After == "" || m.Timestamp == nil {
			return nil, c.failure(doing, errMisfit)
		}
		out = append(out, forge.Movement{
			ID: m.ID, Ref: m.Ref, Before: m.Before, After: m.After, Forced: m.Kind == "force_push", By: person(m.Actor), At: m.Timestamp.UTC().Truncate(time.Second),
		})
	}
	return out, nil
}
