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

// HookPath is where webhooks are sent at a server. With a token it is how the repository's webhook is recognised.
const HookPath = "/webhooks/github"

// maxDeliveryPages bounds the listing of deliveries: 20,000, more than a repository sends in the days that GitHub keeps.
const maxDeliveryPages = 200

// listing is one page of deliveries, by whichever way they are listed.
type listing func(ctx context.Context, opts *gh.ListCursorOptions) ([]*gh.HookDelivery, *gh.Response, error)

// Deliveries lists what was sent since a time, newest first, every attempt of its own: for an App those of its webhook, with
// a token those of the repository's webhooks that go to HookPath. Beyond 20,000 the oldest are left out. Entries that
// could not be one of GitHub's are left out too. One call a page of 100; with a token one more. It returns
// [forge.ErrNotFound] or [forge.ErrRefused] where deliveries cannot be listed.
func (c *Client) Deliveries(ctx context.Context, since time.Time) ([]forge.SentDelivery, error) {
	if c.apps != nil {
		sent, err := deliveriesSince(ctx, since, 0, c.apps.Apps.ListHookDeliveries)
		return sent, c.failure("list the App's deliveries", err)
	}
	var all []forge.SentDelivery
	err := c.inRepository(ctx, "list the webhooks' deliveries", func(owner, name string) error {
		all = nil
		hooks, err := c.ourHooks(ctx, owner, name)
		if err != nil {
			return err
		}
		for _, id := range hooks {
			sent, err := deliveriesSince(ctx, since, id, func(ctx context.Context, opts *gh.ListCursorOptions) ([]*gh.HookDelivery, *gh.Response, error) {
				return c.gh.Repositories.ListHookDeliveries(ctx, owner, name, id, opts)
			})
			if err != nil {
				return err
			}
			all = append(all, sent...)
		}
		return nil
	})
	return all, err
}

// ourHooks are the repository's webhooks that go to a server like this one.
func (c *Client) ourHooks(ctx context.Context, owner, name string) (ids []int64, err error) {
	hooks, err := pages(func(opts gh.ListOptions) ([]*gh.Hook, *gh.Response, error) {
		return c.gh.Repositories.ListHooks(ctx, owner, name, &opts)
	})
	if err != nil {
		return nil, err
	}
	for _, h := range hooks {
		u, err := url.Parse(h.GetConfig().GetURL())
		if err == nil && strings.HasSuffix(u.Path, HookPath) && h.GetID() > 0 {
			ids = append(ids, h.GetID())
		}
	}
	if ids == nil {
		return nil, fmt.Errorf("%w: no webhook of the repository goes to %s", forge.ErrNotFound, HookPath)
	}
	return ids, nil
}

func deliveriesSince(ctx context.Context, since time.Time, hook int64, list listing) (out []forge.SentDelivery, err error) {
	opts := &gh.ListCursorOptions{PerPage: perPage}
	for range maxDeliveryPages {
		page, resp, err := list(ctx, opts)
		if err != nil {
			return nil, err
		}
		for _, d := range page {
			if d.GetDeliveredAt().Before(since) && !d.GetDeliveredAt().IsZero() {
				return out, nil
			}
			if sent, ok := sentDelivery(d, hook); ok {
				out = append(out, sent)
			}
		}
		if resp.Cursor == "" || resp.Cursor == opts.Cursor {
			return out, nil
		}
		opts.Cursor = resp.Cursor
	}
	return out, nil
}

func sentDelivery(d *gh.HookDelivery, hook int64) (forge.SentDelivery, bool) {
	sent := forge.SentDelivery{
		ID: d.GetID(), Hook: hook, GUID: strings.ToLower(d.GetGUID()), Event: d.GetEvent(),
		RepositoryID: d.GetRepositoryID(), SentAt: d.GetDeliveredAt().Time,
	}
	return sent, sent.ID > 0 && deliveryPattern.MatchString(sent.GUID) && eventPattern.MatchString(sent.Event) && !sent.SentAt.IsZero()
}

// DeliveryBody is what a delivery held, as JSON. The forge says it over the connection that it authenticates us on, so it
// has no signature of its own. One call. It returns [forge.ErrNotFound] when the forge does not keep it any more, and
// [forge.ErrRefused] for one that is larger than a webhook may be or is not the one that was listed.
func (c *Client) DeliveryBody(ctx context.Context, sent forge.SentDelivery) ([]byte, error) {
	doing := fmt.Sprintf("fetch delivery %s", sent.GUID)
	var d *gh.HookDelivery
	var err error
	if c.apps != nil {
		d, _, err = c.apps.Apps.GetHookDelivery(ctx, sent.ID)
		err = c.failure(doing, err)
	} else {
		err = c.inRepository(ctx, doing, func(owner, name string) (err error) {
			d, _, err = c.gh.Repositories.GetHookDelivery(ctx, owner, name, sent.Hook, sent.ID)
			return err
		})
	}
	if err != nil {
		return nil, err
	}
	if d.GetID() != sent.ID || !strings.EqualFold(d.GetGUID(), sent.GUID) || d.GetEvent() != sent.Event || d.Request == nil || d.Request.RawPayload == nil {
		return nil, fmt.Errorf("%s: %w: %w", doing, forge.ErrRefused, errMisfit)
	}
	body := withProperties(*d.Request.RawPayload)
	if len(body) > maxBody || len(body) == 0 || body[0] != '{' {
		return nil, fmt.Errorf("%s: %w: a body of %d bytes, or no object", doing, forge.ErrRefused, len(body))
	}
	return body, nil
}
