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
		if err := parse(parts(keys), &out); err != nil {
			return forge.Event{}, fmt.Errorf("%w: %s: %w", ErrMalformed, event, err)
		}
	}
	if err := keepable(&out); err != nil {
		return forge.Event{}, fmt.Errorf("%w: %s: %w", ErrMalformed, event, err)
	}
	return out, nil
}

// parsers has the events that mean something to the bot.
var parsers = map[string]func(p parts, out *forge.Event) error{
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

// parts are a body's top, by the very names: what is not read may be anything, so that nothing is lost by what GitHub
// changes elsewhere. Of two parts of one name the last counts.
type parts map[string]json.RawMessage

// read decodes parts by their names. One that is missing or null leaves what it is read into as it is.
func (p parts) read(into map[string]any) error {
	for key, v := range into {
		if raw, ok := p[key]; ok {
			if err := json.Unmarshal(raw, v); err != nil {
				return fmt.Errorf("not a %s", key)
			}
		}
	}
	return nil
}

// numbered is whatever has a number, by its very name: of an Id beside an id nothing is read.
type numbered struct{ ID int64 }

// UnmarshalJSON reads an object, or null.
func (n *numbered) UnmarshalJSON(data []byte) error {
	var p parts
	if err := json.Unmarshal(data, &p); err != nil {
		return err
	}
	return p.read(map[string]any{"id": &n.ID})
}

// moment is a time as GitHub writes it, in words or in seconds; null is none.
type moment struct{ gh.Timestamp }

// UnmarshalJSON reads a time.
func (m *moment) UnmarshalJSON(data []byte) error {
	if string(data) == "null" {
		return nil
	}
	return m.Timestamp.UnmarshalJSON(data)
}

// account is a person as a body names them.
type account struct {
	ID    int64  `json:"id"`
	Login string `json:"login"`
	Type  string `json:"type"`
}

func (a account) person() forge.Person {
	return person(&gh.User{ID: &a.ID, Login: &a.Login, Type: &a.Type})
}

// envelope reads what all events have: action, repository, sender.
func envelope(p parts) (forge.Event, error) {
	var (
		action string
		repo   numbered
		sender account
	)
	if err := p.read(map[string]any{"action": &action, "repository": &repo, "sender": &sender}); err != nil {
		return forge.Event{}, fmt.Errorf("%w: %w", ErrMalformed, err)
	}
	if len(action) > 64 {
		return forge.Event{}, fmt.Errorf("%w: action", ErrMalformed)
	}
	return forge.Event{Kind: forge.Ignored, Action: action, RepositoryID: max(repo.ID, 0), Sender: sender.person()}, nil
}
