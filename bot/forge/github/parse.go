package github

import (
	"encoding/json"
	"fmt"

	gh "github.com/google/go-github/v60/github"

	"kv-shepherd.io/shepherd/bot/forge"
)

const maxBody = 25 << 20 // GitHub sends no more

// Parse turns a delivery into our words. It trusts the body for no more than where to look, and keeps what GitHub may
// later rewrite: a push with its pusher, a review with its commit, a comment as written.
//
// The event's name must be that of the body, else ErrMismatch. Whatever changes nothing for the bot is forge.Ignored,
// and so is whatever is about no repository, but for an organisation's own events about its people and teams. A body
// that is not such an event's is ErrMalformed.
func Parse(event string, body []byte) (forge.Event, error) {
	if len(body) > maxBody {
		return forge.Event{}, fmt.Errorf("%w: %d bytes", ErrMalformed, len(body))
	}
	var keys map[string]json.RawMessage
	if err := json.Unmarshal(body, &keys); err != nil {
		return forge.Event{}, fmt.Errorf("%w: not a JSON object", ErrMalformed)
	}
	shape := shapeOf(keys)
	if shape != event && (shape != "" || parsers[event] != nil) {
		return forge.Event{}, fmt.Errorf("%w: %s", ErrMismatch, event)
	}
	out, err := envelope(keys)
	if err != nil {
		return forge.Event{}, err
	}
	if parse := parsers[event]; parse != nil && (out.RepositoryID != 0 || ofOrganization[event]) {
		payload, err := gh.ParseWebHook(event, withoutProperties(body))
		if err != nil {
			return forge.Event{}, fmt.Errorf("%w: not a body of %s", ErrMalformed, event)
		}
		if err := parse(payload, &out); err != nil {
			return forge.Event{}, fmt.Errorf("%w: %s: %w", ErrMalformed, event, err)
		}
	}
	if err := keepable(&out); err != nil {
		return forge.Event{}, fmt.Errorf("%w: %s: %w", ErrMalformed, event, err)
	}
	return out, nil
}

// parsers has the events that mean something to the bot.
var parsers = map[string]func(payload any, out *forge.Event) error{
	"pull_request":        parsePullRequest,
	"pull_request_review": parseReview,
	"issue_comment":       parseComment,
	"push":                parsePush,
	"check_run":           parseCheckRun,
	"check_suite":         parseCheckSuite,
	"merge_group":         parseMergeGroup,
	"membership":          parseMembership,
	"team":                parseTeam,
	"organization":        parseOrganization,
	"member":              parseMember,
}

// ofOrganization are the events that have no repository.
var ofOrganization = map[string]bool{"membership": true, "team": true, "organization": true}

// envelope reads what all events have: action, repository, sender.
func envelope(keys map[string]json.RawMessage) (forge.Event, error) {
	var (
		action string
		repo   struct {
			ID int64 `json:"id"`
		}
		sender *gh.User
	)
	for key, into := range map[string]any{"action": &action, "repository": &repo, "sender": &sender} {
		if raw, ok := keys[key]; ok {
			if err := json.Unmarshal(raw, into); err != nil {
				return forge.Event{}, fmt.Errorf("%w: %s", ErrMalformed, key)
			}
		}
	}
	if len(action) > 64 {
		return forge.Event{}, fmt.Errorf("%w: action", ErrMalformed)
	}
	return forge.Event{Kind: forge.Ignored, Action: action, RepositoryID: max(repo.ID, 0), Sender: person(sender)}, nil
}
